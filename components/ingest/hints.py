"""What a person should know of a table's text columns: nearly all numbers or dates, and words taken for no value.

Nothing is changed here. A remark names the column, what was found, and a setting that was tried on the values.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from duckdb import DuckDBPyConnection

from components.ingest.columns import Typed
from components.ingest.values import CODE, ISO_MOMENT, Column, as_tried, value_of
from components.shared.config import NULLS, TableConfig
from components.shared.spelling import Spelling
from components.shared.tables import identifier, literal

_SAMPLE = 2_000  # rows that say whether a column is worth a closer look
_NEARLY = 0.9  # share of values from which a text column is remarked upon
_SUSPECTED = 0.8  # share of the sample, which may be worse than the whole
_FEW = 20  # different values up to which texts of a typed file may be codes or classes
_FEWEST = 10  # values that say something about a column
_MOST_SYMBOLS = 3  # different ones in a column: more are words
_LONGEST_SYMBOL = 5
_LONGEST_NUMBER = 18  # digits of a whole number; longer ones are names
_MOST_WORDS = 5  # different texts that are proposed as nulls
# Of signs that both fit, those between groups of three digits come first: `1,200` is hardly ever 1.2.
_SIGNS = ((".", ""), (".", ","), (",", "."), (",", ""), (".", " "), (",", " "), (".", "'"), (",", "'"))
_AFFIXES = re.compile(r"([^\d.,'’]*?)[+-]?\d(?:[\d.,'’ \u00a0\u202f]*\d)?([^\d]*)")
_DAYS = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y.%m.%d", "%d/%m/%y", "%m/%d/%y",
         "%d.%m.%y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%B %d, %Y", "%Y/%m/%d")  # fmt: skip
_DATED = re.compile(r"\d{1,4}[-/. ]\w{1,9}[-/. ,]+\d{1,4}|[A-Za-z]{3,9}\.? \d{1,2}")
_TIMES = ("", " %H:%M:%S", " %H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %H:%M:%S.%f")


@dataclass(frozen=True, slots=True)
class Remark:
    """A sentence about a column; without a name it is about the table."""

    column: str
    text: str


def remarks(connection: DuckDBPyConnection, typed: Typed, *, table: TableConfig) -> list[Remark]:
    """What there is to say of a table's text columns.

    Args:
        connection: The engine.
        typed: The columns.
        table: How the table is read.
    """
    if not table.infer_types or not typed.texts:
        return []
    selected = ", ".join(map(value_of, typed.texts))
    rows = connection.execute(f"SELECT {selected} FROM {typed.relation} LIMIT {_SAMPLE}").fetchall()
    found = []
    for column, values in zip(typed.texts, zip(*rows, strict=True), strict=bool(rows)):
        if text := _nearly(connection, typed.relation, column, [str(value) for value in values if value is not None]):
            found.append(Remark(column.name, text))
    return [*found, *_taken(connection, typed, table)]


# Nearly all numbers or dates


@dataclass(frozen=True, slots=True)
class _Reading:
    """A way to read a column: as which kind, spelled how, the settings that say so, and a format that fits as well."""

    kind: str
    spelling: Spelling
    settings: dict[str, object]
    other: str = ""


def _nearly(connection: DuckDBPyConnection, relation: str, column: Column, values: Sequence[str]) -> str:
    """What to say of a text column nearly all of whose values are numbers or dates; empty for nothing."""
    is_native = column.guess == "native"
    if len(values) < _FEWEST or (is_native and len(set(values)) <= _FEW):
        return ""
    reading = _best(values, column.spelling)
    if reading is None:
        return ""
    tried = replace(column, guess="text", spelling=reading.spelling)
    value = value_of(column)
    misfit = (
        f"{value} IS NOT NULL AND {as_tried(tried, 'number' if reading.kind == 'numbers' else 'timestamp')} IS NULL"
    )
    total, bad = connection.execute(f"SELECT count({value}), count_if({misfit}) FROM {relation}").fetchone() or (0, 0)
    if not total or (total - bad) / total < _NEARLY:
        return ""
    words = connection.execute(
        f"SELECT {value} AS word, count(*) AS n FROM {relation} WHERE {misfit} GROUP BY word ORDER BY n DESC, word "
        f"LIMIT {_MOST_WORDS + 1}"
    ).fetchall()
    first = connection.execute(f"SELECT {value} FROM {relation} WHERE {misfit} LIMIT 1").fetchone()
    if first and reading.kind == "numbers" and _is_code(first[0]):
        return ""  # such as ZIP codes, most of which begin with another digit than 0
    found = f"the column {column.name!r} is text, though {total - bad:,} of its {total:,} values are {reading.kind}"
    example = next((text for text in values if _fits(text, reading)), values[0])
    how = f" ({example!r})" if reading.settings else ""
    none = f"; the first that is none is {first[0]!r}" if first else ""
    return f"{found}{how}{none}. {_remedy(column, reading, [word for word, _ in words])}"


def _remedy(column: Column, reading: _Reading, words: Sequence[str]) -> str:
    """A setting by which the column is read so, as far as one does it."""
    settings = dict(reading.settings)
    if len(words) > _MOST_WORDS:
        first = "Correct the others in the data or the query"
        return f"{first}, and set {_setting(column, settings)}." if settings else f"{first} (TRY_CAST makes them null)."
    if words:
        settings["nulls"] = [*column.spelling.nulls, *words]
    what = "it is a number" if reading.kind == "numbers" else "it is a date"
    meaning = (
        f" and {' and '.join(map(repr, words))} {'means' if len(words) == 1 else 'mean'} no value" if words else ""
    )
    either = f" (`date_format: {_yaml(reading.other)}` fits as well)" if reading.other else ""
    return f"If {what}{meaning}, set {_setting(column, settings, reading=reading)}{either}."


def _setting(column: Column, settings: dict[str, object], *, reading: _Reading | None = None) -> str:
    """Settings of a table as YAML in one line."""
    name = _yaml(column.name)
    parts = [f"`columns: {{{name}: {{{', '.join(f'{key}: {_yaml(value)}' for key, value in settings.items())}}}}}`"]
    if not settings:
        parts = []
    if column.guess == "native" and reading and "date_format" not in settings:
        parts.append(f"`types: {{{name}: {'number' if reading.kind == 'numbers' else 'timestamp'}}}`")
    return " and ".join(parts)


def _yaml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _best(values: Sequence[str], spelling: Spelling) -> _Reading | None:
    """The reading that fits most values, the present one before others; None when none fits nearly all."""
    counts = Counter(values)
    readings = [*_number_readings(counts, spelling), *_date_readings(counts, spelling)]
    shares = [_share(counts, reading, len(values)) for reading in readings]
    best = max(range(len(readings)), key=lambda place: (shares[place], -place), default=None)
    if best is None or shares[best] < _SUSPECTED:
        return None
    equal = [
        reading
        for reading, share in zip(readings[best + 1 :], shares[best + 1 :], strict=True)
        if share == shares[best]
    ]
    other = next((reading.spelling.date_format for reading in equal if readings[best].kind == "dates"), "")
    return replace(readings[best], other=other)


def _share(counts: Mapping[str, int], reading: _Reading, total: int) -> float:
    """The share of the values that a reading fits; 0 as soon as too few are left for it to matter."""
    fitting = total
    for text, count in counts.items():
        if not _fits(text, reading):
            fitting -= count
            if fitting / total < _SUSPECTED:
                return 0.0
    return fitting / total


def _symbols(values: Mapping[str, int], spelling: Spelling) -> list[str]:
    """The few short texts that stand beside the digits of most values, such as `$`."""
    found: Counter[str] = Counter()
    for value, count in values.items():
        match = _AFFIXES.fullmatch(value)
        if match and match[1][-1:].isalpha():
            return []  # letters right before digits make an identifier, such as p12
        if match:
            found.update(dict.fromkeys({match[1].strip().strip("+-").strip(), match[2].strip()} - {""}, count))
    symbols = sorted(set(found) - set(spelling.symbols))
    is_usual = 2 * sum(found.values()) >= sum(values.values())
    is_few = len(symbols) <= _MOST_SYMBOLS and all(len(symbol) <= _LONGEST_SYMBOL for symbol in symbols)
    return symbols if is_usual and is_few else []


def _number_readings(values: Mapping[str, int], spelling: Spelling) -> Iterator[_Reading]:
    symbols = _symbols(values, spelling)
    yield _Reading("numbers", spelling, {})
    for decimal, thousands in _SIGNS:
        for added in ([], symbols) if symbols else ([],):
            settings: dict[str, object] = {}
            if decimal != spelling.decimal:
                settings["decimal"] = decimal
            if thousands != spelling.thousands:
                settings["thousands"] = thousands
            if added:
                settings["symbols"] = [*spelling.symbols, *added]
            changed = replace(spelling, decimal=decimal, thousands=thousands, symbols=(*spelling.symbols, *added))
            yield _Reading("numbers", changed, settings)


def _date_readings(values: Mapping[str, int], spelling: Spelling) -> Iterator[_Reading]:
    if sum(map(_seems_dated, values)) < _SUSPECTED * len(values):
        return
    yield _Reading("dates", replace(spelling, date_format=""), {"date_format": ""} if spelling.date_format else {})
    has_time = any(":" in value for value in values)
    for day in _DAYS:
        for time in _TIMES[1:] if has_time else _TIMES[:1]:
            date_format = day + time
            if date_format != spelling.date_format:
                yield _Reading("dates", replace(spelling, date_format=date_format), {"date_format": date_format})


def _seems_dated(text: str) -> bool:
    return _DATED.match(text) is not None


def _fits(text: str, reading: _Reading) -> bool:
    if reading.kind == "numbers":
        number = reading.spelling.plain_number(text)
        return number is not None and not _is_code(number)
    if reading.spelling.date_format:
        return reading.spelling.moment(text) is not None
    return ISO_MOMENT.match(text) is not None and not text.startswith("0000")


def _is_code(text: str) -> bool:
    return re.match(CODE, text) is not None or (text.isdigit() and len(text) > _LONGEST_NUMBER)


# Words taken for no value


def _taken(connection: DuckDBPyConnection, typed: Typed, table: TableConfig) -> Iterator[Remark]:
    """A remark for each text column in which words, not empty fields, were taken for no value by default."""
    if table.nulls != list(NULLS):
        return
    silent = {name for name, own in table.columns.items() if own.nulls is not None}
    columns = [column for column in typed.texts if column.name not in silent and column.stored == "VARCHAR"]
    for column in columns:
        words, rows, more = _words(connection, typed, column)
        if words:
            listed = ", ".join(f"{word!r} ({count:,} of {more}{rows:,} rows)" for word, count in words)
            names = [word for word, _ in words]
            setting = f"`columns: {{{_yaml(column.name)}: {{nulls: {_yaml([''])}}}}}`"
            silencing = f"`nulls: {_yaml(['', *names])}`"
            yield Remark(
                column.name,
                f"the text column {column.name!r} holds {listed}, which {'was' if len(words) == 1 else 'were'} taken "
                f"for no value. If it is a value, set {setting}; if it is none, {silencing} there says so.",
            )


def _words(connection: DuckDBPyConnection, typed: Typed, column: Column) -> tuple[list[tuple[str, int]], int, str]:
    """The null spellings that a column contains with their counts, of how many rows, and a word for a sample."""
    spellings = [spelling for spelling in NULLS if spelling]
    if typed.first:
        values = typed.first.get(column.name, ())
        counts = Counter(value for value in values if value in spellings)
        return counts.most_common(), len(values), "the first "
    name = identifier(column.name)
    listed = ", ".join(map(literal, spellings))
    found = connection.execute(
        f"SELECT {name}, count(*) FROM {typed.relation} WHERE {name} IN ({listed}) GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    if not found:
        return [], 0, ""
    (rows,) = connection.execute(f"SELECT count(*) FROM {typed.relation}").fetchone() or (0,)
    return [(str(word), int(count)) for word, count in found], int(rows), ""
