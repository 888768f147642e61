"""What train decided on rows held out, drawn for the model card: the threshold and the calibration.

The threshold and the calibration cannot be judged on the test part: they were chosen earlier, on other rows, and the
test part must not have a say in them. The card shows what they were chosen by, as `training.json` tells it, so that a
reader sees how much depends on them: a flat curve says that another threshold would have done as well.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from components.shared.formatting import format_count, format_number
from components.shared.metrics import LABELS
from components.shared.package.schema import FIXED
from components.shared.pages import charts
from components.shared.pages.blocks import Block, Chart
from components.shared.pages.reports import Page

Record = Mapping[str, Any]  # a part of `training.json`
_PARTS = {
    "validation": "rows of the validation part, by the model before it learned from them",
    "folds": "rows of the training and validation part, each by a model that had not learned from it",
}
_METHODS = {"sigmoid": "a sigmoid", "isotonic": "a rising curve (isotonic)"}


def draw_decisions(page: Page, training: Record, labels: Sequence[str]) -> None:
    """Add a section for each decision that the training's record tells of.

    Args:
        page: The card.
        training: `training.json`.
        labels: The classes, the positive one last.
    """
    if (threshold := training.get("threshold")) and threshold["thresholds"]:
        _draw_threshold(page, threshold, labels[-1])
    if (calibration := training.get("calibration")) and calibration["before"]:
        _draw_calibration(page, calibration)


def _draw_threshold(page: Page, record: Record, label: str) -> None:
    chosen = record["threshold"]
    section = page.section("Threshold", f"{_how_chosen(record, label)} The curves are of {_rows_of(record)}.")
    ends = {f"chosen: {format_number(chosen)}": [chosen, chosen]}
    curves = {"precision": record["precision"], "recall": record["recall"], _metric(record): record["metric"]}
    drawn: list[Block] = [_over_threshold(record, curves, ends, title="Precision and recall by threshold")]
    if record["cost"]:
        costs = {"mean cost of a row": record["cost"]}
        drawn.append(_over_threshold(record, costs, ends, title="Cost by threshold"))
    section.grid(drawn)


def _metric(record: Record) -> str:
    """What the metric's curve is called: F1 where the threshold is fixed or chosen by costs."""
    return LABELS.get(record["by"], LABELS["f1"])


def _how_chosen(record: Record, label: str) -> str:
    """In a sentence."""
    answered = f"{label} is answered from probability {format_number(record['threshold'])} on"
    value, half = format_number(record["value"]), format_number(record["value_at_half"])
    if record["by"] == "costs":
        costs = record["costs"]
        wrong = (
            f"{format_number(costs['false_positive'])} a false alarm, {format_number(costs['false_negative'])} a miss"
        )
        return f"{answered}, where errors cost least ({wrong}): {value} a row on average, {half} at 0.5."
    if record["by"] == FIXED:
        return f"{answered}, as the configuration says: {_metric(record)} is {value} there, {half} at 0.5."
    return f"{answered}, where {_metric(record)} is largest: {value}, and {half} at 0.5."


def _rows_of(record: Record) -> str:
    return f"{format_count(record['rows'])} {_PARTS[record['part']]}"


def _over_threshold(
    record: Record,
    curves: Mapping[str, Sequence[float]],
    ends: Mapping[str, Sequence[float]],
    *,
    title: str,
) -> Chart:
    """Lines over the threshold, and an upright one where it is."""
    values = [value for curve in curves.values() for value in curve]
    (name,) = ends
    thresholds: Sequence[float] = record["thresholds"]
    return charts.lines(
        {**dict.fromkeys(curves, thresholds), **ends},
        {**curves, name: [min(values), max(values)]},
        title=title,
        x_label="threshold",
    )


def _draw_calibration(page: Page, record: Record) -> None:
    method = record["method"]
    done = f"Mapped to observed shares by {_METHODS[method]}" if method in _METHODS else "Left as the model gives them"
    rows = f"{format_count(record['rows'])} rows that the model had not learned from"
    section = page.section(
        "Calibration of probabilities",
        f"{done}: {record['reason']}. Judged on {rows}; after calibration, each fifth of them by what the others gave.",
    )
    found = {"before": record["before"], "after": record["after"]}
    shown = {name: item for name, item in found.items() if item}
    section.table(
        ["", LABELS["log_loss"], LABELS["brier"]],
        [(name, format_number(item["log_loss"]), format_number(item["brier"])) for name, item in shown.items()],
        align=dict.fromkeys([LABELS["log_loss"], LABELS["brier"]], "right"),
    )
    section.grid(
        [
            charts.lines(
                {name: item["predicted"] for name, item in shown.items()},
                {name: item["observed"] for name, item in shown.items()},
                title="Reliability on rows held out",
                diagonal=True,
                x_label="predicted probability",
                y_label="observed share",
            )
        ]
    )
