"""A changed relation is told from what estimates are off by anyway."""

import numpy as np
import pytest

from components.monitor.quality.relation import has_changed, limits
from components.shared.decisions.evidence import Estimate


def off(value: float, spread: float = 0.01) -> Estimate:
    return Estimate(value=value, low=value - 1.96 * spread, high=value + 1.96 * spread)


@pytest.mark.parametrize("between", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("past", [5, 20])
def test_of_unchanged_windows_one_in_a_hundred_is_flagged_at_most(past, between):
    random = np.random.default_rng(past)
    trials, flagged = 4_000, 0
    for _ in range(trials):
        values = random.normal(0.005, np.hypot(0.01, between), past + 1)
        flagged += has_changed("accuracy", [off(value) for value in values[:-1]], off(values[-1]), reference=0.8)
    assert flagged / trials <= 0.013


@pytest.mark.parametrize(("past", "least"), [(5, 0.5), (10, 0.95), (20, 0.98)])
def test_a_change_of_ten_standard_errors_is_seen(past, least):
    random = np.random.default_rng(1)
    trials, flagged = 500, 0
    for _ in range(trials):
        values = random.normal(0.0, 0.01, past + 1)
        flagged += has_changed("accuracy", [off(value) for value in values[:-1]], off(values[-1] - 0.1), reference=0.8)
    assert flagged / trials >= least


def test_what_nobody_minds_is_no_change():
    before = [off(0.0, 1e-4)] * 20
    assert not has_changed("accuracy", before, off(0.004, 1e-4), reference=0.8)  # its margin is 0.005
    assert has_changed("accuracy", before, off(0.006, 1e-4), reference=0.8)
    assert not has_changed("rmse", before, off(0.09, 1e-4), reference=10.0)  # its margin is 1 % of the value
    assert has_changed("rmse", before, off(0.11, 1e-4), reference=10.0)


def test_too_few_differences_tell_nothing():
    assert limits([off(0.0)] * 2, off(0.0)) is None
    assert not has_changed("accuracy", [off(0.0)] * 2, off(-0.5), reference=0.8)
