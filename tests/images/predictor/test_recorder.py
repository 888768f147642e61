"""What is counted and logged of answered rows, against the rows themselves."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.config import InferenceLogConfig, TaskName
from components.shared.inference_rows import left_out, log_schema
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, parse_rows
from components.shared.tasks import TASKS, Answer
from images.predictor import recorder as recorder_module
from images.predictor.answered import Answered, AnsweredRequest
from images.predictor.figures import LOG_ROWS, Described, families
from images.predictor.metrics import Meters
from images.predictor.recorder import Recorder
from tests.helpers import classes_of, make_schema

ARRIVED = 1_772_357_415.123456
LATENCY_MS = 2.5


@dataclass
class Log:
    """Keeps what it is given, as the inference log takes it."""

    batches: list[pa.RecordBatch] = field(default_factory=list)
    received: list[datetime] = field(default_factory=list)
    waiting_bytes: int = 7

    def start(self) -> None: ...

    def close(self, seconds: float) -> None:
        assert seconds >= 0

    def add(self, batch: pa.RecordBatch, received: datetime) -> None:
        batch.validate(full=True)
        self.batches.append(batch)
        self.received.append(received)

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for batch in self.batches for row in batch.to_pylist()]


@dataclass
class Model:
    """What a recorder knows of a model."""

    schema: Schema
    version: str = "v1"

    @property
    def answer(self) -> Answer:
        return TASKS[self.schema.task].answer


@dataclass
class Bench:
    """A recorder at work and what it counted."""

    recorder: Recorder
    meters: Meters
    log: Log

    def record(self, *answered: Answered) -> None:
        for item in answered:
            self.recorder.record(item)

    def finish(self) -> None:
        self.recorder.start()
        self.recorder.close(10)

    def total(self, name: str, *labels: str) -> float:
        return self.meters.total(f"fullcircle_{name}", *labels)


def make(schema: Schema, *, bounds: tuple[float, ...] = (), log: bool = True, **config: Any) -> Bench:
    meters = Meters(families(Described("demo", "v1", schema, bounds)))
    kept = Log()
    recorder = Recorder(Model(schema), InferenceLogConfig(**config), meters, kept if log else None)  # type: ignore[arg-type]
    return Bench(recorder, meters, kept)


def scores_of(schema: Schema, rows: int, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    if not TASKS[schema.task].has_classes:
        return random.normal(10, 3, rows).astype(np.float32)
    drawn = random.random((rows, len(schema.classes))).astype(np.float32)
    return drawn / drawn.sum(axis=1, keepdims=True)


def answered(
    schema: Schema, rows: list[dict[str, Any]], *, name: str = "r1", extras: Any = None, counts: list[int] | None = None
) -> Answered:
    """Requests of some rows each; all rows in one request unless told otherwise."""
    found = counts or [len(rows)]
    names = [name.encode()] if len(found) == 1 else [f"{name}-{number}".encode() for number in range(len(found))]
    requests = [
        AnsweredRequest(one, ARRIVED + place, count, extras or {}, LATENCY_MS / 1e3)
        for place, (one, count) in enumerate(zip(names, found, strict=True))
    ]
    return Answered(parse_rows(rows, schema), scores_of(schema, len(rows)), requests)


def row(**changes: Any) -> dict[str, Any]:
    return {
        "amount": 1.5, "visits": 3, "member": True, "colour": "röt", "opened at": "2024-01-01T00:00:00", **changes,
    }  # fmt: skip


# What is logged is what was sent


@pytest.mark.parametrize("task", TASKS)
def test_logged_rows_are_those_that_were_sent(task: TaskName):
    schema = make_schema(task)
    bench = make(schema)
    rows = [
        row(),
        row(amount=None, colour=None, **{"opened at": None}),
        row(amount=-1e30, visits=-(2**53), member=False, colour="violett 🟣", **{"opened at": "1969-12-31T23:59:59Z"}),
    ]
    sent = answered(schema, rows, extras={"id": ["a", None, "c"]})
    bench.record(sent)
    bench.finish()
    (batch,) = bench.log.batches
    assert batch.schema.equals(log_schema(schema, []), check_metadata=True)
    assert bench.log.received == [datetime.fromtimestamp(ARRIVED, UTC)]
    logged = bench.log.rows
    times = [datetime(2024, 1, 1, tzinfo=UTC), None, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]
    for place, found in enumerate(logged):
        expected = rows[place]
        assert {name: found[name] for name in ("amount", "visits", "member", "colour")} == {
            name: expected[name] for name in ("amount", "visits", "member", "colour")
        }
        assert found["opened at"] == times[place]
        assert found["id"] == ["a", None, "c"][place]
        assert (found["request_id"], found["request_row"], found["model_version"]) == ("r1", place, "v1")
        assert found["received"].timestamp() == pytest.approx(ARRIVED, abs=1e-6)
    if not TASKS[task].has_classes:
        assert [found["prediction"] for found in logged] == pytest.approx(sent.scores.tolist())
        return
    names = ["false", "true"] if TASKS[task].has_positive_class else [str(label) for label in classes_of(task)]
    found_scores = [[found[f"probability_{name}"] for name in names] for found in logged]
    assert found_scores == pytest.approx(sent.scores)
    assert [found["prediction"] for found in logged] == [names[index] for index in sent.scores.argmax(axis=1)]


def test_integers_and_booleans_may_be_missing():
    nullable = [
        feature.model_copy(update={"nullable": feature.kind != "category"}) for feature in make_schema().features
    ]
    schema = make_schema().model_copy(update={"features": nullable})
    bench = make(schema)
    bench.record(answered(schema, [row(visits=None, member=None), row(colour="")]))
    bench.finish()
    first, second = bench.log.rows
    assert (first["visits"], first["member"], first["colour"]) == (None, None, "röt")
    assert (second["visits"], second["member"], second["colour"]) == (3, True, "")
    assert bench.total("missing_values", "visits") == bench.total("missing_values", "member") == 1
    assert bench.total("unseen_categories", "colour") == 1  # an empty text was not seen in training


def test_several_requests_of_several_rows():
    schema = make_schema()
    bench = make(schema)
    rows = [row(visits=number) for number in range(6)]
    bench.record(answered(schema, rows, counts=[1, 3, 2]), answered(schema, rows[:1], name="other"))
    bench.finish()
    assert len(bench.log.batches) == 1
    found = [(item["request_id"], item["request_row"], item["visits"]) for item in bench.log.rows]
    assert found == [("r1-0", 0, 0), ("r1-1", 0, 1), ("r1-1", 1, 2), ("r1-1", 2, 3), ("r1-2", 0, 4), ("r1-2", 1, 5),
                     ("other", 0, 0)]  # fmt: skip
    moments = [item["received"].timestamp() - ARRIVED for item in bench.log.rows]
    assert moments == pytest.approx([0, 1, 1, 1, 2, 2, 0], abs=1e-5)
    assert bench.log.received == [datetime.fromtimestamp(ARRIVED, UTC)]


def test_time_and_keys_that_are_no_features_are_logged_as_text():
    schema = make_schema().model_copy(update={"time_column": "booked", "keys": ["id", "visits"]})
    bench = make(schema)
    rows = [row(), row()]
    bench.record(answered(schema, rows, extras={"booked": ["yesterday", None]}))
    bench.record(answered(schema, rows[:1], extras={"id": ["7"]}))
    bench.finish()
    assert [(item["booked"], item["id"], item["visits"]) for item in bench.log.rows] == [
        ("yesterday", None, 3),
        (None, None, 3),
        (None, "7", 3),
    ]


@pytest.mark.parametrize("column", ["amount", "colour", "opened at", "id"])
def test_a_column_that_is_left_out_is_not_logged(column):
    schema = make_schema()
    bench = make(schema, leave_out=[column])
    bench.record(answered(schema, [row()], extras={"id": ["secret"]}))
    bench.finish()
    (batch,) = bench.log.batches
    assert column not in batch.schema.names
    assert left_out(batch.schema) == {column}
    assert len(batch.schema) == len(log_schema(schema, [])) - 1


def test_columns_called_like_those_of_the_log_keep_their_names():
    features = [
        Feature(name="prediction", kind="number", nullable=False),
        Feature(name="received", kind="category", nullable=True),
    ]
    schema = Schema(task="regression", target="y", features=features)
    bench = make(schema, bounds=(1.0,))
    bench.record(answered(schema, [{"prediction": 5.0, "received": "by post"}]))
    bench.finish()
    (found,) = bench.log.rows
    assert (found["prediction"], found["received"]) == (5.0, "by post")
    assert isinstance(found["_received"], datetime)
    assert isinstance(found["_prediction"], float)


# What is counted


def test_counts_of_values():
    schema = make_schema()
    bench = make(schema)
    rows = [
        row(amount=5.0), row(amount=5.001), row(amount=-6.0), row(amount=None), row(visits=10), row(visits=-1),
        row(colour="purple"), row(colour=None), row(colour=""), row(**{"opened at": None}),
        row(**{"opened at": "1999-01-01"}),
    ]  # fmt: skip
    usual = {"opened at": "2024-01-01T00:00:00"}
    sent = answered(schema, [{**usual, **one} for one in rows])
    bench.record(sent)
    bench.finish()
    assert bench.total("out_of_range_values", "amount") == 2
    assert bench.total("out_of_range_values", "visits") == 2
    assert bench.total("out_of_range_values", "member") == 0
    assert bench.total("out_of_range_values", "opened at") == 1
    assert bench.total("missing_values", "amount") == 1
    assert bench.total("missing_values", "colour") == 2
    assert bench.total("missing_values", "opened at") == 1
    assert bench.total("unseen_categories", "colour") == 1
    positive = int((sent.scores[:, 1] >= 0.5).sum())
    assert bench.total("predictions", "true") == positive
    assert bench.total("predictions", "false") == len(rows) - positive
    assert bench.total("log_waiting_bytes") == 7


def test_the_threshold_decides_what_is_counted_and_logged():
    schema = make_schema().model_copy(update={"threshold": 0.9})
    bench = make(schema)
    scores = np.array([[0.2, 0.8], [0.05, 0.95]], dtype=np.float32)
    bench.record(Answered(parse_rows([row(), row()], schema), scores, [AnsweredRequest(b"r", ARRIVED, 2, {}, 0.001)]))
    bench.finish()
    assert [item["prediction"] for item in bench.log.rows] == ["false", "true"]
    assert (bench.total("predictions", "false"), bench.total("predictions", "true")) == (1, 1)


def test_categories_of_which_only_some_are_known_are_not_called_new():
    features = [feature.model_copy(update={"cardinality": 9}) for feature in make_schema().features]
    schema = make_schema().model_copy(update={"features": features})
    bench = make(schema)
    bench.record(answered(schema, [row(colour="purple")]))
    bench.finish()
    assert len(bench.log.rows) == 1


def test_predicted_values_fall_into_buckets():
    schema = make_schema("regression")
    bench = make(schema, bounds=(1.0, 2.0))
    scores = np.array([0.5, 1.0, 1.5, 2.5, 1e30, math.nan, math.inf], dtype=np.float32)
    sent = Answered(parse_rows([row()] * 7, schema), scores, [AnsweredRequest(b"r", ARRIVED, 7, {}, 0.001)])
    bench.record(sent)
    bench.finish()
    text = bench.meters.render().decode()
    assert 'fullcircle_predicted_value_bucket{le="1.0"} 2.0' in text
    assert 'fullcircle_predicted_value_bucket{le="2.0"} 3.0' in text
    assert 'fullcircle_predicted_value_bucket{le="+Inf"} 5.0' in text
    assert "fullcircle_predicted_value_sum 1.0000000150474662e+30" in text
    assert len(bench.log.rows) == 7


# No row is lost unseen


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=6), min_size=1, max_size=12),
    sample=st.sampled_from([0.0, 0.3, 1.0]),
    room=st.sampled_from([10, 100, 10_000]),
)
def test_written_and_dropped_rows_are_the_sampled_ones(counts, sample, room):
    """Requests are logged whole or not at all; each is logged, dropped and counted, or not in the sample."""
    schema = make_schema()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(recorder_module, "_MOST_WAITING_ROWS", room)
        bench = make(schema, sample=sample)
    asked: dict[str, int] = {}
    for place, rows in enumerate(counts):
        item = answered(schema, [row()] * sum(rows), counts=rows, name=f"r{place}")
        asked |= {request.request_id.decode(): request.rows for request in item.requests}
        bench.record(item)
    bench.finish()
    logged: dict[str, int] = {}
    for found in bench.log.rows:
        logged[found["request_id"]] = logged.get(found["request_id"], 0) + 1
    assert all(asked[name] == count for name, count in logged.items())
    dropped = bench.total("log_rows", "dropped")
    answered_rows = sum(asked.values())
    if sample == 1.0:
        assert sum(logged.values()) + dropped == answered_rows
    elif sample == 0.0:
        assert (sum(logged.values()), dropped) == (0, 0)
    else:
        assert sum(logged.values()) + dropped <= answered_rows


def test_the_sample_is_the_share_that_was_asked_for():
    schema = make_schema()
    bench = make(schema, sample=0.25)
    for place in range(20):
        bench.record(answered(schema, [row()] * 200, counts=[2] * 100, name=f"r{place}"))
    bench.finish()
    assert 800 < len(bench.log.rows) < 1200  # of 4,000 rows: six standard deviations either side
    assert bench.total("predictions", "true") + bench.total("predictions", "false") == 4000


@pytest.mark.parametrize("limit", [{"_MOST_WAITING_ROWS": 10}, {"_MOST_WAITING_VALUES": 10 * 5}])
def test_an_overload_is_counted(monkeypatch, limit):
    for name, value in limit.items():
        monkeypatch.setattr(recorder_module, name, value)
    schema = make_schema()
    bench = make(schema)
    for _ in range(5):
        bench.record(answered(schema, [row()] * 8))
    bench.finish()
    assert len(bench.log.rows) == 8
    assert bench.total("log_rows", "dropped") == 32
    assert make_without_log(schema, answered(schema, [row()] * 8)) == 0


def make_without_log(schema: Schema, item: Answered) -> float:
    bench = make(schema, log=False)
    bench.record(item, item)
    bench.finish()
    assert bench.log.batches == []
    return bench.meters.total(LOG_ROWS, "dropped")


def damaged(schema: Schema, **changes: Any) -> Answered:
    item = answered(schema, [row()] * 3)
    parts = {"numbers": item.inputs.numbers, "categories": item.inputs.categories, "times": item.inputs.times}
    return Answered(Inputs(**{**parts, **changes}), item.scores, item.requests)


@pytest.mark.parametrize(
    ("make_bad", "logged"),
    [
        # A number that must not be missing is: nothing to count it by, yet it is logged.
        (lambda schema: damaged(schema, numbers=np.full((3, 3), np.nan)), 3),
        # No Unicode: Parquet cannot take it.
        (lambda schema: damaged(schema, categories=np.full((3, 1), "\ud800", dtype=object)), 0),
        (lambda schema: damaged(schema, times=np.full((3, 1), MISSING_TIME)), 3),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_counted_or_logged_do_not_end_it(make_bad: Callable[[Schema], Answered], logged, caplog):
    schema = make_schema()
    bench = make(schema)
    bench.recorder.start()
    bench.record(make_bad(schema))
    bench.recorder._wake.set()
    while bench.recorder._taken < 3:
        time.sleep(0.01)
    bench.record(answered(schema, [row()]))
    bench.recorder.close(10)
    assert len(bench.log.rows) == logged + 1
    assert bench.total("log_rows", "dropped") == 3 - logged
    assert bench.total("predictions", "true") + bench.total("predictions", "false") >= 1


def test_what_is_answered_while_it_closes_is_counted():
    """A large request that its client has given up ends when it ends, perhaps after everything else."""
    schema = make_schema()
    bench = make(schema)
    bench.finish()
    bench.record(answered(schema, [row()] * 5), answered(schema, [row()] * 2))
    assert bench.log.rows == []
    assert bench.total("log_rows", "dropped") == 7


def test_what_is_left_when_the_time_is_up_is_counted(monkeypatch):
    schema = make_schema()
    bench = make(schema)
    monkeypatch.setattr(recorder_module, "_ROWS_AT_ONCE", 1)
    plain = bench.recorder._take

    def slow() -> None:
        plain()
        time.sleep(0.5)

    monkeypatch.setattr(bench.recorder, "_take", slow)
    for _ in range(6):
        bench.record(answered(schema, [row()]))
    bench.recorder.start()
    bench.recorder.close(0.2)
    bench.recorder._thread.join(5)
    assert 1 <= len(bench.log.rows) < 6
    assert len(bench.log.rows) + bench.total("log_rows", "dropped") == 6


def test_closing_what_was_never_started():
    bench = make(make_schema())
    bench.recorder.close(1)
