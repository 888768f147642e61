"""`source`: the tables and the query that joins them."""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import ColumnType, Section


class TableConfig(Section):
    """One source table."""

    path: str = Field(
        description="Where the table is: a file, a folder, a glob, http(s)://…, s3://bucket/key (globs too), or "
        "package://module/path for a file inside an installed Python package."
    )
    format: Literal["auto", "csv", "parquet", "jsonl"] = Field(
        default="auto",
        description="File format; `auto` goes by the ending: .csv, .tsv, .parquet, .jsonl, .ndjson, also .gz and .zip.",
    )
    delimiter: str = Field(
        default=",", min_length=1, max_length=1, description="CSV only: the character between two fields."
    )
    encoding: str = Field(
        default="utf-8", description="Text encoding of CSV and JSON Lines, such as `utf-8` or `latin-1`."
    )
    header: bool = Field(
        default=True, description="CSV only: whether the first line (after `skip_lines`) holds the column names."
    )
    names: list[str] = Field(default=[], description="CSV only: column names, in order, for a file without a header.")
    skip_lines: int = Field(default=0, ge=0, description="CSV only: lines to skip at the top of each file.")
    nulls: list[str] = Field(
        default=["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"], description="Spellings that mean no value."
    )
    types: dict[str, ColumnType] = Field(
        default={}, description="Types of columns by name; columns not named are typed by what the whole file holds."
    )
    infer_types: bool = Field(
        default=True,
        description="Whether columns that the file gives no type, such as a CSV file's, are typed by their values; "
        "otherwise those not named in `types` stay text.",
    )
    date_format: str = Field(
        default="", description="strptime format of date and timestamp columns on reading; empty for ISO 8601."
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
