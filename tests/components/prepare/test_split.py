"""How rows are divided."""

import datetime as dt
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.prepare.split import assign_groups, quotas
from components.shared.errors import DataError
from components.shared.frames import PARTS
from tests.components.prepare.helpers import Prepared, run

START = dt.datetime(2024, 1, 1)
FEW = settings(max_examples=8, deadline=None)


def tables(rows: int, seed: int, days: int) -> pa.Table:
    """A table whose every row is different and holds both classes in any large piece."""
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "id": np.arange(rows),
            "t": [START + dt.timedelta(days=int(day)) for day in random.integers(0, days, rows)],
            "g": random.integers(0, max(6, rows // 8), rows),
            "x": random.normal(size=rows),
            "y": random.permutation(np.arange(rows) % 4 == 0),
        }
    )


def divide(table: pa.Table, method: str, **split: object) -> Prepared:
    target = {"target": "y", "task": "binary"} if method == "stratified" else {"target": "x", "task": "regression"}
    problem = {"time_column": "t", "ignore": ["g", "id"], **target}
    with tempfile.TemporaryDirectory() as folder:
        return run(Path(folder), table, problem, {"split": {"method": method, **split}})


def division(found: Prepared) -> dict[str, list[int]]:
    return {part: found.values("id", part) for part in PARTS}


@FEW
@given(
    rows=st.integers(120, 300),
    seed=st.integers(0, 1000),
    method=st.sampled_from(["chronological", "random", "stratified", "grouped"]),
)
def test_parts_are_disjoint_and_together_the_table_in_any_order_of_arrival(rows, seed, method):
    table = tables(rows, seed, days=60)
    split = {"group": "g"} if method == "grouped" else {}
    found = divide(table, method, seed=seed, **split)
    ids = found.values("id")
    assert len(ids) == len(set(ids)) == rows
    shuffled = table.take(np.random.default_rng(seed + 1).permutation(rows))
    assert division(divide(shuffled, method, seed=seed, **split)) == division(found)
    if method != "grouped":
        shares = [found.summary.parts[part].share for part in PARTS]
        assert shares == pytest.approx([0.7, 0.15, 0.15], abs=0.06 if method == "chronological" else 0.01)


@FEW
@given(rows=st.integers(60, 200), seed=st.integers(0, 1000), days=st.integers(5, 100))
def test_chronological_parts_follow_one_another_and_share_no_time(rows, seed, days):
    found = divide(tables(rows, seed, days), "chronological")
    train, validation, test = (found.values("t", part) for part in PARTS)
    assert max(train) < min(validation)
    assert max(validation) < min(test)
    assert all(times == sorted(times) for times in (train, validation, test))
    assert found.summary.parts["test"].last == max(test).isoformat()


@FEW
@given(rows=st.integers(100, 200), seed=st.integers(0, 1000))
def test_groups_never_stand_in_two_parts(rows, seed):
    found = divide(tables(rows, seed, 60), "grouped", group="g", seed=seed)
    groups = [set(found.values("g", part)) for part in PARTS]
    assert sum(map(len, groups)) == len(set().union(*groups))


@given(
    sizes=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    shares=st.tuples(st.floats(0.01, 0.49), st.floats(0.01, 0.49)),
)
def test_quotas_keep_the_shares_of_classes(sizes, shares):
    counts = np.array(sizes)
    rows = int(counts.sum())
    test_rows, validation_rows = (round(rows * share) for share in shares)
    test = quotas(counts, test_rows, spare=1)
    validation = quotas(counts, validation_rows, spare=test + 1)
    train = counts - test - validation
    assert (train >= 1).all()
    assert (test >= 0).all()
    assert (validation >= 0).all()
    assert test.sum() <= test_rows
    assert (np.abs(test - counts * test_rows / rows) < 1)[counts > 1].all()
    assert validation.sum() <= validation_rows


@given(sizes=st.lists(st.integers(1, 10), min_size=30, max_size=80))
def test_small_groups_fill_the_parts_as_wanted(sizes):
    rows = sum(sizes)
    wanted = (rows - 2 * round(rows * 0.15), round(rows * 0.15), round(rows * 0.15))
    parts = assign_groups(sizes, wanted)
    for part, rows_wanted in enumerate(wanted):
        assert sum(n for n, chosen in zip(sizes, parts, strict=True) if chosen == part) == pytest.approx(
            rows_wanted, abs=20
        )


def test_stratified_keeps_class_shares(prepared):
    y = ["rare"] * 20 + ["common"] * 180
    found = prepared({"x": list(range(200)), "y": y}, split={"method": "stratified", "validation": 0.1, "test": 0.2})
    assert {part: Counter(found.values("y", part)) for part in PARTS} == {
        "train": {"common": 126, "rare": 14},
        "validation": {"common": 18, "rare": 2},
        "test": {"common": 36, "rare": 4},
    }
    assert found.summary.parts["test"].classes == {"common": 36, "rare": 4}


def test_a_class_of_one_row_trains(prepared):
    y = ["lonely"] + ["a", "b"] * 30
    found = prepared({"x": list(range(61)), "y": y}, {"task": "multiclass"}, split={"method": "stratified"})
    assert found.values("y", "train").count("lonely") == 1
    assert any("The test part has no row of class 'lonely'" in warning for warning in found.summary.warnings)


def test_the_seed_changes_the_division():
    table = tables(100, 0, 60)
    assert division(divide(table, "random", seed=1)) != division(divide(table, "random", seed=2))


def test_times_too_few_to_divide_between_stand_in_two_parts():
    found = divide(tables(100, 0, days=1), "chronological")
    assert [found.summary.parts[part].rows for part in PARTS] == [70, 15, 15]
    assert found.summary.warnings == [
        "Too few distinct times to divide between them: rows of the same time stand in two parts."
    ]


def test_most_rows_at_the_first_time_can_still_be_divided_between_times():
    times = [START] * 90 + [START + dt.timedelta(days=1)] * 5 + [START + dt.timedelta(days=2)] * 5
    table = (
        tables(100, 0, 1)
        .set_column(1, "t", pa.array(times))
        .set_column(4, "y", pa.array([i % 2 == 0 for i in range(100)]))
    )
    assert [divide(table, "chronological").summary.parts[part].rows for part in PARTS] == [90, 5, 5]


@pytest.mark.parametrize(
    ("problem", "method"),
    [({"time_column": "t"}, "chronological"), ({}, "stratified"), ({"task": "regression", "target": "x"}, "random")],
)
def test_auto_goes_by_the_problem(prepared, problem, method):
    assert prepared(tables(100, 0, 60), {"ignore": ["g"], **problem}).summary.method == method


def test_methods_that_do_not_fit_the_problem_are_refused(prepared):
    with pytest.raises(DataError, match=r"`chronological`, but problem\.time_column is empty"):
        prepared(tables(100, 0, 60), split={"method": "chronological"})
    with pytest.raises(DataError, match="`stratified`, but a regression has no classes"):
        prepared(tables(100, 0, 60), {"task": "regression", "target": "x"}, split={"method": "stratified"})


@pytest.mark.parametrize("rows", [2, 5])
def test_too_few_rows_are_refused(prepared, rows):
    with pytest.raises(DataError, match="constant|too few to divide"):
        prepared({"x": list(range(rows)), "y": [i % 2 for i in range(rows)]})


def test_too_few_groups_are_refused(prepared):
    data = {"x": list(range(40)), "g": [0, 1] * 20, "y": [i // 2 % 2 for i in range(40)]}
    with pytest.raises(DataError, match="grouped split leaves a part with fewer than 2 rows"):
        prepared(data, split={"method": "grouped", "group": "g"})
