"""Cutting the test part into slices."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluate.slices import MOST_DEFAULT_COLUMNS, MOST_SLICES, _cut, find_slices, large_enough
from components.shared.config import EvaluationConfig
from components.shared.errors import ConfigError
from components.shared.judging import SliceRows
from components.shared.package.schema import Feature, Schema
from tests.helpers import make_schema, make_splits


def write(folder: Path, columns: dict[str, Any]) -> Path:
    pq.write_table(pa.table(columns), folder / "test.parquet")
    return folder


def named(slices: list[SliceRows], column: str) -> dict[str | None, int]:
    return {item.value: len(item.rows) for item in slices if item.column == column}


def test_booleans_and_small_categories_are_sliced_by_default(tmp_path: Path) -> None:
    found, notes = find_slices(make_splits(tmp_path), make_schema(), EvaluationConfig())
    assert list(dict.fromkeys(item.column for item in found)) == ["member", "colour"]
    assert sum(named(found, "colour").values()) == 120
    assert "blue 青" in named(found, "colour")
    assert notes == []


def test_a_category_of_more_values_is_sliced_only_when_named(tmp_path: Path) -> None:
    splits = make_splits(tmp_path)
    few = EvaluationConfig(slice_categories=2)
    assert "colour" not in {item.column for item in find_slices(splits, make_schema(), few)[0]}
    named_too = EvaluationConfig(slice_categories=2, slices=["colour"])
    assert "colour" in {item.column for item in find_slices(splits, make_schema(), named_too)[0]}


def test_a_missing_column_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    splits = make_splits(tmp_path)
    with pytest.raises(ConfigError, match=r"evaluation\.slices.*'color'.*did you mean 'colour'"):
        find_slices(splits, make_schema(), EvaluationConfig(slices=["color"]))
    with pytest.raises(ConfigError, match="it has id, amount"):
        find_slices(splits, make_schema(), EvaluationConfig(slices=["zzz"]))


def test_rows_without_a_value_are_a_slice_of_their_own(tmp_path: Path) -> None:
    write(tmp_path, {"a": [1.5, None, float("nan"), 1.5], "b": ["x", "", None, "x"]})
    schema = Schema(task="regression", target="a", features=[])
    found, _ = find_slices(tmp_path, schema, EvaluationConfig(slices=["a", "b"]))
    assert named(found, "a") == {"1.5": 2, None: 2}
    assert named(found, "b") == {"x": 2, "": 1, None: 1}


def test_few_numbers_are_slices_in_their_order_and_many_become_four_bins(tmp_path: Path) -> None:
    start = datetime(2024, 1, 1)
    write(
        tmp_path,
        {
            "few": [10, 2, 10, 2] * 10,
            "many": list(range(40)),
            "when": [start + timedelta(days=day) for day in range(40)],
        },
    )
    schema = Schema(task="regression", target="few", features=[])
    found, _ = find_slices(tmp_path, schema, EvaluationConfig(slices=["few", "many", "when"]))
    assert named(found, "few") == {"2": 20, "10": 20}
    assert named(found, "many") == {"0 to 9": 10, "10 to 19": 10, "20 to 29": 10, "30 to 39": 10}
    assert next(iter(named(found, "when"))) == "2024-01-01 00:00 to 2024-01-10 00:00"


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.lists(st.one_of(st.none(), st.integers(-50, 50)), min_size=1, max_size=80),
        st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=80),
        st.lists(st.one_of(st.none(), st.text(max_size=2)), min_size=1, max_size=80),
        st.lists(st.one_of(st.none(), st.booleans()), min_size=1, max_size=80),
    )
)
def test_every_row_is_in_exactly_one_slice(values: list[Any]) -> None:
    found = _cut("x", pa.chunked_array([pa.array(values)]))
    rows = np.concatenate([item.rows for item in found])
    assert sorted(rows.tolist()) == list(range(len(values)))
    missing = [item for item in found if item.value is None]
    assert sum(len(item.rows) for item in missing) == sum(value is None for value in values)


def test_many_columns_of_few_values_are_not_all_sliced(tmp_path: Path) -> None:
    names = [f"flag {index}" for index in range(MOST_DEFAULT_COLUMNS + 5)]
    write(tmp_path, {name: [True, False] for name in names})
    features = [Feature(name=name, kind="boolean", nullable=False) for name in names]
    found, notes = find_slices(
        tmp_path, Schema(task="regression", target="y", features=features), EvaluationConfig(slices=[names[-1]])
    )
    assert len({item.column for item in found}) == MOST_DEFAULT_COLUMNS + 1
    assert notes[0].startswith("Not sliced by 4 more columns")


def test_slices_are_parted_by_their_rows() -> None:
    slices = [SliceRows("x", str(size), np.arange(size)) for size in (3, 50, 9)]
    judged, small, notes = large_enough(slices, 9)
    assert [item.value for item in judged] == ["50", "9"]
    assert [(item.value, item.rows, item.scores) for item in small] == [("3", 3, None)]
    assert notes == []


def test_of_many_values_the_most_frequent_are_slices() -> None:
    slices = [SliceRows("x", str(size), np.arange(size)) for size in range(1, MOST_SLICES + 21)]
    judged, small, notes = large_enough(slices, 40)
    assert len(judged) + len(small) == MOST_SLICES
    assert judged[-1].value == str(MOST_SLICES + 20)
    assert "Of the 70 values of 'x', the 50 most frequent" in notes[0]
