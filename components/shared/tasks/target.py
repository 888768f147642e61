"""What the target of a kind of problem may be, and how it is read: as numbers or as classes.

Prepare, train and labels read the same target at different times, in a table, in Parquet parts and in what people
report later. They have to agree on what is a class and which index it has. What differs between numbers and classes in
this is said in these two kinds of target.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from components.shared.errors import DataError
from components.shared.names import TaskName
from components.shared.package.schema import FLOAT32_MAX, Schema

if TYPE_CHECKING:  # the configuration loads without them
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from components.shared.tasks.arrays import TargetArray

MOST_CLASSES = 1_000


class Target(ABC):
    """The target's column: its type, its values, and how it is read.

    Attributes:
        kinds: Kinds of column that it may be.
        default_split: How rows are divided where no time orders them.
    """

    kinds: ClassVar[frozenset[str]]
    default_split: ClassVar[Literal["random", "stratified"]]

    @abstractmethod
    def wrong_type(self, name: str, found: str, *, task: TaskName) -> DataError:
        """The error of a column of another kind.

        Args:
            name: The target.
            found: Its type, and where the type alone does not say it, a value that does not fit.
            task: Name of the kind of problem.
        """

    @abstractmethod
    def about_missing(self, name: str) -> str:
        """What to do about rows without a target, in a sentence."""

    @abstractmethod
    def read(self, column: "pa.ChunkedArray", schema: Schema) -> "TargetArray":
        """The values that models learn from and are judged by, shape (rows,).

        Raises:
            DataError: A value is none that the schema knows.
        """

    @abstractmethod
    def check_learnable(self, target: "TargetArray", schema: Schema) -> None:
        """Refuse a training part that no model can learn from.

        Args:
            target: As `read` returns it.
            schema: Its name and classes.

        Raises:
            DataError: All values are the same, or a class has no row.
        """


class Numbers(Target):
    """Numbers, read as float64."""

    kinds = frozenset({"integer", "number"})
    default_split = "random"

    def wrong_type(self, name: str, found: str, *, task: TaskName) -> DataError:
        """Say that numbers are needed."""
        return DataError(
            f"The target {name!r} is {found}; a {task} needs numbers. Convert it in the query, or choose another task."
        )

    def about_missing(self, name: str) -> str:  # noqa: ARG002, the interface
        """Rows without a number are seldom meant."""
        return "Leave them out in the query if that is meant."

    def check_range(self, name: str, low: float, high: float) -> None:
        """Refuse values that the model cannot be given.

        Args:
            name: The target.
            low: Its smallest value.
            high: Its largest value.

        Raises:
            DataError: One of them is infinite, or beyond float32.
        """
        if worst := [value for value in (low, high) if not abs(value) <= FLOAT32_MAX]:
            found = "an infinite value" if math.isinf(worst[0]) else f"{worst[0]:g}, beyond the range of float32"
            raise DataError(
                f"The target {name!r} holds {found}. Let the contract quarantine such rows (contract.non_finite), or "
                "correct them."
            )

    def read(self, column: "pa.ChunkedArray", schema: Schema) -> "NDArray[np.float64]":  # noqa: ARG002
        """The numbers themselves."""
        import numpy as np
        import pyarrow as pa

        return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)

    def check_learnable(self, target: "TargetArray", schema: Schema) -> None:
        """Refuse a constant."""
        if target.min() == target.max():
            raise DataError(f"The target {schema.target!r} is {target[0]} in every row: there is nothing to learn.")


@dataclass(frozen=True)
class Classes(Target):
    """Texts, whole numbers, or true and false; read as class indices in the order of `Schema.classes`.

    Attributes:
        most: How many classes there may be.
        if_more: What to do where there are more: it follows on the count of them.
        has_positive: Whether one of two is the class whose probability is asked for; it is the last one then.
    """

    most: int
    if_more: str
    has_positive: bool

    kinds = frozenset({"integer", "boolean", "text"})
    default_split = "stratified"

    def wrong_type(self, name: str, found: str, *, task: TaskName) -> DataError:  # noqa: ARG002, the interface
        """Say what classes may be."""
        return DataError(
            f"The target {name!r} is {found}; classes are texts, whole numbers or true and false. Make classes of it "
            "in the query, or choose the task `regression`."
        )

    def about_missing(self, name: str) -> str:
        """A class may be spelled as a missing value is."""
        return (
            "If a spelling that is read as missing, such as None or NA, is a class, give the column null spellings of "
            f"its own (source.tables.<table>.columns.{name}.nulls: ['']); otherwise leave these rows out in the query."
        )

    def read(self, column: "pa.ChunkedArray", schema: Schema) -> "NDArray[np.int64]":
        """The index of each row's class."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        codes = pc.index_in(column.cast(pa.string()), pa.array(schema.labels, pa.string()))
        if codes.null_count:
            unknown = column.filter(pc.is_null(codes)).unique().to_pylist()[:5]
            raise DataError(f"The target {schema.target!r} holds {unknown}, none of the classes {schema.classes}.")
        return np.asarray(codes.to_numpy(), dtype=np.int64)

    def check_learnable(self, target: "TargetArray", schema: Schema) -> None:
        """Refuse classes without a row."""
        present = set(target.tolist())
        absent = [label for index, label in enumerate(schema.classes) if index not in present]
        if absent:
            raise DataError(
                f"No training row of {schema.target!r} is of class {', '.join(map(repr, absent))}: a model cannot "
                "learn it. Use more rows, a stratified split, or leave the class out in the query."
            )
