"""Confidence intervals of metrics by a bootstrap (Efron, 1979) of blocks of rows: days, groups, or single rows.

Rows next to each other in time, or of the same group, are alike, so that a thousand of them say less than a thousand
independent rows. A resample therefore draws whole blocks with replacement (Davison and Hinkley, 1997, section 3.8), and
of periods of time, which are like their neighbours, some in a row (Künsch, 1989), the first following the last (Politis
and Romano, 1992); `components.shared.blocks` finds them. Each metric is asked once for its value on all resamples
(`metrics.Weights`). More than `MOST_BLOCKS` blocks are first put together at random into as many bundles: sums of
bundles of independent blocks vary as the blocks do (random groups; Wolter, 2007, chapter 2).

Percentile intervals of few blocks are too narrow. They are taken at tails widened as Student's t asks for (expanded
percentiles; Hesterberg, 2015, section 5.3), with as many degrees of freedom as the blocks that count are worth.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.shared.config import Metric as MetricName
from components.shared.config import TaskName
from components.shared.metrics import TABLE, Answers, Weights
from components.shared.metrics.weights import Floats, Indices
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray

MOST_BLOCKS = 1_000
FEWEST_BLOCKS = 8  # fewer are no base for an interval
STEPS = 400  # of a ranking, on resamples


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric's value, or a difference of two, and what it was on the resamples.

    Attributes:
        value: On the rows themselves.
        resampled: On each resample, shape (resamples,); NaN where it could not tell.
        blocks: How many equal and independent blocks the rows are worth.
    """

    value: float
    resampled: Floats
    blocks: float

    def __sub__(self, other: "Estimate") -> "Estimate":
        """The difference, resample by resample: paired where both are of the same draws."""
        return Estimate(self.value - other.value, self.resampled - other.resampled, min(self.blocks, other.blocks))

    def times(self, factor: float) -> "Estimate":
        """The estimate in another unit, or with a negative factor in the other direction."""
        return Estimate(self.value * factor, self.resampled * factor, self.blocks)

    def plus(self, constant: float) -> "Estimate":
        """The estimate shifted by what is not estimated."""
        return Estimate(self.value + constant, self.resampled + constant, self.blocks)

    def interval(self, confidence: float) -> tuple[float, float] | None:
        """Confidence interval at a level such as 0.95; None when fewer than half of the resamples could tell."""
        finite = self.resampled[np.isfinite(self.resampled)]
        if len(finite) * 2 < len(self.resampled) or not len(finite):
            return None
        tail = _tail(confidence, self.blocks)
        low, high = np.quantile(finite, [tail, 1 - tail])
        return float(low), float(high)


def _tail(confidence: float, blocks: float) -> float:
    """The share of resamples beyond each end of an interval."""
    from scipy.stats import norm

    return float(norm.cdf(-_reach(confidence, blocks)))


def _reach(confidence: float, blocks: float) -> float:
    """How many bootstrap standard errors each end is from the value, were the resamples normal.

    Example: at 95 % a normal distribution reaches 1.96 of them. With 10 blocks it is Student's t of 9 degrees of
    freedom, 2.26, times √(10/9): 2.38. `_tail` then cuts 0.86 % of the resamples off at each end instead of 2.5 %.
    """
    from scipy.stats import norm, t

    if math.isinf(blocks):
        return float(norm.ppf((1 + confidence) / 2))
    blocks = max(blocks, 2.0)
    # The second factor: a bootstrap's variance is that of a sample of n, which is n / (n - 1) times too small.
    return float(t.ppf((1 + confidence) / 2, blocks - 1) * math.sqrt(blocks / (blocks - 1)))


def simultaneous(
    value: float, interval: tuple[float, float], *, confidence: float, comparisons: int, blocks: float | None
) -> tuple[float, float]:
    """Widen an interval so that many of them hold at once with the confidence of one (Bonferroni; Dunn, 1961).

    Each is taken at the level 1 - (1 - confidence) / comparisons. Its tail is beyond what a thousand resamples show, so
    both arms of the interval grow as Student's t does between the two levels.

    Args:
        value: The estimate.
        interval: Its own interval.
        confidence: Confidence level of the interval, and of all together.
        comparisons: How many intervals are looked at.
        blocks: How many blocks it rests on; None where that is not known.
    """
    rest = math.inf if blocks is None else blocks
    growth = _reach(1 - (1 - confidence) / max(1, comparisons), rest) / _reach(confidence, rest)
    return value - (value - interval[0]) * growth, value + (interval[1] - value) * growth


class Draws:
    """Resamples of a table's rows, the same for every metric and slice, so that differences are paired."""

    def __init__(
        self,
        blocks: Indices,
        resamples: int,
        *,
        run_length: int = 1,
        weights: NDArray[np.float64] | None = None,
        seed: int = 0,
    ) -> None:
        """Draw.

        Args:
            blocks: The block that each row is of, from 0, shape (rows,).
            resamples: How many.
            run_length: How many blocks in a row are drawn at once.
            weights: How much each row counts; by default all the same.
            seed: The same seed gives the same resamples.
        """
        generator = np.random.default_rng(seed)
        self._rows = np.ones(len(blocks)) if weights is None else weights
        self._run_length = run_length if blocks.max(initial=-1) < MOST_BLOCKS else 1  # bundles are in no order
        drawn = _drawn(blocks, resamples, generator, run_length=self._run_length)
        self.weights = Weights(self._rows, *drawn, steps=STEPS)
        # Slices within few blocks are resampled by row instead; drawn only when there are any.
        self._by_row: Weights | None = None
        self._resamples, self._generator = resamples, generator

    def estimates(
        self,
        task: TaskName,
        target: TargetArray,
        answers: Answers,
        *,
        rows: Indices | None = None,
        only: Collection[MetricName] | None = None,
    ) -> dict[MetricName, Estimate]:
        """Metrics of the table or of some of its rows.

        Args:
            task: Decides which metrics there are.
            target: Class indices or values of all rows.
            answers: The model's answers to all rows.
            rows: Indices of the rows wanted; by default all.
            only: The metrics wanted; by default all of the task.
        """
        weights, run_length = self.weights, self._run_length
        if rows is not None:
            target, answers = target[rows], answers.subset(rows)
            weights, run_length = self._weights_of(rows)
        worth = effective_blocks(weights, run_length)
        names = [name for name in TASKS[task].metrics if only is None or name in only]
        found = {}
        once = Weights(weights.rows)
        for name in names:
            value = float(TABLE[name](target, answers, once)[0])
            resampled = TABLE[name](target, answers, weights)
            # The first resample is the rows themselves: what a ranking in coarse steps is off by, all resamples are.
            # Example: exactly the area is 0.8123, in coarse steps 0.8119. Each resample then gets 0.0004 added.
            coarse = resampled[0] if np.isfinite(resampled[0]) else value
            found[name] = Estimate(value, resampled[1:] + (value - coarse), worth)
        return found

    def _weights_of(self, rows: Indices) -> tuple[Weights, int]:
        weights = self.weights.subset(rows)
        if effective_blocks(weights) >= min(FEWEST_BLOCKS, len(rows)):
            return weights, self._run_length
        if self._by_row is None:
            drawn = _drawn(np.arange(len(self._rows)), self._resamples, self._generator)
            self._by_row = Weights(self._rows, *drawn, steps=STEPS)
        return self._by_row.subset(rows), 1


def _drawn(
    blocks: Indices, resamples: int, generator: np.random.Generator, *, run_length: int = 1
) -> tuple[Indices, Floats]:
    """Blocks, bundled when they are many, and how often each was drawn; the first resample is each of them once.

    Example: 5 blocks, of which 2 in a row are drawn at once. Three runs are enough for 5 blocks. Were the first blocks
    of the runs 1, 3 and 3, the runs would be (1, 2), (3, 4) and (3, 4). Cut to 5 blocks, that is 1, 2, 3, 4, 3, and the
    column of counts is [0, 1, 1, 2, 1]. A run that starts at block 4 continues with block 0.
    """
    count = int(blocks.max(initial=-1)) + 1
    if count > MOST_BLOCKS:
        blocks = generator.permutation(np.arange(count) % MOST_BLOCKS)[blocks]
        count = MOST_BLOCKS
    first = generator.integers(0, count, (-(-count // run_length), 1, resamples))
    drawn = ((first + np.arange(run_length)[:, None]) % count).reshape(-1, resamples)[:count]
    places = drawn * (resamples + 1) + np.arange(1, resamples + 1)
    counts = np.bincount(places.reshape(-1), minlength=count * (resamples + 1)).reshape(count, resamples + 1)
    counts[:, 0] = 1
    return blocks, counts.astype(np.float64)


def effective_blocks(weights: Weights, run_length: int = 1) -> float:
    """How many independent blocks of equal weight the rows' blocks are worth: (Σw)² / Σw² (Kish, 1965).

    Example: three days of 8, 1 and 1 rows are worth 10² / (8² + 1² + 1²) = 1.5 days, not three, because nearly
    everything depends on the first. Three days of equal size are worth three.

    Args:
        weights: The rows' weights and blocks.
        run_length: How many blocks in a row are drawn at once; `w` are then the weights of all such runs, each block
            being in that many of them.
    """
    of_blocks = np.bincount(weights.blocks, weights.rows, minlength=len(weights.counts))
    runs = sum(np.roll(of_blocks, -index) for index in range(run_length))
    squares = float(np.sum(runs**2)) / run_length
    return float(of_blocks.sum() ** 2 / squares) if squares else 0.0
