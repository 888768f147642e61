"""What a model expects and answers: `schema.json`, written by prepare and carried in every model package.

Everything that differs between training and serving comes from two sides reading one column in two ways. So what a
column is was decided once, by prepare, and travels with the model: the preprocessing, the ONNX inputs, the endpoint's
parser, batch prediction, labels and the monitor read it from here. The server reads it too, which is why nothing here
needs pandas or scikit-learn.
"""

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from components.shared.names import TaskName

FILE = "schema.json"
FIXED = "fixed"  # of a threshold that the configuration names
FLOAT32_MAX = 3.4028234663852886e38
FeatureKind = Literal["number", "integer", "boolean", "category", "timestamp"]


def label_name(label: bool | int | str) -> str:
    """A class label as a JSON key, which is how Arrow spells it when cast to text, too."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def unique_name(name: str, taken: Collection[str]) -> str:
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
    zoned: bool | None = Field(
        default=None,
        description="Timestamps only: whether they have a zone (and are in UTC) or are local times without one; None "
        "in packages made before this was recorded, which take both for UTC.",
    )
    cardinality: int = Field(default=0, description="Category only: number of distinct values.")
    categories: list[str] = Field(
        default=[], description="Category only: its values, most frequent first, at most 1,000."
    )

    @property
    def code_width(self) -> int:
        """Digits of the longest code of a category whose values are numbers with leading zeros; 0 for others."""
        return max(map(len, _codes(tuple(self.categories))), default=0)

    @property
    def padded_code(self) -> str:
        """A value with leading zeros, such as `02138`; empty when no value has any."""
        return next((code for code in _codes(tuple(self.categories)) if _is_padded(code)), "")


# Example: `02138` and `10001` are codes, since one of them has a leading zero; of `7` and `12` none has, so there are
# none.
@lru_cache(maxsize=1_000)  # it is asked of each number that a request sends for a category
def _codes(categories: tuple[str, ...]) -> tuple[str, ...]:
    """The values that are digits only, when some of them have leading zeros."""
    codes = tuple(value for value in categories if value.isascii() and value.isdigit())
    return codes if any(map(_is_padded, codes)) else ()


def _is_padded(code: str) -> bool:
    return len(code) > 1 and code[0] == "0"


class Schema(BaseModel):
    """The columns of a prepared table and the classes of its target."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: TaskName
    target: str
    classes: list[bool | int | str] = Field(
        default=[], description="Class labels in the order of the probabilities; the positive one is last when binary."
    )
    features: list[Feature]
    threshold: float = Field(
        default=0.5, description="Binary only: probability from which the positive class is answered."
    )
    threshold_by: str = Field(
        default="",
        description="How the threshold came about: `fixed` by the configuration, chosen by a metric's name or `costs`; "
        "empty where nothing was chosen, as before training.",
    )
    time_column: str = ""
    time_column_zoned: bool | None = Field(
        default=None, description="Whether the time column has a zone; None in packages made before this was recorded."
    )
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
