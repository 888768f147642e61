"""Labels find the answers that they are about, and what finds none is counted."""

from datetime import UTC, datetime, timedelta
from typing import Any
from unicodedata import normalize

import pyarrow as pa
import pytest

from components.shared.labels.joining import Joined, join
from components.shared.labels.store import Labels
from components.shared.store import Store
from tests.helpers import make_schema

NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SCHEMA = make_schema()


def answers(*rows: tuple[str | None, int, datetime], keys: list[str | None] | None = None) -> pa.Table:
    ids, places, moments = (list(column) for column in zip(*rows, strict=True))
    columns: dict[str, Any] = {
        "request_id": pa.array(ids, pa.string()),
        "request_row": pa.array(places, pa.int32()),
        "received": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "prediction": ["true"] * len(rows),
    }
    return pa.table(columns | ({"id": pa.array(keys, pa.string())} if keys else {}))


def joined(store: Store, asked: pa.Table, *batches: tuple[datetime, dict[str, list[Any]]]) -> Joined:
    labels = Labels(store, "demo", SCHEMA)
    for arrival, columns in batches:
        labels.append(pa.table(columns), source="a", arrival=arrival)
    return join(asked, labels.known_at(NOON + 100 * HOUR), SCHEMA)


def told(found: Joined) -> list[str | None]:
    return list(found.table["label"].to_pylist())


def test_by_the_row_of_a_request(store):
    asked = answers(("a", 0, NOON), ("a", 1, NOON), ("b", 0, NOON), ("c", 0, NOON))
    found = joined(
        store,
        asked,
        (NOON + HOUR, {"request_id": ["a", "c"], "request_row": [1, None], "label": ["true", "false"]}),
        (NOON + HOUR, {"request_id": ["z"], "label": ["true"]}),
    )
    assert told(found) == [None, "true", None, "false"]
    assert (found.labelled, found.labels, found.unknown) == (2, 3, 1)
    assert found.table.column_names[:4] == asked.column_names
    assert found.table["arrival"].to_pylist()[1] == NOON + HOUR


def test_the_row_of_a_request_of_several_has_to_be_named(store):
    asked = answers(("a", 0, NOON), ("a", 1, NOON))
    found = joined(store, asked, (NOON + HOUR, {"request_id": ["a"], "label": ["true"]}))
    assert told(found) == [None, None]
    assert (found.ambiguous, found.unknown) == (1, 0)


def test_by_keys_the_newest_answer_before_the_event(store):
    asked = answers(*((f"r{hour}", 0, NOON + hour * HOUR) for hour in range(4)), keys=["c1", "c1", "c2", "c1"])
    found = joined(
        store,
        asked,
        (NOON + 9 * HOUR, {"id": ["c1", "c2"], "label": ["true", "false"], "event_time": [NOON + 2 * HOUR, None]}),
    )
    assert told(found) == [None, "true", "false", None]


def test_labels_from_before_their_answers_are_left_out_and_counted(store):
    asked = answers(("a", 0, NOON), ("b", 0, NOON), ("c", 0, NOON))
    found = joined(
        store,
        asked,
        (NOON - HOUR, {"request_id": ["a"], "label": ["true"]}),
        (
            NOON + HOUR,
            {"request_id": ["b", "c"], "label": ["true", "true"], "event_time": [NOON - HOUR, NOON - HOUR / 120]},
        ),
    )
    assert told(found) == [None, None, "true"]  # half a minute is what clocks differ by
    assert (found.early, found.labelled) == (2, 1)


def test_of_different_labels_the_one_that_arrived_last_counts(store):
    asked = answers(("a", 0, NOON), ("b", 0, NOON), keys=["c1", "c2"])
    found = joined(
        store,
        asked,
        (NOON + HOUR, {"id": ["c1", "c2"], "label": ["false", "TRUE"]}),
        (NOON + 2 * HOUR, {"request_id": ["a", "b"], "label": ["true", "true"]}),
    )
    assert told(found) == ["true", "true"]
    assert found.conflicts == 1


def test_the_first_label_of_an_answer_says_when_its_label_came(store):
    asked = answers(("a", 0, NOON), ("b", 0, NOON), ("c", 0, NOON), keys=["c1", "c2", "c3"])
    found = joined(
        store,
        asked,
        (NOON + HOUR, {"request_id": ["a"], "label": ["true"]}),
        (NOON + 2 * HOUR, {"id": ["c2"], "label": ["true"]}),
        (NOON + 5 * HOUR, {"request_id": ["a", "b"], "label": ["false", "false"]}),
    )
    assert told(found) == ["false", "false", None]
    assert found.table["first_arrival"].to_pylist() == [NOON + HOUR, NOON + 2 * HOUR, None]
    assert found.table["arrival"].to_pylist() == [NOON + 5 * HOUR, NOON + 5 * HOUR, None]


def test_a_label_from_before_an_answer_is_not_its_first(store):
    """Keys without a time are used again: what was known of them then was about the answer before."""
    asked = answers(("a", 0, NOON), ("b", 0, NOON + 3 * HOUR), keys=["c1", "c1"])
    found = joined(
        store,
        asked,
        (NOON + HOUR, {"id": ["c1"], "label": ["true"]}),
        (NOON + 5 * HOUR, {"id": ["c1"], "label": ["false"]}),
    )
    assert found.table["first_arrival"].to_pylist() == [None, NOON + 5 * HOUR]


def test_an_id_that_is_used_twice_means_the_newest_answer_before_the_label(store):
    asked = answers(("a", 0, NOON), ("a", 0, NOON + 2 * HOUR), ("b", 0, NOON))
    found = joined(store, asked, (NOON + HOUR, {"request_id": ["a"], "label": ["true"]}))
    assert told(found) == ["true", None, None]
    assert found.repeated == 2


@pytest.mark.parametrize(("logged", "given"), [("NFC", "NFD"), ("NFD", "NFC"), ("NFD", "NFD")])
def test_keys_and_ids_are_found_in_either_form_of_unicode(store, logged, given):
    ids = [normalize(logged, "Köln-1"), "b"]
    asked = answers(*((id_, 0, NOON) for id_ in ids), keys=["Bern", normalize(logged, "Zürich")])
    found = joined(
        store,
        asked,
        (NOON + HOUR, {"request_id": [normalize(given, "Köln-1")], "label": ["true"]}),
        (NOON + HOUR, {"id": [normalize(given, "Zürich")], "label": ["false"]}),
    )
    assert told(found) == ["true", "false"]


def test_answers_without_id_or_key_have_no_label(store):
    asked = answers((None, 0, NOON), ("b", 0, NOON), keys=[None, "c2"])
    found = joined(store, asked, (NOON + HOUR, {"id": ["c2"], "label": ["true"]}))
    assert told(found) == [None, "true"]


def test_any_label_counts_where_it_is_not_known_when_an_answer_was_asked_for(store):
    asked = answers(("a", 0, NOON), ("b", 0, NOON), keys=["c1", "c2"])
    unknown = pa.nulls(2, asked.schema.field("received").type)
    asked = asked.set_column(2, asked.schema.field("received"), unknown)
    found = joined(
        store, asked, (NOON + HOUR, {"id": ["c1", "c2"], "label": ["true", "false"], "event_time": [None, NOON - HOUR]})
    )
    assert told(found) == ["true", "false"]
    assert found.table["first_arrival"].to_pylist() == [NOON + HOUR] * 2
    assert found.early == 0


def test_nothing_is_joined_with_nothing(store):
    found = joined(store, answers(("a", 0, NOON)).slice(0, 0))
    assert (found.table.num_rows, found.labelled, found.labels) == (0, 0, 0)
    assert "label" in found.table.column_names
