"""Which rows stay."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest

from components.shared.errors import DataError

N = 40
LABELS = [i % 2 for i in range(N)]


def test_exact_duplicates_are_kept_once_also_with_nulls_and_nan(prepared):
    x = [float(i) for i in range(N)] + [None, None, math.nan, 0.0]
    found = prepared({"x": x, "y": [*LABELS, 1, 1, 1, 0]}, drop_duplicates=True)
    assert found.summary.removed.duplicates == 3  # null, NaN and null again are one row; 0.0 and 0 stood there before
    assert found.summary.rows == N + 1
    assert found.values("x").count(None) == 1


def test_equal_rows_are_observations_of_their_own(prepared):
    found = prepared({"x": [0.0] * 3 + [float(i) for i in range(N)], "y": [0, 0, 0, *LABELS]})
    assert found.summary.removed.total == 0
    assert found.values("x").count(0.0) == 4
    (remark,) = found.summary.remarks
    assert remark.startswith("3 of 43 rows (7.0%) equal another row in every column and stay")
    assert "prepare.drop_duplicates to true" in remark


def test_equal_rows_are_spread_over_the_parts(prepared):
    # 400 rows, 4 different: by a hash of their values alone all of a kind would stand in one part.
    data = {"x": ["a", "b"] * 200, "y": [int(i % 2 == (i % 10 < 2)) for i in range(400)]}
    found = prepared(data)
    for part in ("train", "validation", "test"):
        rows = found.rows(part)
        assert {row["x"] for row in rows} == {"a", "b"}
        of_a = [row["y"] for row in rows if row["x"] == "a"]
        everywhere = [row["y"] for row in found.rows() if row["x"] == "a"]
        assert sum(of_a) / len(of_a) == pytest.approx(sum(everywhere) / len(everywhere), abs=0.15)


def test_a_large_share_of_removed_rows_is_a_warning_with_what_to_do(prepared):
    x = [*range(N), *range(10)]
    data = {"id": x, "x": [*x[:N], *[-1] * 10], "y": [*LABELS, *LABELS[:10]]}
    (warning,) = prepared(data, {"keys": ["id"]}).summary.warnings
    assert warning == (
        "10 of 50 rows (20.0%) repeat a key (id) and were removed; the last row of each key stays "
        "(prepare.duplicate_keys). Check that problem.keys names a single row."
    )
    equal = {"x": x, "y": data["y"]}
    (warning,) = prepared(equal, drop_duplicates=True).summary.warnings
    assert warning == (
        "10 of 50 rows (20.0%) equal another row in every column and were removed (prepare.drop_duplicates)."
    )


def test_a_small_share_of_removed_rows_is_no_warning(prepared):
    found = prepared({"x": list(range(N + 1)), "y": [*LABELS, None]})
    assert found.summary.warnings == []
    assert found.summary.removed.text(found.summary.rows_found) == "1 without a label (2.4%)"


def test_many_rows_without_a_label_are_a_warning(prepared):
    found = prepared({"x": list(range(N + 20)), "y": [*(f"c{i % 2}" for i in range(N)), *[None] * 20]})
    (warning,) = found.summary.warnings
    assert warning.startswith("20 of 60 rows (33.3%) have no label in 'y' and were removed. If a spelling that is read")
    assert "None or NA, is a class" in warning


def test_the_contracts_fewest_rows_hold_after_repairs(prepared):
    data = {"x": ["a", "b"] * 40, "y": [0, 1] * 40}
    with pytest.raises(DataError) as refused:
        prepared(data, contract={"minimum_rows": 50}, drop_duplicates=True)
    assert str(refused.value) == (
        "2 of 80 rows are left after repairs, fewer than contract.minimum_rows (50); removed were 78 equal to another "
        "row (97.5%). Set prepare.drop_duplicates to false when equal rows are different observations."
    )
    assert prepared(data, contract={"minimum_rows": 50}).summary.rows == 80


def test_too_few_rows_to_divide_says_why_rows_went(prepared):
    with pytest.raises(DataError, match=r"Of 80 rows, 78 equal to another row \(97.5%\) were removed. Use more data"):
        prepared({"x": ["a", "b"] * 40, "y": [0, 1] * 40}, drop_duplicates=True)


@pytest.mark.parametrize("type_", [pa.decimal128(38, 0), pa.decimal128(38, 2)])
def test_long_decimal_keys_do_not_collide(prepared, type_):
    ids = pa.array([Decimal(12345678901234567890123450000 + i) for i in range(N)], type_)
    found = prepared({"id": ids, "x": list(range(N)), "y": LABELS}, {"keys": ["id"]}, duplicate_keys="fail")
    assert found.summary.rows == N
    assert len(set(found.values("id"))) == N


def test_letters_are_composed_in_features_labels_and_keys(prepared):
    towns = ["Zu\u0308rich", "Z\u00fcrich", "Genf"] * 20
    data = {"town": towns, "x": list(range(60)), "y": ["ne\u0301", "n\u00e9", "no", "no"] * 15}
    found = prepared(data, {"positive": "ne\u0301"})
    assert sorted(found.schema.categories[0].categories) == ["Genf", "Z\u00fcrich"]
    assert found.schema.classes == ["no", "n\u00e9"]
    assert set(found.values("town")) == {"Genf", "Z\u00fcrich"}
    keyed = {"id": ["Zu\u0308rich", "Z\u00fcrich", *map(str, range(N))], "x": list(range(N + 2)), "y": [1, 1, *LABELS]}
    assert prepared(keyed, {"keys": ["id"]}).summary.removed.duplicate_keys == 1


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
    with pytest.raises(DataError, match=r"None of the 40 rows is usable: 40 out of bounds \(100.0%\)"):
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
