import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared import tables


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "it's a [odd] *place?" / "rows.parquet"
    path.parent.mkdir()
    pq.write_table(pa.table({"number": range(1000), 'odd "name"': ["a", "b"] * 500}), path)
    return path


def test_a_table_is_read_changed_and_written_in_order(source, tmp_path):
    with tables.engine() as backend:
        even = f"SELECT *, number * 2 AS twice FROM read_parquet({tables.literal(str(source))}) WHERE number % 2 = 0"
        tables.write_sql(backend, even, tmp_path / "new" / "even.parquet")
    found = pq.read_table(tmp_path / "new" / "even.parquet")
    assert found.column_names == ["number", 'odd "name"', "twice"]
    assert found["twice"].to_pylist() == list(range(0, 2000, 4))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["even.parquet"]


def test_a_variable_of_the_program_is_no_table():
    numbers = pa.table({"n": [1]})
    with tables.engine() as backend, pytest.raises(duckdb.Error, match="numbers"):
        tables.fetch(backend, "SELECT n FROM numbers")
    assert numbers.num_rows == 1


def test_nothing_is_left_of_what_fails(source, tmp_path):
    target = tmp_path / "target.parquet"
    with tables.engine() as backend:
        name, file = tables.identifier('odd "name"'), tables.literal(str(source))
        bad = f"SELECT {name}::BIGINT AS bad FROM read_parquet({file})"
        with pytest.raises(duckdb.Error):
            tables.write_sql(backend, bad, target)
        with pytest.raises(duckdb.Error):
            tables.write_sql(backend, "SELECT nonsense", target)
    assert not target.exists()
    assert [path.name for path in tmp_path.iterdir()] == [source.parent.name]


def test_what_was_there_stays_when_writing_fails(source, tmp_path):
    target = tmp_path / "target.parquet"
    with tables.engine() as backend:
        tables.write_sql(backend, "SELECT 1 AS one", target)
        with pytest.raises(duckdb.Error):
            tables.write_sql(backend, "SELECT error('no')", target)
        tables.write_sql(backend, "SELECT 2 AS one", target)
    assert pq.read_table(target)["one"].to_pylist() == [2]


def test_answers_come_as_rows_or_as_a_table(source):
    with tables.engine() as backend:
        backend.con.execute("CREATE TABLE numbers AS SELECT range AS n FROM range(3)")
        assert tables.fetch(backend, "SELECT n FROM numbers ORDER BY n") == [(0,), (1,), (2,)]
        assert tables.fetch_row(backend, "SELECT sum(n), count(*) FROM numbers") == (3, 3)
        assert tables.fetch_arrow(backend, "SELECT n FROM numbers ORDER BY n")["n"].to_pylist() == [0, 1, 2]


def test_names_and_texts_are_quoted():
    with tables.engine() as backend:
        for text in ("it's", 'a "b"', "semi; --", "naïve 我"):
            assert tables.fetch(backend, f"SELECT {tables.literal(text)}") == [(text,)]
            cursor = backend.con.execute(f"SELECT 1 AS {tables.identifier(text)}")
            assert cursor.description[0][0] == text


def test_more_than_the_memory_is_spilled_to_a_folder_that_is_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    target = tmp_path / "sorted.parquet"
    with tables.engine(memory=64 * 1024**2) as backend:
        (limit,) = tables.fetch_row(backend, "SELECT current_setting('memory_limit')")
        assert limit == "64.0 MiB"
        assert [path.name.startswith("fullcircle-spill-") for path in tmp_path.iterdir()] == [True]
        rows = "SELECT range AS n, hash(range) AS key, repeat('x', 60) AS text FROM range(800000)"
        tables.write_sql(backend, f"SELECT * FROM ({rows}) ORDER BY key", target)
    assert pq.ParquetFile(target).metadata.num_rows == 800_000
    assert [path.name for path in tmp_path.iterdir()] == ["sorted.parquet"]


def test_moments_are_utc_and_no_extension_is_fetched():
    with tables.engine() as backend:
        assert tables.fetch_row(backend, "SELECT current_setting('TimeZone')") == ("UTC",)
        assert tables.fetch_row(backend, "SELECT current_setting('autoinstall_known_extensions')") == (False,)
