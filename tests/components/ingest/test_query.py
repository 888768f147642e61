"""The query, the window, the hash."""

import datetime as dt
import random

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.ingest.query import Window, describe_result
from components.shared.errors import SourceError
from components.shared.tables import engine


@pytest.fixture
def tables(write):
    orders = write(
        "orders.csv",
        "day,customer,amount\n" + "".join(f"2024-01-{day:02},c{day % 3},{day}.5\n" for day in range(1, 31)),
    )
    customers = write("customers.csv", "customer,city\nc0,Oslo\nc1,Łódź\n")
    return {"orders": {"path": str(orders)}, "customers": {"path": str(customers)}}


JOIN = """SELECT orders.*, city -- where they live
FROM orders
LEFT JOIN customers ON customers.customer = orders.customer
WHERE amount > 2
ORDER BY day;  -- a join keeps no order; the first is a test
"""


def test_join_and_filter(tables, run):
    got = run(tables, JOIN)
    assert got.column_names == ["day", "customer", "amount", "city"]
    assert got.num_rows == 29
    assert got["city"].to_pylist()[:3] == [None, "Oslo", "Łódź"]


@pytest.mark.parametrize(
    "query",
    ["SELECT ';' AS s FROM orders ; -- a; b", "SELECT 'é;' AS s FROM orders /* ; */", "SELECT 'é' AS s FROM orders;"],
)
def test_semicolons(tables, run, query):
    assert run(tables, query).num_rows == 30


def test_order_of_the_query_is_kept(tables, run):
    got = run(tables, "FROM orders ORDER BY amount DESC")
    assert got["amount"].to_pylist() == [day + 0.5 for day in range(30, 0, -1)]


def test_order_of_the_file_is_kept_without_a_join(write, run):
    path = write("t.csv", "v,s\n" + "".join(f"{number},{number % 7}\n" for number in range(300_000)))
    query = "SELECT v FROM t WHERE s IN ('0', '1', '2', '3', '4', '5', 'x', 'y', 'z', 'NA')"
    expected = [number for number in range(300_000) if number % 7 != 6]
    assert run(path, query, types={"s": "text"})["v"].to_pylist() == expected


def test_every_column_gets_one_of_six_types(tables, run):
    got = run(
        tables,
        "SELECT sum(1) AS h, 1.25 AS d, 1::UTINYINT AS u, 'x'::ENUM('x') AS e, TIME '01:00' AS t, NULL AS n, "
        "TIMESTAMPTZ '2024-01-01 00:00+02' AS z, 1.5::FLOAT AS f, uuid() AS i, 1 = 1 AS b, DATE '2024-01-01' AS "
        "a FROM orders",
    )
    expected = [
        pa.int64(),
        pa.float64(),
        pa.int64(),
        pa.string(),
        pa.string(),
        pa.string(),
        pa.timestamp("us", "UTC"),
        pa.float64(),
        pa.string(),
    ]
    assert [field.type for field in got.schema] == [*expected, pa.bool_(), pa.date32()]
    assert got["z"].to_pylist() == [dt.datetime(2023, 12, 31, 22, tzinfo=dt.UTC)]


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("2024-01-10", "2024-01-12", [10, 11]),
        ("2024-01-29T00:00:00Z", "", [29, 30]),
        ("", "2024-01-03T01:00:00+01:00", [1, 2]),
        ("2024-01-09T23:30", "2024-01-10T00:00:01", [10]),
    ],
)
def test_window(tables, run, start, end, days):
    got = run(tables, JOIN.replace("amount > 2", "true"), time_column="day", window=(start, end))
    assert [day.day for day in got["day"].to_pylist()] == days
    lineage = got.schema.metadata[b"lineage"].decode()
    assert f'"window_start":"2024-01-{days[0]:02}","window_end":"2024-01-{days[-1]:02}"' in lineage


def test_rows_without_a_time_are_in_no_window(write, run):
    path = write("t.csv", "t,v\n2024-01-01,1\n,2\n")
    assert run(path, time_column="t").num_rows == 2
    assert run(path, time_column="t", window=("2023-01-01", "")).num_rows == 1


def test_text_times_pass_without_a_window(write, run, refuses):
    path = write("t.csv", "t,v\n31/01/2024,1\n")
    assert '"window_start":""' in run(path, time_column="t").schema.metadata[b"lineage"].decode()
    message = refuses(path, time_column="t", window=("2024-01-01", ""))
    assert "The time column 't' has to be a date or timestamp, found text" in message
    assert 'columns: {"t": {date_format: "%d/%m/%Y"}}' in message


def test_windows_that_make_no_sense(tables, refuses):
    assert "window_start: expected a date or time in ISO 8601" in refuses(
        tables, JOIN, time_column="day", window=("January", "")
    )
    message = refuses(tables, JOIN, time_column="day", window=("2024-02-01", "2024-01-01"))
    assert "window_start (2024-02-01) has to lie before window_end (2024-01-01)" in message
    assert "needs `problem.time_column`" in refuses(tables, JOIN, window=("2024-01-01", ""))
    assert "found numbers" in refuses(tables, JOIN, time_column="amount")


def test_window_with_no_rows(tables, refuses):
    message = refuses(tables, JOIN, time_column="day", window=("2030-01-01", ""))
    assert (
        "The data window [2030-01-01T00:00:00, …) holds no rows: the 29 rows of the query cover 2024-01-02 to "
        "2024-01-30" in message
    )


def test_query_without_rows(tables, refuses):
    assert "`source.query` returns no rows" in refuses(tables, "FROM orders WHERE amount > 1000")
    message = refuses(tables, "FROM orders WHERE amount > 1000", time_column="day", window=("2030-01-01", ""))
    assert "of the 0 rows of the query none has a time" in message


def test_missing_time_column(tables, refuses):
    message = refuses(tables, JOIN, time_column="dya")
    assert (
        "`problem.time_column` is 'dya', which the table does not have; it has day, customer, amount, city. Did "
        "you mean 'day'?" in message
    )


def test_sql_errors(tables, refuses):
    message = refuses(tables, "SELECT day,\n  amuont\nFROM orders")
    assert "(line 2: 'amuont')" in message
    assert '"amuont" not found' in message
    assert '"amount"' in message
    assert "\n" not in message
    assert "(line 3: 'FROM ordres')" in refuses(tables, "SELECT day\n\nFROM ordres")
    assert "(line 1: 'SELEC day FROM orders')" in refuses(tables, "SELEC day FROM orders")
    assert "Ambiguous" in refuses(tables, "SELECT customer FROM orders JOIN customers ON true")
    assert "Could not convert string 'c0'" in refuses(
        tables, "SELECT CAST(customer AS INTEGER) AS c FROM orders ORDER BY 1"
    ).replace("c1", "c0")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT 1 AS a; SELECT 2 AS a", "2 statements"),
        ("DROP TABLE raw.orders", "DROP"),
        ("COPY orders TO 'x.csv'", "COPY"),
        ("-- nothing", "no statement"),
        ("DESCRIBE orders", "DESCRIBE"),
        ("SET memory_limit = '1TB'", "SET"),
    ],
)
def test_only_one_select(tables, refuses, query, found):
    message = refuses(tables, query)
    assert f"`source.query` has to be one SELECT; found {found}." in message


@pytest.mark.parametrize("source", ["read_csv('{}')", "'{}'", "read_text('{}')", "glob('{}')"])
def test_the_query_reads_no_other_files(tables, write, refuses, source):
    secret = write("secret.csv", "a,b\n1,2\n")
    message = refuses(tables, f"SELECT * FROM {source.format(secret)}")
    assert "`source.query` reads a file. It may read the tables of `source.tables` alone" in message


def test_names_returned_twice(tables, refuses):
    message = refuses(tables, "SELECT * FROM orders JOIN customers ON customers.customer = orders.customer")
    assert "returns columns of the same name: the column 'customer' stands twice, at positions 2 and 4" in message
    assert "EXCLUDE" in message


def test_too_much_for_the_memory(tables, refuses, monkeypatch):
    monkeypatch.setenv("FULLCIRCLE_MEMORY_MB", "16")
    message = refuses(tables, "SELECT len(list(a.range)) AS a FROM range(20_000_000) a")
    assert "FULLCIRCLE_MEMORY_MB" in message


def test_window_says_itself():
    assert str(Window.parse("2024-01-01", "")) == "[2024-01-01T00:00:00, …)"
    assert not Window()
    with pytest.raises(SourceError):
        Window.parse("2024-01-01", "2024-01-01")


ROWS = st.lists(
    st.tuples(st.integers(-5, 5) | st.none(), st.floats(-10, 10) | st.none(), st.text(max_size=3) | st.none()),
    min_size=1,
    max_size=30,
)
SCHEMA = pa.schema([("i", pa.int64()), ("f", pa.float64()), ("s", pa.string())])


def hash_of(tmp, rows, **layout):
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)
    pq.write_table(table, tmp, **layout)
    with engine() as backend:
        return describe_result(backend.con, tmp, "").content_hash


@settings(max_examples=15, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 100), data=st.data())
def test_hash_depends_on_values_alone(tmp_path_factory, rows, seed, data):
    path = tmp_path_factory.mktemp("hash") / "t.parquet"
    reference = hash_of(path, rows)
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert hash_of(path, shuffled, row_group_size=3, compression="none", use_dictionary=False) == reference
    assert hash_of(path, [*rows, rows[0]]) != reference
    position = data.draw(st.integers(0, len(rows) - 1))
    whole, number, text = rows[position]
    changed = [*rows[:position], ((whole or 0) + 100, number, text), *rows[position + 1 :]]
    assert hash_of(path, changed) != reference


def test_hash_depends_on_names_and_types(tmp_path):
    hashes = set()
    for name, kind in [("a", pa.int64()), ("b", pa.int64()), ("a", pa.float64()), ("a", pa.string())]:
        path = tmp_path / "t.parquet"
        pq.write_table(pa.table({name: pa.array([None], kind)}), path)
        with engine() as backend:
            hashes.add(describe_result(backend.con, path, "").content_hash)
    assert len(hashes) == 4


def test_hash_of_the_same_rows_in_other_files(write, run, tmp_path):
    lines = [f"{number},{number / 7},text {number}\n" for number in range(500)]
    write("whole.csv", "i,f,s\n" + "".join(lines))
    for part in range(5):
        write(f"parts/{part}.csv", "i,f,s\n" + "".join(lines[part::5]))
    whole, parts = (
        run(tmp_path / name).schema.metadata[b"lineage"].decode().split(',"window')[0]
        for name in ("whole.csv", "parts")
    )
    assert whole == parts


def test_duckdb_hashes_as_it_did():
    """The content hash is part of a version's identity: taking a DuckDB that hashes otherwise has to be a "
    "conscious step."""
    found = duckdb.execute("SELECT hash(1::BIGINT, 'a', 1.5::DOUBLE, NULL, DATE '2024-01-31')").fetchall()
    assert found == [(11620389027427361849,)]
