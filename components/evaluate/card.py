"""The model card (Mitchell et al., 2019): one page on what the model is for, how good it is and what it cannot do.

Nothing on it depends on the time or place of its making, so that the same inputs give the same package.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.evaluate.decisions import draw_decisions
from components.shared.bootstrap import FEWEST_BLOCKS, simultaneous
from components.shared.config import Metric
from components.shared.evaluation import (
    Contribution,
    Evaluation,
    Gap,
    Interval,
    Scores,
    Shap,
    Slice,
    interval_text,
    metric_text,
    resampled_text,
    value_text,
)
from components.shared.metrics import LABELS, TABLE, gain
from components.shared.package.model_package import TRAINING
from components.shared.package.schema import Feature, Schema
from components.shared.pages import charts
from components.shared.pages.reports import (
    Badge,
    Block,
    Chart,
    Note,
    Page,
    Section,
    format_count,
    format_number,
    format_share,
    table,
)
from components.shared.tasks import TASKS

_SPLIT = "summary.json"
_BARS = 20  # features in a chart


@dataclass(frozen=True, slots=True)
class Background:
    """What the card tells besides the evaluation.

    Attributes:
        schema: Columns and classes.
        training: The record of the training, `training.json`.
        validation: The validation's report.
        split: What prepare did, `summary.json`.
    """

    schema: Schema
    training: Mapping[str, Any]
    validation: Mapping[str, Any]
    split: Mapping[str, Any]

    @classmethod
    def read(cls, splits: Path, model: Path, *, validation: Path) -> "Background":
        """Read it from the folders of the earlier stages."""
        return cls(
            schema=Schema.read(model),
            training=_json(model / TRAINING),
            validation=_json(validation),
            split=_json(splits / _SPLIT),
        )


def _json(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_bytes())
    return found


def card(evaluation: Evaluation, background: Background) -> Page:
    """Make the model card."""
    page = Page(f"Model card: {evaluation.name}", _purpose(evaluation, background.schema))
    _summary(page, evaluation, background)
    _metrics(page, evaluation)
    _charts(page, evaluation)
    draw_decisions(page, background.training, background.schema.labels)
    _slices(page, evaluation)
    _features(page, evaluation)
    _data(page, background)
    _making(page, background)
    page.section("Limits").list(_limits(evaluation, background))
    return page


def _purpose(evaluation: Evaluation, schema: Schema) -> str:
    return (
        f"Predicts {evaluation.target} ({TASKS[evaluation.task].about}) from {_columns(len(schema.features))} of a row"
    )


def _columns(count: int) -> str:
    return "1 column" if count == 1 else f"{format_count(count)} columns"


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{format_count(count)} rows"


# What it is, in short


def _summary(page: Page, evaluation: Evaluation, background: Background) -> None:
    metric, values = evaluation.metric, evaluation.scores
    interval = values.intervals.get(metric)
    answers = ", ".join(background.schema.labels[:8])
    facts: dict[str, object] = {
        LABELS[metric]: metric_text(metric, values.values[metric]),
        f"{format_share(evaluation.confidence)} interval": interval_text(metric, interval),
        "Without looking at a feature": metric_text(metric, evaluation.baseline.values[metric]),
        "Judged on": f"{_rows(evaluation.rows)} never seen in training",
        "Model family": str(background.training.get("family", "–")).replace("_", " "),
        "Answers": f"probabilities of {answers}" if answers else f"a value in the unit of {evaluation.target}",
    }
    page.section("In short").facts(facts)


# How good it is


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
        section.note(f"MAPE leaves out {_rows(evaluation.mape_rows_left_out)} whose target is 0.")


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


# Charts


def _charts(page: Page, evaluation: Evaluation) -> None:
    drawn: list[Block] = [*_class_charts(evaluation), *_residual_charts(evaluation)]
    if drawn:
        page.section("Where it is right and wrong").grid(drawn)


def _class_charts(evaluation: Evaluation) -> list[Chart]:
    found = []
    if evaluation.roc:
        roc = {curve.name: curve for curve in evaluation.roc}
        found.append(
            charts.lines(
                {name: curve.x for name, curve in roc.items()},
                {name: curve.y for name, curve in roc.items()},
                title="ROC curve",
                diagonal=True,
                x_label="false positive rate",
                y_label="true positive rate",
            )
        )
    if evaluation.pr:
        pr = {curve.name: curve for curve in evaluation.pr}
        found.append(
            charts.lines(
                {name: curve.x for name, curve in pr.items()},
                {name: curve.y for name, curve in pr.items()},
                title="Precision and recall",
                x_label="recall",
                y_label="precision",
            )
        )
    return [*found, *_calibration_charts(evaluation), *_confusion_charts(evaluation)]


def _calibration_charts(evaluation: Evaluation) -> list[Chart]:
    told = [item for item in evaluation.calibration if item.rows]
    if not told:
        return []
    errors = ", ".join(f"{item.name}: {format_share(item.error)}" for item in told)
    error = errors if len(told) > 1 else format_share(told[0].error)
    return [
        charts.lines(
            {item.name: item.predicted for item in told},
            {item.name: item.observed for item in told},
            title=f"Calibration (mean error: {error})",
            diagonal=True,
            x_label="predicted probability",
            y_label="observed share",
        )
    ]


def _confusion_charts(evaluation: Evaluation) -> list[Chart]:
    if evaluation.confusion is None or len(evaluation.confusion.classes) > 40:
        return []
    names = evaluation.confusion.classes
    title = "Confusion matrix (rows)"
    return [charts.heatmap(evaluation.confusion.counts, names, names, title=title, x_label="answered", y_label="true")]


def _residual_charts(evaluation: Evaluation) -> list[Chart]:
    residuals = evaluation.residuals
    if residuals is None:
        return []
    spread = charts.histogram(
        residuals.counts,
        residuals.edges,
        title="Errors (the outermost bars hold all larger ones)",
        x_label=f"predicted minus true {evaluation.target}",
    )
    agreement = charts.lines(
        residuals.predicted,
        {"mean of the truth": residuals.observed},
        title="Truth by prediction",
        diagonal=True,
        x_label="mean prediction of 20 groups of rows",
        y_label=f"mean {evaluation.target}",
    )
    return [spread, agreement]


# Slices


def _slices(page: Page, evaluation: Evaluation) -> None:
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
    interval = _of_largest(gap, confidence)
    ends = "" if interval is None else f" (interval {interval_text(gap.metric, interval)})"
    return f"Gap in {name}: {size}{ends}, best {value_text(gap.best)}, worst {value_text(gap.worst)}."


def _of_largest(gap: Gap, confidence: float) -> Interval:
    """The interval of the largest of several differences: that of a difference chosen beforehand is too narrow."""
    if gap.interval is None or gap.gap is None:
        return None
    return simultaneous(gap.gap, gap.interval, confidence=confidence, comparisons=gap.compared, blocks=gap.blocks)


# Features


def _features(page: Page, evaluation: Evaluation) -> None:
    section = page.section(
        "What matters",
        "Asked of the served model. Importance is how much worse the metric gets when a feature's values are shuffled "
        "among the rows; features that say the same share theirs, so that each may seem unimportant. SHAP values say "
        "how much each feature moves single predictions. Neither is a cause.",
    )
    section.grid([*_importance_chart(evaluation), *_shap_chart(evaluation)])
    if evaluation.shap is not None:
        _directions(section, evaluation.shap)


def _importance_chart(evaluation: Evaluation) -> list[Chart]:
    leading = evaluation.importance[:_BARS]
    if not leading:
        return []
    return [
        charts.bars(
            [item.feature for item in leading],
            [item.drop for item in leading],
            errors=[item.deviation for item in leading],
            title=f"Permutation importance: loss of {LABELS[evaluation.metric]}",
        )
    ]


def _shap_chart(evaluation: Evaluation) -> list[Chart]:
    leading = [] if evaluation.shap is None else evaluation.shap.contributions[:_BARS]
    if not leading:
        return []
    unit = TASKS[evaluation.task].answer.unit(evaluation.target)
    return [
        charts.bars(
            [item.feature for item in leading],
            [item.mean_absolute for item in leading],
            title=f"Mean |SHAP|, {unit}",
        )
    ]


def _directions(section: Section, shap: Shap) -> None:
    rows = [(item.feature, item.mean_absolute, text) for item in shap.contributions if (text := _direction(item))]
    if rows:
        caption = (
            f"Direction, from {_rows(shap.rows)} explained against {format_count(shap.background)} background rows"
        )
        section.table(["Feature", "Mean |SHAP|", "What moves the prediction"], rows[:_BARS], caption=caption)


def _direction(item: Contribution) -> str:
    """In words, what raises and lowers the prediction."""
    if not item.mean_absolute:
        return ""
    if item.raises is not None or item.lowers is not None:
        ends = {"raised most by": item.raises, "lowered most by": item.lowers}
        # To the model, a missing category is the empty one.
        return ", ".join(f"{word} {value_text(value or None)}" for word, value in ends.items() if value is not None)
    if item.direction is None:
        return ""
    correlation = f"rank correlation {format_number(item.direction, 2)}"
    if abs(item.direction) < 0.3:
        return f"no single direction ({correlation})"
    return f"{'raised' if item.direction > 0 else 'lowered'} by larger values ({correlation})"


# Data and making


def _data(page: Page, background: Background) -> None:
    lineage = background.training.get("lineage") or {}
    section = page.section("Data").facts(
        {
            "Rows ingested": lineage.get("rows"),
            "Columns ingested": lineage.get("columns"),
            "From": lineage.get("window_start") or "–",
            "To": lineage.get("window_end") or "–",
            "Rows keeping the contract": background.validation.get("valid_rows"),
            "Rows set aside": background.validation.get("quarantined_rows"),
            "Rows learned from": background.training.get("rows"),
        }
    )
    if broken := [check for check in background.validation.get("checks", []) if not check.get("holds", True)]:
        rules = [(check.get("name"), check.get("rule"), check.get("failed_rows")) for check in broken]
        section.table(["Rule", "Promised", "Rows that break it"], rules, caption="Rules of the data contract broken")
    parts = background.split.get("parts") or {}
    rows = [(name, part.get("rows"), part.get("first"), part.get("last")) for name, part in parts.items()]
    if rows:
        method = background.split.get("method", "")
        section.table(["Part", "Rows", "First", "Last"], rows, caption=f"Parts ({method} split)")
    sources = lineage.get("sources") or {}
    section.table(["Table", "Source"], list(sources.items()), caption="Sources")
    section.facts({"Content hash": lineage.get("content_hash", "–")})
    section.table(
        ["Column", "Kind", "May be missing", "Range or values"], _feature_rows(background.schema), caption="Features"
    )


def _feature_rows(schema: Schema) -> list[tuple[object, ...]]:
    return [(item.name, item.kind, item.nullable, _range(item)) for item in schema.features]


def _range(item: Feature) -> str:
    if item.kind == "category":
        values = ", ".join(value_text(value) for value in item.categories[:8])
        return values if item.cardinality <= 8 else f"{values} … ({format_count(item.cardinality)} values)"
    if item.minimum is None or item.maximum is None:
        return "–"
    if item.kind == "timestamp":
        return " to ".join(f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M}" for end in (item.minimum, item.maximum))
    return "" if item.kind == "boolean" else f"{format_number(item.minimum)} to {format_number(item.maximum)}"


def _making(page: Page, background: Background) -> None:
    training = background.training
    section = page.section("How it was made").facts(
        {
            "Model family": str(training.get("family", "–")).replace("_", " "),
            "Seed": training.get("seed"),
            "Git commit": training.get("git_commit") or "–",
        }
    )
    parameters = list((training.get("parameters") or {}).items())
    section.table(["Parameter", "Value"], [(name, _plain(value)) for name, value in parameters], caption="Parameters")
    if scores := training.get("scores"):
        trials = training.get("trials") or {}
        rows = [(_family(name, training), score, trials.get(name)) for name, score in scores.items()]
        section.table(["Family", "Score on rows not learned from", "Trials"], rows, caption="Families compared")
    section.table(["Library", "Version"], list((training.get("libraries") or {}).items()), caption="Library versions")


def _family(name: str, training: Mapping[str, Any]) -> str:
    """A family's name, marked where the clock cut all its trials short."""
    cut = name in training.get("incomplete", [])
    return name.replace("_", " ") + (" (cut short: scored with fewer rows)" if cut else "")


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) or value is None else json.dumps(value, ensure_ascii=False)


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
    found = [(gap, _of_largest(gap, evaluation.confidence)) for gap in evaluation.gaps]
    return [
        gap for gap, interval in found if gap.metric == evaluation.metric and interval is not None and interval[0] > 0
    ]


def _weakest(evaluation: Evaluation, gap: Gap) -> str:
    size = metric_text(gap.metric, gap.gap)
    return (
        f"By {gap.column} it does worst on {value_text(gap.worst)}: {LABELS[evaluation.metric]} is {size} "
        f"{'above' if TABLE[evaluation.metric].lower_is_better else 'below'} that of {value_text(gap.best)}."
    )
