"""`source`: the tables and the query that joins them.

Tables are named so that one query can join them, and each says how its own files are written. What all of them say
alike is used for files that come later, such as rows to predict and tables of labels; where they differ, nothing is
assumed.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from components.shared.config.base import Section
from components.shared.sources.log import LogSource
from components.shared.sources.table import AnySource
from components.shared.spelling import Spelling


class SourceConfig(Section):
    """Where the data comes from: named tables, joined and filtered by one query."""

    tables: dict[str, AnySource] = Field(min_length=1, description="Tables by the name the query uses.")
    query: str = Field(
        default="", description="One SQL SELECT (DuckDB's dialect) over the tables; empty when there is only one table."
    )

    @model_validator(mode="before")
    @classmethod
    def _log_alone(cls, given: Any) -> Any:
        """Take `source: {kind: log, weeks: 12}` for a source whose only table is the log."""
        is_log = isinstance(given, Mapping) and given.get("kind") == "log" and "tables" not in given
        return {"tables": {"log": given}} if is_log else given

    @model_validator(mode="after")
    def _query_when_several(self) -> Self:
        if not self.query.strip() and len(self.tables) > 1:
            raise ValueError(f"a query is needed to join {len(self.tables)} tables ({', '.join(self.tables)})")
        return self

    @property
    def of_requests(self) -> bool:
        """Whether some rows are requests that an endpoint logged."""
        return any(table.of_requests for table in self.tables.values())

    def of_model(self, name: str) -> Self:
        """The same source, its logs that name no model being those of this one."""
        tables = {
            table: found.of_model(name) if isinstance(found, LogSource) else found
            for table, found in self.tables.items()
        }
        return self.model_copy(update={"tables": tables})

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


class _OrTheLog:
    """For editors: the log alone may stand in the place of the section."""

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        log = handler(LogSource.__pydantic_core_schema__)
        own = {name: log["properties"][name] for name in LogSource.__annotations__ if name in log["properties"]}
        alone = {"type": "object", "additionalProperties": False, "properties": own, "required": ["kind"]}
        return {"anyOf": [handler(core_schema), alone]}


AnySourceConfig = Annotated[SourceConfig, _OrTheLog()]
