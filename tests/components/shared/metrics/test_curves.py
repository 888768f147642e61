"""What is drawn of predictions."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from components.shared import metrics

PROBABILITY = st.floats(0, 1, width=32)
# The first call imports scikit-learn, which takes longer than the others together.
few = settings(max_examples=50, deadline=None)


@few
@given(st.integers(2, 4000), st.integers(0, 5), st.integers(2, 200))
def test_curves_have_few_finite_points_and_both_ends(rows: int, seed: int, points: int) -> None:
    random = np.random.default_rng(seed)
    positive = random.random(rows) < 0.3
    positive[:2] = [True, False]
    scores = random.random(rows).astype(np.float32)
    for curve in (
        metrics.roc_curve(positive, scores, points=points),
        metrics.pr_curve(positive, scores, points=points),
    ):
        assert curve is not None
        assert 0 < len(curve.x) <= max(points, 3)
        assert np.isfinite([curve.x, curve.y, curve.thresholds]).all()
        assert np.all(np.diff(curve.thresholds) != 0)
    roc = metrics.roc_curve(positive, scores)
    assert roc is not None
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    if rows < 300:
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc_auc_score(positive, scores), abs=0.02)


def test_one_class_has_no_curve() -> None:
    assert metrics.roc_curve(np.array([True, True]), np.array([0.1, 0.2])) is None
    assert metrics.pr_curve(np.array([False, False]), np.array([0.1, 0.2])) is None


def test_confusion_counts_rows_by_true_and_answered_class() -> None:
    counts = metrics.confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), classes=3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_confusion_counts_rows_as_much_as_they_weigh() -> None:
    weights = np.array([0.5, 2.0, 0.0, 1.0])
    counts = metrics.confusion(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), classes=2, weights=weights)
    assert counts.tolist() == [[0.5, 2.0], [0.0, 1.0]]


def test_calibration_counts_rows_as_much_as_they_weigh() -> None:
    random = np.random.default_rng(1)
    probabilities, weights = random.random(300), random.integers(0, 4, 300)
    truth = random.random(300) < probabilities
    found = metrics.calibration(truth, probabilities, bins=1, weights=weights.astype(float))
    repeated = metrics.calibration(np.repeat(truth, weights), np.repeat(probabilities, weights), bins=1)
    assert [item.rows for item in found] == [(weights > 0).sum()]
    assert found[0].observed == pytest.approx(repeated[0].observed)
    assert found[0].predicted == pytest.approx(repeated[0].predicted)
    assert metrics.calibration_error(found) == pytest.approx(metrics.calibration_error(repeated))
    assert metrics.calibration(truth, probabilities, weights=np.zeros(300)) == []


@few
@given(arrays.arrays(np.float64, st.integers(1, 200), elements=PROBABILITY), st.integers(1, 12))
def test_calibration_bins_hold_every_row_once(probabilities: NDArray[np.float64], bins: int) -> None:
    truth = np.arange(len(probabilities)) % 2 == 0
    found = metrics.calibration(truth, probabilities, bins=bins)
    assert sum(item.rows for item in found) == len(probabilities)
    assert len(found) <= bins
    total = sum(item.observed * item.rows for item in found)
    assert total == pytest.approx(truth.sum())
    for before, after in pairwise(found):
        assert before.upper <= after.lower
    assert 0 <= metrics.calibration_error(found) <= 1


def test_calibration_of_a_calibrated_model_is_near_the_diagonal() -> None:
    random = np.random.default_rng(0)
    probabilities = random.random(20_000)
    found = metrics.calibration(random.random(20_000) < probabilities, probabilities)
    assert len(found) == 10
    assert metrics.calibration_error(found) < 0.02


def test_curves_are_of_rows_as_much_as_they_weigh() -> None:
    random = np.random.default_rng(0)
    positive, scores = random.random(300) < 0.3, random.random(300)
    weights = random.integers(0, 3, 300).astype(np.float64)
    repeated = np.repeat(np.arange(300), weights.astype(int))
    for curve in (metrics.roc_curve, metrics.pr_curve):
        found, expected = curve(positive, scores, weights=weights), curve(positive[repeated], scores[repeated])
        assert found is not None
        assert expected is not None
        assert found.x == pytest.approx(expected.x)
        assert found.y == pytest.approx(expected.y)
    assert metrics.roc_curve(positive, scores, weights=np.where(positive, 1.0, 0.0)) is None
