"""The fast bootstrap against drawing rows and computing the metrics on them."""

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.shared import bootstrap, metrics
from components.shared.bootstrap import Sample
from components.shared.config import Task


def make(task: Task, rows: int, *, seed: int = 0, ties: bool = True) -> tuple[NDArray[Any], NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    if task == "regression":
        target = np.round(random.normal(size=rows), 1)
        return target, (target + random.normal(size=rows)).astype(np.float32)
    classes = 2 if task == "binary" else 4
    scores = random.dirichlet(np.ones(classes), rows)
    scores = np.round(scores, 1) if ties else scores
    target = np.array([random.choice(classes, p=row) for row in random.dirichlet(np.ones(classes), rows)])
    return target, scores.astype(np.float32)


def naive(task: Task, target: NDArray[Any], scores: NDArray[Any], counts: NDArray[Any]) -> dict[Any, float]:
    drawn = np.repeat(np.arange(len(target)), counts)
    return metrics.compute(task, target[drawn], scores[drawn])


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("rows", [3, 20, 150])
def test_each_resample_equals_the_metrics_of_its_rows(task: Task, rows: int, ties: bool) -> None:
    target, scores = make(task, rows, ties=ties)
    counts = np.concatenate(list(bootstrap.draws(rows, 12)))
    found = bootstrap.resample([Sample(task, target, scores=scores)], rows, 12)[0]
    for index, drawn in enumerate(counts):
        expected = naive(task, target, scores, drawn)
        assert {metric: values[index] for metric, values in found.items()} == pytest.approx(
            expected, nan_ok=True, abs=1e-9
        )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_a_slice_is_resampled_with_the_whole(task: Task) -> None:
    target, scores = make(task, 120)
    rows = np.flatnonzero(np.arange(120) % 3 == 0)
    counts = np.concatenate(list(bootstrap.draws(120, 20)))
    _, part = bootstrap.resample(
        [Sample(task, target, scores=scores), Sample(task, target, scores=scores, rows=rows)], 120, 20
    )
    for index in range(20):
        expected = naive(task, target[rows], scores[rows], counts[index][rows])
        assert {metric: values[index] for metric, values in part.items()} == pytest.approx(
            expected, nan_ok=True, abs=1e-9
        )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_observed_values_are_those_of_the_metrics_module(task: Task) -> None:
    target, scores = make(task, 200)
    assert bootstrap.observed(Sample(task, target, scores=scores), 200) == pytest.approx(
        metrics.compute(task, target, scores), abs=1e-9
    )


def test_only_what_is_wanted_is_computed() -> None:
    target, scores = make("binary", 50)
    for wanted in (["roc_auc"], ["accuracy", "brier"]):
        sample = Sample("binary", target, scores=scores, only=wanted)  # type: ignore[arg-type]
        assert sorted(bootstrap.observed(sample, 50)) == sorted(wanted)


def test_one_class_tells_no_ranking() -> None:
    _, scores = make("binary", 40)
    found = bootstrap.observed(Sample("binary", np.zeros(40, dtype=np.int64), scores=scores), 40)
    assert np.isnan([found["roc_auc"], found["pr_auc"], found["recall"]]).all()
    assert np.isfinite([found["accuracy"], found["log_loss"]]).all()


def test_draws_are_as_many_rows_as_there_are_and_repeat_with_the_seed() -> None:
    counts = np.concatenate(list(bootstrap.draws(1000, 50, seed=3)))
    assert counts.shape == (50, 1000)
    assert (counts.sum(axis=1) == 1000).all()
    assert (counts == np.concatenate(list(bootstrap.draws(1000, 50, seed=3)))).all()
    assert (counts[0] != counts[1]).any()


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    random, covered = np.random.default_rng(0), 0
    for seed in range(200):
        target = (random.random(150) < 0.3).astype(np.int64)
        scores = np.column_stack([np.full(150, 0.4), np.full(150, 0.6)])
        sample = Sample("binary", target, scores=scores, only=["accuracy"])
        values = bootstrap.resample([sample], 150, 200, seed=seed)[0]["accuracy"]
        interval = bootstrap.interval(values, 0.9)
        assert interval is not None
        covered += interval[0] <= 0.3 <= interval[1]
    assert 0.83 <= covered / 200 <= 0.96


def test_an_interval_needs_half_of_the_resamples() -> None:
    assert bootstrap.interval(np.array([1.0, np.nan, np.nan]), 0.95) is None
    assert bootstrap.interval(np.array([]), 0.95) is None
    assert bootstrap.interval(np.array([1.0, 1.0, np.nan]), 0.95) == (1.0, 1.0)


def test_it_is_many_times_faster_than_drawing_rows() -> None:
    target, scores = make("binary", 20_000, ties=False)
    metrics.compute("binary", target[:100], scores[:100])
    start = time.process_time()
    for counts in next(bootstrap.draws(20_000, 4)):
        naive("binary", target, scores, counts)
    slow = (time.process_time() - start) / 4
    start = time.process_time()
    bootstrap.resample([Sample("binary", target, scores=scores)], 20_000, 50)
    assert (time.process_time() - start) / 50 < slow / 3
