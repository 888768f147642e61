"""The bootstrap: what it draws, what it makes of it, and how often its intervals cover the truth."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.shared import metrics
from components.shared.bootstrap import FEWEST_BLOCKS, MOST_BLOCKS, Draws, Estimate, effective_blocks, simultaneous
from components.shared.config import TaskName
from components.shared.metrics import Answers, Weights
from components.shared.tasks import TASKS


def make(task: TaskName, rows: int, *, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    if not TASKS[task].has_classes:
        target = np.round(random.normal(size=rows), 1)
        return target, (target + random.normal(size=rows)).astype(np.float32)
    classes = 2 if TASKS[task].has_positive_class else 4
    scores = np.round(random.dirichlet(np.ones(classes), rows), 1)
    target = np.array([random.choice(classes, p=row) for row in random.dirichlet(np.ones(classes), rows)])
    return target, scores.astype(np.float32)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_each_resample_is_the_metrics_of_the_blocks_it_drew(task: TaskName, weighted: bool) -> None:
    target, scores = make(task, 120)
    blocks = np.arange(120) // 10
    weights = np.random.default_rng(1).exponential(size=120) if weighted else None
    draws = Draws(blocks, 15, weights=weights)
    rows = np.flatnonzero(np.arange(120) % 3 == 0)
    counts = draws.weights.counts[:, 1:]
    assert (counts.sum(axis=0) == 12).all()
    for some in (None, rows):
        chosen = np.arange(120) if some is None else some
        found = draws.estimates(task, target, Answers(scores), rows=some)
        base = np.ones(120) if weights is None else weights
        assert {name: item.value for name, item in found.items()} == pytest.approx(
            metrics.compute(task, target[chosen], scores[chosen], weights=base[chosen]), nan_ok=True
        )
        for index, drawn in enumerate(counts.T):
            expected = metrics.compute(
                task, target[chosen], scores[chosen], weights=(base * drawn[blocks])[chosen].astype(float)
            )
            assert {name: item.resampled[index] for name, item in found.items()} == pytest.approx(
                expected, nan_ok=True, abs=1e-9
            )


def test_only_what_is_wanted_is_computed() -> None:
    target, scores = make("binary", 50)
    draws = Draws(np.arange(50), 10)
    assert list(draws.estimates("binary", target, Answers(scores), only=["brier"])) == ["brier"]


def test_the_same_seed_draws_the_same() -> None:
    one, same, other = (Draws(np.arange(40), 20, seed=seed).weights.counts for seed in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()
    assert (one[:, 0] == 1).all()


def test_many_blocks_are_put_together_at_random_and_none_is_torn() -> None:
    blocks = np.repeat(np.arange(5 * MOST_BLOCKS), 2)
    weights = Draws(blocks, 5).weights
    assert len(weights.counts) == MOST_BLOCKS
    assert (weights.blocks[::2] == weights.blocks[1::2]).all()
    assert (np.bincount(weights.blocks) == 10).all()
    assert (np.diff(weights.blocks[::2]) % MOST_BLOCKS != 1).any()


def test_periods_are_drawn_some_in_a_row() -> None:
    counts = Draws(np.repeat(np.arange(40), 3), 400, run_length=4).weights.counts[:, 1:]
    assert (counts.sum(axis=0) == 40).all()
    # Each is drawn as often as any other, the first and the last too, and neighbours go together.
    assert counts.mean(axis=1) == pytest.approx(np.ones(40), abs=0.35)
    near, far = (np.corrcoef(counts.reshape(-1), np.roll(counts, by, axis=0).reshape(-1))[0, 1] for by in (1, 20))
    assert near > 0.6
    assert abs(far) < 0.15
    assert Draws(np.arange(MOST_BLOCKS + 1), 2, run_length=4)._run_length == 1


def test_a_slice_within_few_blocks_is_resampled_by_row() -> None:
    target = np.random.default_rng(0).integers(0, 2, 400)
    answers = Answers(np.full((400, 2), 0.5))
    draws = Draws(np.arange(400) // 10, 200)
    inside = draws.estimates("binary", target, answers, rows=np.arange(10 * (FEWEST_BLOCKS - 1)), only=["accuracy"])
    assert inside["accuracy"].blocks == 70
    across = draws.estimates("binary", target, answers, rows=np.arange(0, 400, 10), only=["accuracy"])
    assert across["accuracy"].blocks == 40
    one_block = draws.estimates("binary", target, answers, rows=np.arange(10), only=["accuracy"])["accuracy"]
    assert np.std(one_block.resampled) > 0.05


def test_blocks_of_different_weight_are_worth_fewer() -> None:
    assert effective_blocks(Weights(np.ones(6), [0, 0, 1, 1, 2, 2], np.ones((3, 1)))) == pytest.approx(3)
    assert effective_blocks(Weights([8, 1, 1], [0, 1, 2], np.ones((3, 1)))) == pytest.approx(100 / 66)
    assert effective_blocks(Weights(np.zeros(3))) == 0


def test_blocks_drawn_in_a_row_are_worth_fewer_where_they_follow_one_another() -> None:
    counts = np.ones((42, 1))
    assert effective_blocks(Weights(np.ones(42), np.arange(42), counts), 3) == pytest.approx(14)
    weekly = Weights(np.ones(6), np.arange(0, 42, 7), counts)
    assert effective_blocks(weekly, 3) == pytest.approx(6)


def estimate(resampled: Any, *, blocks: float = 1e6, value: float = 0.0) -> Estimate:
    return Estimate(value, np.array(resampled, dtype=float), blocks)


def test_an_interval_needs_half_of_the_resamples() -> None:
    assert estimate([1.0, math.nan, math.nan]).interval(0.95) is None
    assert estimate([]).interval(0.95) is None
    assert estimate([1.0, 1.0, math.nan]).interval(0.95) == (1.0, 1.0)


def test_few_blocks_widen_the_interval() -> None:
    normal = np.random.default_rng(0).normal(size=20_000)
    assert estimate(normal).interval(0.95) == pytest.approx((-1.96, 1.96), abs=0.05)
    # Student's t with nine degrees of freedom reaches 2.262, and a sample of ten varies 10/9 as much as it seems to.
    reach = 2.262 * math.sqrt(10 / 9)
    assert estimate(normal, blocks=10).interval(0.95) == pytest.approx((-reach, reach), abs=0.1)


def test_differences_are_paired() -> None:
    noise = np.random.default_rng(0).normal(size=1_000)
    difference = estimate(noise + 1, value=1.0, blocks=40) - estimate(noise, blocks=30)
    assert difference.value == 1
    assert difference.blocks == 30
    assert difference.interval(0.95) == pytest.approx((1.0, 1.0))
    assert difference.times(-2).interval(0.95) == pytest.approx((-2.0, -2.0))


def test_intervals_that_hold_together_are_wider() -> None:
    alone = {"confidence": 0.95, "blocks": None}
    assert simultaneous(0.5, (0.4, 0.7), comparisons=1, **alone) == pytest.approx((0.4, 0.7))  # type: ignore[arg-type]
    low, high = simultaneous(0.5, (0.4, 0.7), comparisons=10, **alone)  # type: ignore[arg-type]
    # Normal quantiles: 2.807 of 0.9975 and 1.960 of 0.975.
    assert (0.5 - low, high - 0.5) == pytest.approx((0.1 * 2.807 / 1.96, 0.2 * 2.807 / 1.96), rel=1e-3)
    few = simultaneous(0.5, (0.4, 0.7), confidence=0.95, comparisons=10, blocks=10)
    assert few[0] < low


@pytest.mark.parametrize("blocks", [40, 15])
def test_the_interval_covers_the_truth_where_rows_of_a_block_are_alike(blocks: int) -> None:
    random, covered, by_row = np.random.default_rng(0), 0, 0
    rows = np.repeat(np.arange(blocks), 20)
    for seed in range(150):
        # A block's rows are answered rightly in 50% or 90% of the cases: 70% in all.
        right = random.random(len(rows)) < np.where(random.random(blocks) < 0.5, 0.5, 0.9)[rows]
        answers = Answers(np.column_stack([~right, right]).astype(float))
        for kind, of in (("block", rows), ("row", np.arange(len(rows)))):
            draws = Draws(of, 200, seed=seed)
            found = draws.estimates("binary", np.ones(len(rows), dtype=int), answers, only=["accuracy"])["accuracy"]
            low, high = found.interval(0.95) or (0.0, 0.0)
            covered += kind == "block" and low <= 0.7 <= high
            by_row += kind == "row" and low <= 0.7 <= high
    assert 0.9 <= covered / 150 <= 0.99
    assert by_row / 150 < 0.75
