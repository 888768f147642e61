"""Metrics with their confidence intervals: of rows as a whole, of each slice, and of the gaps between slices.

The resamples are the same for all slices and metrics, so the difference of two slices has an interval of its own, and
not one made of two intervals: what both have in common is not in it. `evaluate` judges the test part by this, and the
monitor the windows of the log, so that their figures can be held against each other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from components.shared import metrics
from components.shared.bootstrap import Draws, Estimate
from components.shared.config import Metric, TaskName
from components.shared.evaluation import Gap, Scores, Slice
from components.shared.metrics import Answers
from components.shared.tasks.arrays import TargetArray


@dataclass(frozen=True, slots=True)
class SliceRows:
    """The rows that share a value of a column; `value` is None for the rows without one."""

    column: str
    value: str | None
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    """Some rows and what was found of each metric."""

    rows: SliceRows
    estimates: dict[Metric, Estimate]

    def scores(self, confidence: float) -> Scores:
        """The metrics as the report has them."""
        return Scores(
            values={metric: found.value for metric, found in self.estimates.items()},
            intervals={metric: found.interval(confidence) for metric, found in self.estimates.items()},
            blocks=next(iter(self.estimates.values())).blocks,
        )

    def as_slice(self, confidence: float) -> Slice:
        """The slice as the report has it."""
        return Slice(
            column=self.rows.column, value=self.rows.value, rows=len(self.rows.rows), scores=self.scores(confidence)
        )


def judge(
    task: TaskName,
    target: TargetArray,
    answers: Answers,
    slices: list[SliceRows],
    draws: Draws,
    *,
    only: Collection[Metric] | None = None,
) -> tuple[Judged, list[Judged]]:
    """Compute metrics of rows and of slices of them, on the same resamples.

    Args:
        task: Decides which metrics there are.
        target: Class indices or values, shape (rows,).
        answers: The model's answers to them.
        slices: The slices, each large enough to be judged.
        draws: Resamples of the rows.
        only: The metrics wanted; by default all of the task.

    Returns:
        All rows, then the slices in their order.
    """
    whole = Judged(SliceRows("", None, np.arange(len(target))), draws.estimates(task, target, answers, only=only))
    return whole, [Judged(item, draws.estimates(task, target, answers, rows=item.rows, only=only)) for item in slices]


def gaps(parts: list[Judged], confidence: float) -> list[Gap]:
    """For each column and metric, how far the best and the worst slice are apart.

    Args:
        parts: The judged slices, those of a column next to one another.
        confidence: Confidence level of the gaps' intervals.
    """
    return [
        _gap(metric, ranked, confidence)
        for _, members in groupby(parts, key=lambda part: part.rows.column)
        for metric, ranked in _ranked(list(members))
        if len(ranked) > 1
    ]


def _ranked(members: list[Judged]) -> list[tuple[Metric, list[Judged]]]:
    """The slices of a column by metric, worst first, without those that cannot tell it."""
    return [
        (
            metric,
            sorted(
                (part for part in members if np.isfinite(part.estimates[metric].value)),
                key=lambda part, metric=metric: metrics.gain(metric, part.estimates[metric].value, 0.0),  # type: ignore[misc]
            ),
        )
        for metric in members[0].estimates
    ]


def _gap(metric: Metric, ranked: list[Judged], confidence: float) -> Gap:
    worst, best = ranked[0], ranked[-1]
    found = (best.estimates[metric] - worst.estimates[metric]).times(metrics.gain(metric, 1.0, 0.0))
    return Gap(
        column=best.rows.column,
        metric=metric,
        best=best.rows.value,
        worst=worst.rows.value,
        gap=found.value,
        interval=found.interval(confidence),
        blocks=found.blocks,
        compared=len(ranked) * (len(ranked) - 1) // 2,
    )
