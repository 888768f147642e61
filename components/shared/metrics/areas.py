"""The areas below ROC and precision-recall curves: of the order in which rows are ranked.

NaN where all rows are of one class. Rows of equal score are one step of the curve. On resamples of many rows the
ranking is cut into at most `Weights.steps` steps, about as many rows and positive rows in each, so that a thousand
resamples cost a thousand sums a step and not a row; the bootstrap takes the difference to the exact value off.
"""

import numpy as np
from numpy.typing import NDArray

from components.shared.metrics.metric import Answers
from components.shared.metrics.weights import Floats, Indices, Weights


def _of_curve(hits: Floats, others: Floats) -> tuple[Floats, Floats]:
    """ROC AUC and average precision of weighted rows by step, each of shape (steps, resamples).

    Example, one resample: scores 0.9, 0.8, 0.6 and 0.3, of which the first and the third are of positive rows. So
    `hits` is [1, 0, 1, 0] and `others` [0, 1, 0, 1]. ROC AUC is the share of the 2 · 2 pairs in which the positive row
    has the higher score. The first positive row is ahead of 2 others, the third row of 1: 3 / 4. Average precision is
    the mean, over positive rows, of the share of positive ones up to there: (1/1 + 2/3) / 2 = 0.83. On a resample that
    drew the first two rows twice and the others not at all, `hits` is [2, 0, 0, 0], and both areas are 1.
    """
    found, false = np.cumsum(hits, axis=0), np.cumsum(others, axis=0)
    positives, negatives = found[-1], false[-1]
    lower = np.einsum("ij,ij->j", hits, negatives - false + others / 2)
    seen = found + false
    precision = np.einsum("ij,ij->j", hits, np.divide(found, seen, out=np.zeros_like(seen), where=seen > 0))
    positives = np.where((positives > 0) & (negatives > 0), positives, np.nan)
    return lower / (positives * negatives), precision / positives


def areas_of_curves(target: NDArray[np.generic], answers: Answers, weights: Weights) -> dict[str, Floats]:
    """Both areas, each of shape (resamples,): they are of one curve, which takes longer than either area of it."""

    def make() -> dict[str, Floats]:
        classes = [1] if answers.classes == 2 else range(answers.classes)
        curves = (_curve(target == index, answers.probabilities[:, index], weights=weights) for index in classes)
        areas = np.array([_of_curve(*curve) for curve in curves])
        finite = np.isfinite(areas)
        roc, precision_recall = np.where(finite, areas, 0.0).sum(axis=0) / finite.sum(axis=0)
        return {"roc_auc": roc, "pr_auc": precision_recall}

    return weights.shared("areas", (target, answers), make)


def _curve(positive: NDArray[np.bool_], scores: Floats, *, weights: Weights) -> tuple[Floats, Floats]:
    """Weighted rows of the class and others by step, highest score first; each of shape (steps, resamples)."""
    steps = _steps(positive, scores, most=weights.steps)
    count = int(steps.max(initial=0)) + 1
    return weights.sums(steps, count, positive), weights.sums(steps, count, ~positive)


# Example: the scores 0.9, 0.8, 0.8 and 0.1 are on the steps 0, 1, 1 and 2.
def _steps(positive: NDArray[np.bool_], scores: Floats, *, most: int) -> Indices:
    """The step of the curve that each row is on, from 0 for the highest scores."""
    distinct, steps = np.unique(-scores, return_inverse=True)
    if not most or len(distinct) <= most:
        return np.asarray(steps, dtype=np.int64)
    # Half of the steps go by all rows, half by the positive ones: rare positives among the highest scores
    # get as fine steps as frequent ones.
    share = np.bincount(steps, 0.5 / len(scores) + 0.5 * positive / max(1, positive.sum()))
    middle = np.cumsum(share) - share / 2
    return np.minimum(middle * most, most - 1).astype(np.int64)[steps]
