"""Section of the card: where the model is right and wrong, in charts.

A metric is one number; these show on which side the errors are. Everything is drawn from points that the evaluation has
kept (`evaluate.pictures`), so the card can be made again without rows or model.
"""

from collections.abc import Sequence

from components.shared.evaluation import CurvePoints, Evaluation
from components.shared.formatting import format_share
from components.shared.pages import charts
from components.shared.pages.blocks import Block, Chart
from components.shared.pages.reports import Page


def draw_charts(page: Page, evaluation: Evaluation) -> None:
    """Draw where the model is right and wrong, as far as its kind of problem has charts of that."""
    drawn: list[Block] = [*_class_charts(evaluation), *_residual_charts(evaluation)]
    if drawn:
        page.section("Where it is right and wrong").grid(drawn)


def _class_charts(evaluation: Evaluation) -> list[Chart]:
    roc = _curves(
        evaluation.roc, "ROC curve", x_label="false positive rate", y_label="true positive rate", diagonal=True
    )
    pr = _curves(evaluation.pr, "Precision and recall", x_label="recall", y_label="precision")
    return [*roc, *pr, *_calibration_charts(evaluation), *_confusion_charts(evaluation)]


def _curves(
    curves: Sequence[CurvePoints], title: str, *, x_label: str, y_label: str, diagonal: bool = False
) -> list[Chart]:
    """One chart of a curve for each class; none where there are no classes."""
    if not curves:
        return []
    x, y = {curve.name: curve.x for curve in curves}, {curve.name: curve.y for curve in curves}
    return [charts.lines(x, y, title=title, diagonal=diagonal, x_label=x_label, y_label=y_label)]


def _calibration_charts(evaluation: Evaluation) -> list[Chart]:
    filled = [item for item in evaluation.calibration if item.rows]
    if not filled:
        return []
    errors = ", ".join(f"{item.name}: {format_share(item.error)}" for item in filled)
    error = errors if len(filled) > 1 else format_share(filled[0].error)
    return [
        charts.lines(
            {item.name: item.predicted for item in filled},
            {item.name: item.observed for item in filled},
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
    title = f"Confusion matrix ({'weights' if evaluation.confusion.weighted else 'rows'})"
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
