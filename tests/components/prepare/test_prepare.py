"""The stage as a whole."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.prepare.component import prepare as component
from components.prepare.prepare import SUMMARY, Summary
from components.shared.config import ContractConfig, PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.frames import PARTS, load_part

N = 60
DATA = {"x": list(range(N)), "c": ["a", "b", None] * 20, "y": [i // 3 % 2 == 0 for i in range(N)]}


def test_the_folder_holds_what_later_stages_read(prepared):
    found = prepared({**DATA, "x": [*range(N - 1), N - 2]})
    assert sorted(path.name for path in found.folder.iterdir()) == sorted(
        [*(f"{part}.parquet" for part in PARTS), "schema.json", SUMMARY]
    )
    assert Summary.model_validate_json((found.folder / SUMMARY).read_text()) == found.summary
    part = load_part(found.folder, "train", found.schema)
    assert list(part.frame.columns) == ["x", "c"]
    assert len(part.target) == found.summary.parts["train"].rows
    assert found.summary.parts["train"].classes.keys() == {"false", "true"}


def test_a_refused_table_leaves_nothing(prepared, tmp_path):
    with pytest.raises(DataError):
        prepared({"x": [float("inf")] + [1.0] * (N - 1), "y": DATA["y"]})
    assert [path.name for path in tmp_path.iterdir()] == ["table.parquet"]


def test_a_second_run_replaces_the_first(prepared):
    first = prepared(DATA)
    (first.folder / "left over").touch()
    second = prepared(DATA)
    assert not (second.folder / "left over").exists()
    assert second.summary == first.summary


def test_the_same_rows_give_the_same_bytes(prepared, monkeypatch):
    first = [(prepared(DATA).folder / f"{part}.parquet").read_bytes() for part in PARTS]
    monkeypatch.setattr("components.shared.tables.cpu_count", lambda: 1)
    assert [(prepared(DATA).folder / f"{part}.parquet").read_bytes() for part in PARTS] == first


def test_a_header_without_rows_is_refused(prepared):
    with pytest.raises(DataError, match="The table has no rows"):
        prepared(pa.table({"x": pa.array([], pa.int64()), "y": pa.array([], pa.bool_())}))


def test_the_adapter(tmp_path, capsys):
    pq.write_table(pa.table(DATA), tmp_path / "table.parquet")
    splits = dsl.Dataset(uri=str(tmp_path / "splits"))
    component.python_func(
        settings=PrepareConfig().model_dump_json(),
        problem=ProblemConfig(target="y", task="binary").model_dump_json(),
        contract=ContractConfig().model_dump_json(),
        table=dsl.Dataset(uri=str(tmp_path / "table.parquet")),
        splits=splits,
        prepare_page=dsl.HTML(uri=str(tmp_path / "page")),
    )
    assert splits.metadata == {"train": 42, "validation": 9, "test": 9, "features": 2}
    assert json.loads((tmp_path / "splits" / SUMMARY).read_text())["method"] == "stratified"
    assert capsys.readouterr().out == "▸ train 42, validation 9, test 9 (stratified); 2 features\n"


def test_the_headline_names_removed_rows_and_leaks(tmp_path, capsys):
    labels = [i % 2 == 0 for i in range(200)]
    table = pa.table({"x": range(203), "z": [*map(float, labels), 1.0, 1.0, 1.0], "y": [*labels, None, None, None]})
    pq.write_table(table, tmp_path / "table.parquet")
    component.python_func(
        settings=PrepareConfig().model_dump_json(),
        problem=ProblemConfig(target="y", task="binary").model_dump_json(),
        contract=ContractConfig().model_dump_json(),
        table=dsl.Dataset(uri=str(tmp_path / "table.parquet")),
        splits=dsl.Dataset(uri=str(tmp_path / "splits")),
        prepare_page=dsl.HTML(uri=str(tmp_path / "page")),
    )
    assert capsys.readouterr().out.endswith("2 features; removed 3 without a label (1.5%); suspected leaks: z\n")
    page = (tmp_path / "page").read_text(encoding="utf-8")
    assert "The feature &#39;z&#39; alone gives the target away" in page
    assert "without a label" in page
