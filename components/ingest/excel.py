"""Sheets of Excel's and LibreOffice's files as CSV, which then is typed like any other.

There is one place where texts become types, and a workbook goes through it too: the same table gets the same columns
whether it was saved as .xlsx or as .csv. For that, cells that Excel holds as numbers or dates are written as the column
is spelled (`decimal`, `date_format`), because texts in the same column are written so.
"""

import csv
import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from components.ingest.heads import read_head
from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import TableFile, nearest, place_for
from components.shared.spelling import Spelling

# What `as_csv` writes, whatever the configuration says of CSV files.
DIALECT = {"format": "excel", "delimiter": ",", "escape": '"', "comment": ""}
_LINE_END = re.compile(r"\r\n|\r|\n")
_Row = list[object]


def as_csv(file: TableFile, table: TableConfig, scratch: Path) -> TableFile:
    """One sheet of a workbook as a CSV file in the scratch folder.

    Cells that are numbers or times are written as their column is spelled, since they are read by it beside texts.
    Whole numbers are written without a fraction, since the format knows no others; times that their column's format
    would cut in ISO 8601; a cell that contains an error of a formula is empty.

    Raises:
        SourceError: It is no workbook, has no such sheet, or the sheet is empty.
    """
    rows = _rows(file, table)
    usual = table.spelling("")
    texts = [[_text(cell, usual) for cell in row] for row in rows]
    for row in texts[: table.skip_lines]:  # a title of two lines is one row of the sheet
        row[:] = [_LINE_END.sub(" ", text) for text in row]
    written = TableFile(file.name, place_for(f"{file.path.stem}.csv", scratch), file.partitions)
    _write(written.path, texts)
    if table.columns:
        # Which cells are column names is known once the lines above them are.
        head = read_head(written, table.model_copy(update=DIALECT))
        spellings = [*map(table.spelling, head.names), *[usual] * max(map(len, rows))]
        for place in range(_row_at(texts, line=head.skip) + table.header, len(rows)):
            texts[place] = [_text(*pair) for pair in zip(rows[place], spellings, strict=False)]
        _write(written.path, texts)
    return written


def _write(path: Path, texts: Sequence[list[str]]) -> None:
    width = max(map(len, texts))
    is_above = True
    with path.open("w", encoding="utf-8", newline="") as content:
        writer = csv.writer(content, lineterminator="\n")
        for row in texts:
            # A title above the table stands in one cell; as one field it differs from the column names.
            is_above = is_above and len(row) <= 1 < width
            writer.writerow([*row, *([] if is_above or not row else [""] * (width - len(row)))])


# Example: the first row has a cell with a line break and so takes two lines of the CSV file; line 2 is the row at place
# 1.
def _row_at(texts: Sequence[list[str]], *, line: int) -> int:
    """The first row that begins at a line of the CSV file, counted from 0, or below it."""
    lines = 0
    for place, row in enumerate(texts):
        if lines >= line:
            return place
        lines += 1 + sum(len(_LINE_END.findall(text)) for text in row)
    return len(texts)


def _rows(file: TableFile, table: TableConfig) -> list[_Row]:
    """The rows of the sheet, without the empty cells and rows at their ends."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    try:
        workbook = CalamineWorkbook.from_path(file.path)
        sheet = workbook.get_sheet_by_name(_sheet(file, workbook.sheet_names, table.sheet))
        cells = sheet.to_python(skip_empty_area=False)
    except PasswordError as error:
        raise SourceError(f"{file.name} is protected by a password. Save it without one.") from error
    except (CalamineError, OSError, ValueError) as error:
        raise SourceError(
            f"{file.name} cannot be read as a workbook ({error}). Save it again as .xlsx, or as CSV."
        ) from error
    rows = [_trimmed(row) for row in cells]
    if not any(rows):
        raise SourceError(f"{file.name}: the sheet {sheet.name!r} is empty. Name another by `sheet`.")
    while not rows[-1]:
        rows.pop()
    return rows


def _sheet(file: TableFile, names: Sequence[str], wanted: str) -> str:
    if wanted in names:
        return wanted
    if wanted:
        raise SourceError(
            f"{file.name} has no sheet {wanted!r}; it has {', '.join(map(repr, names))}.{nearest(wanted, names)}"
        )
    if len(names) != 1:
        raise SourceError(
            f"{file.name} has {len(names)} sheets ({', '.join(map(repr, names))}). Name one by `sheet: {names[0]}`."
            if names
            else f"{file.name} has no sheet with cells."
        )
    return names[0]


def _trimmed(row: Sequence[object]) -> _Row:
    end = len(row)
    while end and row[end - 1] == "":
        end -= 1
    return [*row[:end]]


def _text(cell: object, spelling: Spelling) -> str:
    """A cell as its column is spelled."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        return _number(str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell), spelling)
    if isinstance(cell, date):
        return _moment(cell, spelling.date_format)
    if isinstance(cell, time):
        return cell.isoformat()
    return _number(str(cell.total_seconds()), spelling) if isinstance(cell, timedelta) else str(cell)


def _number(text: str, spelling: Spelling) -> str:
    # What counts from 1970 is read as programs write it.
    return text if spelling.unit else text.replace(".", spelling.decimal)


def _moment(cell: date, date_format: str) -> str:
    """A day or a moment in a format; in ISO 8601 where the format would cut it, such as its time of day."""
    if not date_format:
        return cell.isoformat()
    moment = cell if isinstance(cell, datetime) else datetime.combine(cell, time())
    try:
        text = cell.strftime(date_format)
        if datetime.strptime(text, date_format) == moment:
            return text
    except ValueError:  # with a zone, which no cell has
        pass
    return moment.isoformat()
