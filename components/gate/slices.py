"""What has to hold in every slice: floors, and gaps between the slices of a column.

Of many slices some are below a floor by chance alone. So a rule is broken only where the whole confidence interval is
beyond the limit. The intervals are widened for the number of slices, or of pairs of slices, that are compared
(Bonferroni): then the chance of any false alarm is no larger than for a single interval. A slice whose value is beyond
the limit though its interval is not breaks no rule; it is named as one with too few rows to decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from components.gate.verdict import Check
from components.shared.bootstrap import simultaneous
from components.shared.config import Metric, SliceRule
from components.shared.evaluation import Evaluation, Interval, Slice, against_text, limit_text, value_text
from components.shared.formatting import format_count, format_share
from components.shared.metrics import LABELS, TABLE, gain

_LISTED = 5


@dataclass(frozen=True, slots=True)
class _Judged:
    """A slice or a gap: its name, its value, and its interval widened for the number of comparisons (Bonferroni)."""

    where: str
    value: float
    interval: tuple[float, float]

    def text(self, metric: Metric, limit: float) -> str:
        """Such as `colour = b has 0.6 (0.5 to 0.7)`."""
        low, high = (against_text(metric, end, limit) for end in self.interval)
        ends = f" ({low} to {high})" if self.interval[0] < self.interval[1] else ""
        return f"{self.where} {against_text(metric, self.value, limit)}{ends}"


def check_slices(evaluation: Evaluation, rule: SliceRule, metric: Metric) -> Iterator[Check]:
    """Hold the slices against the floor, and the gaps of columns against their limit."""
    metric = rule.metric or metric
    if rule.floor is not None:
        yield _check_floor(evaluation, metric, rule.floor)
    if rule.largest_gap is not None:
        yield _check_gap(evaluation, metric, rule.largest_gap)


def _check_floor(evaluation: Evaluation, metric: Metric, floor: float) -> Check:
    judged = _judged_slices(evaluation, metric)
    word = "above" if TABLE[metric].lower_is_better else "below"
    required = f"{LABELS[metric]} may be in no slice {word} {limit_text(metric, floor)}"
    counts = _slices_left_out_text(evaluation, len(judged))
    if not judged:
        return Check(name="slice_floor", value=None, limit=floor, holds=True, detail=f"{required}: {counts}.")
    judged.sort(key=lambda item: gain(metric, item.value, floor))
    best_end = 0 if TABLE[metric].lower_is_better else 1
    failing = [item for item in judged if gain(metric, item.interval[best_end], floor) < 0]
    unsure = [item for item in judged if gain(metric, item.value, floor) < 0 and item not in failing]
    found = _listed(failing, metric, floor) if failing else f"the worst: {judged[0].text(metric, floor)}"
    found += _unsure(unsure, word)
    detail = f"{required}: {found} ({counts}).{_simultaneous_text(evaluation, len(judged), 'slices')}"
    return Check(
        name="slice_floor",
        value=judged[0].value,
        limit=floor,
        holds=not failing,
        detail=detail,
        unsure=bool(unsure) and not failing,
    )


def _judged_slices(evaluation: Evaluation, metric: Metric) -> list[_Judged]:
    """The slices that have a value of the metric, each with its interval widened for the number of slices."""
    found = [
        (item, item.scores, value)
        for item in evaluation.slices
        if item.scores is not None and (value := item.scores.values.get(metric)) is not None
    ]
    return [
        _Judged(
            f"{_name(item)} has",
            value,
            _widened(value, scores.intervals.get(metric), evaluation, of=len(found), blocks=scores.blocks),
        )
        for item, scores, value in found
    ]


def _name(item: Slice) -> str:
    return f"{item.column} = {value_text(item.value)}"


def _widened(
    value: float, interval: Interval, evaluation: Evaluation, *, of: int, blocks: float | None
) -> tuple[float, float]:
    if interval is None:  # a value without an interval is held against the limit as it is
        return value, value
    return simultaneous(value, interval, confidence=evaluation.confidence, comparisons=of, blocks=blocks)


def _listed(items: list[_Judged], metric: Metric, limit: float) -> str:
    more = f" and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(item.text(metric, limit) for item in items[:_LISTED]) + more


def _unsure(items: list[_Judged], word: str) -> str:
    if not items:
        return ""
    return f"; {len(items)} {'is' if len(items) == 1 else 'are'} {word} it by no more than chance explains"


def _simultaneous_text(evaluation: Evaluation, count: int, what: str) -> str:
    if count < 2:
        return ""
    level = format_share(evaluation.confidence)
    return f" The intervals hold for all {format_count(count)} {what} together at {level} (Bonferroni)."


def _slices_left_out_text(evaluation: Evaluation, judged: int) -> str:
    small = sum(item.scores is None for item in evaluation.slices)
    untold = len(evaluation.slices) - small - judged
    others = [f"{format_count(small)} too small to judge"] if small else []
    others += [f"{format_count(untold)} that cannot tell it"] if untold else []
    return ", ".join([f"{format_count(judged)} slices judged", *others])


def _check_gap(evaluation: Evaluation, metric: Metric, limit: float) -> Check:
    gaps = [(gap, gap.gap) for gap in evaluation.gaps if gap.metric == metric and gap.gap is not None]
    required = f"{LABELS[metric]} may differ between the slices of a column by at most {limit_text(metric, limit)}"
    if not gaps:
        detail = f"{required}: no column has two slices that can be judged."
        return Check(name="slice_gap", value=None, limit=limit, holds=True, detail=detail)
    pairs = sum(gap.compared for gap, _ in gaps)
    judged = [
        _Judged(
            f"by {gap.column} between {value_text(gap.best)} and {value_text(gap.worst)}:",
            size,
            _widened(size, gap.interval, evaluation, of=pairs, blocks=gap.blocks),
        )
        for gap, size in gaps
    ]
    judged.sort(key=lambda item: -item.value)
    failing = [item for item in judged if item.interval[0] > limit]
    found = _listed(failing, metric, limit) if failing else f"the largest gap is {judged[0].text(metric, limit)}"
    unsure = not failing and judged[0].value > limit
    if unsure:
        found += ", larger by no more than chance explains"
    detail = f"{required}: {found}.{_simultaneous_text(evaluation, pairs, 'pairs of slices')}"
    return Check(name="slice_gap", value=judged[0].value, limit=limit, holds=not failing, detail=detail, unsure=unsure)
