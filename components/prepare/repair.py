"""Which rows stay: missing labels, values out of bounds, repeated keys and, on request, equal rows go, counted once.

One scan writes a narrow table, `ROW_INDEX`, with a 64-bit hash of each row; all that follows works on it. A row whose
hash nobody shares has no duplicate. Only the few others are compared value by value, so that two different rows which
happen to have the same hash both stay.

Example, with `keys: [id]` and `duplicate_keys: last`:

| arrival | id | label | moment | reason | fate |
|---|---|---|---|---|---|
| 0 | 7 | 1 | 9:00 | | removed: row 2 has the same key and is later |
| 1 | 8 | null | 9:05 | 0 (no label) | removed under its reason, before keys are looked at |
| 2 | 7 | 0 | 9:10 | | stays |
| 3 | null | 1 | 9:15 | | stays: a key with a missing part identifies nothing |
"""

from collections.abc import Iterable

from pydantic import BaseModel

from components.prepare.columns import ARRIVAL, VIEW, Column
from components.shared.config import Bounds, PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.tables import Engine, fetch, fetch_row, identifier, literal

SURPLUS = "surplus"  # arrivals of the rows to remove
ROW_INDEX = "row_index"  # arrival, shuffle, moment, label, key, lot, reason: one row for each row that stays


class Removed(BaseModel):
    """Rows that were removed, each counted under the first reason that applies."""

    duplicates: int = 0
    without_label: int = 0
    without_time: int = 0
    out_of_bounds: dict[str, int] = {}
    duplicate_keys: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return (
            self.duplicates
            + self.without_label
            + self.without_time
            + sum(self.out_of_bounds.values())
            + self.duplicate_keys
        )

    def text(self, rows: int) -> str:
        """What was removed of so many rows, in words, with the shares; empty when nothing was."""
        counts = {
            "equal to another row": self.duplicates,
            "without a label": self.without_label,
            "without a time": self.without_time,
            "out of bounds": sum(self.out_of_bounds.values()),
            "with a repeated key": self.duplicate_keys,
        }
        return ", ".join(f"{count:,} {what} ({share(count, rows)})" for what, count in counts.items() if count)


def share(count: int, rows: int) -> str:
    """A part of the rows in percent; never 0 % of some."""
    return f"{count / rows:.1%}" if count / rows >= 0.0005 else "<0.1%"


def check_dates(
    backend: Engine, source: str, columns: dict[str, Column], *, dates: dict[str, list[str]]
) -> dict[str, int]:
    """Count the values of each text column that became timestamps.

    Raises:
        DataError: A value fits none of its column's formats.
    """
    parsed = [column for name in dates if (column := columns[name]).is_parsed]
    if not parsed:
        return {}
    counted = fetch_row(backend, f"SELECT {', '.join(map(_date_counts, parsed))} FROM read_parquet({literal(source)})")
    for column, given, failed, example in zip(parsed, counted[::3], counted[1::3], counted[2::3], strict=True):
        if failed:
            formats = ", ".join(map(repr, dates[column.name]))
            raise DataError(
                f"Column {column.name!r}: {failed:,} of {given:,} values are no date in any of the formats {formats}, "
                f"such as {example!r}. Add its format to prepare.dates.{column.name}, or correct the value."
            )
    return {column.name: given for column, given in zip(parsed, counted[::3], strict=True)}


def _date_counts(column: Column) -> str:
    """SQL: how many values there are, how many of them are no dates, and one of these."""
    name = identifier(column.name)
    failed = f"FILTER (trim({name}) <> '' AND {column.expression} IS NULL)"
    return f"count(*) FILTER (trim({name}) <> ''), count(*) {failed}, min({name}) {failed}"


def index_rows(
    backend: Engine,
    columns: dict[str, Column],
    problem: ProblemConfig,
    *,
    settings: PrepareConfig,
    by_time: bool,
) -> None:
    """Scan the view of typed rows once into `ROW_INDEX`.

    Args:
        backend: Where the view is.
        columns: The table's columns.
        problem: Target, time column and keys.
        settings: Bounds, seed and group.
        by_time: Whether rows without a time have to go.
    """
    split = settings.split
    selected = {
        "arrival": f"{ARRIVAL}::BIGINT",
        "shuffle": f"hash(hash({_listed(columns)}), {split.seed})",
        "moment": identifier(problem.time_column) if problem.time_column else "NULL::TIMESTAMP",
        "label": identifier(problem.target),
        "key": _key_hash(problem.keys),
        "lot": f"hash({identifier(split.group)})" if split.group else "0::UBIGINT",
        "reason": _reason(problem, settings.bounds, by_time=by_time),
    }
    listed = ", ".join(f"{expression} AS {name}" for name, expression in selected.items())
    fetch(backend, f"CREATE OR REPLACE TEMP TABLE {ROW_INDEX} AS SELECT {listed} FROM {VIEW}")


def _listed(names: Iterable[str], prefix: str = "") -> str:
    return ", ".join(prefix + identifier(name) for name in names)


def _key_hash(keys: list[str]) -> str:
    """The hash of the key; null when a part of it is missing, for then it identifies nothing."""
    if not keys:
        return "NULL::UBIGINT"
    given = " AND ".join(f"{identifier(key)} IS NOT NULL" for key in keys)
    return f"CASE WHEN {given} THEN hash({_listed(keys)}) END"


def _reason(problem: ProblemConfig, bounds: dict[str, Bounds], *, by_time: bool) -> str:
    """SQL for the number of the first reason to remove a row; null when there is none."""
    conditions = [
        f"{identifier(problem.target)} IS NULL",
        f"{identifier(problem.time_column)} IS NULL" if by_time else "false",
    ]
    conditions += [_outside(name, interval) for name, interval in bounds.items()]
    cases = " ".join(f"WHEN {condition} THEN {number}" for number, condition in enumerate(conditions))
    return f"CASE {cases} END::INTEGER"


def _outside(name: str, interval: Bounds) -> str:
    column = identifier(name)
    below = f"{column} < '{interval.minimum}'::DOUBLE" if interval.minimum is not None else "false"
    above = f"{column} > '{interval.maximum}'::DOUBLE" if interval.maximum is not None else "false"
    return f"({below} OR {above})"


def check_bounds(columns: dict[str, Column], bounds: dict[str, Bounds]) -> None:
    """Refuse bounds on what is no number.

    Raises:
        DataError: Names the column and its type.
    """
    for name in bounds:
        if columns[name].kind not in ("integer", "number"):
            raise DataError(
                f"prepare.bounds names {name!r}, which is {columns[name].type}; only numbers have bounds. Use a check "
                "of the contract."
            )


def remove_rows(
    backend: Engine, columns: dict[str, Column], problem: ProblemConfig, *, settings: PrepareConfig
) -> Removed:
    """Remove from `ROW_INDEX` what does not stay: duplicates, rows without label or time, out of bounds, repeated keys.

    Raises:
        DataError: A key is repeated and `settings.duplicate_keys` is `fail`.
    """
    unique = bool(problem.keys) and _is_unique(backend)  # then no two rows are equal either
    duplicates = _remove_repeated(backend, "shuffle", list(columns)) if settings.drop_duplicates and not unique else 0
    reasons = _remove_by_reason(backend)
    bounds = {name: reasons[number] for number, name in enumerate(settings.bounds, start=2) if number in reasons}
    return Removed(
        duplicates=duplicates,
        without_label=reasons.get(0, 0),
        without_time=reasons.get(1, 0),
        out_of_bounds=bounds,
        duplicate_keys=_resolve_keys(backend, problem.keys, how=settings.duplicate_keys)
        if problem.keys and not unique
        else 0,
    )


def _is_unique(backend: Engine) -> bool:
    """Whether every row has a key that no other row has; by hashes, which can only err towards no."""
    counted = f"SELECT key, count(*) AS n FROM {ROW_INDEX} GROUP BY key"
    return bool(fetch_row(backend, f"SELECT coalesce(bool_and(n = 1 AND key IS NOT NULL), true) FROM ({counted})")[0])


def _remove_by_reason(backend: Engine) -> dict[int, int]:
    counts = fetch(backend, f"SELECT reason, count(*) FROM {ROW_INDEX} WHERE reason IS NOT NULL GROUP BY reason")
    if counts:
        fetch(backend, f"DELETE FROM {ROW_INDEX} WHERE reason IS NOT NULL")
    return dict(counts)


def _resolve_keys(backend: Engine, keys: list[str], *, how: str) -> int:
    if how != "fail":
        return _remove_repeated(backend, "key", keys, latest=how == "last")
    if count := _find_repeated(backend, "key", keys):
        example = fetch_row(
            backend, f"SELECT {_listed(keys)} FROM {VIEW} WHERE {ARRIVAL} = (SELECT min(arrival) FROM {SURPLUS})"
        )
        values = ", ".join(f"{key} = {value}" for key, value in zip(keys, example, strict=True))
        raise DataError(
            f"The key ({', '.join(keys)}) is repeated in {count:,} rows, such as {values}. Correct the table or the "
            "key, or let prepare.duplicate_keys keep the `first` or the `last` row."
        )
    return 0


def _remove_repeated(backend: Engine, hashed: str, names: list[str], *, latest: bool = False) -> int:
    if count := _find_repeated(backend, hashed, names, latest=latest):
        fetch(backend, f"DELETE FROM {ROW_INDEX} WHERE arrival IN (SELECT arrival FROM {SURPLUS})")
    return count


def _find_repeated(backend: Engine, hashed: str, names: list[str], *, latest: bool = False) -> int:
    """Fill `SURPLUS` with all but one of the rows that agree in some columns.

    Args:
        backend: Where `ROW_INDEX` is.
        hashed: Column of `ROW_INDEX` with the hash of these columns.
        names: The columns.
        latest: Whether the last row by time and arrival stays, instead of the first.

    Returns:
        How many there are.
    """
    suspects = _created(
        backend,
        "suspects",
        f"SELECT arrival, moment FROM {ROW_INDEX} SEMI JOIN (SELECT {hashed} FROM {ROW_INDEX} "
        f"WHERE {hashed} IS NOT NULL GROUP BY {hashed} HAVING count(*) > 1) USING ({hashed})",
    )
    if not suspects:
        return 0
    order = "moment DESC NULLS LAST, arrival DESC" if latest else "moment ASC NULLS FIRST, arrival ASC"
    return _created(
        backend,
        SURPLUS,
        f"SELECT arrival FROM (SELECT arrival, row_number() OVER (PARTITION BY {_listed(names, 'rows.')} "
        f"ORDER BY {order}) AS place FROM {VIEW} AS rows JOIN suspects ON rows.{ARRIVAL} = arrival) WHERE place > 1",
    )


def separate_equal_rows(backend: Engine) -> int:
    """Give each row of `ROW_INDEX` that equals another in every column a random order of its own.

    The order of a row is a hash of its values, so equal rows have the same. Those that stay are separate observations:
    left as they are, a random split would put all of them next to each other, and so into one part.

    Returns:
        How many rows equal an earlier one.
    """
    count = _created(
        backend,
        "equals",
        f"SELECT arrival, row_number() OVER (PARTITION BY shuffle ORDER BY arrival) AS place FROM {ROW_INDEX} "
        f"SEMI JOIN (SELECT shuffle FROM {ROW_INDEX} GROUP BY shuffle HAVING count(*) > 1) USING (shuffle) "
        "QUALIFY place > 1",
    )
    if count:
        fetch(
            backend,
            f"UPDATE {ROW_INDEX} SET shuffle = hash(shuffle, equals.place) FROM equals "
            f"WHERE {ROW_INDEX}.arrival = equals.arrival",
        )
    return count


def _created(backend: Engine, name: str, select: str) -> int:
    """Create a temporary table; the answer is its number of rows."""
    (count,) = fetch_row(backend, f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")
    return int(count)
