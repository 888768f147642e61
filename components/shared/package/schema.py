"""What a model expects and answers: `schema.json`, written by prepare and carried in every model package."""

from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from components.shared.config import Task

FILE = "schema.json"
FLOAT32_MAX = 3.4028234663852886e38
FeatureKind = Literal["number", "integer", "boolean", "category", "timestamp"]


def label_name(label: bool | int | str) -> str:
    """A class label as a JSON key, which is how Arrow spells it when cast to text, too."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def unlike(name: str, taken: Collection[str]) -> str:
    """A name, with as many underscores before it as keep it apart from those that are taken."""
    while name in taken:
        name = f"_{name}"
    return name


class Feature(BaseModel):
    """One input column, as seen in the training part."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: FeatureKind
    nullable: bool = Field(description="Whether values may be missing.")
    minimum: float | None = Field(default=None, description="Smallest value (seconds since 1970 for timestamps).")
    maximum: float | None = Field(default=None, description="Largest value (seconds since 1970 for timestamps).")
    cardinality: int = Field(default=0, description="Category only: number of distinct values.")
    categories: list[str] = Field(
        default=[], description="Category only: its values, most frequent first, at most 1,000."
    )


class Schema(BaseModel):
    """The columns of a prepared table and the classes of its target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Task
    target: str
    classes: list[bool | int | str] = Field(
        default=[], description="Class labels in the order of the probabilities; the positive one is last when binary."
    )
    features: list[Feature]
    threshold: float = Field(
        default=0.5, description="Binary only: probability from which the positive class is answered."
    )
    time_column: str = ""
    group: str = Field(default="", description="Column whose values never stand in two parts of the split.")
    weights: str = Field(default="", description="Column that says how much each row counts; never a feature.")
    keys: list[str] = []

    @property
    def numbers(self) -> list[Feature]:
        """Features in the float32 input: numbers, integers and booleans (0 and 1)."""
        return [feature for feature in self.features if feature.kind in ("number", "integer", "boolean")]

    @property
    def categories(self) -> list[Feature]:
        """Features in the string input."""
        return [feature for feature in self.features if feature.kind == "category"]

    @property
    def timestamps(self) -> list[Feature]:
        """Features in the int64 input: seconds since 1970, UTC."""
        return [feature for feature in self.features if feature.kind == "timestamp"]

    @property
    def columns(self) -> list[str]:
        """Names in the order of the model's inputs: numbers, categories, timestamps."""
        return [feature.name for feature in (*self.numbers, *self.categories, *self.timestamps)]

    @property
    def labels(self) -> list[str]:
        """The classes as texts, in the order of the probabilities."""
        return [label_name(label) for label in self.classes]

    @property
    def identifiers(self) -> list[str]:
        """Columns that tell rows apart: the keys, then the time column, each once."""
        return list(dict.fromkeys([*self.keys, *([self.time_column] if self.time_column else [])]))

    @property
    def extras(self) -> list[str]:
        """Identifiers that are no features: a row may carry them, so that its outcome can be found later."""
        features = set(self.columns)
        return [name for name in self.identifiers if name not in features]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `schema.json` of a folder.

        Raises:
            OSError: There is none.
            pydantic.ValidationError: It is of another format.
        """
        return cls.model_validate_json((folder / FILE).read_bytes())

    def write(self, folder: Path) -> None:
        """Write `schema.json` into a folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
