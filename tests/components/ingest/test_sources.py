"""Parquet and JSON Lines, overrides of paths, names of tables."""

import datetime as dt

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def parquet(tmp_path):
    def parquet(name: str, table: pa.Table):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, path)
        return path

    return parquet


def test_parquet_keeps_its_types(parquet, run):
    moments = pa.array([dt.datetime(2024, 1, 31, 4), None], pa.timestamp("ms"))
    table = pa.table(
        {
            "i": pa.array([1, None], pa.int16()),
            "u": pa.array([1, 2], pa.uint64()),
            "f": pa.array([1.5, None], pa.float32()),
            "d": pa.array([None, 2], pa.decimal128(10, 2)),
            "s": pa.array(["x", "NA"]),
            "c": pa.array(["x", "y"]).dictionary_encode(),
            "z": moments.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("ms", "Europe/Paris")),
            "n": pa.array([dt.datetime(2024, 1, 1), None], pa.timestamp("ns")),
        }
    )
    got = run(parquet("t.parquet", table))
    assert got.schema.field("i").type == got.schema.field("u").type == pa.int64()
    assert got.schema.field("f").type == got.schema.field("d").type == pa.float64()
    assert got["z"].to_pylist() == [dt.datetime(2024, 1, 31, 4, tzinfo=dt.UTC), None]
    assert got["s"].to_pylist() == ["x", None]
    assert got["n"].to_pylist() == [dt.datetime(2024, 1, 1), None]


def test_parquet_with_declared_types(parquet, run, refuses):
    path = parquet("t.parquet", pa.table({"v": ["1", "2"], "w": [1.0, 2.5], "t": ["31/01/2024", None]}))
    got = run(path, types={"v": "integer", "w": "text"}, date_format="%d/%m/%Y")
    assert got.to_pylist()[0] == {"v": 1, "w": "1.0", "t": dt.datetime(2024, 1, 31)}
    assert "row 2 holds '2.5', which is no integer" in refuses(path, types={"w": "integer"})
    assert "row 1 holds '1.0', which is no timestamp" in refuses(path, types={"w": "timestamp"})


def test_parquet_folders_read_columns_by_name(parquet, run, refuses, tmp_path):
    parquet("d/1.parquet", pa.table({"a": [1], "b": ["x"]}))
    parquet("d/2.parquet", pa.table({"b": ["y"], "a": [2.5]}))
    assert run(tmp_path / "d").to_pylist() == [{"a": 1.0, "b": "x"}, {"a": 2.5, "b": "y"}]
    parquet("d/3.parquet", pa.table({"a": [1]}))
    assert "3.parquet has other columns than" in refuses(tmp_path / "d")


def test_parquet_that_is_none(write, parquet, refuses):
    assert "is not a Parquet file: it begins with b'a,b\\n'" in refuses(write("t.parquet", "a,b\n1,2\n"))
    whole = parquet("w.parquet", pa.table({"a": list(range(10_000))})).read_bytes()
    assert "is a truncated Parquet file" in refuses(write("u.parquet", whole[: len(whole) // 2]))
    assert "is a damaged Parquet file" in refuses(write("v.parquet", whole[:4] + b"\xff" * 200 + whole[-4:]))
    assert "is a Parquet file, read as csv" in refuses(write("x.csv", whole))
    assert "is empty (0 bytes)" in refuses(write("y.parquet", ""))
    # The columns' own pages, which nobody looks at before the query runs.
    assert "z.parquet is a damaged Parquet file" in refuses(
        write("z.parquet", whole[:4] + b"\xff" * 3000 + whole[3004:]), "SELECT sum(a) AS a FROM t"
    )


def test_parquet_without_rows_or_with_a_name_twice(parquet, refuses):
    assert "holds no rows; expected at least one" in refuses(
        parquet("t.parquet", pa.table({"a": pa.array([], pa.int64())}))
    )
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert "'a' stands twice" in refuses(parquet("u.parquet", twice))


AT_4 = dt.datetime(2024, 1, 31, 4, tzinfo=dt.UTC)


def test_json_lines(write, run):
    path = write(
        "t.jsonl",
        '{"i": 1, "s": "1", "d": "2024-01-31", "t": "2024-01-31T06:00:00+02:00", "b": true, "x": 1}\n\n'
        '{"i": null, "s": "NA", "x": "NA", "n": 2.5}\n',
    )
    got = run(path)
    assert got.to_pylist() == [
        {"i": 1, "s": "1", "d": dt.date(2024, 1, 31), "t": AT_4, "b": True, "x": 1, "n": None},
        {"i": None, "s": None, "d": None, "t": None, "b": None, "x": None, "n": 2.5},
    ]


def test_json_lines_are_typed_by_all_lines(write, run):
    path = write("t.jsonl", '{"v": 1}\n' * 30_000 + '{"v": 1.5, "late": 7}\n')
    got = run(path)
    assert got.schema.field("v").type == pa.float64()
    assert got["late"][-1].as_py() == 7


def test_json_lines_with_nested_values(write, run, refuses):
    path = write("t.jsonl", '{"a": {"b": 1}}\n')
    assert "The column 'a' is nested or binary (STRUCT(b BIGINT))" in refuses(path)
    assert run(path, "SELECT a.b FROM t").to_pylist() == [{"b": 1}]


def test_broken_json_lines(write, refuses):
    message = refuses(write("t.jsonl", '{"a": 1}\n{"a": 2\n{"a": 3}\n'))
    assert "t.jsonl, line 2: expected one JSON object a line, found '{\"a\": 2'" in message
    assert "it is no object" in refuses(write("u.jsonl", '{"a": 1}\n[1, 2]\n'))
    assert "it has a key twice" in refuses(write("v.jsonl", '{"a": 1, "a": 2}\n'))
    assert "is one JSON array" in refuses(write("w.jsonl", '[{"a": 1},\n{"a": 2}]\n'))
    assert "is not utf-8 text: line 2" in refuses(write("x.jsonl", b'{"a": "b"}\n{"a": "caf\xe9"}\n'))
    assert "holds no rows" in refuses(write("y.jsonl", "\n\n"))


def test_json_lines_in_another_encoding(write, run):
    path = write("t.jsonl", '{"a": "café"}\n'.encode("latin-1"))
    assert run(path, encoding="latin-1").to_pylist() == [{"a": "café"}]


def test_paths_override_sources_for_a_run(write, run, refuses):
    tables = {"flights": {"path": str(write("old.csv", "a\n1\n"))}}
    newer = write("new.jsonl", '{"a": 2}\n')
    assert run(tables, paths={"flights": str(newer)}).to_pylist() == [{"a": 2}]
    message = refuses(tables, paths={"fligths": str(newer)})
    assert "`paths` names the table 'fligths'; the source has flights. Did you mean 'flights'?" in message


def test_table_names_that_sql_cannot_tell_apart(write, refuses):
    path = str(write("t.csv", "a\n1\n"))
    message = refuses({"Orders": {"path": path}, "orders": {"path": path}}, "SELECT 1 AS a")
    assert "the column" not in message
    assert "'orders' stands twice" in message
