"""What every metric has to fulfil: scikit-learn's value on weighted rows, and the same function on resamples."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from components.shared import metrics
from components.shared.bootstrap import STEPS
from components.shared.config import TaskName
from components.shared.metrics import TABLE, Answers, Weights, normalise
from components.shared.tasks import TASKS

Rows = tuple[NDArray[Any], NDArray[Any]]
Reference = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]


def make(task: TaskName, rows: int = 80, *, seed: int = 0, digits: int = 1) -> Rows:
    """Targets and scores with ties; rows that no metric finds easy."""
    random = np.random.default_rng(seed)
    if not TASKS[task].has_classes:
        target = np.round(random.normal(size=rows), 1)
        return target, (target + random.normal(size=rows)).astype(np.float32)
    classes = 2 if TASKS[task].has_positive_class else 4
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


def log_loss(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
    labels = np.arange(scores.shape[1])
    return float(sk.log_loss(target, normalise(scores), sample_weight=weights, labels=labels))


def number(function: Any) -> Reference:
    return lambda target, scores, weights: float(function(target, scores.astype(float), sample_weight=weights))


def mape(target: NDArray[Any], scores: NDArray[Any], weights: NDArray[Any]) -> float:
    some = target != 0
    return number(sk.mean_absolute_percentage_error)(target[some], scores[some], weights[some])


class Held(NamedTuple):
    """What a metric is held against.

    Attributes:
        reference: scikit-learn's value.
        untold: Kinds of problem in which rows of one target do not tell it.
    """

    reference: Reference
    untold: tuple[TaskName, ...] = ()


CLASSES = tuple(name for name, task in TASKS.items() if task.has_classes)
NUMBERS = tuple(name for name, task in TASKS.items() if not task.has_classes)
SCIKIT_LEARN: dict[str, Held] = {
    "accuracy": Held(decided(sk.accuracy_score)),
    "balanced_accuracy": Held(decided(sk.balanced_accuracy_score), CLASSES),
    "precision": Held(by_class(sk.precision_score), ("binary",)),
    "recall": Held(by_class(sk.recall_score), ("binary",)),
    "f1": Held(by_class(sk.f1_score), ("binary",)),
    "roc_auc": Held(ranked(sk.roc_auc_score), CLASSES),
    "pr_auc": Held(ranked(sk.average_precision_score), CLASSES),
    "log_loss": Held(log_loss),
    "brier": Held(brier),
    "mae": Held(number(sk.mean_absolute_error)),
    "rmse": Held(number(sk.root_mean_squared_error)),
    "r2": Held(number(sk.r2_score), NUMBERS),
    "mape": Held(mape, NUMBERS),
}
CASES = [(name, task) for task, found in TASKS.items() for name in found.metrics]


def test_every_metric_is_held_against_scikit_learn() -> None:
    assert sorted(SCIKIT_LEARN) == sorted(TABLE)


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("seed", range(3))
def test_it_is_scikit_learns_value_on_weighted_rows(name: Any, task: TaskName, seed: int) -> None:
    target, scores = make(task, seed=seed)
    for weights in (np.ones(len(target)), np.random.default_rng(seed).exponential(size=len(target))):
        expected = SCIKIT_LEARN[name].reference(target, scores, weights)
        assert metrics.score(name, task, target, scores, weights=weights) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_a_weight_of_two_is_a_row_twice_and_of_zero_none(name: Any, task: TaskName) -> None:
    target, scores = make(task)
    weights = np.random.default_rng(1).integers(0, 3, len(target))
    rows = np.repeat(np.arange(len(target)), weights)
    expected = metrics.score(name, task, target[rows], scores[rows])
    found = metrics.score(name, task, target, scores, weights=weights.astype(float))
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
@pytest.mark.parametrize("rows", [3, 80])
def test_each_resample_has_the_value_of_the_rows_it_drew(name: Any, task: TaskName, rows: int) -> None:
    target, scores = make(task, rows)
    random = np.random.default_rng(2)
    blocks, of_rows = np.arange(rows) % 7 % rows, random.exponential(size=rows)
    counts = random.integers(0, 3, (blocks.max() + 1, 20))
    found = TABLE[name](target, Answers(scores), Weights(of_rows, blocks, counts))
    for index, drawn in enumerate(counts.T):
        expected = metrics.score(name, task, target, scores, weights=of_rows * drawn[blocks])
        assert found[index] == pytest.approx(expected, nan_ok=True, abs=1e-9)


@pytest.mark.parametrize(("name", "task"), CASES)
def test_what_the_rows_cannot_tell_is_nan_and_no_warning(name: Any, task: TaskName) -> None:
    target, scores = make(task)
    assert np.isnan(metrics.score(name, task, target[:0], scores[:0]))
    assert np.isnan(metrics.score(name, task, target, scores, weights=np.zeros(len(target))))
    same = metrics.score(name, task, np.zeros_like(target), scores)
    assert np.isnan(same) == (task in SCIKIT_LEARN[name].untold)


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name].row_loss])
def test_a_metric_of_numbers_is_what_it_says_of_losses(name: Any) -> None:
    """On predictions without a bias, which R² takes them for: errors have no mean and go with no prediction."""
    row_loss = TABLE[name].row_loss
    assert row_loss is not None
    random = np.random.default_rng(3)
    predicted, weights = random.normal(size=80), random.dirichlet(np.ones(80))
    known, root = np.column_stack([np.ones(80), predicted]), np.sqrt(weights)
    error = random.normal(size=80)
    error -= known @ np.linalg.lstsq(known * root[:, None], error * root, rcond=None)[0]
    target = predicted - error
    if not row_loss.counts(np.zeros(1))[0]:
        target[:3] = 0
    some = row_loss.counts(target)
    losses = row_loss.loss(target[some], predicted[some])
    mean = np.array([np.average(losses, weights=weights[some])])
    expected = TABLE[name].value(target, Answers(predicted), weights)
    assert row_loss.of_mean(mean, predicted, weights) == pytest.approx([expected])


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
