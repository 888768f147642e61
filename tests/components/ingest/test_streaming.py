"""Large CSV files are read while the query runs, and what comes of it is what reading them first would give."""

from collections.abc import Callable

import pyarrow as pa
import pytest

from components.ingest import heads, ingest, sources
from components.shared.errors import SourceError

ROWS = 3_000
_HEAD = 10_000  # bytes of the file that are looked at first, so that the last rows are not among them
SMALL = "k,w\n" + "".join(f"{key},{key / 8}\n" for key in range(7))
QUERIES = {
    "all": "SELECT * FROM t",
    "filtered": "SELECT n, s FROM t WHERE n > 100",
    "filtered away": "SELECT k, n FROM t WHERE n < 1000 AND k < 3",
    "joined": "SELECT t.*, w FROM t LEFT JOIN small ON small.k = t.k",
    "inner": "SELECT t.n, w FROM t JOIN small USING (k)",
    "held by the join": "SELECT small.k, t.n FROM small LEFT JOIN t ON t.n = small.k",
    "twice": "SELECT a.n, b.x FROM t AS a JOIN t AS b ON a.n = b.n",
    "limited": "SELECT * FROM t LIMIT 10",
    "unused": "SELECT k FROM small",
    "counted": "SELECT k, count(*) AS c, max(n) AS m, min(typeof(n)) AS kind FROM t GROUP BY k ORDER BY k",
    "ordered": "SELECT n, x FROM t ORDER BY n DESC",
    "by text": "SELECT s, n FROM t WHERE s IN ('s1', 's2')",
}


def rows(**last: str) -> str:
    """Rows of a whole number, a number, a text, a moment and a key; some values of the last row can be given."""
    text = "n,x,s,d,k\n" + "".join(
        f"{n},{n / 4},s{n % 5},2024-01-{n % 28 + 1:02}T0{n % 10}:00:00Z,{n % 7}\n" for n in range(ROWS)
    )
    row = {"n": str(ROWS), "x": "0.5", "s": "last", "d": "2024-02-01T00:00:00Z", "k": "1", **last}
    return text + ",".join(row.values()) + "\n"


def nullable(table: pa.Table) -> pa.Table:
    """A table whose columns do not say that they have no nulls: DuckDB says so where it has looked."""
    return table.cast(pa.schema([field.with_nullable(True) for field in table.schema], table.schema.metadata))


@pytest.fixture
def both(write, run, monkeypatch) -> Callable[[str, str], tuple[pa.Table | str, pa.Table | str, list[bool]]]:
    """Ingest with the table streamed and held: both results or messages, and which ways the first one took."""

    def both(content: str, query: str) -> tuple[pa.Table | str, pa.Table | str, list[bool]]:
        tables = {"t": {"path": str(write("t.csv", content))}, "small": {"path": str(write("small.csv", SMALL))}}
        monkeypatch.setattr(heads, "_HEAD_BYTES", _HEAD)
        ways: list[bool] = []
        original = sources.register

        def register(*args, stream, **given):
            ways.append(stream)
            return original(*args, stream=stream, **given)

        results: list[pa.Table | str] = []
        for limit in (len(content), 2**60):
            monkeypatch.setattr(sources, "_STREAMED", limit)
            with monkeypatch.context() as patch:
                patch.setattr(ingest, "register", register if not results else original)
                try:
                    results.append(nullable(run(tables, query)))
                except SourceError as error:
                    results.append(str(error))
        return results[0], results[1], ways

    return both


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize(
    "last",
    [
        {},
        {"n": "1.5"},
        {"n": "9007199254740993"},
        {"n": "many"},
        {"d": "soon"},
        {"k": "2.5", "n": "5000"},
        {"k": "1,1"},
    ],
    ids=["as promised", "a fraction", "beyond 2^53", "a word", "no moment", "a fraction elsewhere", "a field too many"],
)
def test_streamed_is_what_held_would_be(both, name, last):
    streamed, held, _ = both(rows(**last), QUERIES[name])
    assert streamed == held


@pytest.mark.parametrize("name", QUERIES)
def test_only_queries_that_read_once_to_the_end_are_streamed(both, name):
    *_, ways = both(rows(), QUERIES[name])
    is_streamed = name not in ("held by the join", "twice", "limited", "unused", "by text")
    assert ways == ([True] if is_streamed else [True, False])


def test_another_value_late_in_the_file_means_reading_it_first(both):
    streamed, _, ways = both(rows(n="1.5"), QUERIES["filtered"])
    assert ways == [True, False]
    assert streamed.schema.field("n").type == pa.float64()


@pytest.mark.parametrize("column", ["empty", "declared"])
def test_columns_that_have_to_be_looked_at_are_not_streamed(column, write, run, monkeypatch):
    monkeypatch.setattr(sources, "_STREAMED", 0)
    path = write("t.csv", "a,b\n" + "1,\n" * 10)
    table = run(path, "SELECT a, b FROM t", types={"a": "number"} if column == "declared" else {})
    assert table.schema.field("a").type == (pa.float64() if column == "declared" else pa.int64())
    assert table.schema.field("b").type == pa.string()
