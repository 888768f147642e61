import json
import os
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import Bins, Statistics, gather
from components.monitor.statistics.bins import NumberBins
from components.monitor.statistics.columns import CategoryStatistics, NumberStatistics
from components.shared.errors import DataError

NUMERIC = frozenset({"number", "few"})


def frame(rows: int, *, seed: int, shift: float = 0.0, prefix: str = "c") -> pd.DataFrame:
    random = np.random.default_rng(seed)
    number = random.normal(shift, 1, rows).astype(np.float32)
    number[::7] = np.nan
    text = np.array([f"{prefix}{value}" for value in random.integers(0, 50, rows)], dtype=object)
    text[::5] = None
    return pd.DataFrame({"number": number, "few": random.integers(0, 5, rows).astype(np.float32), "text": text})


@pytest.fixture(scope="module")
def bins() -> Bins:
    return Bins.of(frame(5_000, seed=0), numeric=NUMERIC)


def numbers(found: Statistics, name: str = "number") -> NumberStatistics:
    column = found.columns[name]
    assert isinstance(column, NumberStatistics)
    return column


def texts(found: Statistics) -> CategoryStatistics:
    column = found.columns["text"]
    assert isinstance(column, CategoryStatistics)
    return column


def test_what_is_gathered_is_what_the_rows_hold(bins):
    rows = frame(3_000, seed=1, shift=0.5)
    found = gather([table_of(rows)], bins)
    column, present = numbers(found), rows["number"].dropna().astype(np.float64)
    assert (found.rows, column.rows, column.nulls, column.values) == (3_000, 3_000, 429, 2_571)
    assert (column.minimum, column.maximum) == (present.min(), present.max())
    assert column.mean == pytest.approx(present.mean())
    assert column.deviation == pytest.approx(present.std(ddof=0))
    edges = bins.columns["number"].edges
    assert column.counts.tolist() == np.histogram(present, [-np.inf, *edges.astype(np.float64), np.inf])[0].tolist()
    assert column.sums.sum() == pytest.approx(present.sum())
    assert column.counts[0] == (present < edges[0]).sum()
    assert column.outside.n == column.counts[0] + column.counts[-1] > 0
    counted = rows["text"].value_counts()
    assert dict(zip(bins.columns["text"].names, texts(found).counts, strict=True)) == counted.to_dict()
    assert (texts(found).nulls, texts(found).new) == (600, 0)


def test_a_thousand_shards_add_up_to_one_pass(bins):
    """Exactly, but for the sketch of what is outside, whose error is bounded, and for the rounding of sums."""
    rows = frame(50_000, seed=1, shift=3.0)
    whole = gather([table_of(rows)], bins)
    merged = Statistics.empty(bins)
    for shard in np.array_split(np.arange(len(rows)), 1_000):
        merged = merged.merge(gather([table_of(rows.iloc[shard])], bins))
    merged = Statistics.from_json(merged.to_json(), bins)
    one, other = numbers(whole), numbers(merged)
    assert merged.rows == whole.rows
    assert other.counts.tolist() == one.counts.tolist()
    np.testing.assert_allclose(other.sums, one.sums, rtol=1e-9)
    assert (other.minimum, other.maximum, other.nulls) == (one.minimum, one.maximum, one.nulls)
    assert (other.mean, other.deviation) == pytest.approx((one.mean, one.deviation))
    assert texts(merged) .model_dump_json() == texts(whole).model_dump_json()  # fmt: skip
    beyond = np.sort(rows["number"].dropna().to_numpy())[-one.counts[-1] :]
    assert other.outside.n == one.outside.n > 1_000
    for share in (0.1, 0.5, 0.9):
        rank = other.outside.get_rank(float(beyond[int(share * len(beyond))]))
        below = one.counts[0] / one.outside.n
        assert rank == pytest.approx(below + share * (1 - below), abs=0.02)


def test_the_way_rows_are_cut_into_tables_changes_nothing(bins):
    table = table_of(frame(300_000, seed=3))
    whole, pieces = gather([table], bins), gather((table.slice(start, 999) for start in range(0, 300_000, 999)), bins)
    assert numbers(pieces).counts.tolist() == numbers(whole).counts.tolist()
    assert texts(pieces).counts.tolist() == texts(whole).counts.tolist()


def test_a_column_takes_at_most_ten_kilobytes():
    """At its worst: all bins used, many rows, everything outside too, long and many categories."""
    random = np.random.default_rng(0)
    before = pd.DataFrame({
        "number": np.exp(random.normal(0, 2, 20_000)).astype(np.float32),
        "text": np.array([f"a rather long name of a category {value}" for value in range(20_000)], dtype=object),
    })  # fmt: skip
    bins = Bins.of(before, numeric=frozenset({"number"}))
    now = pd.DataFrame({
        "number": np.concatenate([before["number"], random.normal(0, 1e9, 80_000).astype(np.float32)]),
        "text": np.concatenate([before["text"], np.array([f"{'新' * 300}{value}" for value in range(80_000)], object)]),
    })  # fmt: skip
    found = gather([table_of(now)], bins)
    for _ in range(10):  # 100 million rows
        found = found.merge(found)
    kept = json.loads(found.to_json())
    assert found.rows > 100_000_000
    for name, column in kept["columns"].items():
        assert len(json.dumps(column, ensure_ascii=False).encode()) <= 10_000, name


def test_memory_does_not_grow_with_the_rows(bins):
    """In a process of its own: ten times the rows, hardly more memory."""
    program = (
        "import resource, numpy as np, pandas as pd\n"
        "from components.monitor.statistics import Bins, gather\n"
        "from components.monitor.reference import table_of\n"
        "values = {str(n): np.random.default_rng(n).normal(size=100_000) for n in range(5)}\n"
        "frame = pd.DataFrame(values).astype(np.float32)\n"
        "table, bins = table_of(frame), Bins.of(frame, numeric=frozenset(frame))\n"
        "peaks = []\n"
        "for times in (3, 30):\n"
        "    assert gather((table for _ in range(times)), bins).rows == times * 100_000\n"
        "    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "print(*peaks)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ)
    few, many = map(int, done.stdout.split())
    assert many - few < 20_000  # kB; the rows themselves are 60 MB


@pytest.mark.parametrize(
    ("values", "nulls", "unfit"),
    [
        (pa.array([1, 2, None]), 1, 0),
        (pa.array([1.5, float("nan"), float("inf")]), 2, 0),
        (pa.array([True, False, None]), 1, 0),
        (pa.array([Decimal("1.5"), None, Decimal(2)]), 1, 0),
        (pa.array([1e300, 1.0, 2.0]), 1, 0),
        (pa.array(["1", "2", None]), 1, 2),
        (pa.array([None, None, None]), 3, 0),
    ],
)
def test_numbers_of_any_type_are_counted_and_other_types_told(bins, values, nulls, unfit):
    column = numbers(gather([pa.table({"number": values})], bins))
    assert (column.rows, column.nulls, column.unfit, column.values) == (3, nulls, unfit, 3 - nulls - unfit)


def test_categories_of_any_type_are_counted(bins):
    plain = pa.array(["c1", "", None])
    for values in (plain, plain.dictionary_encode(), plain.cast(pa.large_string())):
        column = texts(gather([pa.table({"text": values})], bins))
        assert (column.rows, column.nulls, column.values, column.new) == (3, 2, 1, 0)
    column = texts(gather([pa.table({"text": pa.array([7, 8, None])})], bins))
    assert (column.nulls, column.unseen) == (1, {"7": 1, "8": 1})
    column = texts(gather([pa.table({"text": pa.array([[1], [2], None])})], bins))
    assert (column.nulls, column.unfit, column.values) == (1, 2, 0)


def test_a_table_without_a_column_has_no_rows_of_it(bins):
    rows = frame(100, seed=1)
    found = gather([table_of(rows), table_of(rows[["few"]])], bins)
    assert {name: column.rows for name, column in found.columns.items()} == {"number": 100, "few": 200, "text": 100}
    assert found.rows == 200


def test_unseen_categories_are_told_by_name_as_far_as_there_is_room(bins):
    found = gather([table_of(frame(10_000, seed=1, prefix="new"))], bins)
    both = found.merge(gather([table_of(frame(10_000, seed=2, prefix="other"))], bins))
    column = texts(both)
    assert (column.new, column.values, len(column.unseen)) == (16_000, 16_000, 20)


def test_statistics_of_another_reference_do_not_add_up(bins):
    other = reference_statistics(frame(100, seed=9), numeric=NUMERIC)
    mine = gather([table_of(frame(100, seed=1))], bins)
    with pytest.raises(DataError, match=r"of versions with other references. Gather them again"):
        mine.merge(other)
    with pytest.raises(DataError, match=r"counted into bins [0-9a-f]{16}, expected bins [0-9a-f]{16}"):
        Statistics.from_json(mine.to_json(), other.bins)
    with pytest.raises(DataError, match=r"Kept statistics cannot be read: .*Gather them again"):
        Statistics.from_json(b"{}", bins)


def test_bins_are_the_same_after_a_round_trip(bins):
    again = Bins.model_validate_json(bins.model_dump_json())
    assert again.digest == bins.digest
    assert gather([table_of(frame(10, seed=1))], again).merge(gather([table_of(frame(10, seed=2))], bins)).rows == 20


def test_frequent_values_get_a_bin_of_their_own(bins):
    assert isinstance(few := bins.columns["few"], NumberBins)
    assert few.distinct == 5
    counts = numbers(gather([table_of(frame(1_000, seed=1))], bins), "few").counts
    assert sorted(counts[counts > 0].tolist()) == sorted(frame(1_000, seed=1)["few"].value_counts().tolist())
