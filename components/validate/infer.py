"""A data contract inferred from a table, as YAML with comments, for a person to edit.

Nobody writes a contract for fifty columns from nothing. What one table held is a start, if it is generous: ranges as
seen would break on the first new extreme, and people would switch the checks off. What was seen stands in comments
beside what is promised, so that a person can judge it. It is written once and never again over somebody's edits.
"""

import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ibis.expr.datatypes as dt
import yaml

from components.shared.config import ColumnRule, ContractConfig, ProblemConfig, UniqueRule
from components.shared.errors import ConfigError
from components.shared.formatting import format_count, format_number, format_share
from components.shared.package.schema import FLOAT32_MAX
from components.shared.tables import engine, identifier
from components.shared.tasks import TASKS
from components.validate.contract import Kind, kind_of
from components.validate.rows import RAW_ROWS, Source, batched, open_source, present

_MOST_ALLOWED = 20  # different values up to which they are listed
_FEWEST_REPEATS = 5  # rows that a listed value stands in on average, at least
_COLUMNS_A_PASS = 1000
_HEADER = """\
# A data contract inferred from one table: {rows} rows, {columns} columns.
# It says what that table held. Edit it into what every table has to hold, then put it into the configuration.
# - Ranges reach half the seen span further on both sides; the comments say what was seen.
# - on_failure: fail (the default) ends the run; quarantine moves the bad rows out, up to quarantine_limit.
# - A column not named here may hold anything.
"""


@dataclass(frozen=True, slots=True)
class Observed:
    """What a column held.

    Attributes:
        kind: The contract's word for its type.
        present: Rows with a value; NaN is none.
        minimum: Smallest number within the range of float32.
        maximum: Largest number within the range of float32.
        different: Number of different values, estimated; 0 for columns that are no classes or texts.
        values: All values of a column that contains few.
    """

    kind: Kind
    present: int
    minimum: float | None = None
    maximum: float | None = None
    different: int = 0
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Observations:
    """What a table held: its columns by name, and whether the problem's keys are unique."""

    rows: int
    columns: Mapping[str, Observed]
    keys_unique: bool


def write_contract(table: Path, problem: ProblemConfig, destination: Path) -> None:
    """Write a contract inferred from a table, with what was seen as comments.

    Args:
        table: The ingested table, one Parquet file.
        problem: Roles of the columns.
        destination: The YAML file to write; it must not exist.

    Raises:
        ConfigError: The destination exists or cannot be written.
        DataError: The table cannot be read.
    """
    if destination.exists():  # said before the table is read
        raise ConfigError(_taken(destination))
    observed = observe(table, problem)
    text = to_yaml(contract_from(observed, problem), observed)
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        _write_new(destination, text)
    except OSError as error:
        raise ConfigError(f"{destination} cannot be written: {error.strerror}. Name another file.") from error


def _write_new(path: Path, text: str) -> None:
    """Write a file that does not exist, whole or not at all; mode `x` never replaces one made meanwhile."""
    try:
        file = path.open("x", encoding="utf-8")
    except FileExistsError as error:
        raise ConfigError(_taken(path)) from error
    try:
        with file:
            file.write(text)
    except BaseException:
        path.unlink()
        raise


def _taken(destination: Path) -> str:
    return f"{destination} exists and stays as it is: it may hold your edits. Move it away, or name another file."


def infer_contract(table_path: Path, problem: ProblemConfig) -> ContractConfig:
    """Infer a contract: types, missing values, generous ranges, short lists of texts, unique keys.

    The table itself keeps it, unless more than one in a hundred of its rows contains a number that is not finite.

    Args:
        table_path: The ingested table, one Parquet file.
        problem: Roles of the columns: ignored ones are left out, keys get no range, a class target gets
            its classes.

    Raises:
        DataError: The table cannot be read.
    """
    return contract_from(observe(table_path, problem), problem)


def observe(table: Path, problem: ProblemConfig) -> Observations:
    """Look at every column of a table; see `infer_contract` for arguments and errors."""
    with engine() as backend:
        source = open_source(backend, table, ContractConfig())
        ((rows,),) = backend.con.execute(f"SELECT count(*) FROM {RAW_ROWS}").fetchall()
        classes = problem.target if TASKS[problem.task].has_classes else ""
        columns: dict[str, Observed] = {}
        for names in batched((name for name in source.columns.types if name not in problem.ignore), _COLUMNS_A_PASS):
            columns.update(_observe(source, names, classes=classes))
        return Observations(rows=rows, columns=columns, keys_unique=_unique(source, problem.keys))


def _observe(source: Source, names: Sequence[str], *, classes: str) -> dict[str, Observed]:
    """Look at some columns in one pass, and at the values of those that hold few in another."""
    con = source.backend.con
    parts = [_aggregates(name, source.columns.types[name], count=name == classes) for name in names]
    (found,) = con.execute(f"SELECT {', '.join(parts)} FROM {RAW_ROWS}").fetchall()
    seen = {
        name: Observed(source.columns.kind(name), *figures)
        for name, figures in zip(names, batched(found, 4), strict=True)
    }
    # The count is an estimate, good to some percent: the exact one is that of the values themselves.
    few = [name for name, column in seen.items() if 0 < column.different <= 2 * _MOST_ALLOWED]
    if few:
        lists = ", ".join(f"list_sort(list(DISTINCT {identifier(name)}))" for name in few)
        (values,) = con.execute(f"SELECT {lists} FROM {RAW_ROWS}").fetchall()
        for name, held in zip(few, values, strict=True):
            texts = tuple(value for value in held or [] if value is not None)
            if len(texts) <= _MOST_ALLOWED and seen[name].present >= len(texts) * _FEWEST_REPEATS:
                seen[name] = replace(seen[name], values=texts)
    return seen


def _aggregates(name: str, dtype: dt.DataType, *, count: bool) -> str:
    """Four aggregates: values, smallest and largest number, estimated number of different values."""
    column, kind = identifier(name), kind_of(dtype)
    low = high = "NULL"
    if kind in ("integer", "number"):
        finite = f"CASE WHEN abs({column}::DOUBLE) <= {FLOAT32_MAX!r} THEN {column}::DOUBLE END"
        low, high = f"min({finite})", f"max({finite})"
    different = f"approx_count_distinct({column})" if kind == "text" or (count and kind == "integer") else "0"
    return f"count_if({present(column, dtype)}), {low}, {high}, {different}"


def _unique(source: Source, keys: Sequence[str]) -> bool:
    if not keys or any(name not in source.columns.types for name in keys):
        return False
    key = ", ".join(map(identifier, keys))
    complete = " AND ".join(present(identifier(name), source.columns.types[name]) for name in keys)
    repeated = f"SELECT 1 FROM {RAW_ROWS} WHERE {complete} GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
    return not source.backend.con.execute(repeated).fetchall()


def contract_from(observed: Observations, problem: ProblemConfig) -> ContractConfig:
    """The contract that observations suggest; see `infer_contract`."""
    return ContractConfig(
        columns={
            name: _rule(name, column, observed.rows, problem=problem) for name, column in observed.columns.items()
        },
        unique=[UniqueRule(columns=problem.keys)] if observed.keys_unique else [],
        minimum_rows=max(2, observed.rows // 2),
    )


def _rule(name: str, column: Observed, rows: int, *, problem: ProblemConfig) -> ColumnRule:
    promise: dict[str, Any] = {
        "type": None if column.kind == "other" else column.kind,
        "nullable": column.present < rows,
    }
    if column.values:
        promise |= {"allowed": list(column.values), "on_failure": "fail" if name == problem.target else "quarantine"}
    elif column.minimum is not None and column.maximum is not None and name not in problem.keys:
        low, high = widened_range(column.minimum, column.maximum, whole=column.kind == "integer")
        promise |= {"minimum": low, "maximum": high, "on_failure": "quarantine"}
    return ColumnRule(**promise)


# Example: 2 to 10 becomes 0 to 14, since half the span below is -2, and what was never negative stays so. -5 to 5
# becomes -10 to 10.
def widened_range(low: float, high: float, *, whole: bool = False) -> tuple[float, float]:
    """A range that reaches half the span further on both sides, in round numbers, and keeps its sign."""
    span = high - low or abs(low) or 1.0
    step = max(10.0 ** math.floor(math.log10(span) - 1), sys.float_info.min)  # of the smallest spans it is 0
    step = max(step, 1.0) if whole else step
    wider = _round(math.floor((low - span / 2) / step) * step), _round(math.ceil((high + span / 2) / step) * step)
    # Rounding to short numbers must not cut what was seen.
    return min(low, max(wider[0], 0.0) if low >= 0 else wider[0]), max(
        high, min(wider[1], 0.0) if high <= 0 else wider[1]
    )


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def to_yaml(contract: ContractConfig, observed: Observations | None = None) -> str:
    """Write a contract as YAML with a `contract` key, as in a configuration.

    Args:
        contract: The contract.
        observed: What was seen, for the comments; by default the comments only explain.

    Returns:
        Text that the configuration's model reads back as the same contract.
    """
    lines = ["contract:"]
    lines += [f"  {line}" for line in _table_settings(contract, observed)]
    lines += _entries(
        "columns",
        (f"{_scalar(name)}: {_column(name, rule, observed)}" for name, rule in contract.columns.items()),
        empty="{}",
    )
    lines += _entries("unique", (f"- {_flow(key.model_dump(exclude_defaults=True))}" for key in contract.unique))
    lines += _entries("checks", (f"- {_flow(check.model_dump(exclude_defaults=True))}" for check in contract.checks))
    if not contract.checks:
        lines.append("    # such as: - {name: ends_later, sql: ended >= started, on_failure: quarantine}")
    header = (
        _HEADER.format(rows=format_count(observed.rows), columns=format_count(len(observed.columns)))
        if observed
        else ""
    )
    return header + "\n".join(lines) + "\n"


def _entries(name: str, entries: Iterable[str], *, empty: str = "[]") -> Iterator[str]:
    listed = [f"    {entry}" for entry in entries]
    yield f"  {name}:" if listed else f"  {name}: {empty}"
    yield from listed


def _table_settings(contract: ContractConfig, observed: Observations | None) -> Iterator[str]:
    seen = f"; seen {format_count(observed.rows)}" if observed else ""
    comments = {
        "minimum_rows": f"fewest rows worth learning from{seen}",
        "maximum_age_days": "oldest allowed age of the newest row, in days; null for any",
        "quarantine_limit": "largest share of rows that may be quarantined",
        "non_finite": "rows with an infinite number or one beyond float32: quarantine, or fail",
        "other_columns": "columns not named here: allow, or fail",
    }
    for name, comment in comments.items():
        yield f"{name}: {_scalar(getattr(contract, name))} # {comment}"


def _column(name: str, rule: ColumnRule, observed: Observations | None) -> str:
    settings = rule.model_dump(exclude_defaults=True)
    column = observed.columns.get(name) if observed else None
    if observed is None or column is None:
        return _flow(settings)
    seen = _seen(column, observed.rows)
    return _flow(settings) + (f" # {seen}" if seen else "")


def _seen(column: Observed, rows: int) -> str:
    """What was seen of a column, as a comment."""
    remarks = []
    if column.kind == "other":
        remarks.append("its type is none of the contract's")
    if column.minimum is not None and column.maximum is not None:
        remarks.append(f"seen {format_number(column.minimum, 6)} to {format_number(column.maximum, 6)}")
    elif column.different and not column.values:
        remarks.append(f"about {format_count(column.different)} different values")
    if not column.present:
        remarks.append("no value at all: is the type right?")
    elif column.present < rows:
        remarks.append(f"{format_share(1 - column.present / rows)} missing")
    return "; ".join(remarks)


def _flow(settings: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_value(value)}" for key, value in settings.items()) + "}"


def _value(value: Any) -> str:
    return "[" + ", ".join(map(_scalar, value)) + "]" if isinstance(value, list) else _scalar(value)


def _scalar(value: Any) -> str:
    """A scalar on one line; text in quotes unless it is a plain word that YAML takes for text."""
    if isinstance(value, str):
        if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value) and yaml.safe_load(value) == value:
            return value
        return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=math.inf).strip()
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(yaml.safe_dump(int(value) if whole else value).splitlines()[0])
