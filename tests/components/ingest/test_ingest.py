"""The stage as a whole, and its adapter."""

import json
import os
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from kfp.dsl import Dataset

from components.ingest.component import ingest as component
from components.ingest.ingest import parse_paths, summary
from components.shared.config import ProblemConfig, SourceConfig
from components.shared.errors import SourceError
from components.shared.files import file_hash
from components.shared.package.model_package import Lineage
from pipelines.config_file import load_config

CONFIGS = Path(__file__).parents[3] / "pipelines" / "configs"


def execute(source: SourceConfig, problem: ProblemConfig, path: Path, **parameters: str) -> tuple[Lineage, Dataset]:
    table = Dataset(uri=str(path))
    table.path = str(path)
    given = {"window_start": "", "window_end": "", "paths": "", **parameters}
    outputs = component.python_func(
        source=source.model_dump_json(), problem=problem.model_dump_json(), table=table, **given
    )
    return Lineage.model_validate_json(outputs.lineage), table


def test_the_adapter_writes_table_metadata_and_lineage(write, tmp_path, capsys):
    path = write("t.csv", "day,v\n2024-01-01,1\n2024-01-02,2\n2024-01-03,3\n")
    source = SourceConfig.model_validate({"tables": {"t": {"path": "elsewhere.csv"}}})
    problem = ProblemConfig(target="v", task="regression", time_column="day")
    paths = json.dumps({"t": str(path)})
    lineage, table = execute(source, problem, tmp_path / "out" / "table", window_start="2024-01-02", paths=paths)
    assert lineage == Lineage(
        rows=2,
        columns=2,
        content_hash=lineage.content_hash,
        window_start="2024-01-02",
        window_end="2024-01-03",
        sources={"t": f"sha256:{file_hash(path)}"},
    )
    assert pq.read_table(table.path).num_rows == 2
    assert table.metadata == {
        "rows": 2,
        "columns": 2,
        "content_hash": lineage.content_hash,
        "window": "2024-01-02 – 2024-01-03",
        "mark": "",
    }
    assert capsys.readouterr().out == f"▸ {summary(lineage)}\n"
    assert summary(lineage).startswith("2 rows, 2 columns, 2024-01-02 to 2024-01-03, content ")


def test_wine(tmp_path):
    config = load_config(CONFIGS / "wine.yaml")
    lineage, table = execute(config.source, config.problem, tmp_path / "table")
    assert (lineage.rows, lineage.columns, lineage.window_start) == (178, 14, "")
    assert pq.read_table(table.path)["grower"].value_counts().to_pylist() == [
        {"values": 0, "counts": 59},
        {"values": 1, "counts": 71},
        {"values": 2, "counts": 48},
    ]


def test_flights(tmp_path):
    config = load_config(CONFIGS / "flights.yaml")
    lineage, table = execute(config.source, config.problem, tmp_path / "table")
    assert (lineage.rows, lineage.columns) == (336_776, 27)
    assert (lineage.window_start, lineage.window_end) == ("2013-01-01T05:15:00", "2013-12-31T23:59:00")
    assert set(lineage.sources) == {"flights", "weather", "planes"}
    late, unknown, warmest, text = duckdb.execute(
        "SELECT count(*) FILTER (late), count(*) FILTER (late IS NULL), max(temp), any_value(typeof(flight)) "
        "FROM read_parquet(?)",
        [table.path],
    ).fetchall()[0]
    assert (late, unknown, warmest, text) == (77_630, 9_430, 100.04, "VARCHAR")
    again, other = execute(
        config.source, config.problem, tmp_path / "again", window_start="2013-07-01", window_end="2013-08-01"
    )
    assert (again.rows, again.window_end) == (29_425, "2013-07-31T23:59:00")
    assert other.metadata["content_hash"] != table.metadata["content_hash"]


@pytest.mark.parametrize("text", ["{", "[1]", '{"t": 1}', '{"t": ""}'])
def test_paths_that_are_no_object_of_texts(text):
    with pytest.raises(SourceError, match="paths: expected JSON such as"):
        parse_paths(text)


def test_no_paths():
    assert parse_paths(" ") == {}


def test_an_output_that_cannot_be_made(write, tmp_path, run):
    path = write("t.csv", "a\n1\n")
    blocker = write("out", "a file where the output's folder should be")
    with pytest.raises(OSError, match=os.strerror(17)):
        run(path)
    assert blocker.read_text() == "a file where the output's folder should be"


def test_a_place_the_system_refuses(refuses):
    message = refuses("x" * 300 + ".csv")
    assert "Table 't'" in message
    assert os.strerror(36) in message
