"""One table in place of the configured ones: rows to be predicted, with the columns a request to the endpoint has."""

from components.ingest.query import Window
from components.shared.config import ProblemConfig, SourceConfig, SpellingConfig
from components.shared.sources.table import source_at

NAME = "data"


def one_table(source: SourceConfig, problem: ProblemConfig, place: str, window: Window) -> SourceConfig:
    """The source of a run that names a place for its data.

    How files are written is taken from the configured tables: every spelling of a null, and the delimiter, encoding,
    date format and other signs that all of them share. Texts stay texts, because a few rows would give a column another
    type than the model has learned; the model's schema says what they mean. Only the column that a window goes by is
    typed.

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
        infer_types=False,
        types=dict.fromkeys(times, "timestamp"),
        # Of a column's own spelling the nulls are taken out here, and the rest is read by the model's schema.
        columns={
            name: column if name in times else SpellingConfig(nulls=column.nulls)
            for name, column in own.items()
            if name in times or column.nulls is not None
        },
    )
    return SourceConfig(tables={NAME: table})


def _shared(values: list[str], default: str) -> str:
    return values[0] if len(set(values)) == 1 else default
