"""Small tables, prepared."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.prepare.prepare import Summary, prepare
from components.shared.config import ContractConfig, PrepareConfig, ProblemConfig
from components.shared.frames import PARTS, part_path
from components.shared.package.schema import Schema


@dataclass(frozen=True)
class Prepared:
    folder: Path
    summary: Summary
    schema: Schema
    parts: dict[str, pa.Table]

    def rows(self, part: str = "") -> list[dict[str, Any]]:
        """Rows of a part, or of all in order."""
        return [row for name in PARTS if part in ("", name) for row in self.parts[name].to_pylist()]

    def values(self, column: str, part: str = "") -> list[Any]:
        return [row[column] for row in self.rows(part)]


def run(
    folder: Path,
    data: pa.Table | dict[str, Any],
    problem: dict[str, Any],
    settings: dict[str, Any],
    contract: dict[str, Any] | None = None,
) -> Prepared:
    folder.mkdir(parents=True, exist_ok=True)
    table = data if isinstance(data, pa.Table) else pa.table(data)
    pq.write_table(table, folder / "table.parquet")
    splits = folder / "splits"
    summary = prepare(
        folder / "table.parquet",
        splits,
        problem=ProblemConfig.model_validate({"target": "y", "task": "binary", **problem}),
        settings=PrepareConfig.model_validate(settings),
        contract=ContractConfig.model_validate({"minimum_rows": 2} | (contract or {})),
    )
    parts = {part: pq.read_table(part_path(splits, part)) for part in PARTS}
    return Prepared(splits, summary, Schema.read(splits), parts)
