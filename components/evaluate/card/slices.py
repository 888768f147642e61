"""Section of the card: the metrics on rows that share a value, and the gaps between such slices.

The gap that is shown is the largest of many, and the largest of many differences is large by chance. So its interval is
widened for the number of pairs that it was chosen from; slices of few rows are named and not judged.
"""

from collections.abc import Sequence

from components.shared.bootstrap import FEWEST_BLOCKS, simultaneous
from components.shared.config import Metric
from components.shared.evaluation import (
    Evaluation,
    Gap,
    Interval,
    Scores,
    Slice,
    interval_text,
    metric_text,
    value_text,
)
from components.shared.formatting import format_count
from components.shared.metrics import LABELS
from components.shared.pages.blocks import Block, Note, table
from components.shared.pages.reports import Page, Section
from components.shared.tasks import TASKS


def draw_slices(page: Page, evaluation: Evaluation) -> None:
    """Add the section on slices, unless the evaluation has none."""
    if not evaluation.slices:
        return
    by = evaluation.resampled_by
    within = f" Slices within fewer than {FEWEST_BLOCKS} {by.kind}s are resampled by single rows."
    section = page.section(
        "Slices",
        "The same metrics on the rows that share a value. A gap is the difference between the best and the worst "
        "slice; its interval is widened for the pairs of slices of which it is the largest difference (Bonferroni), "
        f"and tells whether chance alone would explain it.{'' if by.kind == 'row' else within}",
    )
    for column in dict.fromkeys(item.column for item in evaluation.slices):
        _slice_column(section, evaluation, column)


def _slice_column(section: Section, evaluation: Evaluation, column: str) -> None:
    members = [item for item in evaluation.slices if item.column == column]
    shown = _shown_metrics(evaluation)
    rows = [_slice_row(item, item.scores, shown) for item in members if item.scores is not None]
    blocks: list[Block] = []
    if rows:
        names = ["Value", "Rows", LABELS[shown[0]], "Interval", *(LABELS[metric] for metric in shown[1:])]
        blocks.append(table(names, rows, align=dict.fromkeys(names[1:], "right")))
    blocks += [
        Note(_gap_text(gap, evaluation.confidence))
        for gap in evaluation.gaps
        if gap.column == column and gap.metric == evaluation.metric
    ]
    if small := [f"{value_text(item.value)} ({format_count(item.rows)})" for item in members if item.scores is None]:
        more = f" and {format_count(len(small) - 20)} more" if len(small) > 20 else ""
        blocks.append(Note(f"Too few rows to judge: {', '.join(small[:20])}{more}."))
    section.card(column, blocks)


def _shown_metrics(evaluation: Evaluation) -> list[Metric]:
    """The optimised metric first, then others that speak to people."""
    others = TASKS[evaluation.task].shown_metrics
    return [evaluation.metric, *(metric for metric in others if metric != evaluation.metric)]


def _slice_row(item: Slice, scores: Scores, shown: Sequence[Metric]) -> list[object]:
    first, *others = (metric_text(metric, scores.values[metric]) for metric in shown)
    return [value_text(item.value), item.rows, first, interval_text(shown[0], scores.intervals.get(shown[0])), *others]


def _gap_text(gap: Gap, confidence: float) -> str:
    """The gap of a column in words."""
    name, size = LABELS[gap.metric], metric_text(gap.metric, gap.gap)
    interval = interval_of_largest(gap, confidence)
    ends = "" if interval is None else f" (interval {interval_text(gap.metric, interval)})"
    return f"Gap in {name}: {size}{ends}, best {value_text(gap.best)}, worst {value_text(gap.worst)}."


def interval_of_largest(gap: Gap, confidence: float) -> Interval:
    """The interval of the largest of several differences: that of a difference chosen beforehand is too narrow."""
    if gap.interval is None or gap.gap is None:
        return None
    return simultaneous(gap.gap, gap.interval, confidence=confidence, comparisons=gap.compared, blocks=gap.blocks)
