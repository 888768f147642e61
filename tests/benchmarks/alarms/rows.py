"""Rows of a table, as the changes of the benchmark take and give them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Features, and what became true.

    Attributes:
        frame: Numbers as float64 (missing: NaN), categories as texts (missing: None), rows numbered from 0.
        target: Class indices 0 and 1, or numbers, shape (rows,).
    """

    frame: pd.DataFrame
    target: NDArray[Any]

    def __len__(self) -> int:
        return len(self.target)

    def take(self, places: Indices) -> "Rows":
        """The rows at some places, in that order."""
        return Rows(self.frame.iloc[places].reset_index(drop=True), self.target[places])

    def put(self, column: str, values: Any) -> "Rows":
        """The same rows with other values of a column."""
        return Rows(self.frame.assign(**{column: values}), self.target)

    def labelled(self, target: NDArray[Any]) -> "Rows":
        """The same rows with other labels."""
        return Rows(self.frame, target)


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns are changed.

    Attributes:
        first: The number that the model uses most.
        second: The number that it uses most after that.
        unused: A number that it hardly uses.
        category: The category that it uses most.
        other: The category that it uses most after that.
        numbers: All numbers.
    """

    first: str
    second: str
    unused: str
    category: str
    other: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scene:
    """What a change is given: the rows of a window as they would have been, and where to find more like them.

    Attributes:
        rows: The rows of the window.
        pool: Rows of the same distribution, to draw others from.
        columns: Which columns are changed.
        amount: How strong the change is; what it stands for, each kind says.
        place: Which window since the change began, from 0.
        random: For draws.
    """

    rows: Rows
    pool: Rows
    columns: Columns
    amount: float
    place: int
    random: np.random.Generator

    def share(self, share: float) -> Indices:
        """Places of a random share of the rows, ascending."""
        count = round(min(share, 1.0) * len(self.rows))
        return np.sort(self.random.choice(len(self.rows), count, replace=False)).astype(np.int64)

    def numbers(self, column: str) -> Floats:
        """The values of a column of numbers in the window."""
        return np.asarray(self.rows.frame[column], dtype=np.float64)

    def spread(self, column: str) -> float:
        """The standard deviation of a column of numbers, in the pool."""
        return float(np.nanstd(self.pool.frame[column]))

    def changed(self, column: str, values: Floats, places: Indices | None = None) -> Rows:
        """The rows with other numbers, at some places only where these are given."""
        if places is not None:
            values, whole = values[places], self.numbers(column).copy()
            whole[places] = values
            values = whole
        return self.rows.put(column, values)
