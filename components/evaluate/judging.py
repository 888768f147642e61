"""Metrics with their confidence intervals: of the whole test part, of each slice, and of the gaps between slices."""

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from components.evaluate.slices import SliceRows
from components.shared import bootstrap, metrics
from components.shared.bootstrap import Resampled, Sample
from components.shared.config import EvaluationConfig, Metric
from components.shared.evaluation import Gap, Interval, Slice, scores_of
from components.shared.package.scored import Scored


@dataclass(frozen=True, slots=True)
class Judged:
    """Some rows of the test part: each metric's value, and its values on the resamples."""

    rows: SliceRows
    values: dict[Metric, float]
    resampled: Resampled

    def intervals(self, confidence: float) -> dict[Metric, Interval]:
        """Each metric's confidence interval."""
        return {metric: bootstrap.interval(found, confidence) for metric, found in self.resampled.items()}

    def as_slice(self, confidence: float) -> Slice:
        """The slice as the report holds it."""
        return Slice(
            column=self.rows.column,
            value=self.rows.value,
            rows=len(self.rows.rows),
            scores=scores_of(self.values, self.intervals(confidence)),
        )


def judge(scored: Scored, slices: list[SliceRows], settings: EvaluationConfig) -> tuple[Judged, list[Judged]]:
    """Compute all metrics of the whole test part and of slices, on the same resamples.

    Args:
        scored: The scored test part.
        slices: The slices, each large enough to be judged.
        settings: Resamples.

    Returns:
        The whole part, then the slices in their order.
    """
    rows = len(scored.target)
    wanted = [SliceRows("", None, np.arange(rows)), *slices]
    samples = [_sample(scored, item) for item in wanted]
    resampled = bootstrap.resample(samples, rows, settings.resamples)
    whole, *parts = (
        Judged(item, bootstrap.observed(sample, rows), found)
        for item, sample, found in zip(wanted, samples, resampled, strict=True)
    )
    return whole, parts


def _sample(scored: Scored, item: SliceRows) -> Sample:
    task, threshold = scored.schema.task, scored.schema.threshold
    return Sample(task, scored.target, scores=scored.scores, threshold=threshold, rows=item.rows)


def gaps(parts: list[Judged], confidence: float) -> list[Gap]:
    """For each column and metric, how far the best and the worst slice are apart.

    Args:
        parts: The judged slices, those of a column next to one another.
        confidence: Confidence level of the gaps' intervals.
    """
    return [
        _gap(metric, told, confidence)
        for _, members in groupby(parts, key=lambda part: part.rows.column)
        for metric, told in _ranked(list(members))
        if len(told) > 1
    ]


def _ranked(members: list[Judged]) -> list[tuple[Metric, list[Judged]]]:
    """The slices of a column by metric, worst first, without those that cannot tell it."""
    return [
        (
            metric,
            sorted(
                (part for part in members if np.isfinite(part.values[metric])),
                key=lambda part, metric=metric: metrics.gain(metric, part.values[metric], 0.0),  # type: ignore[misc]
            ),
        )
        for metric in members[0].values
    ]


def _gap(metric: Metric, ranked: list[Judged], confidence: float) -> Gap:
    worst, best = ranked[0], ranked[-1]
    sign = metrics.gain(metric, 1.0, 0.0)
    interval: Interval = bootstrap.interval(sign * (best.resampled[metric] - worst.resampled[metric]), confidence)
    return Gap(
        column=best.rows.column,
        metric=metric,
        best=best.rows.value,
        worst=worst.rows.value,
        gap=sign * (best.values[metric] - worst.values[metric]),
        interval=interval,
    )
