import datetime as dt
import math
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.config import ContractConfig, ProblemConfig
from components.shared.errors import ConfigError, ContractError, DataError
from components.validate import infer
from components.validate.infer import infer_contract, observe, to_yaml, widened_range, write_contract
from components.validate.validate import Outputs, validate

PROBLEM = ProblemConfig.model_validate({"target": "y", "task": "multiclass", "keys": ["id"], "ignore": ["note"]})
ROWS = 60
TABLE: dict[str, Any] = {
    "id": range(1000, 1000 + ROWS),
    "colour of it": ["red", "gröen", None] * 20,
    "name": [f"name {n}" for n in range(ROWS)],
    "x": [float(n) for n in range(ROWS - 1)] + [math.nan],
    "empty": pa.nulls(ROWS, pa.float64()),
    "odd": [[1]] * ROWS,
    "on": [dt.date(2024, 1, 1)] * ROWS,
    "note": ["?"] * ROWS,
    "y": [0, 1, 2] * 20,
}


def _read(text: str) -> ContractConfig:
    return ContractConfig.model_validate(yaml.safe_load(text)["contract"])


def _parquet(folder: Path, table: dict[str, Any]) -> Path:
    pq.write_table(pa.table(table), folder / "table")
    return folder / "table"


def test_inferred_contract(tmp_path: Path) -> None:
    contract = infer_contract(_parquet(tmp_path, TABLE), PROBLEM)
    columns = {name: rule.model_dump(exclude_defaults=True) for name, rule in contract.columns.items()}
    assert columns == {
        "id": {"type": "integer"},
        "colour of it": {"type": "text", "nullable": True, "allowed": ["gröen", "red"], "on_failure": "quarantine"},
        "name": {"type": "text"},
        "x": {"type": "number", "nullable": True, "minimum": 0.0, "maximum": 87.0, "on_failure": "quarantine"},
        "empty": {"type": "number", "nullable": True},
        "odd": {},
        "on": {"type": "date"},
        "y": {"type": "integer", "allowed": [0, 1, 2]},
    }
    assert contract.minimum_rows == ROWS // 2
    assert [key.columns for key in contract.unique] == [["id"]]


def test_written_contract_explains_and_reads_back(tmp_path: Path) -> None:
    table, destination = _parquet(tmp_path, TABLE), tmp_path / "new" / "contract.yaml"
    write_contract(table, PROBLEM, destination)
    text = destination.read_text(encoding="utf-8")
    assert _read(text) == infer_contract(table, PROBLEM)
    for comment in (
        "# seen 0 to 58; 1.7% missing",
        "# no value at all: is the type right?",
        "# its type is none of",
        "; seen 60",
        "# such as: - {name:",
        "different values",
    ):
        assert comment in text
    assert (
        '"colour of it": {type: text, nullable: true, allowed: ["gröen", red], on_failure: quarantine} # 33.3% missing'
        in text
    )
    assert '"on":' in text, "YAML takes a bare `on` for true"
    assert [path.name for path in destination.parent.iterdir()] == ["contract.yaml"]


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    destination = tmp_path / "contract.yaml"
    destination.write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists and stays as it is"):
        write_contract(_parquet(tmp_path, TABLE), PROBLEM, destination)
    assert destination.read_text(encoding="utf-8") == "mine"


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be written"):
        write_contract(_parquet(tmp_path, TABLE), PROBLEM, tmp_path / "file" / "contract.yaml")


def test_a_file_made_meanwhile_is_kept(tmp_path: Path) -> None:
    destination = tmp_path / "contract.yaml"
    destination.symlink_to(tmp_path / "nowhere")  # does not exist for `exists`, but its name is taken
    with pytest.raises(ConfigError, match="exists and stays as it is"):
        write_contract(_parquet(tmp_path, TABLE), PROBLEM, destination)
    assert destination.is_symlink()


def test_a_table_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read as a Parquet table"):
        infer_contract(tmp_path / "none", PROBLEM)


def test_keys_that_repeat_or_are_not_there(tmp_path: Path) -> None:
    repeated = _parquet(tmp_path, {"id": [1, 1], "y": [0, 1]})
    assert infer_contract(repeated, PROBLEM).unique == []
    gone = _parquet(tmp_path, {"y": [0, 1]})
    assert infer_contract(gone, PROBLEM).unique == []


def test_a_number_to_predict_gets_a_range(tmp_path: Path) -> None:
    problem = ProblemConfig(target="y", task="regression")
    rule = infer_contract(_parquet(tmp_path, {"y": [1, 2] * 30}), problem).columns["y"]
    assert (rule.minimum, rule.maximum, rule.allowed) == (0, 3, [])


def test_columns_are_observed_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer, "_COLUMNS_A_PASS", 3)
    table = _parquet(tmp_path, {f"c{n}": [n, -n, 0] for n in range(8)})
    assert [column.maximum for column in observe(table, PROBLEM).columns.values()] == list(range(8))


def test_nothing_is_left_of_a_file_that_cannot_be_finished(tmp_path: Path) -> None:
    destination = tmp_path / "contract.yaml"
    with pytest.raises(UnicodeEncodeError):
        infer._write_new(destination, "half \ud800")
    assert not destination.exists()


NUMBERS = st.floats(min_value=-3e38, max_value=3e38) | st.integers(-(10**6), 10**6).map(float)


@given(NUMBERS, NUMBERS, st.booleans())
def test_generous_ranges_hold_what_was_seen_and_keep_their_sign(one: float, other: float, whole: bool) -> None:
    low, high = sorted((one, other))
    if whole:
        low, high = float(round(low)), float(round(high))
    found = widened_range(low, high, whole=whole)
    assert found[0] <= low <= high <= found[1]
    assert found[0] >= 0 or low < 0
    assert found[1] <= 0 or high > 0


CONTRACTS = st.builds(
    lambda columns, checks, unique: ContractConfig.model_validate(
        {"columns": columns, "checks": checks, "unique": unique}
    ),
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8),
        st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(["text", "number"]),
                "nullable": st.booleans(),
                "minimum": st.floats(allow_nan=False),
                "allowed": st.lists(
                    st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5), max_size=3
                ),
                "pattern": st.text(max_size=5),
                "on_failure": st.sampled_from(["fail", "quarantine"]),
            },
        ),
        max_size=3,
    ),
    st.lists(
        st.fixed_dictionaries({"name": st.text(min_size=1, max_size=5), "sql": st.text(min_size=1, max_size=9)}),
        max_size=2,
    ),
    st.lists(st.fixed_dictionaries({"columns": st.lists(st.text(max_size=5), min_size=1, max_size=2)}), max_size=1),
)


@given(CONTRACTS)
def test_every_contract_reads_back(contract: ContractConfig) -> None:
    assert _read(to_yaml(contract)) == contract


CELLS = st.fixed_dictionaries(
    {
        "n": st.none() | st.integers(-(10**9), 10**9),
        "x": st.none() | st.floats(width=32, allow_infinity=False),
        "s": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3),
        "y": st.integers(0, 1),
        "id": st.integers(0, 5),
    }
)


@settings(max_examples=30, deadline=None)
@given(st.lists(CELLS, min_size=2, max_size=8))
def test_a_table_keeps_the_contract_inferred_from_it(rows: list[dict[str, Any]]) -> None:
    kinds = {"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "y": pa.int8(), "id": pa.int32()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = _parquet(
            folder, {column: pa.array([row[column] for row in rows], kind) for column, kind in kinds.items()}
        )
        outputs = Outputs(*(folder / output for output in ("valid", "quarantine", "report", "page")))
        try:
            report = validate(table, outputs, contract=infer_contract(table, PROBLEM), problem=PROBLEM)
        except ContractError as error:
            raise AssertionError(str(error)) from error
        assert report.broken == []
