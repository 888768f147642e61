"""Sheets of Excel's and LibreOffice's files as CSV, which then is typed like any other."""

import csv
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path

from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import TableFile, nearest, place_for

# What `as_csv` writes, whatever the configuration says of CSV files.
DIALECT = {"delimiter": ",", "escape": '"', "comment": ""}


def as_csv(file: TableFile, table: TableConfig, scratch: Path) -> TableFile:
    """One sheet of a workbook as a CSV file in the scratch folder.

    Whole numbers are written without a fraction, since the format knows no others; dates in the table's format, or ISO
    8601; a cell that contains an error of a formula is empty.

    Raises:
        SourceError: It is no workbook, has no such sheet, or the sheet is empty.
    """
    rows = _rows(file, table)
    width = max(map(len, rows))
    is_above = True
    path = place_for(f"{file.path.stem}.csv", scratch)
    with path.open("w", encoding="utf-8", newline="") as content:
        writer = csv.writer(content, lineterminator="\n")
        for row in rows:
            # A title above the table stands in one cell; as one field it differs from the column names.
            is_above = is_above and len(row) <= 1 < width
            writer.writerow([*row, *([] if is_above or not row else [""] * (width - len(row)))])
    return TableFile(file.name, path, file.partitions)


def _rows(file: TableFile, table: TableConfig) -> list[list[str]]:
    """The rows of the sheet as texts, without the empty cells and rows at their ends."""
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
    rows = [_trimmed([_text(cell, table) for cell in row]) for row in cells]
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


def _trimmed(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row.pop()
    return row


def _text(cell: object, table: TableConfig) -> str:
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        text = str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
        return text.replace(".", table.decimal)
    if isinstance(cell, datetime | date):
        return cell.strftime(table.date_format) if table.date_format else cell.isoformat()
    if isinstance(cell, time):
        return cell.isoformat()
    return str(cell.total_seconds()) if isinstance(cell, timedelta) else str(cell)
