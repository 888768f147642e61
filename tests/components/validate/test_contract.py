from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa
import pyarrow as arrow
import pytest
from pandera.config import config_context
from pandera.errors import SchemaErrors

from components.shared.config import ContractConfig
from components.shared.tables import engine
from components.validate.contract import Columns, Promised, full_match, kind_of, listed, pandera_schema, row_rules
from components.validate.expressions import expressions, relation

TABLE = {"i": [1, 2, 3, None], "x": [0.5, None, 2.0, 1.0], "s": ["a", "b", "ab", None], "b": [True, False, None, True]}
CONTRACTS: list[tuple[bool, dict[str, Any]]] = [
    (True, {"i": {"type": "integer", "minimum": 1, "maximum": 3, "allowed": [1, 2, 3]}}),
    (
        True,
        {
            "i": {"type": "number"},
            "x": {"type": "number", "maximum": 2},
            "b": {"type": "boolean", "allowed": [True, False]},
        },
    ),
    (True, {"s": {"type": "text", "pattern": "a?b?", "allowed": ["a", "b", "ab"]}, "gone": {"required": False}}),
    (False, {"i": {"nullable": False}}),
    (False, {"i": {"minimum": 2}}),
    (False, {"i": {"maximum": 2}}),
    (False, {"x": {"allowed": [0.5, 2]}}),
    (False, {"s": {"pattern": "a"}}),
    (False, {"s": {"type": "number"}}),
    (False, {"gone": {}}),
]


@pytest.mark.filterwarnings("ignore:fetch_arrow_table:DeprecationWarning")
@pytest.mark.parametrize(("kept", "columns"), CONTRACTS)
def test_pandera_alone_agrees(kept: bool, columns: dict[str, Any]) -> None:
    """The schema is pandera's in full: validated with data, it passes exactly the tables that keep the contract."""
    promised = {name: {"nullable": True} | rule for name, rule in columns.items()}
    contract = ContractConfig.model_validate({"columns": promised})
    with engine() as plain:
        backend = expressions(plain)
        backend.con.register("arrow_rows", arrow.table(TABLE))
        types = dict(relation(backend, "arrow_rows").schema().items())
        names = Columns.of(types, contract)
        backend.con.execute(
            f"CREATE VIEW rows ({', '.join(names.stand_ins[name] for name in types)}) AS FROM arrow_rows"
        )
        schema = pandera_schema(contract, names, row_rules(contract, names))
        assert isinstance(schema, pa.DataFrameSchema)
        with config_context(validation_enabled=True):
            assert _passes(schema, relation(backend, "rows")) == kept


def _passes(schema: pa.DataFrameSchema, table: Any) -> bool:
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors:
        return False
    return True


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        (dt.uint8, "integer"),
        (dt.float32, "number"),
        (dt.Decimal(9, 2), "number"),
        (dt.string, "text"),
        (dt.boolean, "boolean"),
        (dt.date, "date"),
        (dt.Timestamp("UTC"), "timestamp"),
        (dt.time, "other"),
        (dt.json, "other"),
    ],
)
def test_kinds(dtype: dt.DataType, kind: str) -> None:
    assert kind_of(dtype) == kind


def test_a_promised_type_says_its_name() -> None:
    assert str(Promised("number")) == "number"
    assert not Promised("number").check(None)


def test_rules_of_columns_that_are_not_there_are_left_out() -> None:
    contract = ContractConfig.model_validate(
        {"columns": {"gone": {"minimum": 0}}, "unique": [{"columns": ["a", "gone"]}]}
    )
    rules = row_rules(contract, Columns.of({"a": dt.float64}, contract, finite=["a"]))
    assert [(rule.name, rule.proven) for rule in rules] == [("a.non_finite", True)]


def test_texts() -> None:
    assert listed([1, "b"]) == "1, 'b'"
    assert listed(range(22)).endswith("19 and 2 more")
    assert full_match("a|b") == r"\A(?-s:a|b)\z"
