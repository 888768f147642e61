"""How late labels come, learned from answers of which the newest cannot have theirs yet."""

import numpy as np
import pytest

from components.shared.labels.maturity import (
    Answered,
    Indices,
    LabelLag,
    is_mature,
    label_lag,
    lag_distribution,
)

DAY = 86_400.0
NOW = 60 * DAY


def simulated(
    *, rows: int = 20_000, days: float = 60, positives: float = 0.2, lags: tuple[float, float] = (2.0, 2.0),
    never: float = 0.0, seed: int = 0,
) -> tuple[Answered, Indices]:  # fmt: skip
    """Answers of so many days until now, whose labels take exponential times; also each one's true class."""
    random = np.random.default_rng(seed)
    received = NOW - random.uniform(0, days * DAY, rows)
    truth = (random.random(rows) < positives).astype(np.int64)
    arrived = received + random.exponential(np.array(lags)[truth] * DAY)
    seen = (arrived <= NOW) & (random.random(rows) >= never)
    return Answered(received, np.where(seen, arrived, np.nan), np.where(seen, truth, -1)), truth


def test_by_hand():
    # Lags 1, 1 and 2 of answers of ages 1, 9 and 9: at lag 2 there are two of age 2 or more, one of which took 2.
    found = lag_distribution(np.array([1.0, 1.0, 2.0]), np.array([1.0, 9.0, 9.0]))
    assert found.lags.tolist() == [1.0, 2.0]
    assert found.shares.tolist() == [0.5, 1.0]
    assert found.within(np.array([0.5, 1.0, 1.5, 2.0, 7.0])).tolist() == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert found.quantile(0.5) == 1.0
    assert found.quantile(0.9) == 2.0


def test_of_answers_that_are_all_old_it_is_the_empirical_distribution():
    lags = np.random.default_rng(0).exponential(1.0, 500)
    found = lag_distribution(lags, np.full(500, 1000.0))
    assert found.within(np.sort(lags)) == pytest.approx(np.arange(1, 501) / 500)


@pytest.mark.parametrize("never", [0.0, 0.4])
def test_the_newest_answers_do_not_make_lags_look_short(never):
    answered, _ = simulated(lags=(5.0, 5.0), never=never)
    lag = label_lag(answered, NOW)

    assert lag.overall is not None
    days = np.array([1.0, 5.0, 10.0])
    assert lag.overall.within(days * DAY) == pytest.approx(1 - np.exp(-days / 5), abs=0.02)
    assert lag.eventual == pytest.approx(1 - never, abs=0.02)
    # Of the answers of one day, that day's share should be there.
    yesterday = np.full(100, NOW - DAY)
    expected = lag.expected(yesterday, NOW)
    assert expected is not None
    assert expected == pytest.approx((1 - never) * (1 - np.exp(-1 / 5)), abs=0.02)


def test_what_was_looked_back_on_too_shortly_is_not_known():
    answered, _ = simulated(days=3, lags=(30.0, 30.0))
    lag = label_lag(answered, NOW)
    assert lag.overall is None
    assert lag.expected(answered.received, NOW) is None
    assert lag == LabelLag()
    few, _ = simulated(rows=40)
    assert label_lag(few, NOW).overall is None
    assert label_lag(Answered.together([]), NOW) == LabelLag()


def test_one_very_old_answer_does_not_decide():
    answered, _ = simulated(days=30)
    old = Answered(np.array([0.0]), np.array([NOW - 1]), np.array([0]))
    with_it, without = (label_lag(Answered.together(parts), NOW) for parts in ([answered, old], [answered]))
    assert with_it.overall is not None
    assert without.overall is not None
    assert with_it.overall.quantile(0.9) == pytest.approx(without.overall.quantile(0.9), rel=0.01)


def test_each_class_has_its_own_lag():
    answered, _ = simulated(lags=(8.0, 1.0))
    lag = label_lag(answered, NOW)
    assert lag.by_class[0].quantile(0.5) == pytest.approx(8 * np.log(2) * DAY, rel=0.1)
    assert lag.by_class[1].quantile(0.5) == pytest.approx(1 * np.log(2) * DAY, rel=0.1)


def test_the_longest_lag_is_that_of_the_slowest_class():
    answered, _ = simulated(lags=(8.0, 1.0))
    longest = label_lag(answered, NOW).longest(0.9)
    assert longest == pytest.approx(8 * np.log(10) * DAY, rel=0.15)
    assert LabelLag().longest(0.9) is None
    # A few labels of one class come so late that those of all still seem to be known.
    answered, _ = simulated(lags=(30.0, 0.1), positives=0.97)
    late = label_lag(answered, NOW)
    assert late.overall is not None
    assert (set(late.late), late.longest(0.9)) == ({0}, None)


def test_weights_make_up_for_classes_whose_labels_come_late():
    """Over 100 simulated windows of three days the weighted accuracy has no bias, the plain one a large one.

    Positives are labelled after one day on average, the others after eight, as frauds are noticed before their absence
    is. The model is right about 60 % of the former and 95 % of the latter.
    """
    plain, weighted, true = [], [], []
    for seed in range(100):
        answered, truth = simulated(rows=4_000, lags=(8.0, 1.0), seed=seed)
        right = np.random.default_rng(1_000 + seed).random(len(truth)) < np.where(truth == 1, 0.6, 0.95)
        lag = label_lag(answered, NOW)
        window = (answered.received >= NOW - 6 * DAY) & (answered.received < NOW - 3 * DAY)
        chosen = window & answered.labelled
        weights = lag.weights(answered.received[chosen], answered.classes[chosen], NOW)
        plain.append(np.mean(right[chosen]))
        weighted.append(np.average(right[chosen], weights=weights))
        true.append(np.mean(right[window]))
    error = np.array(weighted) - np.array(true)
    standard_error = error.std() / np.sqrt(len(error))
    assert np.mean(true) == pytest.approx(0.88, abs=0.01)
    assert np.mean(plain) < np.mean(true) - 0.04
    assert abs(error.mean()) < 3 * standard_error
    assert standard_error < 0.004


def test_a_label_stands_for_no_more_than_twenty_rows():
    answered, _ = simulated(lags=(5.0, 5.0))
    lag = label_lag(answered, NOW)
    weights = lag.weights(np.array([NOW - 60.0, NOW - 50 * DAY]), np.array([0, 0]), NOW)
    assert weights == pytest.approx([20.0, 1.0], rel=0.01)
    assert LabelLag().weights(np.array([NOW]), np.array([-1]), NOW).tolist() == [1.0]


def test_a_window_is_mature_when_enough_of_the_labels_that_will_come_are_there():
    half = LabelLag(eventual=0.5)
    assert not is_mature(449, 1000, half, coverage=0.9, minimum=100)
    assert is_mature(450, 1000, half, coverage=0.9, minimum=100)
    assert not is_mature(450, 1000, LabelLag(), coverage=0.9, minimum=100)
    assert not is_mature(50, 100, half, coverage=0.9, minimum=100)
    assert not is_mature(0, 0, half, coverage=0.9, minimum=1)
