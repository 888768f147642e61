"""Metrics of classes without labels: the estimates are right where probabilities are, and say how sure they are."""

import numpy as np
import pytest
from numpy.typing import NDArray

from components.monitor.quality.confidence import ClassCurves, ConfidenceEstimator, Judged
from components.shared.calibration import IsotonicCalibrator, SigmoidCalibrator
from components.shared.metrics import TABLE, Answers
from components.shared.metrics.weights import Indices
from components.shared.names import MetricName

BINARY: tuple[MetricName, ...] = (
    "accuracy", "precision", "recall", "f1", "roc_auc", "pr_auc", "log_loss", "brier", "balanced_accuracy",
)  # fmt: skip


def binary(
    rows: int, *, shift: float = 0.0, bias: float = 0.0, slope: float = 1.0, seed: int = 0
) -> tuple[NDArray[np.float32], Indices]:
    """Probabilities that are `slope` times too sure and off by `bias`, in log odds; true classes by the right ones."""
    random = np.random.default_rng(seed)
    odds = random.normal(shift, 1.5, rows)
    positive = 1 / (1 + np.exp(-(slope * odds + bias)))
    target = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int64)
    return np.column_stack([1 - positive, positive]).astype(np.float32), target


def judged(rows: tuple[NDArray[np.float32], Indices]) -> Judged:
    return Judged(rows[0], rows[1], np.ones(len(rows[1])))


@pytest.mark.parametrize("shift", [0.0, 1.0, -2.0])
@pytest.mark.parametrize("metric", BINARY)
def test_a_shift_of_the_inputs_is_seen_in_every_metric(metric, shift):
    estimator = ConfidenceEstimator.fit(judged(binary(4_000, slope=1.5, bias=0.4)))
    scores, target = binary(20_000, shift=shift, slope=1.5, bias=0.4, seed=1)
    answers = Answers(scores, threshold=0.4)
    found = estimator.estimate(metric, answers)
    interval = found.interval(0.99)

    assert interval is not None
    assert interval[0] <= TABLE[metric].value(target, answers) <= interval[1]
    assert interval[0] <= found.value <= interval[1]
    assert interval[1] - interval[0] < 0.12


def test_intervals_cover_what_is_measured_afterwards():
    """At 95 % about 38 of 40 windows: also of small ones, and though the calibration is learned from few rows."""
    held = dict.fromkeys(("accuracy", "f1", "roc_auc", "log_loss"), 0)
    trials = 40
    for seed in range(trials):
        estimator = ConfidenceEstimator.fit(judged(binary(600, slope=1.4, seed=seed)))
        scores, target = binary(400, shift=0.5, slope=1.4, seed=1_000 + seed)
        answers = Answers(scores)
        for metric in held:
            interval = estimator.estimate(metric, answers, seed=seed).interval(0.95)  # type: ignore[arg-type]
            assert interval is not None
            held[metric] += interval[0] <= TABLE[metric].value(target, answers) <= interval[1]  # type: ignore[index]
    assert all(count >= 34 for count in held.values()), held


def test_several_classes():
    random = np.random.default_rng(0)

    def drawn(rows: int, shift: float) -> tuple[NDArray[np.float32], Indices]:
        odds = random.normal(0, 1.5, (rows, 3)) + np.array([shift, 0.0, 0.0])
        true = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        said = np.exp(1.6 * odds) / np.exp(1.6 * odds).sum(axis=1, keepdims=True)
        target = (random.random((rows, 1)) > true.cumsum(axis=1)).sum(axis=1)
        return said.astype(np.float32), np.minimum(target, 2).astype(np.int64)

    estimator = ConfidenceEstimator.fit(judged(drawn(4_000, 0.0)))
    scores, target = drawn(4_000, 1.5)
    answers = Answers(scores)
    for metric in ("accuracy", "f1", "log_loss", "brier", "roc_auc"):
        found = estimator.estimate(metric, answers)
        interval = found.interval(0.99)
        assert interval is not None
        assert interval[0] <= TABLE[metric].value(target, answers) <= interval[1], metric


def test_several_classes_of_which_the_model_is_too_sure_of_one_and_not_sure_enough_of_another():
    random = np.random.default_rng(0)

    def drawn(rows: int, shift: float) -> tuple[NDArray[np.float32], Indices]:
        odds = random.normal(0, 1.5, (rows, 3)) + np.array([shift, 0.0, 0.0])
        true = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        said = true ** np.array([2.2, 0.5, 1.0])
        target = (random.random((rows, 1)) > true.cumsum(axis=1)).sum(axis=1)
        return (said / said.sum(axis=1, keepdims=True)).astype(np.float32), np.minimum(target, 2).astype(np.int64)

    known = judged(drawn(6_000, 0.0))
    estimator = ConfidenceEstimator.fit(known)
    assert isinstance(estimator._calibrate, ClassCurves)
    slope = ConfidenceEstimator(SigmoidCalibrator().fit(known.scores.astype(np.float64), known.target), [None])
    errors = {"curves": 0.0, "slope": 0.0}
    for shift in (-1.0, -0.5, 0.5, 1.0):
        scores, target = drawn(8_000, shift)
        answers = Answers(scores)
        true = TABLE["accuracy"].value(target, answers)
        errors["curves"] += abs(estimator.estimate("accuracy", answers).value - true)
        errors["slope"] += abs(slope.estimate("accuracy", answers).value - true)
    assert errors["curves"] < 0.7 * errors["slope"], errors


def test_the_calibration_is_the_one_that_fits():
    right = ConfidenceEstimator.fit(judged(binary(3_000)))
    scores, _ = binary(500, seed=1)
    assert right.probabilities(Answers(scores)) == pytest.approx(scores, abs=0.05)
    sigmoid = ConfidenceEstimator.fit(judged(binary(3_000, slope=2.5)))
    assert isinstance(sigmoid._calibrate, SigmoidCalibrator)
    scores, target = binary(6_000)
    steps = np.where(scores[:, 1] > 0.5, 0.9, 0.1) + 0.05 * scores[:, 1]  # a ranking, but no slope of log odds
    bent = np.column_stack([1 - steps, steps]).astype(np.float32)
    assert isinstance(ConfidenceEstimator.fit(Judged(bent, target, np.ones(6_000)))._calibrate, IsotonicCalibrator)


def test_the_estimate_is_the_mean_over_what_the_classes_may_be():
    """By hand: three rows, certain to 0.9, 0.6 and 0.2; expected accuracy (0.9 + 0.6 + 0.8) / 3."""
    scores = np.array([[0.1, 0.9], [0.4, 0.6], [0.8, 0.2]], dtype=np.float32)
    found = ConfidenceEstimator(None, [None]).estimate("accuracy", Answers(scores))
    assert found.value == pytest.approx(2.3 / 3, abs=1e-6)
    assert found.resampled.mean() == pytest.approx(2.3 / 3, abs=0.05)
    weighted = ConfidenceEstimator(None, [None]).estimate("accuracy", Answers(scores), np.array([1.0, 0.0, 0.0]))
    assert weighted.value == pytest.approx(0.9, abs=1e-6)


def test_labels_that_lost_their_relation_are_not_seen():
    estimator = ConfidenceEstimator.fit(judged(binary(4_000)))
    scores, target = binary(10_000, seed=1)
    found = estimator.estimate("accuracy", Answers(scores)).interval(0.95)
    assert found is not None
    assert TABLE["accuracy"].value(1 - target, Answers(scores)) < found[0]
