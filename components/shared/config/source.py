"""`source`: the tables and the query that joins them."""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import ColumnType, Section
from components.shared.spelling import Spelling, Unit

NULLS = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")

_Sign = Annotated[str, Field(max_length=1)]
_DECIMAL = "The decimal sign of numbers that are texts."
_THOUSANDS = "The sign between groups of digits, such as `,`, `.`, a space or `'`; empty for none."
_SYMBOLS = (
    "What may stand before or after a number and is left out when it is read, such as `[$]`, `['%']` or `[kg]`; "
    "`12 %` is then 12."
)


class SpellingConfig(Section):
    """How one column is written, where that differs from the rest of its table."""

    nulls: list[str] | None = Field(
        default=None,
        description="Spellings that mean no value in this column, instead of the table's: `['']` for a class called "
        "None or a country called NA.",
    )
    decimal: Literal[".", ","] | None = Field(default=None, description=_DECIMAL)
    thousands: _Sign | None = Field(default=None, description=_THOUSANDS)
    symbols: list[str] | None = Field(default=None, description=_SYMBOLS)
    date_format: str | None = Field(
        default=None, description="strptime format of dates and timestamps, such as `%d/%m/%Y`; empty for ISO 8601."
    )
    unit: Unit = Field(
        default="", description="For numbers that are times: what they count since the start of 1970 (UTC)."
    )

    @model_validator(mode="after")
    def _one_kind_of_time(self) -> Self:
        if self.unit and self.date_format:
            raise ValueError("`unit` is for numbers that count from 1970, `date_format` for texts; give one of them")
        return self


class TableConfig(Section):
    """One source table."""

    path: str = Field(
        description="Where the table is: a file, a folder, a glob, http(s)://…, s3://bucket/key (globs too), or "
        "package://module/path for a file inside an installed Python package. Folders named key=value below a folder "
        "or glob are columns."
    )
    format: Literal["auto", "csv", "parquet", "jsonl", "excel"] = Field(
        default="auto",
        description="File format; `auto` goes by the ending: .csv, .tsv, .parquet, .jsonl, .ndjson, .xlsx, .xlsm, "
        ".xlsb, .xls, .ods, also packed as .gz, .bz2, .zst or .zip.",
    )
    sheet: str = Field(default="", description="Excel only: the sheet to read; empty for the only one.")
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="CSV only: the character between two fields."
    )
    escape: _Sign = Field(
        default='"',
        min_length=1,
        description="CSV only: what stands before a quote that is meant as a character: a second quote, or `\\`.",
    )
    comment: _Sign = Field(
        default="", description="CSV only: lines that begin with this character are left out; empty for none."
    )
    longest_line_mb: int = Field(
        default=64, ge=1, le=1024, description="CSV only: the longest line that is read, in MiB."
    )
    encoding: str = Field(
        default="utf-8", description="Text encoding of CSV and JSON Lines, such as `utf-8` or `latin-1`."
    )
    header: bool = Field(
        default=True,
        description="CSV and Excel only: whether the first line (after `skip_lines`) holds the column names.",
    )
    names: list[str] = Field(
        default=[], description="CSV and Excel only: column names, in order, for a file without a header."
    )
    skip_lines: int = Field(default=0, ge=0, description="CSV and Excel only: lines to skip at the top of each file.")
    nulls: list[str] = Field(default=list(NULLS), description="Spellings that mean no value.")
    decimal: Literal[".", ","] = Field(default=".", description=_DECIMAL)
    thousands: _Sign = Field(default="", description=_THOUSANDS)
    symbols: list[str] = Field(default=[], description=_SYMBOLS)
    types: dict[str, ColumnType] = Field(
        default={}, description="Types of columns by name; columns not named are typed by what the whole file holds."
    )
    infer_types: bool = Field(
        default=True,
        description="Whether columns that the file gives no type, such as a CSV file's, are typed by their values; "
        "otherwise those not named in `types` stay text.",
    )
    date_format: str = Field(
        default="",
        description="strptime format of date and timestamp columns on reading; empty for ISO 8601, also with / for -.",
    )
    columns: dict[str, SpellingConfig] = Field(
        default={}, description="How single columns are written, by name, where that differs from the table."
    )

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        for place, spelling in {"": self.spelling(""), **{name: self.spelling(name) for name in self.columns}}.items():
            if spelling.decimal == spelling.thousands:
                where = f"columns.{place}: " if place else ""
                raise ValueError(
                    f"{where}`decimal` and `thousands` are both {spelling.decimal!r}; expected two signs, such as "
                    "`decimal: ','` with `thousands: '.'`"
                )
        return self

    def spelling(self, column: str) -> Spelling:
        """How a column is written: as the table, but for what the column's own settings say."""
        own = self.columns.get(column) or SpellingConfig()
        date_format = self.date_format if own.date_format is None else own.date_format
        return Spelling(
            nulls=tuple(self.nulls if own.nulls is None else own.nulls),
            decimal=own.decimal or self.decimal,
            thousands=self.thousands if own.thousands is None else own.thousands,
            symbols=tuple(self.symbols if own.symbols is None else own.symbols),
            date_format="" if own.unit else date_format,
            unit=own.unit,
        )


class SourceConfig(Section):
    """Where the data comes from: named tables, joined and filtered by one query."""

    tables: dict[str, TableConfig] = Field(min_length=1, description="Tables by the name the query uses.")
    query: str = Field(
        default="", description="One SQL SELECT (DuckDB's dialect) over the tables; empty when there is only one table."
    )

    @model_validator(mode="after")
    def _query_when_several(self) -> Self:
        if not self.query.strip() and len(self.tables) > 1:
            raise ValueError(f"a query is needed to join {len(self.tables)} tables ({', '.join(self.tables)})")
        return self

    @property
    def date_format(self) -> str:
        """How dates are written in all tables; empty for ISO 8601, and when the tables differ."""
        formats = {table.date_format for table in self.tables.values()}
        return formats.pop() if len(formats) == 1 else ""

    def spellings(self, columns: Iterable[str]) -> dict[str, Spelling]:
        """How columns are written, where not plainly, as all tables say, or those that name the column."""
        found = {}
        for column in columns:
            tables = [table for table in self.tables.values() if column in table.columns] or [*self.tables.values()]
            said = {table.spelling(column) for table in tables}
            if len(said) == 1 and not (spelling := said.pop()).is_usual:
                found[column] = spelling
        return found
