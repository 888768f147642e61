"""By what the rows of a part are resampled."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.blocks import Blocks, find_blocks, table_blocks
from components.shared.package.schema import Schema

START = datetime(2024, 1, 1)


def find(folder: Path, values: Any, **schema: str) -> Blocks:
    pq.write_table(pa.table({"c": values}), folder / "test.parquet")
    return find_blocks(folder, "test", Schema(task="regression", target="y", features=[], **schema))


@pytest.mark.parametrize(
    ("step", "rows", "kind", "count"),
    [
        (timedelta(days=9), 1200, "year", 30),
        (timedelta(days=2), 500, "month", 33),
        (timedelta(hours=6), 4 * 7 * 40, "week", 40),
        (timedelta(minutes=30), 2 * 24 * 50, "day", 50),
        (timedelta(minutes=5), 12 * 40, "hour", 40),
        (timedelta(seconds=10), 6 * 31, "minute", 31),
        (timedelta(milliseconds=300), 200, "second", 60),
        (timedelta(days=40), 20, "month", 20),  # no period leaves thirty: the longest of those that leave the most
    ],
)
def test_the_longest_period_that_leaves_thirty_blocks(
    tmp_path: Path, step: timedelta, rows: int, kind: str, count: int
) -> None:
    found = find(tmp_path, [START + step * index for index in range(rows)], time_column="c")
    assert (found.kind, found.count) == (kind, count)
    assert found.text == f"{count} {kind}s of 'c'"
    assert (np.diff(found.of) >= 0).all()
    assert found.caution == ""


@pytest.mark.parametrize(
    "kind", [pa.timestamp("ns", tz="America/New_York"), pa.timestamp("s"), pa.timestamp("ms"), pa.date32()]
)
def test_times_of_every_type_are_cut(tmp_path: Path, kind: pa.DataType) -> None:
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=index) for index in range(40)] * 3
    values = pa.array([day.replace(tzinfo=None) for day in days], pa.timestamp("us")).cast(kind)
    found = find(tmp_path, values, time_column="c")
    assert (found.kind, found.count) == ("day", 40)
    assert found.of.tolist() == list(range(40)) * 3


def test_weeks_begin_on_mondays(tmp_path: Path) -> None:
    found = find(tmp_path, [date(2024, 1, 1) + timedelta(days=index) for index in range(7 * 30)], time_column="c")
    assert found.kind == "week"
    assert np.bincount(found.of).tolist() == [7] * 30


def test_groups_come_before_times(tmp_path: Path) -> None:
    found = find(tmp_path, ["a", "b", None, "a", None, *"cdefghi"], group="c", time_column="t")
    assert found.kind == "group"
    # Rows without a group are a block of their own each.
    assert found.count == 11
    assert found.of[0] == found.of[3]
    assert len(set(found.of[[2, 4]])) == 2


@pytest.mark.parametrize("schema", [{}, {"time_column": "gone"}])
def test_without_either_it_is_rows(tmp_path: Path, schema: dict[str, str]) -> None:
    found = find(tmp_path, [1, 2, 3], **schema)
    assert found.of.tolist() == [0, 1, 2]
    assert found.text == "single rows"


def test_too_few_blocks_are_rows_with_a_caution(tmp_path: Path) -> None:
    found = find(tmp_path, ["a", "b", "c", "d"] * 10, group="c")
    assert found.kind == "row"
    assert found.count == 40
    assert "has only 4 groups of 'c': they are too narrow" in found.caution
    assert find(tmp_path, [START] * 50, time_column="c").kind == "row"
    assert find(tmp_path, ["a", "b"], group="c").caution == ""


def test_a_moment_that_is_missing_is_a_block_of_its_own(tmp_path: Path) -> None:
    found = find(tmp_path, [None, *(START + timedelta(days=index) for index in range(40)), None], time_column="c")
    assert found.count == 42


def test_blocks_of_a_table_at_hand() -> None:
    days = [datetime(2024, 1, 1) + timedelta(hours=12 * number) for number in range(100)]
    rows = pa.table({"when": days, "who": [number % 20 for number in range(100)]})

    def text(**given: str) -> str:
        return table_blocks(rows, Schema(task="regression", target="y", features=[], **given)).text

    assert text(time_column="when") == "50 days of 'when'"
    assert text(time_column="when", group="who") == "20 groups of 'who'"
    assert text() == text(time_column="gone") == text(group="gone") == "single rows"
    few = rows.set_column(1, "who", pa.array([0] * 100))
    assert table_blocks(few, Schema(task="regression", target="y", features=[], group="who")).kind == "row"
