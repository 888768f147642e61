"""The model card (Mitchell et al., 2019): one page on what the model is for, how good it is and what it cannot do.

Nothing on it depends on the time or place of its making, so that the same inputs give the same package.
"""

from components.evaluate.card.background import Background
from components.evaluate.card.charts import draw_charts
from components.evaluate.card.data import draw_data, draw_making
from components.evaluate.card.features import draw_features
from components.evaluate.card.slices import draw_slices, interval_of_largest
from components.evaluate.card.words import columns_text, rows_text
from components.evaluate.decisions import draw_decisions
from components.shared.config import Metric
from components.shared.evaluation import (
    Evaluation,
    Gap,
    interval_text,
    metric_text,
    resampled_text,
    value_text,
)
from components.shared.formatting import format_count, format_number, format_share
from components.shared.metrics import LABELS, TABLE, gain
from components.shared.package.schema import Schema
from components.shared.pages.blocks import Badge
from components.shared.pages.reports import Page
from components.shared.tasks import TASKS


def card(evaluation: Evaluation, background: Background) -> Page:
    """Make the model card."""
    page = Page(f"Model card: {evaluation.name}", _purpose(evaluation, background.schema))
    _summary(page, evaluation, background)
    _warnings(page, background)
    _metrics(page, evaluation)
    draw_charts(page, evaluation)
    draw_decisions(page, background.training, background.schema.labels)
    draw_slices(page, evaluation)
    draw_features(page, evaluation)
    draw_data(page, background)
    draw_making(page, background)
    page.section("Limits").list(_limits(evaluation, background))
    return page


def _purpose(evaluation: Evaluation, schema: Schema) -> str:
    kind = TASKS[evaluation.task].about
    return f"Predicts {evaluation.target} ({kind}) from {columns_text(len(schema.features))} of a row"


def _summary(page: Page, evaluation: Evaluation, background: Background) -> None:
    metric, values = evaluation.metric, evaluation.scores
    interval = values.intervals.get(metric)
    answers = ", ".join(background.schema.labels[:8])
    facts: dict[str, object] = {
        LABELS[metric]: metric_text(metric, values.values[metric]),
        f"{format_share(evaluation.confidence)} interval": interval_text(metric, interval),
        "Without looking at a feature": metric_text(metric, evaluation.baseline.values[metric]),
        "Judged on": f"{rows_text(evaluation.rows)} never seen in training",
        "Model family": str(background.training.get("family", "–")).replace("_", " "),
        "Answers": f"probabilities of {answers}" if answers else f"a value in the unit of {evaluation.target}",
    }
    page.section("In short").facts(facts)


def _warnings(page: Page, background: Background) -> None:
    """What the stages without a page of their own warn of: reading the tables, and the searches."""
    lineage, searches = background.training.get("lineage") or {}, background.training.get("search_warnings") or {}
    found = [f"Ingest: {warning}" for warning in lineage.get("warnings", [])]
    found += [f"Tune ({family}): {warning}" for family, warnings in searches.items() for warning in warnings]
    if found:
        page.section("Warnings", "What was odd when the tables were read and the models searched.").list(found)


def _metrics(page: Page, evaluation: Evaluation) -> None:
    section = page.section(
        "How good it is",
        "On the test part, scored with the very file that is served. Intervals are percentiles of "
        f"{format_count(evaluation.resamples)} bootstrap resamples of {resampled_text(evaluation.resampled_by)} at "
        f"{format_share(evaluation.confidence)} confidence. {_baseline_text(evaluation)}",
    )
    rows = [
        (
            LABELS[metric],
            metric_text(metric, value),
            interval_text(metric, evaluation.scores.intervals.get(metric)),
            metric_text(metric, evaluation.baseline.values.get(metric)),
            _verdict(metric, value, evaluation.baseline.values.get(metric)),
        )
        for metric, value in evaluation.scores.values.items()
    ]
    names = ["Metric", "Value", "Interval", "Baseline", "Against the baseline"]
    section.table(names, rows, align=dict.fromkeys(names[1:4], "right"))
    for warning in evaluation.warnings:
        section.note(warning, "warning")
    for note in evaluation.notes:
        section.note(note)
    if evaluation.mape_rows_left_out:
        section.note(f"MAPE leaves out {rows_text(evaluation.mape_rows_left_out)} whose target is 0.")


def _baseline_text(evaluation: Evaluation) -> str:
    task = TASKS[evaluation.task]
    threshold = f" A row counts as {evaluation.target} from probability {format_number(evaluation.threshold)}."
    return task.baseline.about + (threshold if task.has_positive_class else "")


def _verdict(metric: Metric, value: float | None, baseline: float | None) -> Badge | str:
    if value is None or baseline is None:
        return "–"
    better = gain(metric, value, baseline)
    if better == 0:
        return Badge("warning", "the same")
    return Badge("passed", "better") if better > 0 else Badge("failed", "worse")


def _limits(evaluation: Evaluation, background: Background) -> list[str]:
    """What the reader must not expect of the model, as far as the figures tell."""
    test = (background.split.get("parts") or {}).get("test") or {}
    found = []
    if test.get("first"):
        found.append(f"Judged on rows from {test['first']} to {test['last']}: how it does at other times is not known.")
    else:
        found.append("Judged on rows of the same source and time as those it learned from: other sources may differ.")
    found.append("Values far outside the ranges above, and categories not listed, were not seen in training.")
    found += [_weakest(evaluation, column) for column in _telling_gaps(evaluation)]
    if any(item.scores is None for item in evaluation.slices):
        found.append("Some slices have too few rows to be judged; how it does on them is not known.")
    found += [
        f"Its probabilities of {item.name} are off by {format_share(item.error)} on average."
        for item in evaluation.calibration
        if item.error is not None and item.error > 0.05
    ]
    return [*found, "It says what goes together in the data, not what causes what."]


def _telling_gaps(evaluation: Evaluation) -> list[Gap]:
    """Gaps of the optimised metric that chance alone does not explain."""
    found = [(gap, interval_of_largest(gap, evaluation.confidence)) for gap in evaluation.gaps]
    return [
        gap for gap, interval in found if gap.metric == evaluation.metric and interval is not None and interval[0] > 0
    ]


def _weakest(evaluation: Evaluation, gap: Gap) -> str:
    size = metric_text(gap.metric, gap.gap)
    return (
        f"By {gap.column} it does worst on {value_text(gap.worst)}: {LABELS[evaluation.metric]} is {size} "
        f"{'above' if TABLE[evaluation.metric].lower_is_better else 'below'} that of {value_text(gap.best)}."
    )
