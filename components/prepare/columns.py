"""The columns of the table: their kinds, the names the configuration uses, the one type each is brought to."""

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from ibis.backends.duckdb import Backend

from components.shared.config import PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.tables import fetch, fetch_row, identifier, literal

Kind = Literal["integer", "number", "boolean", "text", "timestamp", "unsupported"]
ARRIVAL = "file_row_number"  # what DuckDB calls a row's position in a Parquet file
VIEW = "typed_rows"

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "number"),
    **dict.fromkeys(("VARCHAR", "UUID", "ENUM"), "text"),
    **dict.fromkeys(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), "timestamp"),
    "TIMESTAMP WITH TIME ZONE": "timestamp",
    "BOOLEAN": "boolean",
}
_SHOWN = 30
BATCH = 1_000  # columns aggregated by one query, so that planning it stays cheap
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        name: Its name.
        type: DuckDB's name of its type in the file.
        kind: What it is after `expression`.
        expression: SQL that brings it to the type it has in every part.
        missing: SQL that is true where a value other than null means that there is none; empty when no value does.
    """

    name: str
    type: str
    kind: Kind
    expression: str
    missing: str = ""

    @property
    def is_parsed(self) -> bool:
        """Whether it is text in the file and a timestamp in the parts."""
        return self.kind == "timestamp" and self.type == "VARCHAR"


def read_columns(backend: Backend, source: str, settings: PrepareConfig) -> dict[str, Column]:
    """The columns of a Parquet file by name, in its order.

    Missing is null and nothing else: NaN and empty text become null. Decimals become doubles; dates, times of any
    resolution or zone and the text columns of `settings.dates` become timestamps without zone, in UTC.

    Raises:
        DataError: A column has the reserved name, or a column of `settings.dates` holds no text.
    """
    described = fetch(backend, f"DESCRIBE SELECT * FROM read_parquet({literal(source)})")
    columns = {name: _column(name, type_, settings.dates.get(name)) for name, type_, *_ in described}
    if ARRIVAL in columns:
        raise DataError(
            f"The table has a column named {ARRIVAL!r}, a name the table engine keeps for itself; rename it in the "
            "query."
        )
    return columns


def _column(name: str, type_: str, formats: list[str] | None) -> Column:
    kind = _KINDS.get(type_.split("(", maxsplit=1)[0], "unsupported")
    if type_.endswith("]"):  # a list or an array
        kind = "unsupported"
    if formats is None or kind == "timestamp":
        return Column(name, type_, kind, _expression(identifier(name), type_, kind), _missing(identifier(name), type_))
    if kind != "text":
        raise DataError(
            f"prepare.dates names {name!r}, which is {type_}; only text columns are parsed. Take it out of "
            "prepare.dates."
        )
    return Column(name, type_, "timestamp", f"try_strptime(trim({identifier(name)}), {_list(formats)})::TIMESTAMP")


def _expression(name: str, type_: str, kind: Kind) -> str:
    if type_ == "TIMESTAMP WITH TIME ZONE":
        return f"make_timestamp(epoch_us({name}))"
    wanted = {"timestamp": "TIMESTAMP", "text": "VARCHAR"}.get(kind, type_)
    if type_.startswith("DECIMAL"):
        wanted = "DOUBLE"
    return name if type_ == wanted else f"{name}::{wanted}"


def _missing(name: str, type_: str) -> str:
    if type_ == "VARCHAR":
        return f"{name} = ''"
    # Not isnan: the optimizer answers it from Parquet's statistics, which leave NaN out.
    return f"{name}::VARCHAR = 'nan'" if type_ in ("FLOAT", "DOUBLE") else ""


def _list(texts: list[str]) -> str:
    return "[" + ", ".join(map(literal, texts)) + "]"


def create_view(backend: Backend, source: str, columns: dict[str, Column]) -> None:
    """Create the view `VIEW`: every column in its final type, and `ARRIVAL`."""
    blank = _with_missing(backend, source, list(columns.values()))
    selected = [f"{_filled(column, blank)} AS {identifier(column.name)}" for column in columns.values()]
    fetch(
        backend,
        f"CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {', '.join([*selected, ARRIVAL])} "
        f"FROM read_parquet({literal(source)}, file_row_number = true)",
    )


def _filled(column: Column, blank: set[str]) -> str:
    if column.name in blank:
        return f"CASE WHEN {column.missing} THEN NULL ELSE {column.expression} END"
    return column.expression


def _with_missing(backend: Backend, source: str, columns: list[Column]) -> set[str]:
    """Names of the columns where a value other than null means that there is none; only they need mending."""
    found: set[str] = set()
    fetch(backend, "SET disabled_optimizers = 'statistics_propagation'")  # see `_missing`; here isnan is cheaper
    for batch in batches([column for column in columns if column.missing], BATCH):
        # Not count(*) FILTER: planning that takes time and memory by the square of their number.
        conditions = ", ".join(f"bool_or({_seems_missing(column)})" for column in batch)
        row = fetch_row(backend, f"SELECT {conditions} FROM read_parquet({literal(source)})")
        found.update(column.name for column, is_blank in zip(batch, row, strict=True) if is_blank)
    fetch(backend, "RESET disabled_optimizers")
    return found


def _seems_missing(column: Column) -> str:
    return column.missing if column.type == "VARCHAR" else f"isnan({identifier(column.name)})"


def batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    """Consecutive pieces of a sequence."""
    return (items[start : start + size] for start in range(0, len(items), size))


def check_names(columns: dict[str, Column], problem: ProblemConfig, settings: PrepareConfig) -> None:
    """Refuse names of columns the table does not have.

    Raises:
        DataError: Lists every unknown name with its place in the configuration and the nearest name.
    """
    mistakes = [
        f"  {place}: {name!r}{_nearest(name, columns)}"
        for place, name in _mentions(problem, settings)
        if name not in columns
    ]
    if mistakes:
        raise DataError(
            "\n".join(
                [
                    "The configuration names columns the table does not have:",
                    *mistakes,
                    f"The table has {_some(columns)}.",
                ]
            )
        )


def _mentions(problem: ProblemConfig, settings: PrepareConfig) -> Iterator[tuple[str, str]]:
    """Each place of the configuration that names a column, with the name."""
    yield "problem.target", problem.target
    for place in ("keys", "features", "ignore", "leaks", "categorical"):
        yield from ((f"problem.{place}", name) for name in getattr(problem, place))
    yield from (("prepare.bounds", name) for name in settings.bounds)
    yield from (("prepare.dates", name) for name in settings.dates)
    yield from (
        (place, name)
        for place, name in (("problem.time_column", problem.time_column), ("prepare.split.group", settings.split.group))
        if name
    )


def _nearest(name: str, columns: dict[str, Column]) -> str:
    by_folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f", did you mean {by_folded[near[0]]!r}?" if near else ""


def _some(columns: dict[str, Column]) -> str:
    names = ", ".join(list(columns)[:_SHOWN])
    return names if len(columns) <= _SHOWN else f"{names} and {len(columns) - _SHOWN} more"
