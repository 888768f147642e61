"""What the endpoint was asked as a table to learn from: a real store, a real package, labels as they are added."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.ingest import ingest_table
from components.prepare.prepare import prepare
from components.shared.config import (
    Config,
    ContractConfig,
    MonitoringConfig,
    PrepareConfig,
    ProblemConfig,
    SourceConfig,
)
from components.shared.errors import ConfigError, SourceError
from components.shared.inference_log.compaction import compact_log
from components.shared.labels.moments import event_moments
from components.shared.labels.store import Labels
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.sources.log import LogSource
from components.shared.store import Store
from pipelines.config_file import load_config
from tests.components.monitor.logged import DAY, START, put_log, requests
from tests.helpers import make_schema, make_table, put_folder

HOUR = timedelta(hours=1)
PROBLEM = ProblemConfig(
    target="target", task="binary", time_column="opened at", keys=["id"], leaks=["closed"], ignore=["remark"]
)


@pytest.fixture
def scorer(store: Store, packages: Any, monkeypatch: pytest.MonkeyPatch) -> Scorer:
    """A champion of the model demo, in the store that the environment names."""
    for name, value in store.settings.environment().items():
        monkeypatch.setenv(name, value)
    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    Registry(store, "demo").promote(version, expected=None)
    return Scorer.load(packages(), version=version)


def truths(rows: int, seed: int) -> list[str]:
    """What became of the requests of `logged.requests`."""
    return [str(value).lower() for value in make_table(rows=rows, seed=seed)["target"].to_pylist()]


def label(
    store: Store, asked: pa.Table, said: list[str], *, after: timedelta = 2 * DAY, schema: Schema | None = None
) -> None:
    """Labels of requests by their ids, which arrive in one file so long after the last of them."""
    arrival = max(asked["received"].to_pylist()) + after
    table = pa.table({"request_id": asked["request_id"], "request_row": asked["request_row"], "label": said})
    Labels(store, "demo", schema or make_schema()).append(table, source="test", arrival=arrival)


def ask(store: Store, scorer: Scorer, *, day: int = 0, rows: int = 120, labels: bool = True) -> pa.Table:
    """A day of requests, with labels two days later."""
    asked = requests(scorer, rows, start=START + day * DAY, span=HOUR, seed=day)
    put_log(store, asked)
    if labels:
        label(store, asked, truths(rows, day))
    return asked


def read(folder: Path, **options: Any) -> pa.Table:
    (file,) = LogSource.model_validate({"path": "log://demo", **options}).read(folder)
    assert file.name == "log://demo"
    return pq.read_table(file.path)


def test_labelled_requests_are_a_table_with_the_columns_of_the_models_own(store, scorer, tmp_path):
    first, second = ask(store, scorer), ask(store, scorer, day=1, rows=80)
    ask(store, scorer, day=2, labels=False)
    table = read(tmp_path)
    assert table.column_names == ["amount", "visits", "member", "colour", "opened at", "id", "target"]
    assert table.num_rows == 200
    assert table["target"].to_pylist() == [said == "true" for said in truths(120, 0) + truths(80, 1)]
    for name in ("amount", "visits", "colour"):
        assert table[name].to_pylist() == first[name].to_pylist() + second[name].to_pylist()


def test_the_same_configuration_learns_from_it(store, scorer, tmp_path):
    """Columns that are known only afterwards, which no request has, are named in it and have no value."""
    for day in range(3):
        ask(store, scorer, day=day, rows=200)
    source = SourceConfig.model_validate({"kind": "log", "weeks": 2}).of_model("demo")
    lineage = ingest_table(source, PROBLEM, tmp_path / "table.parquet")
    assert (lineage.rows, lineage.columns) == (600, 9)
    assert lineage.window_start.startswith("2026-03-01")
    settings = PrepareConfig.model_validate({"split": {"method": "chronological"}})
    contract = ContractConfig()
    prepare(tmp_path / "table.parquet", tmp_path / "splits", problem=PROBLEM, settings=settings, contract=contract)
    found = Schema.read(tmp_path / "splits")
    expected = make_schema()
    kinds = [(one.name, one.kind) for one in expected.features if one.name != "opened at"]  # time is no feature here
    assert [(one.name, one.kind) for one in found.features] == kinds
    assert lineage.warnings == []
    assert (found.classes, found.keys, found.time_column) == (expected.classes, ["id"], "opened at")


def test_numbers_are_learned_from_too(store, packages, tmp_path, monkeypatch):
    for name, value in store.settings.environment().items():
        monkeypatch.setenv(name, value)
    version = verify(packages("regression")).version
    put_folder(store, version_prefix("demo", version), packages("regression"))
    Registry(store, "demo").promote(version, expected=None)
    asked = requests(Scorer.load(packages("regression"), version=version), 60, span=HOUR)
    put_log(store, asked)
    values = [float(place) / 4 for place in range(60)]
    label(store, asked, [str(value) for value in values], schema=make_schema("regression"))
    assert read(tmp_path)["target"].to_pylist() == values


def test_each_request_counts_once(store, scorer, tmp_path):
    asked = ask(store, scorer)
    # The same ids again an hour later, and files that were uploaded and compacted twice.
    received = pa.array([moment + timedelta(hours=1) for moment in asked["received"].to_pylist()])
    place = asked.column_names.index("received")
    again = asked.set_column(place, asked.schema.field("received"), received.cast(asked.schema.field("received").type))
    put_log(store, again, writer="v")
    assert read(tmp_path).num_rows == 120
    compact_log(store, "demo", now=START + 5 * DAY)
    assert read(tmp_path).num_rows == 120


def cover(store: Store, scorer: Scorer, coverage: float) -> None:
    """Say which share of the labels has to be there."""
    settings = MonitoringConfig.model_validate({"labels": {"coverage": coverage}})
    keep_settings(store, "demo", scorer.version, settings)


def test_labels_by_keys_are_found_and_requests_without_labels_left_out(store, scorer, tmp_path):
    cover(store, scorer, 0.5)
    asked = ask(store, scorer, labels=False)
    arrival = START + 3 * DAY
    table = pa.table({"id": asked["id"].slice(0, 70), "label": ["true"] * 70})
    Labels(store, "demo", make_schema()).append(table, source="test", arrival=arrival)
    found = read(tmp_path)
    assert found["id"].to_pylist() == asked["id"].slice(0, 70).to_pylist()
    assert set(found["target"].to_pylist()) == {True}


def test_while_the_lag_is_not_known_only_days_count_that_are_labelled(store, scorer, tmp_path):
    """All labels came at once, so that nothing tells whether those of the second day are all that will come."""
    first, second = ask(store, scorer, labels=False), ask(store, scorer, day=1, labels=False)
    some = pa.concat_tables([first, second.slice(0, 60)])
    label(store, some, truths(120, 0) + truths(120, 1)[:60])
    assert read(tmp_path)["id"].to_pylist() == first["id"].to_pylist()
    cover(store, scorer, 1.0)
    assert read(tmp_path).num_rows == 120
    cover(store, scorer, 0.5)
    assert read(tmp_path).num_rows == 180


def test_where_no_day_is_labelled_it_says_what_is_awaited(store, scorer, tmp_path):
    asked = ask(store, scorer, labels=False)
    label(store, asked.slice(0, 100), truths(120, 0)[:100])
    with pytest.raises(SourceError, match=r"not known yet, so only days count of whose rows 90% have a label"):
        read(tmp_path)


@pytest.mark.parametrize("corrected", [False, True])
def test_requests_whose_labels_are_not_mature_are_left_out(store, scorer, tmp_path, corrected):
    """Positives come after an hour and negatives after two days: among the newest there would be positives alone.

    That old labels are corrected, and back, says nothing of when labels come.
    """
    labels = Labels(store, "demo", make_schema())
    arrivals: dict[datetime, list[tuple[str, str]]] = {}
    for day in range(12):
        asked = requests(scorer, 96, start=START + day * DAY, span=HOUR, seed=day)
        put_log(store, asked)
        for identity, received, said in zip(
            asked["request_id"].to_pylist(), asked["received"].to_pylist(), truths(96, day), strict=True
        ):
            arrives = received + (timedelta(hours=1) if said == "true" else 2 * DAY)
            hour = arrives.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            arrivals.setdefault(hour, []).append((identity, said))
    end = START + 12 * DAY
    for hour in sorted(hour for hour in arrivals if hour <= end):
        columns = dict(zip(("request_id", "label"), zip(*arrivals[hour], strict=True), strict=True))
        labels.append(pa.table(columns), source="test", arrival=hour)
    if corrected:
        old = [row for hour in sorted(arrivals)[:150] for row in arrivals[hour]]
        wrong = {"request_id": [identity for identity, _ in old], "label": ["false"] * len(old)}
        labels.append(pa.table(wrong), source="mistake", arrival=end - HOUR)
        right = wrong | {"label": [said for _, said in old]}
        labels.append(pa.table(right), source="back", arrival=end)
    table = read(tmp_path)
    newest = max(table["opened at"].to_pylist())
    assert end - 3 * DAY <= newest <= end - 2 * DAY
    share = sum(table["target"].to_pylist()) / table.num_rows
    everything = [said == "true" for day in range(10) for said in truths(96, day)]
    assert share == pytest.approx(sum(everything) / len(everything), abs=0.02)


def test_weeks_and_the_moment_say_which_rows_are_read(store, scorer, tmp_path):
    for day in (0, 10, 20):
        ask(store, scorer, day=day, rows=40)

    def days(**options: Any) -> list[int]:
        return sorted({moment.day for moment in read(tmp_path, **options)["opened at"].to_pylist()})

    assert days() == [1, 11, 21]
    assert days(weeks=2) == [11, 21]
    before = (START + 15 * DAY).isoformat()
    assert days(known_at=before) == [1, 11]
    assert days(known_at=before, weeks=1) == [11]


def test_its_fingerprint_is_that_of_the_objects_it_is_made_of(store, scorer):
    source = LogSource(path="log://demo", weeks=1)
    nothing = source.fingerprint()
    asked = ask(store, scorer, labels=False)
    assert source.fingerprint() == nothing  # requests without labels are no rows
    label(store, asked, truths(120, 0))
    labelled = source.fingerprint()
    assert labelled != nothing
    ask(store, scorer, day=9, labels=False)
    assert source.fingerprint() == labelled
    ask(store, scorer, day=1)
    changed = source.fingerprint()
    assert (changed != labelled, changed.by) == (True, "its objects")
    assert json.dumps(changed) == json.dumps(source.fingerprint())


def test_a_time_that_is_no_feature_is_a_moment_again():
    """The log has it as the text that was sent; where a request has none, its arrival stands for it."""
    schema = make_schema().model_copy(update={"time_column": "at"})
    received = [datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in range(3)]
    table = pa.table(
        {"at": ["2026-02-01T05:00:00Z", None, "soon"], "received": pa.array(received, pa.timestamp("us", tz="UTC"))}
    )
    assert event_moments(table, schema).to_pylist() == [datetime(2026, 2, 1, 5, tzinfo=UTC), *received[1:]]
    local = schema.model_copy(update={"time_column_zoned": False})
    assert event_moments(table, local).to_pylist()[1:] == [None, None]


# What is missing is said


def test_a_model_that_never_served_has_no_log(store, monkeypatch, tmp_path):
    for name, value in store.settings.environment().items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceError, match=r"log://demo: demo has no champion yet .* Train it on tables first"):
        read(tmp_path)
    with pytest.raises(SourceError, match=r"'log://' names no model"):
        LogSource().read(tmp_path)


def test_without_requests_or_labels_it_says_what_to_do(store, scorer, tmp_path):
    with pytest.raises(SourceError, match="has logged no request yet"):
        read(tmp_path)
    asked = ask(store, scorer, labels=False)
    with pytest.raises(SourceError, match=r"no labels of 'demo' have arrived. `make labels DATA=…` adds them"):
        read(tmp_path)
    label(store, asked, truths(120, 0))
    with pytest.raises(SourceError, match="no labels of 'demo' have arrived up to 2026-03-01 00:00 UTC"):
        read(tmp_path, known_at="2026-03-01T00:00:00Z")


def test_labels_of_other_requests_are_no_rows(store, scorer, tmp_path):
    ask(store, scorer, labels=False)
    table = pa.table({"request_id": ["x", "y"], "label": ["true", "false"]})
    Labels(store, "demo", make_schema()).append(table, source="test", arrival=START + 3 * DAY)
    with pytest.raises(SourceError, match=r"none of 2 labels is about one of 120 requests .*2 of unknown requests"):
        read(tmp_path)


def test_columns_that_the_log_lacks_are_named(store, scorer, tmp_path):
    asked = requests(scorer, 50, span=HOUR, leave_out=["amount", "colour"])
    put_log(store, asked)
    label(store, asked, truths(50, 7))
    with pytest.raises(SourceError, match=r"the log lacks 'amount', 'colour', .*serving.log.leave_out"):
        read(tmp_path)
    ask(store, scorer, day=1)
    assert read(tmp_path).num_rows == 120  # what can be read is read


# The configuration


def write(folder: Path, source: str) -> Config:
    path = folder / "demo.yaml"
    path.write_text(f"name: demo\nsource: {source}\nproblem: {{target: late, task: binary}}\n")
    return load_config(path)


def test_the_log_alone_may_be_the_source(tmp_path):
    found = write(tmp_path, "{kind: log, weeks: 4}").source
    assert found.tables == {"log": LogSource(path="log://demo", weeks=4)}
    assert found.of_requests
    other = write(tmp_path, "{tables: {asked: {path: 'log://other', known_at: '2026-03-01T00:00:00Z'}}}").source
    assert other.tables["asked"].path == "log://other"
    assert SourceConfig.model_validate_json(other.model_dump_json(exclude_defaults=True)) == other


def test_mistakes_in_it_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"source\.tables\.log\.week: unknown key. Did you mean `weeks`"):
        write(tmp_path, "{kind: log, week: 4}")
    with pytest.raises(ConfigError, match=r"source\.tables\.log\.weeks: found 0"):
        write(tmp_path, "{kind: log, weeks: 0}")
