"""What the tests of the validate stage share: running it on rows written by hand."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.config import ContractConfig, ProblemConfig
from components.shared.errors import ContractError
from components.validate.findings import Finding, Report
from components.validate.validate import Outputs, validate

ROWS = 60
PROBLEM = ProblemConfig(target="y", task="binary")


class Run:
    """One validation of a table, whether it passes or not."""

    def __init__(
        self, folder: Path, table: Any, /, *, now: datetime | None = None, problem: Any = None, **contract: Any
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.table = pa.table(table)
        pq.write_table(self.table, folder / "table.parquet")
        self.outputs = Outputs(folder / "valid", folder / "quarantine", folder / "report", folder / "page")
        settings = ContractConfig.model_validate({"minimum_rows": 2, "quarantine_limit": 1.0} | contract)
        self.error = ""
        try:
            problem = ProblemConfig.model_validate({"target": "y", "task": "binary"} | (problem or {}))
            validate(folder / "table.parquet", self.outputs, contract=settings, problem=problem, now=now)
        except ContractError as error:
            self.error = str(error)
        self.report = Report.model_validate_json(self.outputs.report.read_text(encoding="utf-8"))
        self.page = self.outputs.page.read_text(encoding="utf-8")

    def finding(self, name: str) -> Finding:
        (found,) = [check for check in self.report.checks if check.name == name]
        return found

    @property
    def broken(self) -> list[str]:
        return [check.name for check in self.report.broken]

    @property
    def valid(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.outputs.valid).to_pylist()
        return rows

    @property
    def quarantine(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = pq.read_table(self.outputs.quarantine).to_pylist()
        return rows

    @property
    def json(self) -> Any:
        return json.loads(self.outputs.report.read_text(encoding="utf-8"), parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
