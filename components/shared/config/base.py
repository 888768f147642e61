"""What every section of the configuration is made of: the strict model, and the types that several sections use."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ColumnType = Literal["integer", "number", "text", "boolean", "date", "timestamp"]
OnFailure = Literal["fail", "quarantine"]
Share = Annotated[float, Field(ge=0, le=1)]
Memory = Annotated[str, Field(pattern="^[1-9][0-9]*(Mi|Gi)$")]
ObjectName = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def mebibytes(memory: Memory) -> int:
    """How many MiB a quantity such as `2Gi` is."""
    return int(memory[:-2]) * (1024 if memory.endswith("Gi") else 1)
