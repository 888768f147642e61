"""The columns of the table: their kinds, the names the configuration uses, the one type each is brought to.

The same value comes in several disguises: NaN, empty text and null for none, 1.0 for 1, one ü as two characters. A
model that learned from one does not know the other. So each column has one SQL expression that brings it to its final
form, and everything that follows reads the view made of these. The repairs cost time on every row, so they are put in
only for columns in which there is something to repair.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from components.shared.config import PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.tables import Engine, fetch, fetch_row, identifier, literal

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
_ZONED = "TIMESTAMP WITH TIME ZONE"
_EXACT = 2**53  # up to here whole numbers are themselves as DOUBLE
_WIDE = ("HUGEINT", "UHUGEINT", "DECIMAL")  # which the parts would hold as DOUBLE
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
        zoned: Whether its moments come with a zone; they are in UTC then, and local times otherwise.
    """

    name: str
    type: str
    kind: Kind
    expression: str
    missing: str = ""
    zoned: bool = False

    @property
    def is_parsed(self) -> bool:
        """Whether it is text in the file and a timestamp in the parts."""
        return self.kind == "timestamp" and self.type == "VARCHAR"


def read_columns(
    backend: Engine, source: str, settings: PrepareConfig, *, keys: Collection[str] = ()
) -> dict[str, Column]:
    """The columns of a Parquet file by name, in its order.

    Missing is null and nothing else: NaN and empty text become null. Texts are in Unicode's composed form (NFC).
    Decimals become doubles, and keys of more digits than a double holds become texts; dates, times of any resolution
    or zone and the text columns of `settings.dates` become timestamps without zone: in UTC where they came with one.

    Raises:
        DataError: A column has the reserved name, or a column of `settings.dates` contains no text.
    """
    described = fetch(backend, f"DESCRIBE SELECT * FROM read_parquet({literal(source)})")
    columns = {name: _column(name, type_, settings.dates.get(name)) for name, type_, *_ in described}
    columns |= {name: _as_spelled(column) for name, column in columns.items() if name in keys}
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
        expression, missing = _expression(identifier(name), type_, kind), _missing(identifier(name), type_)
        return Column(name, type_, kind, expression, missing, zoned=type_ == _ZONED)
    if kind != "text":
        raise DataError(
            f"prepare.dates names {name!r}, which is {type_}; only text columns are parsed. Take it out of "
            "prepare.dates."
        )
    expression = f"try_strptime(trim({identifier(name)}), {_list(formats)})::TIMESTAMP"
    return Column(name, type_, "timestamp", expression, zoned=any("%z" in form.lower() for form in formats))


def _as_spelled(column: Column) -> Column:
    """A key whose values have to stay apart, as a text when a double would make one of some of them."""
    if column.type.split("(", maxsplit=1)[0] not in _WIDE:
        return column
    return replace(column, kind="text", expression=f"{identifier(column.name)}::VARCHAR")


# Example: the codes 1.0, 2.0 and NaN become 1, 2 and null, so that the classes are called "1" and "2". With a 1.5 among
# them the column stays as it is.
def whole_by_value(backend: Engine, source: str, columns: dict[str, Column], names: Iterable[str]) -> dict[str, Column]:
    """Columns of numbers that hold whole ones only, as whole numbers: pandas writes 1.0 for 1 beside a missing value.

    Args:
        backend: Any engine.
        source: The Parquet file.
        columns: Its columns by name.
        names: Those to look at: a target of classes, codes.

    Returns:
        All columns.
    """
    numbers = [columns[name] for name in dict.fromkeys(names) if name in columns and columns[name].kind == "number"]
    if not numbers:
        return columns
    conditions = ", ".join(f"bool_and({_is_whole(column)})" for column in numbers)
    row = fetch_row(backend, f"SELECT {conditions} FROM read_parquet({literal(source)})")
    whole = {column.name: _as_whole(column) for column, is_whole in zip(numbers, row, strict=True) if is_whole}
    return columns | whole


def _is_whole(column: Column) -> str:
    name = identifier(column.name)
    return f"({column.missing or 'false'} OR ({name} = trunc({name}) AND abs({name}) <= {_EXACT}))"


def _as_whole(column: Column) -> Column:
    return replace(column, kind="integer", expression=f"{identifier(column.name)}::BIGINT")


def fraction(backend: Engine, source: str, column: Column) -> Any:
    """The first value of a column of numbers, in its order, that is no whole number; None when all are."""
    rows = fetch(
        backend,
        f"SELECT {identifier(column.name)} FROM read_parquet({literal(source)}) WHERE NOT {_is_whole(column)} LIMIT 1",
    )
    return rows[0][0] if rows else None


def _expression(name: str, type_: str, kind: Kind) -> str:
    if type_ == _ZONED:
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


def create_view(backend: Engine, source: str, columns: dict[str, Column]) -> None:
    """Create the view `VIEW`: every column in its final type, and `ARRIVAL`."""
    blank = _with_missing(backend, source, list(columns.values()))
    decomposed = _with_decomposed_letters(backend, source, list(columns.values()))
    composed = [
        replace(column, expression=f"nfc_normalize({column.expression})") if column.name in decomposed else column
        for column in columns.values()
    ]
    selected = [f"{_filled(column, blank)} AS {identifier(column.name)}" for column in composed]
    fetch(
        backend,
        f"CREATE OR REPLACE TEMP VIEW {VIEW} AS SELECT {', '.join([*selected, ARRIVAL])} "
        f"FROM read_parquet({literal(source)}, file_row_number = true)",
    )


def _filled(column: Column, blank: set[str]) -> str:
    if column.name in blank:
        return f"CASE WHEN {column.missing} THEN NULL ELSE {column.expression} END"
    return column.expression


def _with_missing(backend: Engine, source: str, columns: list[Column]) -> set[str]:
    """Names of the columns where a value other than null means that there is none; only they need repair."""
    found: set[str] = set()
    fetch(backend, "SET disabled_optimizers = 'statistics_propagation'")  # see `_missing`; here isnan is cheaper
    for batch in batches([column for column in columns if column.missing], BATCH):
        # Not count(*) FILTER: planning that takes time and memory by the square of their number.
        conditions = ", ".join(f"bool_or({_seems_missing(column)})" for column in batch)
        row = fetch_row(backend, f"SELECT {conditions} FROM read_parquet({literal(source)})")
        found.update(column.name for column, is_blank in zip(batch, row, strict=True) if is_blank)
    fetch(backend, "RESET disabled_optimizers")
    return found


def _with_decomposed_letters(backend: Engine, source: str, columns: list[Column]) -> set[str]:
    """Names of the columns of text where a letter is written as several characters, such as u and two dots for ü."""
    found: set[str] = set()
    texts = [column for column in columns if column.kind == "text" and column.type == "VARCHAR"]
    for batch in batches(texts, BATCH):
        conditions = ", ".join(f"bool_or(nfc_normalize({name}) <> {name})" for name in map(_name, batch))
        row = fetch_row(backend, f"SELECT {conditions} FROM read_parquet({literal(source)})")
        found.update(column.name for column, is_decomposed in zip(batch, row, strict=True) if is_decomposed)
    return found


def _name(column: Column) -> str:
    return identifier(column.name)


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
        for place, name in (
            ("problem.time_column", problem.time_column),
            ("problem.weights", problem.weights),
            ("prepare.split.group", settings.split.group),
        )
        if name
    )


def _nearest(name: str, columns: dict[str, Column]) -> str:
    by_folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return f", did you mean {by_folded[near[0]]!r}?" if near else ""


def _some(columns: dict[str, Column]) -> str:
    names = ", ".join(list(columns)[:_SHOWN])
    return names if len(columns) <= _SHOWN else f"{names} and {len(columns) - _SHOWN} more"
