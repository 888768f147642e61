"""Which rows stay."""

import datetime as dt
import math

import pyarrow as pa
import pytest

from components.shared.errors import DataError

N = 40
LABELS = [i % 2 for i in range(N)]


def test_exact_duplicates_are_kept_once_also_with_nulls_and_nan(prepared):
    x = [float(i) for i in range(N)] + [None, None, math.nan, 0.0]
    found = prepared({"x": x, "y": [*LABELS, 1, 1, 1, 0]})
    assert found.summary.removed.duplicates == 3  # null, NaN and null again are one row; 0.0 and 0 stood there before
    assert found.summary.rows == N + 1
    assert found.values("x").count(None) == 1


def test_duplicates_can_stay(prepared):
    found = prepared({"x": [0.0] * 3 + [float(i) for i in range(N)], "y": [0, 0, 0, *LABELS]}, drop_duplicates=False)
    assert found.summary.removed.total == 0
    assert found.values("x").count(0.0) == 4


def test_rows_that_differ_only_in_a_list_are_no_duplicates(prepared):
    lists = pa.array([[i] for i in range(N)])
    found = prepared({"x": [1.0, 2.0] * (N // 2), "z": lists, "y": LABELS}, {"ignore": ["z"]}, drop_duplicates=True)
    assert found.summary.rows == N
    assert found.parts["train"].column_names == ["x", "y"]


@pytest.mark.parametrize(("how", "expected"), [("first", 100.0), ("last", 300.0)])
def test_repeated_keys_are_resolved_by_time(prepared, how, expected):
    start = dt.datetime(2024, 1, 1)
    times = [start + dt.timedelta(days=i) for i in range(N)]
    data = {
        "id": [*range(N), 7, 7, 7],
        "t": [*times, start + dt.timedelta(days=90), start, start + dt.timedelta(days=30)],
        "x": [*(float(i) for i in range(N)), 300.0, 100.0, 200.0],
        "y": [*LABELS, 1, 1, 1],
    }
    found = prepared(data, {"keys": ["id"], "time_column": "t"}, duplicate_keys=how)
    assert found.summary.removed.duplicate_keys == 3
    assert [row["x"] for row in found.rows() if row["id"] == 7] == [expected]


@pytest.mark.parametrize(("how", "expected"), [("first", 3.0), ("last", 101.0)])
def test_repeated_keys_without_time_are_resolved_by_arrival(prepared, how, expected):
    data = {"id": [*range(N), 3, 3], "x": [*(float(i) for i in range(N)), 100.0, 101.0], "y": [*LABELS, 0, 0]}
    found = prepared(data, {"keys": ["id"]}, duplicate_keys=how)
    assert [row["x"] for row in found.rows() if row["id"] == 3] == [expected]
    assert found.summary.rows == N


def test_a_key_with_a_missing_part_identifies_nothing(prepared):
    found = prepared({"id": [None] * N, "x": list(range(N)), "y": LABELS}, {"keys": ["id"]}, duplicate_keys="fail")
    assert found.summary.rows == N


def test_repeated_keys_can_be_refused(prepared):
    data = {"id": [*range(N), 3, 3], "x": list(range(N + 2)), "y": [*LABELS, 0, 0]}
    with pytest.raises(DataError, match=r"The key \(id\) is repeated in 2 rows, such as id = 3"):
        prepared(data, {"keys": ["id"]}, duplicate_keys="fail")


def test_a_labelled_row_is_not_lost_to_an_unlabelled_one_of_the_same_key(prepared):
    data = {"id": [*range(N), 3], "x": list(range(N + 1)), "y": [*LABELS, None]}
    found = prepared(data, {"keys": ["id"]}, duplicate_keys="last")
    assert found.summary.removed.without_label == 1
    assert found.summary.removed.duplicate_keys == 0
    assert sorted(found.values("id")) == list(range(N))


def test_rows_without_label_go(prepared):
    found = prepared({"x": list(range(N + 5)), "y": [*LABELS, None, None, None, 1, 0]})
    assert found.summary.removed.without_label == 3
    assert found.summary.rows_found == N + 5
    assert None not in found.values("y")


def test_rows_out_of_bounds_go_and_nulls_stay(prepared):
    data = {"x": [*range(N), None], "z": [*(float(i) for i in range(N)), -5.0], "y": [*LABELS, 1]}
    found = prepared(data, bounds={"x": {"minimum": 2, "maximum": 30}, "z": {"minimum": -5, "maximum": float("inf")}})
    assert found.summary.removed.out_of_bounds == {"x": 11}
    assert min(x for x in found.values("x") if x is not None) == 2
    assert max(x for x in found.values("x") if x is not None) == 30
    assert None in found.values("x")


def test_bounds_need_numbers(prepared):
    with pytest.raises(DataError, match=r"prepare\.bounds names 'x', which is VARCHAR"):
        prepared({"x": ["a", "b"] * 20, "y": LABELS}, bounds={"x": {"minimum": 2}})


def test_bounds_that_leave_nothing_are_refused(prepared):
    with pytest.raises(DataError, match="None of the 40 rows is usable: 40 out of bounds"):
        prepared({"x": list(range(N)), "y": LABELS}, bounds={"x": {"minimum": 100}})


def test_dates_in_two_spellings_become_timestamps(prepared):
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)]
    spelt = [day.isoformat() if i % 3 else day.strftime(" %d.%m.%Y ") for i, day in enumerate(days)]
    found = prepared(
        {"day": [*spelt[:-1], None], "x": list(range(N)), "y": LABELS},
        {"time_column": "day"},
        dates={"day": ["%Y-%m-%d", "%d.%m.%Y"]},
    )
    assert found.summary.dates == {"day": N - 1}
    assert found.summary.removed.without_time == 1
    assert found.parts["train"].schema.field("day").type == pa.timestamp("us")
    assert [moment.date() for moment in found.values("day")] == days[:-1]


def test_a_date_of_no_known_spelling_is_refused(prepared):
    data = {"day": ["2024-01-01"] * (N - 2) + ["1 March", "2 March"], "x": list(range(N)), "y": LABELS}
    with pytest.raises(DataError) as refused:
        prepared(data, dates={"day": ["%Y-%m-%d", "%d.%m.%Y"]})
    assert "Column 'day': 2 of 40 values are no date in any of the formats '%Y-%m-%d', '%d.%m.%Y'" in str(refused.value)
    assert "'1 March'" in str(refused.value)


def test_only_text_is_parsed_as_dates(prepared):
    with pytest.raises(DataError, match=r"prepare\.dates names 'x', which is BIGINT"):
        prepared({"x": list(range(N)), "y": LABELS}, dates={"x": ["%Y"]})


def test_a_date_column_needs_no_parsing(prepared):
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(N)]
    found = prepared({"day": days, "x": list(range(N)), "y": LABELS}, {"time_column": "day"}, dates={"day": ["%Y"]})
    assert found.summary.dates == {}
    assert found.parts["test"].schema.field("day").type == pa.timestamp("us")


def test_empty_text_is_missing(prepared):
    found = prepared({"x": ["", "a", "b", "c"] * 10, "n": list(range(N)), "y": LABELS})
    assert found.values("x").count(None) == 10
    assert found.schema.categories[0].nullable
    assert sorted(found.schema.categories[0].categories) == ["a", "b", "c"]
