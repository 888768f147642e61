"""What the model card draws of the test part: curves, calibration, confusion, residuals.

The curves are kept as thinned points, not as rows: the card, `metrics.json` and the KFP UI draw them without the data.
The KFP UI has room for one ROC curve, hence the overall one beside those of the single classes.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from components.shared import metrics
from components.shared.evaluation import Calibration, Confusion, CurvePoints, Residuals, ThresholdCurve
from components.shared.metrics import Curve
from components.shared.package.scored import Scored
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes

_MOST_CLASSES = 6  # whose curves are drawn
_RESIDUAL_BINS = 40


def pictures(scored: Scored, *, threshold: float) -> dict[str, Any]:
    """Curves, calibration and confusion of classes, or residuals of numbers: fields of `Evaluation` by name."""
    schema, task = scored.schema, TASKS[scored.schema.task]
    if not task.has_classes:
        return {"residuals": _residuals(scored)}
    names = schema.labels
    chosen = choose_classes(scored.scores, threshold=threshold)
    counts = metrics.confusion(
        np.asarray(scored.target, dtype=np.int64), chosen, classes=len(names), weights=scored.weights
    )
    drawn = [1] if task.has_positive_class else list(range(len(names)))[:_MOST_CLASSES]
    return {
        "confusion": Confusion(classes=names, counts=counts.tolist(), weighted=scored.weights is not None),
        "roc": _curves(scored, drawn, metrics.roc_curve),
        "overall_roc": _overall_roc(scored),
        "pr": _curves(scored, drawn, metrics.pr_curve),
        "calibration": [_calibration(scored, index) for index in drawn],
    }


def _curves(scored: Scored, classes: list[int], function: Callable[..., Curve | None]) -> list[CurvePoints]:
    found = []
    for index in classes:
        curve = function(scored.target == index, scored.scores[:, index], weights=scored.weights)
        if curve is not None:
            name = scored.schema.labels[index]
            found.append(CurvePoints(name=name, x=_rounded(curve.x), y=_rounded(curve.y)))
    return found


# Example: two rows and three classes are six pairs, two of which are hits: one for the true class of each row.
def _overall_roc(scored: Scored) -> ThresholdCurve | None:
    """The positive class's curve; of several classes, that of all pairs of a row and a class (micro average)."""
    classes = np.arange(scored.scores.shape[1])
    hits = scored.target[:, None] == classes
    kept = slice(1, None) if len(classes) == 2 else slice(None)
    hits, scores = hits[:, kept], scored.scores[:, kept]
    weights = None if scored.weights is None else np.repeat(scored.weights, hits.shape[1])
    curve = metrics.roc_curve(hits.reshape(-1), scores.reshape(-1), weights=weights)
    return None if curve is None else ThresholdCurve(x=curve.x, y=curve.y, thresholds=curve.thresholds)


def _rounded(values: Iterable[float]) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _calibration(scored: Scored, index: int) -> Calibration:
    bins = metrics.calibration(scored.target == index, scored.scores[:, index], weights=scored.weights)
    return Calibration(
        name=scored.schema.labels[index],
        error=metrics.calibration_error(bins),
        predicted=_rounded(item.predicted for item in bins),
        observed=_rounded(item.observed for item in bins),
        rows=[item.rows for item in bins],
    )


def _residuals(scored: Scored) -> Residuals:
    error = scored.scores.astype(np.float64) - scored.target
    # Errors beyond these quantiles stand in the outermost bars: a few would squeeze all others into one.
    clipped = np.clip(error, *np.quantile(error, [0.005, 0.995]))
    counts, edges = np.histogram(clipped, bins=_RESIDUAL_BINS)
    bins = metrics.calibration(scored.target, scored.scores, bins=20, weights=scored.weights)
    return Residuals(
        counts=counts.tolist(),
        edges=edges.tolist(),
        predicted=_rounded(item.predicted for item in bins),
        observed=_rounded(item.observed for item in bins),
    )
