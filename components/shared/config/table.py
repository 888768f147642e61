"""How one source table is written: its format, its CSV dialect, and the spellings of its values.

Where a table is and how it is reached is said by the kinds of `components.shared.sources`, which add to this.
"""

from collections.abc import Sequence
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
# Settings that have a meaning for files of these formats alone.
_OF_FORMATS: Sequence[tuple[tuple[str, ...], tuple[str, ...]]] = (
    (("csv",), ("delimiter", "escape", "comment")),
    (("csv", "excel"), ("header", "names", "skip_lines")),
    (("csv", "jsonl"), ("encoding",)),
    (("excel",), ("sheet",)),
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

    path: str = Field(description="Where the table is.")
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
        description="strptime format of date and timestamp columns on reading; empty for ISO 8601, also with / for -. "
        "Cells of a workbook that are times need none.",
    )
    columns: dict[str, SpellingConfig] = Field(
        default={}, description="How single columns are written, by name, where that differs from the table."
    )

    @model_validator(mode="after")
    def _settings_of_the_format(self) -> Self:
        for formats, names in _OF_FORMATS:
            given = [name for name in names if getattr(self, name) != type(self).model_fields[name].default]
            if given and self.format not in ("auto", *formats):
                raise ValueError(
                    f"`{given[0]}` is for {' and '.join(formats)} files, and `format` is {self.format}; leave one out"
                )
        return self

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
