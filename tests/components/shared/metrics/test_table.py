"""The table of metrics, and the metrics against formulas written out by hand."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from components.shared import metrics
from components.shared.errors import DataError
from components.shared.tasks import TASKS

PROBABILITY = st.floats(0, 1, width=32)
# The first call imports scikit-learn, which takes longer than the others together.
few = settings(max_examples=50, deadline=None)


@st.composite
def binary_rows(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    count = draw(st.integers(2, 30))
    target = draw(arrays.arrays(np.int64, count, elements=st.integers(0, 1)))
    # Few distinct values, so that there are ties.
    positive = draw(arrays.arrays(np.float32, count, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])))
    return target, np.column_stack([1 - positive, positive]).astype(np.float32)


@st.composite
def class_rows(draw: st.DrawFn) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    count, classes = draw(st.integers(2, 25)), draw(st.integers(3, 5))
    target = draw(arrays.arrays(np.int64, count, elements=st.integers(0, classes - 1)))
    weights = draw(arrays.arrays(np.float32, (count, classes), elements=st.floats(0.015625, 1, width=32)))
    return target, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


@st.composite
def number_rows(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    count = draw(st.integers(2, 30))
    value = st.floats(-1000, 1000, width=32).filter(lambda number: number == 0 or abs(number) > 1e-3)
    return (
        draw(arrays.arrays(np.float64, count, elements=st.one_of(st.just(0.0), value))),
        draw(arrays.arrays(np.float32, count, elements=value)),
    )


def pairs_won(positive: NDArray[Any], scores: NDArray[Any]) -> float:
    """ROC AUC as the share of pairs of a positive and a negative row that are in the right order."""
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0 for high in scores[positive] for low in scores[~positive]
    ]
    return float(np.mean(wins)) if wins else math.nan


def step_precision(positive: NDArray[Any], scores: NDArray[Any]) -> float:
    """PR AUC as the mean over positive rows of the precision at their own score."""
    if not positive.any() or positive.all():
        return math.nan
    return float(np.mean([positive[scores >= score].mean() for score in scores[positive]]))


def share(hits: int, of: int) -> float:
    return hits / of if of else 0.0


@few
@given(binary_rows())
def test_binary_metrics_follow_their_formulas(rows: tuple[NDArray[np.int64], NDArray[np.float32]]) -> None:
    target, scores = rows
    found = metrics.compute("binary", target, scores)
    positive, probability = target == 1, metrics.normalise(scores)[:, 1]
    chosen = scores[:, 1] >= 0.5
    hits = int((positive & chosen).sum())
    of_target = np.where(positive, probability, 1 - probability)
    expected = {
        "accuracy": float((positive == chosen).mean()),
        "balanced_accuracy": float(np.mean([chosen[positive].mean(), 1 - chosen[~positive].mean()]))
        if positive.any() and not positive.all()
        else math.nan,
        "precision": share(hits, int(chosen.sum())),
        "recall": share(hits, int(positive.sum())),
        "f1": share(2 * hits, int(chosen.sum() + positive.sum())),
        "roc_auc": pairs_won(positive, scores[:, 1]),
        "pr_auc": step_precision(positive, scores[:, 1]),
        "log_loss": float(-np.log(of_target).mean()),
        "brier": float(((probability - positive) ** 2).mean()),
    }
    if not positive.any():
        expected |= dict.fromkeys(("precision", "recall", "f1"), math.nan)
    assert found == pytest.approx(expected, nan_ok=True, abs=1e-9)


@few
@given(class_rows())
def test_multiclass_metrics_follow_their_formulas(rows: tuple[NDArray[np.int64], NDArray[np.float32]]) -> None:
    target, scores = rows
    found = metrics.compute("multiclass", target, scores)
    probability, chosen = metrics.normalise(scores), scores.argmax(axis=1)
    present = sorted(set(target.tolist()))
    hits = {index: int(((target == index) & (chosen == index)).sum()) for index in present}
    told = [index for index in present if len(present) > 1]
    aucs = [pairs_won(target == index, probability[:, index]) for index in told]
    areas = [step_precision(target == index, probability[:, index]) for index in told]
    one_hot = np.eye(scores.shape[1])[target]
    assert found["accuracy"] == pytest.approx((chosen == target).mean())
    assert found["precision"] == pytest.approx(np.mean([share(hits[i], int((chosen == i).sum())) for i in present]))
    assert found["recall"] == pytest.approx(np.mean([share(hits[i], int((target == i).sum())) for i in present]))
    assert found["f1"] == pytest.approx(
        np.mean([share(2 * hits[i], int((chosen == i).sum() + (target == i).sum())) for i in present])
    )
    assert found["roc_auc"] == pytest.approx(np.mean(aucs) if aucs else math.nan, nan_ok=True)
    assert found["pr_auc"] == pytest.approx(np.mean(areas) if areas else math.nan, nan_ok=True)
    assert found["log_loss"] == pytest.approx(-np.log(probability[np.arange(len(target)), target]).mean())
    assert found["brier"] == pytest.approx(((probability - one_hot) ** 2).sum(axis=1).mean())


@few
@given(number_rows())
def test_regression_metrics_follow_their_formulas(rows: tuple[NDArray[np.float64], NDArray[np.float32]]) -> None:
    target, values = rows
    found = metrics.compute("regression", target, values)
    error, some = values.astype(float) - target, target != 0
    assert found["mae"] == pytest.approx(np.abs(error).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    spread = ((target - target.mean()) ** 2).sum()
    if np.ptp(target) == 0:
        assert math.isnan(found["r2"])
    elif spread > 1e-6:
        assert found["r2"] == pytest.approx(1 - (error**2).sum() / spread, rel=1e-6)
    mape = np.abs(error[some] / target[some]).mean() if some.any() else math.nan
    assert found["mape"] == pytest.approx(mape, nan_ok=True)
    assert metrics.zero_targets(target) == int((~some).sum())


@few
@given(binary_rows(), st.sampled_from(TASKS["binary"].metrics))
def test_one_metric_is_the_same_as_among_all(rows: tuple[NDArray[np.int64], NDArray[np.float32]], metric: Any) -> None:
    target, scores = rows
    alone = metrics.score(metric, "binary", target, scores, threshold=0.3)
    assert alone == pytest.approx(metrics.compute("binary", target, scores, threshold=0.3)[metric], nan_ok=True)


def test_the_threshold_decides_the_class_of_two() -> None:
    target, scores = np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    assert metrics.score("recall", "binary", target, scores) == 0.5
    assert metrics.score("recall", "binary", target, scores, threshold=0.4) == 1.0


def test_no_rows_tell_nothing() -> None:
    found = metrics.compute("binary", np.array([], dtype=np.int64), np.zeros((0, 2)))
    assert all(math.isnan(value) for value in found.values())
    assert metrics.calibration(np.array([]), np.array([])) == []
    assert math.isnan(metrics.calibration_error([]))


def test_a_certain_and_wrong_answer_costs_no_more_than_float32_can_tell() -> None:
    wrong = np.array([[1.0, 0.0]], dtype=np.float32)
    assert metrics.score("log_loss", "binary", np.array([1]), wrong) == pytest.approx(15.9, abs=0.1)


@pytest.mark.parametrize(("task", "scores"), [("binary", [[0.5, 0.5], [np.nan, 0.5]]), ("regression", [1.0, np.inf])])
def test_answers_that_are_no_numbers_are_refused(task: Any, scores: Any) -> None:
    with pytest.raises(DataError, match="1 of 2 rows"):
        metrics.compute(task, np.array([0, 1]), np.array(scores))
    with pytest.raises(DataError, match="diverged"):
        metrics.score(TASKS[task].metrics[0], task, np.array([0, 1]), np.array(scores))


def test_the_table_has_what_the_configuration_knows() -> None:
    assert all(name == metric.name and metric.margin > 0 for name, metric in metrics.TABLE.items())
    assert {metric for task in TASKS.values() for metric in task.metrics} == set(metrics.TABLE)


def test_a_metric_of_another_task_is_refused() -> None:
    with pytest.raises(ValueError, match="rmse is no metric of the task binary; those are accuracy"):
        metrics.score("rmse", "binary", np.array([0, 1]), np.full((2, 2), 0.5))


def test_gain_is_positive_for_what_is_better() -> None:
    assert metrics.gain("roc_auc", 0.8, 0.7) == pytest.approx(0.1)
    assert metrics.gain("rmse", 0.7, 0.8) == pytest.approx(0.1)
