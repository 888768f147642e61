"""The first lines of a CSV file: what stands above the column names, the names, and some rows.

A wrong guess of the delimiter or of the line of column names still gives a table, and a model of nonsense. So a file
whose first lines do not fit together is refused, with the setting that says how it is meant; only what is certain is
passed over, such as blank lines, Excel's `sep=;` and comments above the names. `csv_files` then loads the file by what
was found here.
"""

import contextlib
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from components.ingest.columns import check_names, distinct_names
from components.ingest.unpack import delimiter_of
from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import TableFile, locate_undecodable

_HEAD_BYTES = 1024 * 1024
_LONGEST_HEAD = 64 * _HEAD_BYTES
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar", ":": "colon"}
_SEP_LINE = re.compile(r'"?sep=(.)"?[;,\t]*', re.IGNORECASE)  # what Excel writes to say the delimiter
_MOST_ABOVE = 20  # lines above the column names that are recognised
_LOOKED_AT = 60  # records that say how many fields a line has


@dataclass(frozen=True, slots=True)
class Head:
    """The first lines of a file.

    Attributes:
        names: The column names.
        rows: Rows of as many fields.
        skip: Lines above the first that counts: those to skip, and blank ones.
        skip_records: The same as the table engine counts: a quoted text that goes on in the next line makes one of two.
        delimiter: The character between two fields.
        warnings: What was changed to read it.
    """

    names: tuple[str, ...]
    rows: list[list[str]]
    skip: int
    skip_records: int
    delimiter: str
    warnings: list[str] = field(default_factory=list)


def read_head(file: TableFile, table: TableConfig) -> Head:
    """The column names of a file and its first rows.

    Raises:
        SourceError: The file is empty, not in its encoding, has a name twice, seems to have another delimiter, or
            lines above its column names.
    """
    lines = io.StringIO(_first_text(file), newline="")
    skip, delimiter = _sep_line(lines, file, table)
    skip = _skip(lines, skip)
    start = lines.tell()
    records = _records(lines, delimiter)
    if not records:
        raise SourceError(f"{file.name} is empty; expected {'column names and rows' if table.header else 'rows'}.")
    if not table.skip_lines and (above := _comments_above([record for record, _ in records])):
        lines.seek(start)
        skip = _skip(lines, skip, records[above - 1][1])
        start = lines.tell()
        records = _records(lines, delimiter)
    fields = [record for record, _ in records]
    _check_delimiter(file, fields, delimiter)
    if table.header and not table.skip_lines:
        _check_above(file, records, skip)
    names, warnings = _names(file, fields[0], table)
    rows = fields[1:] if table.header else fields
    skipped = sum(1 for _ in csv.reader(io.StringIO(lines.getvalue()[:start], newline=""), delimiter=delimiter))
    return Head(tuple(names), [row for row in rows if len(row) == len(names)], skip, skipped, delimiter, warnings)


def _first_text(file: TableFile) -> str:
    """The beginning of a file, in whole lines."""
    size = _HEAD_BYTES
    with file.path.open("rb") as content:
        while True:
            content.seek(0)
            start = content.read(size)
            if not content.read(1) or size > _LONGEST_HEAD:
                return _decoded(file, start)
            if end := max(start.rfind(b"\n"), start.rfind(b"\r")) + 1:
                return _decoded(file, start[:end])
            size *= 4


def _decoded(file: TableFile, start: bytes) -> str:
    try:
        return start.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise locate_undecodable(file, "utf-8") or error from error


def _sep_line(lines: io.StringIO, file: TableFile, table: TableConfig) -> tuple[int, str]:
    """How many lines to skip, and the delimiter: what Excel's first line says, unless the configuration does."""
    delimiter = delimiter_of(file, table)
    marker = _SEP_LINE.fullmatch(lines.readline().rstrip("\r\n"))
    lines.seek(0)
    if marker is None:
        return table.skip_lines, delimiter
    return max(1, table.skip_lines), marker[1] if delimiter == "," else delimiter


def _skip(lines: io.StringIO, skipped: int, more: int | None = None) -> int:
    """Pass the lines to skip and the blank ones below them; the reader wants to know of both.

    Args:
        lines: Read from their position on; from the start when `more` is None.
        skipped: Lines above that position, or those to skip.
        more: Further lines to skip.
    """
    skip = skipped + (more or 0)
    for _ in range(skipped if more is None else more):
        lines.readline()
    position = lines.tell()
    while (line := lines.readline()) and not line.strip("\r\n"):
        skip, position = skip + 1, lines.tell()
    lines.seek(position)
    return skip


def _records(lines: io.StringIO, delimiter: str) -> list[tuple[list[str], int]]:
    """The records from here on, each with the number of lines read when it ends."""
    reader = csv.reader(lines, delimiter=delimiter)
    records: list[tuple[list[str], int]] = []
    with contextlib.suppress(csv.Error):  # an overlong field: the lines before it are enough
        records.extend((record, reader.line_num) for record in reader if record)
    return records


# Example: `# made by x`, `# 2024`, `id,size`, `1,2` have two comments above. `#id,x,y`, `1,2,3` has none: the first
# line has as many fields as those below, and the second holds no names.
def _comments_above(records: Sequence[Sequence[str]]) -> int:
    """How many records from the top on are comments for certain, by their `#` and what stands below."""
    marked = next((place for place, record in enumerate(records) if not record[0].startswith("#")), len(records))
    if not marked or marked == len(records):
        return 0
    width = _usual_width(records[marked:])
    if width > 1 and _are_names(records[marked], records[marked + 1 :]):
        return marked
    # `#id,x,y` may be the line of column names.
    return next((place for place, record in enumerate(records[:marked]) if len(record) == width), marked)


def _usual_width(records: Sequence[Sequence[str]]) -> int:
    return Counter(len(record) for record in records[:_LOOKED_AT]).most_common(1)[0][0]


def _are_names(record: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a record is the line of column names, because no field of it is a number and a column below is."""
    rows = [row for row in below[:_LOOKED_AT] if len(row) == len(record)]
    columns = zip(*rows, strict=True)
    return not any(map(_is_number, record)) and any(all(map(_is_number, column)) for column in columns)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# Example: lines of 1, 1, 3, 3 and 3 fields. From the third on all have three, so two lines of a title stand above the
# column names. Lines of 3, 4, 4 and 4 fields are what R writes: the names of the rows have no column name.
def _check_above(file: TableFile, records: Sequence[tuple[list[str], int]], skip: int) -> None:
    """Refuse lines that stand above the column names: they have other numbers of fields than all lines below."""
    widths = [len(record) for record, _ in records[:_LOOKED_AT]]
    width = widths[-1]
    above = next((place for place in range(len(widths)) if all(found == width for found in widths[place:])), 0)
    if not 0 < above <= _MOST_ABOVE or len(widths) - above < 2 or width < 2 or max(widths[:above]) >= width:
        return
    first = records[0][0]
    if above == 1 and len(first) == width - 1 > 1:
        raise SourceError(
            f"{file.name} has {len(first)} column names, and {width} fields in each line below: R writes row names "
            f"so. Set `header: false`, `skip_lines: {skip + records[0][1]}` and `names: "
            f"[row, {', '.join(first)[:200]}]`."
        )
    lines = skip + records[above - 1][1]
    raise SourceError(
        f"{file.name}: the first {'line holds' if lines == 1 else f'{lines} lines hold'} "
        f"{_counted(max(widths[:above]))} ({','.join(first)[:60]!r}), every line below {_counted(width)}. If the "
        f"column names stand below, set `skip_lines: {lines}`; otherwise correct the first line."
    )


def _counted(fields: int) -> str:
    return "1 field" if fields == 1 else f"{fields} fields"


def _check_delimiter(file: TableFile, records: Sequence[Sequence[str]], current: str) -> None:
    """Refuse a file that is one column now and would be several with another delimiter."""
    if len(records[0]) > 1:
        return
    lines = [current.join(record) for record in records[:20]]
    for delimiter, name in _DELIMITERS.items():
        counts = {len(fields) for fields in csv.reader(lines, delimiter=delimiter)}
        if len(counts) == 1 and (count := counts.pop()) > 1:
            raise SourceError(
                f"{file.name}: read with the delimiter {json.dumps(current)} there is one column, "
                f"{records[0][0][:60]!r}; "
                f"with a {name} there are {count}. Set `delimiter: {json.dumps(delimiter)}`."
            )


def _names(file: TableFile, first: Sequence[str], table: TableConfig) -> tuple[list[str], list[str]]:
    """The column names, and what was changed about them."""
    if table.names:
        if len(table.names) != len(first):
            raise SourceError(
                f"`names` lists {len(table.names)} columns, but {file.name} has {len(first)}: its first line is "
                f"{','.join(first)[:80]!r}."
            )
        check_names(table.names, where="`names`", remedy="Give each column a name of its own.")
        return [*table.names], []
    names = [name if table.header and name else f"column_{position}" for position, name in enumerate([*first], start=1)]
    remedy = (
        f"Rename one in the file, or set `header: false`, `skip_lines: {table.skip_lines + 1}` and list all `names`."
    )
    return distinct_names(names, where=file.name, remedy=remedy)
