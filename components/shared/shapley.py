"""SHAP values (Lundberg and Lee, 2017) of a served model, for evaluation and for the endpoint's explanations.

They are asked of the served ONNX graph, so that they speak of what is served, in the same unit for every family:
probabilities or the target's own unit, not the log-odds inside a booster. They are estimated as the `shap` library's
permutation explainer does it, by permutations each walked forwards and backwards (Štrumbelj and Kononenko, 2014;
Mitchell et al., 2022): along a walk one feature after another changes from a background row's value to the row's own,
and the change of the prediction is that feature's. The changes of a walk add up to the difference of its two ends, so
base and contributions add up to the prediction exactly, however few walks are made. Unlike there, each background row
has permutations of its own, all rows walk at once through the graph, steps that change nothing are not scored, and
nothing has to be compiled first, which costs the library more seconds than the estimate itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.package.scoring import CELLS, Inputs, Scorer, score_rows

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

_SCORED_ROWS, _SCORED_CELLS = 200_000, 200_000_000  # that one estimate may ask the model for


class StoppedError(Exception):
    """Nobody waits for the estimate any more."""


def affordable_scorings(columns: int) -> int:
    """Rows that one estimate may have scored by a model of so many columns: it bounds time and memory.

    An estimate of `rows` rows, `features` features and `background` background rows scores at most
    `2 * rows * features * background` of them.
    """
    return min(_SCORED_ROWS, _SCORED_CELLS // max(columns, 1))


@dataclass(frozen=True, slots=True)
class ShapValues:
    """Contributions of features to predictions.

    Attributes:
        values: Shape (rows, features, outputs); outputs is 1 for binary and regression, else the number of classes.
        base: Mean prediction with the background's values, shape (rows, outputs).
        predictions: Shape (rows, outputs); base plus the sum of the values.
        background: Number of background rows.
    """

    values: Floats
    base: Floats
    predictions: Floats
    background: int


def shap_values(
    scorer: Scorer,
    inputs: Inputs,
    *,
    background: Inputs,
    features: Indices,
    seed: int = 0,
    is_stopped: Callable[[], bool] = lambda: False,
) -> ShapValues:
    """Estimate SHAP values of rows.

    Args:
        scorer: The served model.
        inputs: The rows to explain.
        background: Rows that stand for not knowing a feature's value.
        features: Indices, in the order of `Schema.columns`, of the features to explain; the others
            keep the row's own value.
        seed: Seed of the permutations.
        is_stopped: Asked before each walk; once it is true, the estimate is given up.

    Raises:
        StoppedError: The estimate was given up.
    """
    predictions = outputs(scorer, inputs)
    generator = np.random.default_rng(seed)
    values = np.zeros((len(inputs), len(features), predictions.shape[1]))
    base = np.zeros_like(predictions)
    for row in range(len(background)):
        permutations = generator.permuted(np.tile(np.arange(len(features)), (len(inputs), 1)), axis=1)
        for order in (permutations, permutations[:, ::-1]):
            if is_stopped():
                raise StoppedError
            steps = _walk(scorer, inputs, background.rows(slice(row, row + 1)), features=features, order=order)
            base += steps[:, 0]
            np.put_along_axis(added := np.empty_like(values), order[:, :, None], np.diff(steps, axis=1), axis=1)
            values += added
    walks = 2 * len(background)
    return ShapValues(values / walks, base / walks, predictions, len(background))


def outputs(scorer: Scorer, inputs: Inputs) -> Floats:
    """Predictions of shape (rows, outputs): the positive class's probability, all classes', or the value."""
    scores = score_rows(scorer, inputs).astype(np.float64).reshape(len(inputs), -1)
    return scores[:, 1:] if scores.shape[1] == 2 else scores


def background_rows(predictions: Floats, count: int) -> Indices:
    """Rows at evenly spaced ranks of the prediction, so that few of them have about the mean prediction of all."""
    order = np.argsort(predictions[:, 0], kind="stable")
    ranks = (np.arange(count) + 0.5) / count * len(order)
    return np.asarray(order[ranks.astype(np.int64)], dtype=np.int64)


# Example: f(x, y) = x * y, a row (1, 3), background (0, 0). Forwards x changes first: 0, 0, 3, so x adds 0 and y 3.
# Backwards y is first: y adds 0 and x 3. The mean over both is 1.5 each, which adds up to 3.
def _walk(scorer: Scorer, inputs: Inputs, background: Inputs, *, features: Indices, order: Indices) -> Floats:
    """Predictions while features change, in each row's order, from the background row's values to the row's own.

    Returns:
        Shape (rows, features + 1, outputs): before the first change to after the last.
    """
    count = len(features)
    rank = np.argsort(order, axis=1)
    changes = _changes(inputs, background, features)
    # A step is scored when it changes something; otherwise the prediction stays as it was.
    scored = np.concatenate([np.ones((len(order), 1), dtype=bool), np.take_along_axis(changes, order, axis=1)], axis=1)
    rows, steps = np.nonzero(scored)
    block = max(1, CELLS // (10 * max(len(scorer.schema.features), 1)))
    parts = []
    for start in range(0, len(rows), block):
        some = slice(start, start + block)
        from_background = rank[rows[some]] >= steps[some, None]
        parts.append(outputs(scorer, _mixed(inputs, rows[some], background, columns=features, masks=from_background)))
    found = np.concatenate(parts)
    latest = np.cumsum(scored.reshape(-1)) - 1
    return np.asarray(found[latest].reshape(len(order), count + 1, -1))


def _changes(inputs: Inputs, background: Inputs, features: Indices) -> NDArray[np.bool_]:
    """Whether each row differs from the background row in each of the features."""
    changed = [differ(column(inputs, feature), column(background, feature)[0]) for feature in features]
    return np.array(changed, dtype=bool).T


def _mixed(inputs: Inputs, rows: Indices, background: Inputs, *, columns: Indices, masks: NDArray[np.bool_]) -> Inputs:
    """Copies of rows in which the masked ones of the columns hold the background row's values."""
    mixed = inputs.rows(rows)
    for place, feature in enumerate(columns):
        column(mixed, feature)[masks[:, place]] = column(background, feature)[0]
    return mixed


def differ(values: NDArray[Any], others: Any) -> NDArray[np.bool_]:
    """Where values differ; two missing numbers are the same."""
    different = values != others
    if values.dtype.kind == "f":
        different &= ~(np.isnan(values) & np.isnan(others))
    return np.asarray(different, dtype=bool)


def column(inputs: Inputs, feature: int) -> NDArray[Any]:
    """A view of one feature's column."""
    for tensor in (inputs.numbers, inputs.categories, inputs.times):
        if feature < tensor.shape[1]:
            return tensor[:, feature]
        feature -= tensor.shape[1]
    raise IndexError(feature)
