"""Folders named key=value are columns, in every format, locally and in the object store."""

import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROWS = [{"x": 1.5, "label": 0}, {"x": 2.5, "label": 1}]


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
@pytest.mark.parametrize("place", ["data", "data/*/*", "data/label=*/*", "data/**/*.*"])
def test_folders_that_were_partitioned(tmp_path, run, kind, place):
    for row in ROWS:
        folder = tmp_path / "run=7" / "data" / f"label={row['label']}"  # what stands above the folder is no column
        folder.mkdir(parents=True)
        frame = pd.DataFrame({"x": [row["x"]]})
        if kind.startswith("csv"):
            frame.to_csv(folder / f"part.{kind}", index=False)
        elif kind == "parquet":
            frame.to_parquet(folder / f"part.{kind}", index=False)
        else:
            (folder / "part.jsonl").write_text(json.dumps({"x": row["x"]}) + "\n")
    table = run(tmp_path / "run=7" / place)
    assert table.to_pylist() == ROWS


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("place", ["data", "data/", "data/*/*", "data/label=*/*", "data/**/*.*"])
def test_folders_that_were_partitioned_in_the_object_store(store, run, kind, place):
    for row in ROWS:
        frame = pd.DataFrame({"x": [row["x"]]})
        content = frame.to_parquet(index=False) if kind == "parquet" else frame.to_csv(index=False).encode()
        store.put_bytes(f"run=7/data/label={row['label']}/part.{kind}", content)
    store.put_bytes("run=7/data/_SUCCESS", b"")
    assert run(store.uri(f"run=7/{place}")).to_pylist() == ROWS


def test_what_pandas_writes_means_the_same_in_the_object_store(tmp_path, store, run):
    frame = pd.DataFrame({"x": range(6), "country": ["DE", "FR", "a b/c"] * 2, "code": ["01", "02", "03"] * 2})
    frame.to_parquet(tmp_path / "d", partition_cols=["country", "code"])
    for file in (tmp_path / "d").rglob("*.parquet"):
        store.put_file(f"d/{file.relative_to(tmp_path / 'd').as_posix()}", file)
    table = run(store.uri("d/"))
    assert sorted(table.to_pylist(), key=lambda row: row["x"]) == frame.to_dict("records")


def test_an_object_named_itself_has_no_partitions(store, run):
    store.put_bytes("label=1/t.csv", b"x\n1\n")
    assert run(store.uri("label=1/t.csv")).column_names == ["x"]


def test_what_pandas_and_pyarrow_write(tmp_path, run):
    frame = pd.DataFrame({"x": range(6), "country": ["DE", "FR", "a b/c"] * 2, "code": ["01", "02", "03"] * 2})
    frame.to_parquet(tmp_path / "d", partition_cols=["country", "code"])
    table = run(tmp_path / "d")
    assert sorted(table.to_pylist(), key=lambda row: row["x"]) == frame.to_dict("records")


def test_partitions_are_typed_like_a_csv_file(tmp_path, run):
    for day, value in (("2024-01-31", "1"), ("__HIVE_DEFAULT_PARTITION__", "2")):
        folder = tmp_path / "d" / f"day={day}" / f"n={value}" / f"zip=0{value}"
        folder.mkdir(parents=True)
        (folder / "t.csv").write_text("x\n1\n")
    table = run(tmp_path / "d", types={"n": "number"})
    assert [str(kind) for kind in table.schema.types] == ["int64", "date32[day]", "double", "string"]
    assert table["day"].null_count == 1
    assert table["zip"].to_pylist() == ["01", "02"]


def test_a_file_named_itself_and_one_folder_have_no_partitions(tmp_path, run):
    (tmp_path / "label=1").mkdir()
    (tmp_path / "label=1" / "t.csv").write_text("x\n1\n")
    assert run(tmp_path / "label=1" / "t.csv").column_names == ["x"]
    assert run(tmp_path / "label=1").column_names == ["x"]


def test_a_column_that_the_files_have_themselves_stays(tmp_path, run):
    folder = tmp_path / "d" / "label=1"
    folder.mkdir(parents=True)
    (folder / "t.csv").write_text("x,label\n1,1\n")
    assert run(tmp_path / "d").to_pylist() == [{"x": 1, "label": 1}]
    pq.write_table(pa.table({"x": [1], "label": [1]}), folder / "t.parquet")
    (folder / "t.csv").unlink()
    assert run(tmp_path / "d").to_pylist() == [{"x": 1, "label": 1}]


def test_folders_with_other_keys_are_named(tmp_path, refuses):
    for folder in ("a=1", "b=2"):
        (tmp_path / "d" / folder).mkdir(parents=True)
        (tmp_path / "d" / folder / "t.csv").write_text("x\n1\n")
    assert "lies below the partitions ['b'], " in refuses(tmp_path / "d")


def test_many_partitions_are_streamed_in_one_scan(tmp_path, run, monkeypatch):
    from components.ingest import sources

    monkeypatch.setattr(sources, "_STREAMED", 0)
    for number in range(40):
        folder = Path(tmp_path / "d" / f"part={number}")
        folder.mkdir(parents=True)
        (folder / "t.csv").write_text("x,s\n" + f"{number},a\n" * 3)
    table = run(tmp_path / "d", "SELECT * FROM t ORDER BY part, x")
    assert table["part"].to_pylist() == table["x"].to_pylist()
