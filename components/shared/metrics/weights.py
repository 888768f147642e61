"""Weighted sums over rows, once or on many resamples: what every metric is made of.

A bootstrap resample draws whole blocks of rows (days, groups, single rows) with replacement, which only says how often
each block counts. So a metric that is written with the sums below gives its value on the rows themselves, on weighted
rows, and on a thousand resamples at once, from the same lines of code: the last axis of every sum is the resample.

Example: rows 0 and 1 are of block 0, row 2 is of block 1, and a resample drew block 1 twice. `Weights([1, 1, 3],
[0, 0, 1], [[0], [2]]).sum()` is `[0 * (1 + 1) + 2 * 3]`, that is `[6]`.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
T = TypeVar("T")
_DENSE = 6  # sums of a table of so many cells a row cost as much dense as sparse


class Weights:
    """One weighting of rows, or many that differ in how often each block of rows was drawn.

    Attributes:
        rows: How much each row counts, shape (rows,).
        blocks: Which block each row is of, shape (rows,).
        counts: How often each block was drawn, shape (blocks, resamples).
        steps: Most steps that a ranking of the rows is divided into; 0 for one a distinct score.
    """

    def __init__(
        self, rows: ArrayLike, blocks: ArrayLike | None = None, counts: ArrayLike | None = None, *, steps: int = 0
    ) -> None:
        """Keep the weights; without blocks there is one of all rows, drawn once."""
        self.rows: Floats = np.asarray(rows, dtype=np.float64)
        self.blocks: Indices = (
            np.zeros(len(self.rows), dtype=np.int64) if blocks is None else np.asarray(blocks, dtype=np.int64)
        )
        self.counts: Floats = np.ones((1, 1)) if counts is None else np.asarray(counts, dtype=np.float64)
        self.steps = steps
        self._shared: dict[str, tuple[tuple[object, ...], Any]] = {}

    def subset(self, rows: Indices) -> "Weights":
        """The weights of some of the rows, on the same resamples."""
        return Weights(self.rows[rows], self.blocks[rows], self.counts, steps=self.steps)

    def sum(self, values: ArrayLike | None = None) -> Floats:
        """The weighted sum of one value a row (by default 1), shape (resamples,)."""
        of_blocks = np.bincount(self.blocks, self._weighted(values), minlength=len(self.counts))
        return np.asarray(of_blocks @ self.counts, dtype=np.float64)

    # Example: as above, with row 0 in group 0 and the others in group 1: [[0 * 1], [0 * 1 + 2 * 3]], that is [[0],
    # [6]].
    def sums(self, groups: NDArray[np.integer], count: int, values: ArrayLike | None = None) -> Floats:
        """The weighted sum of one value a row, within each group of rows.

        Args:
            groups: Group of each row, from 0, shape (rows,).
            count: Number of groups.
            values: One value a row; by default 1.

        Returns:
            Shape (groups, resamples).
        """
        weighted, blocks = self._weighted(values), len(self.counts)
        if blocks == 1:
            return np.bincount(groups, weighted, minlength=count)[:, None] * self.counts
        if count * blocks <= _DENSE * len(weighted):
            table = np.bincount(groups * blocks + self.blocks, weighted, minlength=count * blocks)
            return np.asarray(table.reshape(count, blocks) @ self.counts, dtype=np.float64)
        from scipy.sparse import csr_array

        some = np.flatnonzero(weighted)
        sparse = csr_array((weighted[some], (groups[some], self.blocks[some])), shape=(count, blocks))
        return np.asarray(sparse @ self.counts, dtype=np.float64)

    def shared(self, name: str, of: tuple[object, ...], make: Callable[[], T]) -> T:
        """A value that several metrics need for the same rows, computed once and kept.

        Args:
            name: Key of the value.
            of: The objects it is made from besides the weights; with other objects it is computed again.
            make: Computes the value.
        """
        kept = self._shared.get(name)
        if kept is None or any(one is not other for one, other in zip(kept[0], of, strict=True)):
            kept = self._shared[name] = (of, make())
        found: T = kept[1]
        return found

    def _weighted(self, values: ArrayLike | None) -> Floats:
        return self.rows if values is None else self.rows * np.asarray(values, dtype=np.float64)
