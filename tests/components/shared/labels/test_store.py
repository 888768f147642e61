"""The store of labels: what is added, what is left out and counted, and what was known when."""

import io
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.errors import DataError
from components.shared.labels.layout import LabelColumns, file_key, labels_prefix
from components.shared.labels.store import Labels
from components.shared.labels.targets import read_targets
from components.shared.package.schema import Feature, Schema
from components.shared.store import Store
from tests.helpers import make_schema

MONDAY = datetime(2026, 3, 9, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def labels_of(store: Store, schema: Schema | None = None) -> Labels:
    return Labels(store, "demo", schema or make_schema())


def given(*labels: Any, ids: list[str] | None = None, **columns: list[Any]) -> pa.Table:
    return pa.table({"request_id": ids or [f"r{place}" for place in range(len(labels))], "label": labels, **columns})


def decompose(text: str) -> str:
    return unicodedata.normalize("NFD", text)


def known(labels: Labels, moment: datetime) -> dict[str, str]:
    table = labels.known_at(moment)
    return dict(zip(table["request_id"].to_pylist(), table["label"].to_pylist(), strict=True))


def test_what_was_known_at_a_moment_stays_what_it_was(store):
    labels = labels_of(store)
    labels.append(given("true", "false"), source="first.csv", arrival=MONDAY)
    before = known(labels, MONDAY + DAY / 2)
    report = labels.append(given("true", "true", "false"), source="second.csv", arrival=MONDAY + DAY)

    assert (report.added, report.corrected, report.duplicates) == (2, 1, 1)
    assert known(labels, MONDAY + DAY / 2) == before == {"r0": "true", "r1": "false"}
    assert known(labels, MONDAY + DAY) == {"r0": "true", "r1": "true", "r2": "false"}
    assert known(labels, MONDAY - DAY) == {}
    assert labels.known_at(MONDAY + DAY)["source"].to_pylist() == ["first.csv", "second.csv", "second.csv"]


def test_files_are_by_the_day_of_arrival(store):
    labels = labels_of(store)
    labels.append(given("true"), source="a", arrival=datetime(2026, 3, 9, 23, 59, 59, tzinfo=UTC))
    labels.append(given("false"), source="a", arrival=datetime(2026, 3, 10, 0, 30, tzinfo=UTC))

    first, second = sorted(item.key for item in store.list(labels_prefix("demo")))
    assert first.startswith("labels/demo/date=2026-03-09/235959.000000-")
    assert second.startswith("labels/demo/date=2026-03-10/003000.000000-")
    assert first.endswith("_1.parquet")
    assert known(labels, MONDAY + 3 * DAY) == {"r0": "false"}
    late = labels.known_at(MONDAY + 3 * DAY, since=datetime(2026, 3, 10, 5, tzinfo=UTC))
    assert late["label"].to_pylist() == ["false"]


def test_a_table_may_be_given_twice(store):
    labels = labels_of(store)
    table = given("true", "false", "true")
    assert labels.append(table, source="a", arrival=MONDAY).added == 3
    again = labels.append(table, source="a", arrival=MONDAY + DAY)

    assert (again.rows, again.added, again.duplicates) == (3, 0, 3)
    assert again.message == "0 of 3 labels added; 3 known already"
    assert len(store.list(labels_prefix("demo"))) == 1


def test_a_correction_may_be_taken_back(store):
    labels = labels_of(store)
    for days, label in enumerate(("true", "false", "true")):
        assert labels.append(given(label), source="a", arrival=MONDAY + days * DAY).added == 1
    assert [known(labels, MONDAY + days * DAY)["r0"] for days in range(3)] == ["true", "false", "true"]


def test_when_the_first_label_of_a_subject_came_stays_known(store):
    labels = labels_of(store)
    labels.append(given("true", "true"), source="a", arrival=MONDAY)
    labels.append(given("false"), source="b", arrival=MONDAY + DAY)
    found = labels.known_at(MONDAY + DAY)
    assert found["first_arrival"].to_pylist() == [MONDAY, MONDAY]
    assert found["arrival"].to_pylist() == [MONDAY, MONDAY + DAY]
    assert found.schema.field("first_arrival").type == found.schema.field("arrival").type
    labels.append(given("true"), source="c", arrival=MONDAY - DAY)  # history that is loaded afterwards
    assert sorted(labels.known_at(MONDAY + DAY)["first_arrival"].to_pylist()) == [MONDAY - DAY, MONDAY]


def test_rows_that_contradict_each_other_are_left_out_and_counted(store):
    labels = labels_of(store)
    table = given("true", "false", "true", "true", None, "", "true", ids=["a", "a", "b", "b", "c", "d", ""])
    report = labels.append(table, source="a", arrival=MONDAY)

    assert known(labels, MONDAY) == {"b": "true"}
    assert (report.added, report.conflicts, report.duplicates, report.missing, report.incomplete) == (1, 2, 1, 2, 1)
    assert "2 left out because they contradict each other, such as those of request a" in report.message
    assert report.rows == sum((report.added, report.conflicts, report.duplicates, report.missing, report.incomplete))


@pytest.mark.parametrize(
    ("task", "first", "second", "other"),
    [
        ("binary", "true", "True", "false"),
        ("binary", "0", "0.0", "1"),
        ("regression", "1", "1.0", "1.5"),
        ("regression", "-0.0", "0", "-1"),
        ("regression", "12.50", "1.25e1", "12.51"),
        ("multiclass", "perhaps", "perhaps", "Perhaps"),  # none that the model knows: only the spelling tells
    ],
)
def test_labels_are_compared_by_what_they_mean(store, task, first, second, other):
    schema = make_schema(task)
    labels = labels_of(store, schema.model_copy(update={"classes": [0, 1]}) if first == "0" else schema)
    readable = {"multiclass": "ja"}.get(task, first)
    table = given(first, second, readable, ids=["a", "a", "b"])
    report = labels.append(table, source="a", arrival=MONDAY)
    assert (report.added, report.duplicates, report.conflicts, report.corrected) == (2, 1, 0, 0)
    again = labels.append(given(second, ids=["a"]), source="b", arrival=MONDAY + DAY)
    assert (again.added, again.duplicates, again.corrected) == (0, 1, 0)
    assert labels.append(given(first, other, ids=["c", "c"]), source="c", arrival=MONDAY + DAY).conflicts == 2
    assert labels.append(given(other, readable, ids=["a", "d"]), source="d", arrival=MONDAY + DAY).corrected == 1


def test_labels_that_the_model_does_not_know_are_kept_as_they_are_spelled_and_counted(store):
    labels = labels_of(store)
    report = labels.append(given("True", "maybe", "1"), source="a", arrival=MONDAY)

    assert report.unreadable == 1
    assert known(labels, MONDAY) == {"r0": "True", "r1": "maybe", "r2": "1"}


def test_a_column_without_any_label_is_refused(store):
    with pytest.raises(
        DataError, match="None of the labels can be one of 'target': expected one of false, true, found"
    ):
        labels_of(store).append(given("EWR", "JFK"), source="a")
    with pytest.raises(DataError, match="expected numbers, found 'EWR'"):
        labels_of(store, make_schema("regression")).append(given("EWR"), source="a")
    assert store.list(labels_prefix("demo")) == []


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"request_id": ["a"], "outcome": ["true"]}), "no column of labels, 'label'; it has 'request_id'"),
        (
            pa.table({"customer": ["a"], "label": ["true"]}),
            "in those of the keys 'id'. The table has 'customer', 'label'",
        ),
        (pa.table({"request_id": pa.array([], pa.string()), "label": pa.array([], pa.string())}), "has no rows"),
    ],
)
def test_a_table_that_cannot_be_one_of_labels_is_refused(store, table, says):
    with pytest.raises(DataError, match=says):
        labels_of(store).append(table, source="a")


def test_keys_that_spell_the_same_are_the_same(store):
    schema = Schema(
        task="regression",
        target="minutes",
        features=[
            Feature(name="departure", kind="timestamp", nullable=False, zoned=False),
            Feature(name="number", kind="integer", nullable=False),
            Feature(name="origin", kind="category", nullable=False),
        ],
        keys=["departure", "number", "origin", "label"],
    )
    labels = labels_of(store, schema)
    assert LabelColumns(schema).label == "_label"
    typed = pa.table(
        {"departure": [datetime(2026, 3, 9, 5, 15)], "number": [7], "origin": ["JFK"], "label": ["x"], "_label": [12.5]}
    )
    spelled = pa.table(
        {"departure": ["2026-03-09 05:15"], "number": ["7.0"], "origin": ["JFK"], "label": ["x"], "_label": ["12.5"]}
    )
    assert labels.append(typed, source="a", arrival=MONDAY).added == 1
    assert labels.append(spelled, source="a", arrival=MONDAY).duplicates == 1
    found = labels.known_at(MONDAY).to_pylist()
    assert [(row["departure"], row["number"], row["_label"]) for row in found] == [("2026-03-09T05:15:00", "7", "12.5")]


def test_texts_are_the_same_in_either_form_of_unicode(store):
    """macOS and some databases write ü as u and two dots; training and the endpoint compose it."""
    labels = labels_of(store, make_schema("multiclass"))
    composed = pa.table({"id": ["Zürich"], "label": ["näh"]})
    decomposed = pa.table({"id": [decompose("Zürich")], "label": [decompose("näh")]})
    assert labels.append(decomposed, source="a", arrival=MONDAY).message == "1 of 1 labels added"
    assert labels.append(composed, source="a", arrival=MONDAY).duplicates == 1
    found = labels.known_at(MONDAY).select(["id", "label"]).to_pylist()
    assert found == composed.to_pylist()


def test_labels_that_are_stored_decomposed_are_read(store):
    schema = make_schema("multiclass")
    columns = LabelColumns(schema)
    row = {"request_id": decompose("ü"), "label": decompose("näh"), "arrival": MONDAY, "source": "a"}
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row], schema=columns.arrow()), sink)
    store.put_bytes(file_key("demo", MONDAY, "old", 1), sink.getvalue())
    labels = labels_of(store, schema)
    assert read_targets(labels.known_at(MONDAY), schema).values.tolist() == [schema.labels.index("näh")]
    assert labels.append(given("näh", ids=["ü"]), source="b", arrival=MONDAY + DAY).duplicates == 1


def test_events_of_one_entity_are_different_subjects(store):
    labels = labels_of(store)
    times = [MONDAY - 2 * DAY, MONDAY - DAY, MONDAY + DAY]
    table = pa.table({"id": ["c1", "c1", "c1"], "label": ["false", "true", "true"], "event_time": times})
    report = labels.append(table, source="a", arrival=MONDAY)

    assert (report.added, report.early) == (3, 1)
    assert len(labels.known_at(MONDAY)) == 3


def test_damaged_files_are_counted_and_left_out(store):
    labels = labels_of(store)
    labels.append(given("true"), source="a", arrival=MONDAY)
    store.put_bytes("labels/demo/date=2026-03-09/130000.000000-x_5.parquet", b"PAR1 cut short")
    store.put_bytes("labels/demo/date=2026-03-09/notes.txt", b"not of this store")
    store.put_bytes("labels/demo/other/130000.000000-x_5.parquet", b"")

    found = labels.known_at(MONDAY + DAY)
    assert found["label"].to_pylist() == ["true"]
    assert labels.damaged == 1
    assert labels.append(given("true"), source="b", arrival=MONDAY + DAY).duplicates == 1
    assert labels.damaged == 1
    labels.known_at(MONDAY - DAY)  # before the day of the damaged one
    assert labels.damaged == 0


def test_many_labels_are_several_files(store, monkeypatch):
    monkeypatch.setattr("components.shared.labels.store._ROWS", 2)
    labels = labels_of(store)
    assert labels.append(given("true", "false", "true", "false", "true"), source="a", arrival=MONDAY).added == 5
    assert [item.key[-9:] for item in store.list(labels_prefix("demo"))].count("_2.parquet"[-9:]) == 2
    assert len(known(labels, MONDAY)) == 5
