"""Two versions' answers to the same requests, against what is known of them."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import TaskName
from components.shared.errors import InputError
from components.shared.evaluation import metric_text
from components.shared.inference_log.layout import hour_prefix, raw_name
from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT, log_schema, probability_names
from components.shared.labels.joining import join
from components.shared.labels.layout import LabelColumns
from components.shared.metrics import LABELS, compute
from components.shared.package.schema import Schema
from components.shared.shadow.comparison import ShadowComparison, Side, compare_shadow
from components.shared.shadow.reading import answer_columns, read_candidate, read_champion
from components.shared.store import Store
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from tests.helpers import make_schema

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rows_of(
    schema: Schema, scores: Any, *, version: str, ids: Sequence[str], places: Sequence[int] | None = None,
    latency: float = 2.0, start: datetime = NOON,
) -> pa.Table:  # fmt: skip
    """Rows of a log: one a second."""
    kinds = {field.name: field.type for field in log_schema(schema, ())}
    columns: dict[str, Any] = {
        "request_id": list(ids),
        "request_row": list(places or [0] * len(ids)),
        "received": [start + timedelta(seconds=place) for place in range(len(ids))],
        "model_version": [version] * len(ids),
        "latency_ms": [latency + place / 1000 for place in range(len(ids))],
    }
    if TASKS[schema.task].has_classes:
        chosen = choose_classes(scores, threshold=schema.threshold)
        columns["prediction"] = [schema.labels[place] for place in chosen.tolist()]
        columns |= {name: scores[:, place] for place, name in enumerate(probability_names(schema))}
    else:
        columns["prediction"] = scores
    return pa.table({name: pa.array(columns[name], kinds[name]) for name in answer_columns(schema)})


def two(probabilities: Any) -> Any:
    found = np.asarray(probabilities, dtype=np.float32)
    return np.column_stack([1 - found, found])


def compared(champion: pa.Table, candidate: pa.Table, schema: Schema, **settings: Any) -> ShadowComparison:
    given = {"metric": TASKS[schema.task].default_metric, "needed": 4, **settings}
    return compare_shadow("demo", Side("v1", schema, champion), Side("v2", schema, candidate), **given)


def test_pairs_are_found_in_any_order_and_what_has_none_is_counted():
    schema = make_schema()
    champion = rows_of(
        schema, two([0.9, 0.2, 0.8, 0.1, 0.5, 0.5]), version="v1", ids=["a", "a", "b", "c", "twice", "twice"],
        places=[0, 1, 0, 0, 0, 0],
    )  # fmt: skip
    candidate = rows_of(
        schema, two([0.3, 0.7, 0.1, 0.9, 0.9, 0.5]), version="v2", ids=["b", "a", "c", "a", "unknown", "twice"],
        places=[0, 1, 0, 0, 0, 0], latency=5.0,
    )  # fmt: skip
    found = compared(champion, candidate, schema)
    assert (found.rows, found.requests, found.alone, found.repeated) == (4, 3, 2, 2)
    assert found.agreement is not None
    assert found.distance is not None
    assert found.agreement.value == 0.5  # a's first row and c
    assert found.distance.value == pytest.approx((0 + 0.5 + 0.5 + 0) / 4, abs=1e-6)
    assert found.champion_latency is not None
    assert found.candidate_latency is not None
    assert found.champion_latency.p50 == pytest.approx(2.002)  # one value a request: a, b, c
    assert found.candidate_latency.longest == pytest.approx(5.003, abs=0.002)
    assert (found.start, found.end) == (NOON, NOON + timedelta(seconds=3))
    assert found.enough
    assert not compared(champion, candidate, schema, needed=5).enough
    assert "5 rows are asked for" in compared(champion, candidate, schema, needed=5).message
    assert ShadowComparison.model_validate_json(found.model_dump_json()) == found


def test_versions_without_a_request_in_common():
    schema = make_schema()
    champion = rows_of(schema, two([0.9]), version="v1", ids=["a"])
    found = compared(champion, rows_of(schema, two([0.9]), version="v2", ids=["b"]), schema)
    assert (found.rows, found.alone, found.agreement, found.enough) == (0, 1, None, False)
    assert found.message == "v2 and v1 have no logged request in common"


def test_versions_that_predict_different_things_are_not_compared():
    champion, candidate = make_schema(), make_schema("regression")
    sides = (
        Side("v1", champion, rows_of(champion, two([0.9]), version="v1", ids=["a"])),
        Side("v2", candidate, rows_of(candidate, np.array([1.0], dtype=np.float32), version="v2", ids=["a"])),
    )
    with pytest.raises(InputError, match="Versions v1 and v2 of 'demo' predict different things"):
        compare_shadow("demo", *sides, metric="roc_auc", needed=1)


def answers_of(task: TaskName, schema: Schema, noise: float, rows: int, seed: int) -> tuple[Any, Any]:
    """Targets, and scores that know them but for noise."""
    target: Any
    random = np.random.default_rng(seed)
    other = np.random.default_rng([seed, int(noise * 100)])
    if not TASKS[task].has_classes:
        target = random.normal(10, 3, rows)
        return target, (target + other.normal(0, noise, rows)).astype(np.float32)
    target = random.integers(0, len(schema.labels), rows)
    raw = np.eye(len(schema.labels))[target] + other.gamma(1, noise, (rows, len(schema.labels)))
    return target, (raw / raw.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
def test_quality_is_measured_on_the_same_labelled_rows(task: TaskName):
    schema, rows = make_schema(task), 600
    target, better = answers_of(task, schema, 0.3, rows, 1)
    _, worse = answers_of(task, schema, 0.9, rows, 1)
    ids = [f"r{place}" for place in range(rows)]
    champion = rows_of(schema, worse, version="v1", ids=ids)
    candidate = rows_of(schema, better, version="v2", ids=ids)
    labelled = range(0, rows, 2)
    columns = LabelColumns(schema)
    spelled = [str(target[place]) if task == "regression" else schema.labels[target[place]] for place in labelled]
    given = {name: pa.nulls(len(labelled), kind) for name, kind in zip(
        columns.arrow().names, columns.arrow().types, strict=True,
    )}  # fmt: skip
    given[columns.request_id] = pa.array([ids[place] for place in labelled])
    given[columns.label] = pa.array(spelled)
    given[columns.arrival] = pa.array([NOON + timedelta(days=2)] * len(labelled), pa.timestamp("us", tz="UTC"))
    labels = pa.table(given).cast(columns.arrow())
    joined = join(champion, labels, schema)
    assert joined.labelled == len(labelled)
    comparison = compared(joined.table, candidate, schema)
    found = comparison.quality
    assert found is not None
    metric = TASKS[task].default_metric
    chosen = np.array(labelled)
    expected = [
        compute(task, target[chosen], scores[chosen].astype(np.float64), threshold=schema.threshold)[metric]
        for scores in (worse, better)
    ]
    assert (found.rows, found.metric) == (300, metric)
    assert [found.champion, found.candidate] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert 0 < found.gain.low < found.gain.value < found.gain.high
    shown = [metric_text(metric, value) for value in (found.candidate, found.champion)]
    assert f"; {LABELS[metric]} {shown[0]} instead of {shown[1]}" in comparison.message
    turned = compared(joined.table, candidate, schema, minimum_labels=301)
    assert turned.quality is None


def put(store: Store, table: pa.Table, *, root: str, moment: datetime, writer: str = "w") -> None:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    store.put_bytes(hour_prefix("demo", moment, root=root) + raw_name(moment, writer, table.num_rows), sink.getvalue())


def test_what_is_read_is_what_both_versions_answered_in_the_span(store):
    schema = make_schema()
    hours = [NOON, NOON + timedelta(hours=1), NOON + timedelta(hours=13)]  # the last one is of another day
    for place, hour in enumerate(hours):
        ids = [f"{place}-{number}" for number in range(5)]
        scores = two(np.linspace(0.1, 0.9, 5))
        put(store, rows_of(schema, scores, version="v1", ids=ids, start=hour), root=LOG_ROOT, moment=hour)
        put(store, rows_of(schema, scores[:3], version="v2", ids=ids[:3], start=hour), root=SHADOW_ROOT, moment=hour)
        others = rows_of(schema, scores, version="v0", ids=ids, start=hour)
        put(store, others, root=SHADOW_ROOT, moment=hour, writer="other")
        put(store, others, root=LOG_ROOT, moment=hour, writer="other")
        store.put_bytes(hour_prefix("demo", hour, root=SHADOW_ROOT) + raw_name(hour, "cut", 9), b"PAR1")
    everything: dict[str, Any] = {"start": NOON, "end": NOON + timedelta(days=1)}
    candidate = read_candidate(store, "demo", "v2", schema, **everything)
    assert (candidate.table.num_rows, candidate.unfit) == (9, 3)
    champion = read_champion(store, "demo", "v1", schema, candidate=candidate.table, candidate_schema=schema)
    assert (champion.table.num_rows, champion.unfit) == (9, 0)
    found = compared(champion.table, candidate.table, schema)
    assert found.agreement is not None
    assert (found.rows, found.alone, found.agreement.value) == (9, 0, 1.0)
    one_hour = read_candidate(store, "demo", "v2", schema, start=hours[1], end=hours[2])
    assert sorted(one_hour.table["request_id"].to_pylist()) == ["1-0", "1-1", "1-2"]
    newest = read_candidate(store, "demo", "v2", schema, rows=3, **everything)
    assert sorted(newest.table["request_id"].to_pylist()) == ["2-0", "2-1", "2-2"]
    nothing = read_candidate(store, "demo", "v9", schema, **everything)
    assert nothing.table.num_rows == 0
    assert (
        read_champion(store, "demo", "v1", schema, candidate=nothing.table, candidate_schema=schema).table.num_rows == 0
    )
