"""Names that differ by case alone, and columns that are ignored."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.ingest import ingest_table
from components.shared.config import ProblemConfig, SourceConfig


def test_names_that_differ_by_case_are_told_apart(write, run, tmp_path):
    table = run(write("t.csv", "Age,age,AGE,age_1\n1,2,3,4\n"))
    assert table.column_names == ["Age", "age_2", "AGE_3", "age_1"] or len(set(map(str.lower, table.column_names))) == 4
    assert [column[0].as_py() for column in table.columns] == [1, 2, 3, 4]
    first, second = json.loads(table.schema.metadata[b"lineage"])["warnings"]
    assert "'Age' and 'age' differ by case alone" in first
    assert f"'age' is called {table.column_names[1]!r} from here on" in first
    assert table.column_names[2] in second
    pq.write_table(pa.table({"Age": [1], "age": [2]}), tmp_path / "t.parquet")
    assert run(tmp_path / "t.parquet").to_pylist() == [{"Age": 1, "age_1": 2}]
    assert run(tmp_path / "t.parquet", 'SELECT "Age", age_1 AS years FROM t').to_pylist() == [{"Age": 1, "years": 2}]


def test_parquet_files_with_such_names_in_another_order_are_refused(tmp_path, refuses):
    (tmp_path / "d").mkdir()
    pq.write_table(pa.table({"Age": [1], "age": [2]}), tmp_path / "d" / "1.parquet")
    pq.write_table(pa.table({"age": [1], "Age": [2]}), tmp_path / "d" / "2.parquet")
    assert "has its columns in another order" in refuses(tmp_path / "d")


@pytest.fixture
def odd(tmp_path):
    path = tmp_path / "t.parquet"
    columns = {
        "list": pa.array([[1], [2]]),
        "bytes": pa.array([b"x", b"y"]),
        "hash": pa.array([2**63, 2**64 - 1], pa.uint64()),
        "struct": pa.array([{"a": 1}, None]),
        "y": [0, 1],
    }
    pq.write_table(pa.table(columns), path)
    return path


def ingested(path, output, **problem):
    source = SourceConfig.model_validate({"tables": {"t": {"path": str(path)}}})
    ingest_table(source, ProblemConfig.model_validate({"target": "y", "task": "binary", **problem}), output)
    return pq.read_table(output)


def test_ignored_columns_cannot_stop_a_run(odd, tmp_path):
    table = ingested(odd, tmp_path / "out.parquet", ignore=["list", "bytes", "hash", "struct"])
    assert table.column_names == ["list", "bytes", "hash", "struct", "y"]
    assert table["list"].null_count == table["bytes"].null_count == table["struct"].null_count == 2
    assert table["y"].to_pylist() == [0, 1]


def test_others_are_refused_with_ignoring_as_a_remedy(odd, refuses):
    message = refuses(odd)
    assert "The column 'list' is nested or binary" in message
    assert "or name it in problem.ignore" in message
