"""The data contract as a pandera schema: which columns, of which types, and a pandera check for each rule about rows.

pandera's Ibis backend runs one query a check and, when a check fails, fetches the whole table into pandas. So pandera
validates here what needs no data (columns and types, from the expression's schema), and the checks' expressions are
evaluated by `components.validate.rows`, all in one aggregate. pandera also takes any name like `^…$` for a pattern and
DuckDB names differ by case only in vain, so that schema and checks speak of columns by plain stand-ins: `c0`, `c1`, ….
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandera.ibis as pa
from pandera.api.ibis.types import IbisData
from pandera.engines import ibis_engine

from components.shared.as_written import accepted_spellings
from components.shared.config import CheckRule, ColumnRule, ColumnType, ContractConfig, OnFailure, UniqueRule
from components.shared.package.schema import FLOAT32_MAX

_EXACT = 2.0**53  # whole numbers below it are the same as float and as integer
_MOST_LITERALS = 200  # in one expression; DuckDB takes minutes over a hundred thousand
_LISTED = 20  # names or values listed in a sentence

Kind = ColumnType | Literal["other"]
Condition = Callable[[IbisData], ir.BooleanValue]


@dataclass(frozen=True, slots=True)
class Rule:
    """A promise about rows.

    Attributes:
        name: Name in the report and in the quarantine.
        column: The column it is about; empty for rules across columns.
        text: What is promised, in words.
        on_failure: What a breach does.
        change: Path of the setting to change.
        check: The pandera check that holds for good rows; None for uniqueness, which no row can tell alone.
        unique: Columns whose values together occur only once.
        sql: Condition in SQL, for a check on the boolean column that it becomes.
        among: Allowed values, likewise, when they are too many for an expression.
        shows: Columns whose values make an example; empty for the row's keys.
        proven: Whether it is known to hold without reading a row.
    """

    name: str
    column: str
    text: str
    on_failure: OnFailure
    change: str
    check: pa.Check | None = None
    unique: tuple[str, ...] = ()
    sql: str = ""
    among: tuple[Any, ...] = ()
    shows: tuple[str, ...] = ()
    proven: bool = False

    @property
    def advice(self) -> str:
        """What to do about a breach."""
        return f"Correct the data, or change {self.change}."


@dataclass(frozen=True, slots=True)
class Columns:
    """The table's columns.

    Attributes:
        types: Ibis types by name, in the order of the table.
        stand_ins: What schema and checks call each column, those of the contract that are missing too.
        finite: Columns of floats known to hold no infinite number and none beyond float32.
    """

    types: Mapping[str, dt.DataType]
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    finite: frozenset[str] = frozenset()

    @classmethod
    def of(cls, types: Mapping[str, dt.DataType], contract: ContractConfig, *, finite: Iterable[str] = ()) -> "Columns":
        """Name the stand-ins of the table's and the contract's columns."""
        names = dict.fromkeys([*types, *contract.columns])
        stand_ins = {name: f"c{number}" for number, name in enumerate(names)}
        return cls(types=types, stand_ins=stand_ins, finite=frozenset(finite))

    def kind(self, name: str) -> Kind:
        """What a column contains."""
        return kind_of(self.types[name])


def kind_of(dtype: dt.DataType) -> Kind:
    """The contract's word for an Ibis type; `number` is for floats and decimals, whole numbers are `integer`."""
    kinds: dict[Kind, bool] = {
        "boolean": dtype.is_boolean(),
        "integer": dtype.is_integer(),
        "number": dtype.is_numeric(),
        "text": dtype.is_string(),
        "date": dtype.is_date(),
        "timestamp": dtype.is_timestamp(),
    }
    return next((kind for kind, fits in kinds.items() if fits), "other")


class Promised(ibis_engine.DataType):
    """A pandera type that accepts every Ibis type of one kind: integers of any width, numbers of any sort.

    A date is no timestamp and text is never a number: what a column contains has to be said where it is read.
    """

    kind: ColumnType

    def __init__(self, kind: ColumnType) -> None:
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "type", dt.unknown)

    def check(self, pandera_dtype: Any, data_container: Any = None) -> bool:  # noqa: ARG002, pandera's signature
        """Whether the column's type is of the promised kind."""
        return data_container is not None and fits(kind_of(data_container.type()), self.kind)

    def __str__(self) -> str:
        return str(self.kind)


def fits(found: Kind, promised: ColumnType) -> bool:
    """Whether a column of one kind keeps the promise of another."""
    return found == promised or (promised == "number" and found == "integer")


def row_rules(contract: ContractConfig, columns: Columns) -> list[Rule]:
    """The rules about rows that can be evaluated: of columns that are there and whose type allows it."""
    named = [
        rule
        for name, promise in contract.columns.items()
        if name in columns.types
        for rule in _column_rules(name, promise, columns.kind(name))
    ]
    finite = [
        Rule(
            name=f"{name}.non_finite",
            column=name,
            text="finite numbers within the range of float32",
            on_failure=contract.non_finite,
            change="contract.non_finite",
            check=pa.Check(_within(-FLOAT32_MAX, FLOAT32_MAX), name=f"{name}.non_finite"),
            shows=(name,),
            proven=name in columns.finite,
        )
        for name, dtype in columns.types.items()
        if dtype.is_floating()
    ]
    keys = [
        _key_rule(number, key)
        for number, key in enumerate(contract.unique)
        if all(name in columns.types for name in key.columns)
    ]
    return [*named, *finite, *keys]


def condition_rule(number: int, rule: CheckRule, *, shows: Sequence[str]) -> Rule:
    """The rule of a SQL condition, still without its check."""
    return Rule(
        name=rule.name,
        column="",
        text=" ".join(rule.sql.split()),
        on_failure=rule.on_failure,
        change=f"contract.checks.{number}.sql",
        sql=rule.sql,
        shows=tuple(shows),
    )


def with_check(rule: Rule, column: str) -> Rule:
    """The rule with a check on the boolean column that its condition has become."""
    return replace(rule, check=pa.Check(lambda data: data.table[column], name=rule.name))


def _key_rule(number: int, key: UniqueRule) -> Rule:
    names = ", ".join(key.columns)
    return Rule(
        name=f"unique({names})",
        column=key.columns[0] if len(key.columns) == 1 else "",
        text=f"no two rows with the same {names}",
        on_failure=key.on_failure,
        change=f"contract.unique.{number}",
        unique=tuple(key.columns),
        shows=tuple(key.columns),
    )


def _column_rules(name: str, promise: ColumnRule, kind: Kind) -> Iterator[Rule]:
    for setting, text, condition in _conditions(promise, kind):
        many = setting == "allowed" and len(promise.allowed) > _MOST_LITERALS
        yield Rule(
            name=f"{name}.{setting}",
            column=name,
            text=text,
            on_failure=promise.on_failure,
            change=f"contract.columns.{name}.{setting}",
            check=None if many else pa.Check(condition, name=f"{name}.{setting}", ignore_na=setting != "nullable"),
            among=tuple(_allowed_values(promise, kind)) if many else (),
            shows=() if setting == "nullable" else (name,),
        )
    if promise.unique:
        yield Rule(
            name=f"{name}.unique",
            column=name,
            text="no value twice",
            on_failure=promise.on_failure,
            change=f"contract.columns.{name}.unique",
            unique=(name,),
            shows=(name,),
        )


def _conditions(promise: ColumnRule, kind: Kind) -> Iterator[tuple[str, str, Condition]]:
    """Setting, promise in words, and condition of a column's rules, without those its type does not allow."""
    unfit = {setting for setting, _ in misfits(promise, kind)}
    low, high, pattern = promise.minimum, promise.maximum, promise.pattern
    allowed = _allowed_values(promise, kind)
    offered: list[tuple[str, bool, str, Callable[[], Condition]]] = [
        ("nullable", not promise.nullable, "no missing values", lambda: _present),
        ("minimum", low is not None, f"at least {low:.15g}" if low is not None else "", lambda: _within(low, None)),
        ("maximum", high is not None, f"at most {high:.15g}" if high is not None else "", lambda: _within(None, high)),
        ("allowed", bool(allowed), f"one of {listed(promise.allowed)}", lambda: _one_of(allowed, kind)),
        ("pattern", bool(pattern), f"text that matches {pattern}", lambda: _matches(pattern)),
    ]
    for setting, wanted, text, condition in offered:
        if wanted and setting not in unfit:
            yield setting, text, condition()


def misfits(promise: ColumnRule, kind: Kind) -> list[tuple[str, str]]:
    """Settings that make no sense for a column of this kind, each with what it needs."""
    found: list[tuple[str, str]] = []
    if kind not in ("integer", "number"):
        found += [
            (bound, "a column of numbers") for bound in ("minimum", "maximum") if getattr(promise, bound) is not None
        ]
    if promise.pattern and kind != "text":
        found.append(("pattern", "a column of text"))
    strange = [value for value in promise.allowed if not _typed_values(value, kind)]
    if strange:
        texts: dict[Kind, str] = {"boolean": "true or false", "integer": "numbers", "number": "numbers"}
        wanted = texts.get(kind, "dates as the table spells them, in quotes,")
        found.append(("allowed", f"{wanted} for this column instead of {listed(strange)}"))
    return found


def _allowed_values(promise: ColumnRule, kind: Kind) -> list[Any]:
    return list(dict.fromkeys(meant for value in promise.allowed for meant in _typed_values(value, kind)))


def _typed_values(value: Any, kind: Kind) -> list[Any]:
    """The values of a column of some kind that a value of the configuration means, by how it is spelled; often one.

    YAML takes `true` for a truth value and `1` for a number where a text of the table is meant, and the other way
    round: what is compared is the spelling.
    """
    words = accepted_spellings(value)
    if kind == "boolean":
        return [truth for truth in (True, False) if words & accepted_spellings(truth)]
    if kind in ("integer", "number"):
        return [number for number in map(_number, words) if number is not None] if not isinstance(value, bool) else []
    if kind != "text" and not isinstance(value, str):
        return []
    # The table may write ü as one character or as two.
    return sorted({form for word in words for form in (word, unicodedata.normalize("NFD", word))})


def _number(text: str) -> int | float | None:
    """The finite number that a text spells; None for no number."""
    for convert in (int, float):
        try:
            number = convert(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else None
    return None


def _present(data: IbisData) -> ir.BooleanValue:
    column = data.table[data.key]
    return column.notnull() & ~column.isnan() if column.type().is_floating() else column.notnull()


def _or_nan(column: ir.Column, condition: ir.BooleanValue) -> ir.BooleanValue:
    """The condition for values; NaN is a missing one, in every later stage too, and no rule on values speaks of it."""
    return condition | column.isnan() if column.type().is_floating() else condition


def _within(low: float | None, high: float | None) -> Condition:
    bounds = [
        int(bound) if bound is not None and abs(bound) < _EXACT and bound == int(bound) else bound
        for bound in (low, high)
    ]

    def condition(data: IbisData) -> ir.BooleanValue:
        column = data.table[data.key]
        if bounds[1] is None:
            return _or_nan(column, column >= bounds[0])
        return _or_nan(column, column <= bounds[1] if bounds[0] is None else column.between(*bounds))

    return condition


def _one_of(allowed: Sequence[object], kind: Kind) -> Condition:
    def condition(data: IbisData) -> ir.BooleanValue:
        column = data.table[data.key]
        if kind == "timestamp":  # one with a zone is spelled in UTC, without saying so
            column = column.cast("timestamp")
        plain = column if kind in ("integer", "number", "boolean", "text") else column.cast("string")
        return _or_nan(column, plain.isin(list(allowed)))

    return condition


def _matches(pattern: str) -> Condition:
    # The whole value, and `.` is no line break, whatever the engine's defaults are.
    return lambda data: data.table[data.key].re_search(full_match(pattern))


def full_match(pattern: str) -> str:
    """A regular expression that matches only a whole text."""
    return rf"\A(?-s:{pattern})\z"


def listed(values: Sequence[object], separator: str = ", ") -> str:
    """The first values of a list in a sentence."""
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    return separator.join(map(repr, values[:_LISTED])) + more


def pandera_schema(
    contract: ContractConfig, columns: Columns, rules: Sequence[Rule], *, leave_out: Sequence[str] = ()
) -> pa.DataFrameSchema:
    """The contract as a pandera schema over the stand-in names.

    Args:
        contract: The contract.
        columns: The table's columns.
        rules: Rules about rows; those with a pandera check go in, of one column or of the table.
        leave_out: Columns whose type pandera does not know.
    """
    checks: dict[str, list[pa.Check]] = {}
    for rule in rules:
        if rule.check is not None:
            checks.setdefault(rule.column, []).append(rule.check)
    names = dict.fromkeys([*contract.columns, *(name for name in checks if name)])
    return pa.DataFrameSchema(
        {
            columns.stand_ins[name]: _pandera_column(contract.columns.get(name), checks.get(name, []))
            for name in names
            if name not in leave_out
        },
        checks=checks.get(""),
    )


def _pandera_column(promise: ColumnRule | None, checks: list[pa.Check]) -> pa.Column:
    dtype = Promised(promise.type) if promise and promise.type else None
    # `nullable` is true: missing values are a rule like any other here, counted with the rest.
    return pa.Column(dtype, checks=checks, nullable=True, required=promise.required if promise else False)


def holds(rule: Rule, table: ir.Table, columns: Columns) -> ir.BooleanValue:
    """The pandera check of a rule as an expression: true or null where a row keeps it."""
    assert rule.check is not None  # noqa: S101, uniqueness has no expression
    data = IbisData(table, columns.stand_ins[rule.column] if rule.column else None)
    # `apply` gives the expression alone; calling the check also prepares a table of failures, at 0.2 s each when wide.
    return rule.check.get_backend(table)(rule.check).apply(data)  # type: ignore[no-untyped-call]
