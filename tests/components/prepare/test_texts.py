"""Texts that are sorted as codes come out as they went in."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.prepare import texts
from components.prepare.prepare import prepare
from components.shared.config import ContractConfig, PrepareConfig, ProblemConfig
from components.shared.frames import PARTS, part_path
from components.shared.package.schema import Schema
from components.shared.tables import engine, fetch, write_sql

ROWS = texts._FEWEST_ROWS + 5_000
# Each of the last few values of `rare` stands in a single row, which a sorted ENUM loses on its way into Parquet.
TABLE = f"""SELECT i AS id, i % 2 = 0 AS y, 'all' AS constant, 'ä''"; ' || (i % 7) AS few,
    CASE WHEN i % 40 = 0 THEN 'rare ' || i WHEN i % 3 > 0 THEN 'common ' || (i % 5) END AS rare,
    CASE WHEN i % 9 = 0 THEN '' ELSE 'b' || (i % 2) END AS blank, md5(i::VARCHAR) AS many, NULL::VARCHAR AS never
    FROM range({ROWS}) AS numbers (i)"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.parquet"
    with engine() as backend:
        write_sql(backend, TABLE, path)
    return path


def prepared(table: Path, folder: Path) -> list[list[dict[str, object]]]:
    problem = ProblemConfig(target="y", task="binary", keys=["id"])
    prepare(table, folder, problem=problem, settings=PrepareConfig(), contract=ContractConfig())
    return [pq.read_table(part_path(folder, part)).to_pylist() for part in PARTS]


def test_parts_are_the_same_with_codes_and_without(table, tmp_path, monkeypatch):
    with_codes = prepared(table, tmp_path / "with")
    monkeypatch.setattr(texts, "_FEWEST_ROWS", 2**60)
    assert with_codes == prepared(table, tmp_path / "without")
    assert Schema.read(tmp_path / "with") == Schema.read(tmp_path / "without")


def test_only_large_tables_and_texts_of_few_values_are_coded(table, monkeypatch):
    from components.prepare.columns import create_view, read_columns

    with engine() as backend:
        columns = read_columns(backend, str(table), PrepareConfig())
        create_view(backend, str(table), columns)
        types = texts.encode_texts(backend, str(table), columns.values())
        assert {"constant", "few", "rare", "blank"} >= set(types) >= {"constant", "few", "blank"}
        assert fetch(backend, f"SELECT enum_range(NULL::{types['blank']})") == [(["b0", "b1"],)]
        monkeypatch.setattr(texts, "_FEWEST_ROWS", ROWS + 1)
        assert not texts.encode_texts(backend, str(table), columns.values())
