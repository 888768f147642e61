"""One table in place of the configured ones: rows to be predicted, with the columns a request to the endpoint has.

A batch to be predicted comes as a single file, and `source.query` may join tables that do not exist for it. So the
query is left out: the file has to have the columns that the query would have made, those of the model.
"""

from components.ingest.query import Window
from components.shared.config import ProblemConfig, SourceConfig, SpellingConfig
from components.shared.sources.table import source_at
from components.shared.spelling import Spelling

NAME = "data"


def one_table(source: SourceConfig, problem: ProblemConfig, place: str, window: Window) -> SourceConfig:
    """The source of a run that names a place for its data.

    How files are written is taken from the configured tables: every spelling of a null, and the delimiter, encoding,
    date format and other signs that all of them share. Texts stay texts, because a few rows would give a column another
    type than the model has learned; the model's schema and the columns' spellings say what they mean, so that a
    workbook's numbers and times are written by these, too. Only the column that a window goes by is typed.

    Args:
        source: The configured tables.
        problem: Names the time column.
        place: Where the table is.
        window: The run's data window.
    """
    tables = list(source.tables.values())
    own = {name: column for table in tables for name, column in table.columns.items()}
    times = {problem.time_column} if window and problem.time_column else set()
    table = source_at(
        place,
        nulls=list(dict.fromkeys(spelling for table in tables for spelling in table.nulls)),
        delimiter=_shared([table.delimiter for table in tables], ","),
        encoding=_shared([table.encoding for table in tables], "utf-8"),
        escape=_shared([table.escape for table in tables], '"'),
        comment=_shared([table.comment for table in tables], ""),
        longest_line_mb=max(table.longest_line_mb for table in tables),
        date_format=source.date_format,
        decimal=_as_read("", source).decimal,
        infer_types=False,
        types=dict.fromkeys(times, "timestamp"),
        columns={name: column if name in times else _own(name, column.nulls, source) for name, column in own.items()},
    )
    return SourceConfig(tables={NAME: table})


def _as_read(name: str, source: SourceConfig) -> Spelling:
    """How a column is read by the model's schema, as `components.predict` and labels do; one nobody names by ""."""
    return source.spellings([name]).get(name, Spelling())


def _own(name: str, nulls: list[str] | None, source: SourceConfig) -> SpellingConfig:
    """Of a column's own spelling its nulls, which are taken out here, and how cells of a workbook are written."""
    spelling = _as_read(name, source)
    # What counts from 1970 is read as programs write it.
    decimal = "." if spelling.unit else spelling.decimal
    return SpellingConfig.model_validate({"nulls": nulls, "decimal": decimal, "date_format": spelling.date_format})


def _shared(values: list[str], default: str) -> str:
    return values[0] if len(set(values)) == 1 else default
