"""`source`: the tables and the query that joins them."""

from collections.abc import Iterable
from typing import Self

from pydantic import Field, model_validator

from components.shared.config.base import Section
from components.shared.sources.table import AnySource
from components.shared.spelling import Spelling


class SourceConfig(Section):
    """Where the data comes from: named tables, joined and filtered by one query."""

    tables: dict[str, AnySource] = Field(min_length=1, description="Tables by the name the query uses.")
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
