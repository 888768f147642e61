"""Tests of choosing the threshold, among them a simulation that shows what it gains."""

from typing import get_args

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from components.shared.config import ErrorCosts
from components.shared.metrics import score
from components.shared.names import ThresholdMetric
from components.shared.thresholds import candidates, choose_threshold, outcomes

COSTS = ErrorCosts(false_positive=1, false_negative=5)


def drawn(rows: int, seed: int, *, share: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Targets and their true probabilities, most of them small."""
    random = np.random.default_rng(seed)
    logits = random.normal(np.log(share / (1 - share)), 1.0, rows)
    probabilities = 1 / (1 + np.exp(-logits))
    return (random.random(rows) < probabilities).astype(np.int64), probabilities


def test_outcomes_are_those_of_answering_from_a_threshold_on():
    target, probabilities = drawn(300, 0)
    found = outcomes(target, probabilities, None)
    for place, f1, balanced, precision, recall in zip(
        found.thresholds,
        found.metric("f1"),
        found.metric("balanced_accuracy"),
        found.precision,
        found.recall,
        strict=True,
    ):
        answer = (probabilities >= place).astype(int)
        assert f1 == pytest.approx(f1_score(target, answer, zero_division=0))
        assert balanced == pytest.approx(balanced_accuracy_score(target, answer))
        assert recall == pytest.approx(answer[target == 1].mean())
        assert precision == pytest.approx(target[answer == 1].mean() if answer.any() else 1.0)


@pytest.mark.parametrize("name", get_args(ThresholdMetric))
@pytest.mark.parametrize("weighted", [False, True])
def test_a_metric_at_a_threshold_is_that_of_the_table(name, weighted):
    target, probabilities = drawn(300, 6)
    weights = np.random.default_rng(7).exponential(size=300) if weighted else None
    chosen = choose_threshold(target, probabilities, weights, metric=name)
    places = np.unique([*candidates(probabilities)[::20], chosen])
    found = outcomes(target, probabilities, weights, thresholds=places).metric(name)
    scores = np.column_stack([1 - probabilities, probabilities])
    expected = [score(name, "binary", target, scores, threshold=place, weights=weights) for place in places]
    assert found == pytest.approx(np.array(expected), abs=1e-12)
    assert found[places == chosen] == pytest.approx(max(expected), abs=1e-12)


def test_a_weight_counts_as_so_many_rows():
    target, probabilities = drawn(200, 1)
    weights = np.random.default_rng(2).integers(0, 4, 200)
    many = np.repeat(np.arange(200), weights)
    for chosen in ({"metric": "f1"}, {"metric": "accuracy"}, {"costs": COSTS}):
        places = candidates(probabilities)
        weighted = outcomes(target, probabilities, weights.astype(float), thresholds=places)
        repeated = outcomes(target[many], probabilities[many], None, thresholds=places)
        np.testing.assert_allclose(weighted.metric("f1"), repeated.metric("f1"))
        np.testing.assert_allclose(weighted.cost(COSTS), repeated.cost(COSTS))
        assert 0 < choose_threshold(target, probabilities, weights.astype(float), **chosen) < 1


def test_costs_choose_what_theory_says():
    """With true probabilities the cheapest threshold is fp / (fp + fn) (Elkan, 2001)."""
    target, probabilities = drawn(60_000, 3)
    assert choose_threshold(target, probabilities, None, costs=COSTS) == pytest.approx(1 / 6, abs=0.03)
    even = ErrorCosts(false_positive=2, false_negative=2)
    assert choose_threshold(target, probabilities, None, costs=even) == pytest.approx(0.5, abs=0.06)


def test_a_chosen_threshold_does_better_on_rows_it_has_not_seen():
    """Simulation: 100 tables with a rare class; F1 on fresh rows, at the chosen threshold and at 0.5."""
    gains, shortfalls = [], []
    for seed in range(100):
        threshold = choose_threshold(*drawn(400, seed), None)
        target, probabilities = drawn(4_000, 1_000 + seed)
        reached = f1_score(target, probabilities >= threshold)
        gains.append(reached - f1_score(target, probabilities >= 0.5, zero_division=0))
        shortfalls.append(outcomes(target, probabilities, None).metric("f1").max() - reached)
    assert np.mean(gains) > 0.1
    assert min(gains) > 0
    assert np.mean(shortfalls) < 0.02  # of what the best threshold for the fresh rows would reach


def test_what_cannot_be_chosen_is_a_half():
    assert choose_threshold(np.ones(5, dtype=int), np.linspace(0.1, 0.9, 5), None) == 0.5
    weights = np.array([1.0, 1.0, 0.0])
    assert choose_threshold(np.array([0, 0, 1]), np.array([0.1, 0.2, 0.3]), weights) == 0.5


@pytest.mark.parametrize("probabilities", [[0.3, 0.3], [0.0, 1.0], [1e-7, 3e-7], [0.99999997, 0.9999999]])
def test_candidates_lie_strictly_between_0_and_1(probabilities):
    found = candidates(np.array(probabilities))
    assert len(found)
    assert found.min() > 0
    assert found.max() < 1


def test_the_last_bits_of_a_sum_do_not_change_the_choice():
    target, probabilities = drawn(500, 5)
    shifted = np.nextafter(probabilities, 1)
    assert choose_threshold(target, probabilities, None) == choose_threshold(target, shifted, None)
