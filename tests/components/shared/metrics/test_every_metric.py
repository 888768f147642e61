"""What every metric has to fulfil: scikit-learn's value on weighted rows, and the same function on resamples."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from components.shared import metrics
from components.shared.bootstrap import STEPS
from components.shared.config import Task
from components.shared.metrics import TABLE, Answers, Weights, normalise

Rows = tuple[NDArray[Any], NDArray[Any]]
Reference = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]


def make(task: Task, rows: int = 80, *, seed: int = 0, digits: int = 1) -> Rows:
    """Targets and scores with ties; rows that no metric finds easy."""
    random = np.random.default_rng(seed)
    if task == "regression":
        target = np.round(random.normal(size=rows), 1)
        return target, (target + random.normal(size=rows)).astype(np.float32)
    classes = 2 if task == "binary" else 4
    scores = np.round(random.dirichlet(np.ones(classes), rows) + 0.05, digits)
    target = np.array([random.choice(classes, p=row) for row in random.dirichlet(np.ones(classes), rows)])
    return target, (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def chosen(scores: NDArray[Any]) -> NDArray[Any]:
    return (scores[:, 1] >= 0.5).astype(int) if scores.shape[1] == 2 else scores.argmax(axis=1)


def by_class(function: Any) -> Reference:
    """Precision and its like: of the positive class, or the mean over the classes among the rows."""

    def reference(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
        kind = {"average": "binary"} if scores.shape[1] == 2 else {"average": "macro", "labels": np.unique(target)}
        return float(function(target, chosen(scores), sample_weight=weights, zero_division=0, **kind))

    return reference


def ranked(function: Any) -> Reference:
    """An area: of the positive class, or the mean of one class versus the rest."""

    def reference(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
        probabilities = normalise(scores)
        classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
        return float(
            np.mean([function(target == index, probabilities[:, index], sample_weight=weights) for index in classes])
        )

    return reference


def decided(function: Any) -> Reference:
    return lambda target, scores, weights: float(function(target, chosen(scores), sample_weight=weights))


def brier(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
    labels, probabilities = np.arange(scores.shape[1]), normalise(scores)
    if len(labels) == 2:
        return float(sk.brier_score_loss(target, probabilities[:, 1], sample_weight=weights, labels=labels))
    return float(sk.brier_score_loss(target, probabilities, sample_weight=weights, labels=labels, scale_by_half=False))


def number(function: Any) -> Reference:
    return lambda target, scores, weights: float(function(target, scores.astype(float), sample_weight=weights))


def mape(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
    some = target != 0
    return number(sk.mean_absolute_percentage_error)(target[some], scores[some], weights[some])


SCIKIT_LEARN: dict[str, Reference] = {
    "accuracy": decided(sk.accuracy_score),
    "balanced_accuracy": decided(sk.balanced_accuracy_score),
    "precision": by_class(sk.precision_score),
    "recall": by_class(sk.recall_score),
    "f1": by_class(sk.f1_score),
    "roc_auc": ranked(sk.roc_auc_score),
    "pr_auc": ranked(sk.average_precision_score),
    "log_loss": lambda target, scores, weights: float(
        sk.log_loss(target, normalise(scores), sample_weight=weights, labels=np.arange(scores.shape[1]))
    ),
    "brier": brier,
    "mae": number(sk.mean_absolute_error),
    "rmse": number(sk.root_mean_squared_error),
    "r2": number(sk.r2_score),
    "mape": mape,
}
CASES = [(name, task) for name, metric in TABLE.items() for task in sorted(metric.tasks)]


def test_every_metric_is_held_against_scikit_learn() -> None:
    assert sorted(SCIKIT_LEARN) == sorted(TABLE)


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_scikit_learns_value_on_weighted_rows(name: Any, task: Task, seed: int) -> None:
    target, scores = make(task, seed=seed)
    for weights in (np.ones(len(target)), np.random.default_rng(seed).exponential(size=len(target))):
        expected = SCIKIT_LEARN[name](target, scores, weights)
        assert metrics.score(name, task, target, scores, weights=weights) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(name: Any, task: Task) -> None:
    target, scores = make(task)
    weights = np.random.default_rng(1).integers(0, 3, len(target))
    rows = np.repeat(np.arange(len(target)), weights)
    expected = metrics.score(name, task, target[rows], scores[rows])
    found = metrics.score(name, task, target, scores, weights=weights.astype(float))
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("rows", [3, 80])
def test_each_resample_has_the_value_of_the_rows_it_drew(name: Any, task: Task, rows: int) -> None:
    target, scores = make(task, rows)
    random = np.random.default_rng(2)
    blocks, of_rows = np.arange(rows) % 7 % rows, random.exponential(size=rows)
    counts = random.integers(0, 3, (blocks.max() + 1, 20))
    found = TABLE[name](target, Answers(scores), Weights(of_rows, blocks, counts))
    for index, drawn in enumerate(counts.T):
        expected = metrics.score(name, task, target, scores, weights=of_rows * drawn[blocks])
        assert found[index] == pytest.approx(expected, nan_ok=True, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_what_the_rows_cannot_tell_is_nan_and_no_warning(name: Any, task: Task) -> None:
    target, scores = make(task)
    assert np.isnan(metrics.score(name, task, target[:0], scores[:0]))
    assert np.isnan(metrics.score(name, task, target, scores, weights=np.zeros(len(target))))
    same = metrics.score(name, task, np.zeros_like(target), scores)
    untold = {"roc_auc", "pr_auc", "r2", "mape", "balanced_accuracy"}
    untold |= {"precision", "recall", "f1"} if task == "binary" else set()
    assert np.isnan(same) == (name in untold)


@pytest.mark.parametrize("name", ["roc_auc", "pr_auc"])
@pytest.mark.parametrize("share", [0.5, 0.01])
def test_a_ranking_in_steps_is_as_good_as_the_whole(name: Any, share: float) -> None:
    random = np.random.default_rng(0)
    positive = random.random(20_000) < share
    score = 1 / (1 + np.exp(-(random.normal(size=20_000) + 1.5 * positive)))
    answers = Answers(np.column_stack([1 - score, score]))
    counts = random.poisson(1.0, (2_000, 30)).astype(float)
    blocks = np.arange(20_000) % 2_000
    exact = TABLE[name](positive.astype(int), answers, Weights(np.ones(20_000), blocks, counts))
    found = TABLE[name](positive.astype(int), answers, Weights(np.ones(20_000), blocks, counts, steps=STEPS))
    # What matters to an interval is how it varies from resample to resample.
    assert np.std(found) == pytest.approx(np.std(exact), rel=0.05)
    assert np.std(exact - found) < 0.1 * np.std(exact)
