import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.shared.config import ContractConfig, ProblemConfig
from components.shared.errors import ContractError
from components.validate.component import validate

PROBLEM = ProblemConfig(target="y", task="binary").model_dump_json()


def _contract(**settings: Any) -> str:
    rule = {"minimum": 0, "on_failure": "quarantine"}
    return ContractConfig.model_validate({"columns": {"x": rule}, "minimum_rows": 2} | settings).model_dump_json()


def _artifacts(folder: Path) -> dict[str, Any]:
    pq.write_table(pa.table({"x": [1, 2, -3, 4], "y": [True, False, True, False]}), folder / "table")
    kinds = {
        "table": dsl.Dataset,
        "valid": dsl.Dataset,
        "quarantine": dsl.Dataset,
        "validate_report": dsl.Artifact,
        "validate_page": dsl.HTML,
    }
    return {name: kind(uri=str(folder / name)) for name, kind in kinds.items()}


def test_component(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    artifacts = _artifacts(tmp_path)
    validate.python_func(contract=_contract(quarantine_limit=0.5), problem=PROBLEM, **artifacts)
    assert capsys.readouterr().out == "▸ 3 rows keep the contract, 1 quarantined (25%), 5 checks\n"
    assert pq.read_table(tmp_path / "valid")["x"].to_pylist() == [1, 2, 4]
    assert pq.read_table(tmp_path / "quarantine").to_pylist() == [{"x": -3, "y": True, "rule": "x.minimum"}]
    assert artifacts["valid"].metadata == {"rows": 3}
    assert artifacts["quarantine"].metadata == {"rows": 1, "share": 0.25}
    assert json.loads((tmp_path / "validate_report").read_text(encoding="utf-8"))["passed"]
    assert "Data contract" in (tmp_path / "validate_page").read_text(encoding="utf-8")


def test_broken_contract(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="quarantine_limit: expected at most 1% of the rows quarantined"):
        validate.python_func(contract=_contract(), problem=PROBLEM, **_artifacts(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"table", "validate_report", "validate_page"}
