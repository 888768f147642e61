"""Which rows break which rules, found by DuckDB within its memory budget.

One aggregate counts the breaches of every rule. Uniqueness needs one grouping a key. Only when something is broken are
the rows looked up: one pass for examples, one that collects the rows to quarantine, over the columns concerned.

Example, with the rules 0, `age.minimum` (0 or more), and 1, `unique(id)`, both of the kind `quarantine`:

    row  id  age       breaches: row, rule       quarantined: row, rule
    0    1   5         1, 0                      1, "age.minimum; unique(id)"
    1    1   -3        1, 1 (from `repeats`)
    2    2   7

Row 0 is the first of its key and stays. The valid rows are those whose bit is 0 in the bit string 010.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from components.shared.config import CheckRule, ContractConfig
from components.shared.errors import DataError
from components.shared.files import replacing
from components.shared.package.schema import FLOAT32_MAX
from components.shared.tables import Engine, identifier, literal, write_sql
from components.validate.contract import Columns, Rule, holds, with_check
from components.validate.expressions import expressions, relation
from components.validate.findings import first_distinct, plain

_RULES_A_PASS = 2000  # beyond it a pass is split by rules: ten thousand columns at once take gigabytes
_BROKEN_A_PASS = 200
_LOOKED_AT = 20  # breaking rows looked at for different examples
_BITMAP_ROWS = 1_000_000_000  # DuckDB's largest bitstring_agg

_FLOATS = ("FLOAT", "DOUBLE")
# Columns whose statistics in the file leave no room for an infinite number or one beyond float32: Parquet's smallest
# and largest values cover every number but NaN, and are missing for what DuckDB cannot vouch for.
_FINITE = f"""SELECT path_in_schema FROM parquet_metadata({{file}}) GROUP BY path_in_schema HAVING bool_and(coalesce(
    greatest(abs(TRY_CAST(stats_min_value AS DOUBLE)), abs(TRY_CAST(stats_max_value AS DOUBLE))) <= {FLOAT32_MAX!r},
    false)) AND bool_and(stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL)"""
T = TypeVar("T")

RAW_ROWS, _CLEAN, _JUDGED = "raw_rows", "clean_rows", "judged_rows"
_REPEATS, _BREACHES, _QUARANTINED = "repeats", "breaches", "quarantined"


@dataclass(frozen=True, slots=True)
class Source:
    """The table under test, open in an engine.

    Attributes:
        backend: The engine.
        path: The Parquet file.
        columns: The table's and the contract's columns.
        row: Name of the row number (from 0, in the file's order) in the views over the table.
    """

    backend: Backend
    path: Path
    columns: Columns
    row: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one pass: rows, breaches by the rule's place in the list, seconds since 1970 of the newest row."""

    rows: int
    breaches: list[int]
    newest: float | None = None


def open_source(engine: Engine, path: Path, contract: ContractConfig) -> Source:
    """Make the views over a Parquet file.

    Raises:
        DataError: The file cannot be read as Parquet.
    """
    backend, file = expressions(engine), literal(str(path))
    # Parquet's statistics leave NaN out; DuckDB concludes from them that there is none, and never looks.
    backend.con.execute("SET disabled_optimizers = 'statistics_propagation'")
    try:
        described = backend.con.execute(f"DESCRIBE SELECT * FROM read_parquet({file})").fetchall()
        finite = backend.con.execute(_FINITE.format(file=file)).fetchall()
    except duckdb.Error as error:
        raise DataError(f"{path} cannot be read as a Parquet table: {first_line(error)}. Run ingest again.") from error
    names = [name for name, *_ in described]
    row = free_name("row_number", names)
    # A column of that name hides DuckDB's own; counting is slower, since it is done by one thread.
    hidden = "file_row_number" in {name.casefold() for name in names}
    number = "row_number() OVER () - 1" if hidden else "file_row_number"
    _view(backend, RAW_ROWS, f"SELECT *, {number} AS {identifier(row)} FROM read_parquet({file})")
    # Only what conditions name: replacing ten thousand columns takes DuckDB minutes.
    conditions = "\n".join(rule.sql for rule in contract.checks)
    floats = [identifier(name) for name, dtype, *_ in described if dtype in _FLOATS and is_named(name, conditions)]
    cleaned = ", ".join(f"CASE WHEN NOT isnan({name}) THEN {name} END AS {name}" for name in floats)
    _view(backend, _CLEAN, f"SELECT *{f' REPLACE ({cleaned})' if cleaned else ''} FROM {RAW_ROWS}")
    types = dict(relation(backend, RAW_ROWS).schema().items())
    types.pop(row)
    columns = Columns.of(types, contract, finite=[name for (name,) in finite])
    return Source(backend=backend, path=path, columns=columns, row=row)


def is_named(name: str, sql: str) -> bool:
    """Whether a condition may mean a column; it does when the name stands in it as a word."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", sql.replace('""', '"'), re.IGNORECASE) is not None


def present(name: str, dtype: dt.DataType) -> str:
    """The SQL condition that a column has a value, which NaN is not."""
    return f"({name} IS NOT NULL AND NOT isnan({name}))" if dtype.is_floating() else f"{name} IS NOT NULL"


def free_name(wanted: str, names: Iterable[str]) -> str:
    """The name, numbered when a column has it already; DuckDB's names ignore case."""
    taken = {name.casefold() for name in names}
    numbered = (f"{wanted}_{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (wanted, *numbered) if name.casefold() not in taken)


def first_line(error: Exception) -> str:
    """The part of a DuckDB message before the excerpt of the query, on one line, without a final full stop."""
    text = str(error).split("\n\nLINE ")[0]
    return " ".join(text.split()).rstrip(".!")


def _view(backend: Backend, name: str, select: str) -> None:
    backend.con.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {select}")


def condition_fault(source: Source, rule: CheckRule) -> str:
    """What is wrong with a SQL condition, found without reading a row; empty when it can be evaluated."""
    # In WHERE, so that DuckDB refuses aggregates; the line breaks end a comment within the condition.
    condition = f"(\n{rule.sql}\n)"
    try:
        ((_, dtype, *_),) = source.backend.con.execute(
            f"DESCRIBE SELECT {condition} AS condition FROM {_CLEAN} WHERE {condition}"
        ).fetchall()
    except (duckdb.Error, ValueError) as error:
        return first_line(error)
    return "" if dtype == "BOOLEAN" else f"a value of type {dtype}"


def row_fault(source: Source, rule: CheckRule) -> str:
    """The error that a SQL condition gives on some row; empty when there is none."""
    try:
        source.backend.con.execute(f"SELECT count_if((\n{rule.sql}\n)) FROM {_CLEAN}").fetchall()
    except duckdb.Error as error:
        return first_line(error)
    return ""


def judged(source: Source, rules: Sequence[Rule]) -> tuple[ir.Table, list[Rule]]:
    """The table as the rules see it: columns by their stand-ins, and each condition in SQL as a boolean column.

    Returns:
        The expression, and the rules, each with its check.
    """
    ready, conditions = [*rules], {}
    for number, rule in enumerate(rules):
        if rule.sql or rule.among:
            name = f"k{number}"
            conditions[name] = rule.sql or _membership(source, rule, f"among_{number}")
            ready[number] = with_check(rule, name)
    # Names in the order of `*`; a select list of ten thousand aliases takes DuckDB seconds at every use.
    columns = ", ".join([*(source.columns.stand_ins[name] for name in source.columns.types), "row", *conditions])
    values = ", ".join(["*", *(f"(\n{sql}\n)" for sql in conditions.values())])
    source.backend.con.execute(f"CREATE OR REPLACE TEMP VIEW {_JUDGED} ({columns}) AS SELECT {values} FROM {_CLEAN}")
    return relation(source.backend, _JUDGED), ready


def _membership(source: Source, rule: Rule, name: str) -> str:
    """The condition that a value is among many, which are put into a table of that name."""
    source.backend.con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT unnest(?) AS value", [[*rule.among]])
    column, dtype = identifier(rule.column), source.columns.types[rule.column]
    value = column if dtype.is_numeric() or dtype.is_string() else f"{column}::VARCHAR"
    missing = f" OR isnan({column})" if dtype.is_floating() else ""
    return f"{value} IN (SELECT value FROM {name}){missing}"


def count_breaches(source: Source, table: ir.Table, rules: Sequence[Rule], *, time_column: str = "") -> Totals:
    """Count the rows that break each rule, in one pass and one grouping a unique key.

    Args:
        source: The open table.
        table: What `judged` gave.
        rules: The rules.
        time_column: Column whose newest value is wanted; empty for none.

    Raises:
        duckdb.Error: A SQL condition fails on a row.
    """
    wanted = {"rows": table.count()}
    if time_column:
        wanted["newest"] = table[source.columns.stand_ins[time_column]].cast("timestamp").max().epoch_seconds()
    by_row = {
        f"b{number}": (~holds(rule, table, source.columns)).sum()
        for number, rule in enumerate(rules)
        if rule.check and not rule.proven
    }
    totals: dict[str, Any] = {}
    for batch in batched({**wanted, **by_row}.items(), _RULES_A_PASS):
        query = source.backend.compile(table.aggregate(**dict(batch)))
        (values,) = source.backend.con.execute(query).fetchall()
        totals.update(zip(dict(batch), values, strict=True))
    repeats = _count_repeats(source, rules)
    by_rule = [repeats.get(number, totals.get(f"b{number}")) for number in range(len(rules))]
    return Totals(rows=totals["rows"], breaches=[int(count or 0) for count in by_rule], newest=totals.get("newest"))


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _count_repeats(source: Source, rules: Sequence[Rule]) -> dict[int, int]:
    """Note every row that repeats the key of an earlier one; keys with a missing part are not compared, as in SQL."""
    con = source.backend.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_REPEATS} (row BIGINT, rule INTEGER)")
    counts = {}
    for number, rule in enumerate(rules):
        if rule.unique:
            con.execute(_repeats_query(rule, number, source.columns))
            ((counts[number],),) = con.execute(f"SELECT count(*) FROM {_REPEATS} WHERE rule = {number}").fetchall()
    return counts


def _repeats_query(rule: Rule, number: int, columns: Columns) -> str:
    names = [columns.stand_ins[name] for name in rule.unique]
    key = ", ".join(names)
    complete = " AND ".join(present(columns.stand_ins[name], columns.types[name]) for name in rule.unique)
    # Grouping by a hash keeps 8 bytes a row in memory however wide the key; what may repeat is then compared exactly.
    return f"""INSERT INTO {_REPEATS}
    WITH twice AS (SELECT hash({key}) AS hashed FROM {_JUDGED} WHERE {complete} GROUP BY hashed HAVING count(*) > 1),
    candidates AS (SELECT row, {key} FROM {_JUDGED} SEMI JOIN twice ON hash({key}) = hashed WHERE {complete})
    SELECT row, {number} FROM candidates QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY row) > 1"""


def find_quarantined(source: Source, table: ir.Table, rules: Sequence[Rule], *, broken: Sequence[int]) -> int:
    """Collect the rows to quarantine in a temporary table, with the names of the rules they break.

    Args:
        source: The open table, its breaches counted.
        table: What `judged` gave.
        rules: The rules.
        broken: Places of the broken rules of the kind `quarantine`.

    Returns:
        The number of rows to quarantine.
    """
    con = source.backend.con
    con.execute(f"CREATE OR REPLACE TEMP TABLE {_BREACHES} (row BIGINT, rule INTEGER)")
    for batch in batched([number for number in broken if not rules[number].unique], _BROKEN_A_PASS):
        flags, names = _flags(source, table, rules, batch)
        found = ", ".join(f"CASE WHEN {name} THEN {number} END" for name, number in zip(names, batch, strict=True))
        con.execute(
            f"INSERT INTO {_BREACHES} SELECT row, rule FROM "
            f"(SELECT row, unnest([{found}]) AS rule FROM ({flags}) WHERE {' OR '.join(names)}) WHERE rule IS NOT NULL"
        )
    con.execute("CREATE OR REPLACE TEMP TABLE rule_names (rule INTEGER, name VARCHAR)")
    for number in broken:
        con.execute("INSERT INTO rule_names VALUES (?, ?)", [number, rules[number].name])
    con.execute(f"INSERT INTO {_BREACHES} SELECT row, rule FROM {_REPEATS} SEMI JOIN rule_names USING (rule)")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {_QUARANTINED} AS SELECT row, string_agg(name, '; ' ORDER BY rule) AS rule "
        f"FROM {_BREACHES} JOIN rule_names USING (rule) GROUP BY row"
    )
    ((count,),) = con.execute(f"SELECT count(*) FROM {_QUARANTINED}").fetchall()
    return int(count)


def _flags(source: Source, table: ir.Table, rules: Sequence[Rule], numbers: Sequence[int]) -> tuple[str, list[str]]:
    """A query for the row numbers with one boolean a rule, true where the row breaks it, and the booleans' names."""
    names = [f"b{number}" for number in numbers]
    flags = {name: ~holds(rules[number], table, source.columns) for name, number in zip(names, numbers, strict=True)}
    return str(source.backend.compile(table.select(row=table.row, **flags))), names


def examples(
    source: Source, table: ir.Table, rules: Sequence[Rule], *, broken: Sequence[int], keys: Sequence[str]
) -> dict[int, list[Any]]:
    """Up to three different values that break each rule, the first in the table's order.

    Args:
        source: The open table, its breaches counted.
        table: What `judged` gave.
        rules: The rules.
        broken: Places of the broken rules.
        keys: Columns that say which row it is, for rules that show no values of their own.

    Returns:
        Examples, as JSON can hold them, by the rule's place.
    """
    known = [name for name in keys if name in source.columns.types]
    found: dict[int, list[Any]] = {}
    for batch in batched(broken, _BROKEN_A_PASS):
        first = _first_rows(source, table, rules, batch)
        shown = {number: [*rules[number].shows] or known for number in batch}
        values = _values(
            source,
            sorted({row for rows in first.values() for row in rows}),
            dict.fromkeys(name for names in shown.values() for name in names),
        )
        for number in batch:
            found[number] = first_distinct([_example(values[row], row, shown[number]) for row in first[number]])
    return found


def _example(values: dict[str, Any], row: int, names: Sequence[str]) -> Any:
    if not names:
        return f"row {row + 1}"
    return values[names[0]] if len(names) == 1 else {name: values[name] for name in names}


def _first_rows(source: Source, table: ir.Table, rules: Sequence[Rule], batch: Sequence[int]) -> dict[int, list[int]]:
    """The first rows that break each rule."""
    con = source.backend.con
    first: dict[int, list[int]] = {}
    if numbers := [number for number in batch if not rules[number].unique]:
        flags, names = _flags(source, table, rules, numbers)
        lists = ", ".join(f"min(row, {_LOOKED_AT}) FILTER (WHERE {name})" for name in names)
        (found,) = con.execute(f"SELECT {lists} FROM ({flags})").fetchall()
        first.update(zip(numbers, found, strict=True))
    found = con.execute(f"SELECT rule, min(row, {_LOOKED_AT}) FROM {_REPEATS} GROUP BY rule").fetchall()
    first.update((rule, rows) for rule, rows in found if rule in batch)
    return first


def _values(source: Source, rows: Sequence[int], names: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Values of some columns in some rows, by row number."""
    wanted = list(names)
    columns = ", ".join(["row", *(source.columns.stand_ins[name] for name in wanted)])
    listed = ", ".join(map(str, rows))
    found = source.backend.con.execute(f"SELECT {columns} FROM {_JUDGED} WHERE row IN ({listed})").fetchall()
    return {row: dict(zip(wanted, map(plain, values), strict=True)) for row, *values in found}


def quarantine_sample(source: Source, names: Sequence[str], *, count: int) -> list[dict[str, Any]]:
    """The first rows quarantined: their rules under the empty name, then the given columns."""
    columns = ", ".join(["rule", *(source.columns.stand_ins[name] for name in names)])
    rows = source.backend.con.execute(
        f"SELECT {columns} FROM {_JUDGED} JOIN {_QUARANTINED} USING (row) ORDER BY row LIMIT {count}"
    ).fetchall()
    return [dict(zip(["", *names], map(plain, row), strict=True)) for row in rows]


def write_valid(source: Source, path: Path, *, rows: int, quarantined: int) -> None:
    """Write the rows that are not quarantined, in the table's order."""
    if not quarantined:
        _copy(source.path, path)
        return
    columns = f"SELECT * EXCLUDE ({identifier(source.row)}) FROM {RAW_ROWS}"
    row = identifier(source.row)
    if rows > _BITMAP_ROWS:
        write_sql(
            source.backend,
            f"{columns} ANTI JOIN {_QUARANTINED} ON {_QUARANTINED}.row = {RAW_ROWS}.{row} ORDER BY {row}",
            path,
        )
        return
    # A join would lose the order of the rows; one bit a row keeps it, and costs no more than any other filter.
    source.backend.con.execute(
        f"SET VARIABLE quarantined = (SELECT bitstring_agg(row, 0, {rows - 1}) FROM {_QUARANTINED})"
    )
    write_sql(source.backend, f"{columns} WHERE get_bit(getvariable('quarantined'), {row}::INTEGER) = 0", path)


def _copy(source: Path, path: Path) -> None:
    with replacing(path) as partial:
        shutil.copyfile(source, partial)


def write_quarantine(source: Source, path: Path, *, quarantined: int) -> str:
    """Write the quarantined rows, in the table's order, with the names of the rules they break.

    Returns:
        The name of the column of rules: `rule`, numbered when the table has a column of that name.
    """
    name = free_name("rule", source.columns.types)
    row = identifier(source.row)
    rows = f"SELECT {RAW_ROWS}.* EXCLUDE ({row}), {{}} AS {identifier(name)} FROM {RAW_ROWS}"
    joined = (
        rows.format(f"{_QUARANTINED}.rule")
        + f" JOIN {_QUARANTINED} ON {_QUARANTINED}.row = {RAW_ROWS}.{row} ORDER BY {RAW_ROWS}.{row}"
    )
    write_sql(source.backend, joined if quarantined else rows.format("''") + " WHERE false", path)
    return name
