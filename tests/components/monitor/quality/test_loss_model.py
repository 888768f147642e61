"""Losses of numbers without true values: larger where the model is known to be further off."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from components.monitor.quality.estimators import Estimator, Known, off_in_parts
from components.monitor.quality.loss_model import LossModel, Measured
from components.shared.metrics import TABLE, Answers
from components.shared.names import MetricName
from components.shared.tasks import TASKS

NUMBERS = [metric for task in TASKS.values() if not task.has_classes for metric in task.metrics]
ESTIMATED = [metric for metric in NUMBERS if TABLE[metric].row_loss]


def rows(count: int, *, share: float = 0.2, seed: int = 0, lost: bool = False) -> Measured:
    """Predictions whose error is four times as large for the rows of one colour, and grows with a number."""
    random = np.random.default_rng(seed)
    colour = np.where(random.random(count) < share, "red", "blue").astype(object)
    size = random.uniform(1, 3, count).astype(np.float32)
    predicted = (100 + 5 * random.normal(size=count) * size).astype(np.float32)
    error = random.normal(size=count) * size * np.where(colour == "red", 4.0, 1.0) * (2.0 if lost else 1.0)
    frame = pd.DataFrame({"colour": colour, "size": size, "at": np.arange(count)})
    return Measured(frame, predicted, predicted + error, np.ones(count))


def fitted(metric: MetricName, measured: Measured) -> LossModel:
    model = LossModel.fit(metric, measured)
    assert model is not None
    return model


def true(metric: MetricName, window: Measured) -> float:
    return TABLE[metric].value(window.target, Answers(window.predicted))


@pytest.mark.parametrize("share", [0.2, 0.7])
@pytest.mark.parametrize("metric", ESTIMATED)
def test_a_shift_of_the_inputs_is_seen(metric, share):
    model = fitted(metric, rows(4_000))
    window, other = (rows(4_000, share=one, seed=1) for one in (share, 0.9 - share))
    found = model.estimate(window.frame, window.predicted)
    interval = found.interval(0.99)
    assert interval is not None
    assert interval[0] <= true(metric, window) <= interval[1]
    between = abs(true(metric, other) - true(metric, window))
    assert found.value == pytest.approx(true(metric, window), abs=0.2 * between)


@pytest.mark.parametrize("metric", NUMBERS)
def test_a_metric_that_follows_from_no_losses_is_not_estimated(metric, monkeypatch):
    without = dataclasses.replace(TABLE[metric], row_loss=None)
    monkeypatch.setitem(TABLE, metric, without)
    window = rows(500)
    known = Known(Answers(window.predicted), window.target, window.frame, window.weights)
    assert Estimator.fit(metric, known) is None
    assert off_in_parts(metric, known) == []


def test_intervals_cover_what_is_measured_afterwards():
    held = {"mae": 0, "rmse": 0}
    trials = 40
    for metric in held:
        model = fitted(metric, rows(2_000))  # type: ignore[arg-type]
        for seed in range(trials):
            window = rows(300, share=0.4, seed=100 + seed)
            interval = model.estimate(window.frame, window.predicted, seed=seed).interval(0.95)
            assert interval is not None
            held[metric] += interval[0] <= true(metric, window) <= interval[1]  # type: ignore[arg-type]
    assert all(count >= 33 for count in held.values()), held


def test_unseen_categories_missing_numbers_and_fewer_rows_are_no_trouble():
    model = fitted("mae", rows(500))
    window = rows(10, seed=1)
    frame = window.frame.assign(colour="green", size=np.float32(np.nan))
    assert np.isfinite(model.estimate(frame, window.predicted).value)
    one = window.subset(np.array([3]))
    assert np.isfinite(model.estimate(one.frame, one.predicted).value)


def test_a_lost_relation_is_not_seen():
    model = fitted("mae", rows(3_000))
    window = rows(3_000, seed=1, lost=True)
    interval = model.estimate(window.frame, window.predicted).interval(0.95)
    assert interval is not None
    assert true("mae", window) > interval[1]


def test_a_perfect_model_has_no_loss():
    window = rows(500)
    perfect = Measured(window.frame, window.predicted, window.predicted.astype(np.float64), window.weights)
    found = fitted("rmse", perfect).estimate(window.frame, window.predicted)
    assert found.value == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("since", [400, 380, 500])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_without_values_in_most_or_all_rows_is_left_out(since, value):
    """The folds are cut by time: a feature that came last has none in the rows that some of them learn from."""
    window = rows(500)
    frame = window.frame.assign(new=np.where(np.arange(500) < since, value, 1.0).astype(np.float32), none=None)
    found = fitted("mae", Measured(frame, window.predicted, window.target, window.weights))
    assert found.estimate(frame, window.predicted).value == pytest.approx(true("mae", window), rel=0.1)
    assert np.isfinite(found.estimate(frame.assign(new=np.float32(2), none="some"), window.predicted).value)


def test_values_of_rows_that_do_not_count_are_none():
    window = rows(500)
    counted = (np.arange(500) < 300).astype(np.float64)
    frame = window.frame.assign(new=np.where(counted > 0, np.nan, 1.0).astype(np.float32))
    model = fitted("mae", Measured(frame, window.predicted, window.target, counted))
    assert np.isfinite(model.estimate(frame, window.predicted).value)


@pytest.mark.parametrize("known", [0, 3, 99])
def test_too_few_rows_with_a_loss_give_no_model(known):
    window = rows(500)
    target = np.where(np.arange(500) < known, window.target, 0.0)
    assert LossModel.fit("mape", Measured(window.frame, window.predicted, target, window.weights)) is None


def test_the_off_of_parts_is_that_of_parts_that_can_tell():
    """Of 500 targets only the first 100 are not 0: without their fifth nothing is learned, the others have no loss."""
    window = rows(500)
    target = np.where(np.arange(500) < 100, window.target, 0.0)
    known = Known(Answers(window.predicted), target, window.frame, window.weights)
    assert Estimator.fit("mape", known) is not None
    assert off_in_parts("mape", known) == []
