"""Whether intervals cover as often as they say, and which candidates the gate lets pass: simulations of known truth.

Coverage: rows are drawn from a process whose metrics are known, a 95% interval is made of them, and the share of
intervals that hold the truth is counted; beside it that of a bootstrap of single rows with plain percentiles and 200
resamples. Pass rates: a candidate and a champion of known ROC AUC score the same rows, and the champion comparison
decides; beside it the rule that blocks only what is proven worse. All is seeded: the figures come out the same again.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from components.shared.bootstrap import Draws, Estimate
from components.shared.config import ChampionRule, Metric
from components.shared.inferiority import compare_losses
from components.shared.metrics import TABLE, Answers
from tests.benchmarks.report import Figure, at_least, at_most, report, told

CONFIDENCE = 0.95
RESAMPLES, BEFORE = 1_000, 200
METRICS: tuple[Metric, ...] = ("roc_auc", "accuracy", "f1", "log_loss")
AUC, WORSE, ALIKE = 0.75, 0.03, 0.7
POSITIVE = 0.3
_TRUTH_ROWS = 1_000_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Rows, what a model says of them, and the block that each is of."""

    target: NDArray[np.int64]
    answers: Answers
    blocks: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Process:
    """Where rows come from.

    Attributes:
        name: For people.
        rows: Rows of a test part.
        blocks: Days or groups of it; 0 for independent rows.
        uneven: Whether blocks differ in size, as groups do.
        lasting: Correlation of the effects of a day and the next.
        together: How many blocks in a row are drawn at once, as `components.shared.blocks` would.
        low: Least coverage wanted; 0 for a process of which nothing is asked.
        high: Most coverage wanted.
    """

    name: str
    rows: int
    blocks: int = 0
    uneven: bool = False
    lasting: float = 0.0
    together: int = 1
    low: float = 0.0
    high: float = 1.0

    def sample(self, random: np.random.Generator, *, times: int = 1) -> Sampled:
        """Draw `times` as many blocks, and so rows, as a test part has."""
        if not self.blocks:
            rows = self.rows * times
            return _answered(random, np.arange(rows), np.zeros((2, rows)))
        count = self.blocks * times
        size = random.lognormal(0, 0.7, count) if self.uneven else np.ones(count)
        blocks = np.repeat(np.arange(count), random.poisson(size * self.rows * times / size.sum()))
        return _answered(random, blocks, _effects(random, count, self.lasting)[:, blocks])


def _effects(random: np.random.Generator, count: int, lasting: float) -> Floats:
    """What makes a block's rows likelier, and what the model thinks makes them so; shape (2, blocks)."""
    effects = random.normal(size=(2, count))
    for index in range(1, count if lasting else 0):
        effects[:, index] = lasting * effects[:, index - 1] + np.sqrt(1 - lasting**2) * effects[:, index]
    return effects


def _answered(random: np.random.Generator, blocks: NDArray[np.int64], effects: Floats) -> Sampled:
    signal, noise = random.normal(size=(2, len(blocks)))
    target = (0.9 * signal + 0.8 * effects[0] + noise > 0.8).astype(np.int64)
    positive = 1 / (1 + np.exp(-(1.5 * signal + 0.8 * effects[1] - 1.3)))
    # The first block may have no rows: number those that have.
    return Sampled(target, Answers(np.column_stack([1 - positive, positive]), 0.4), _numbered(blocks))


def _numbered(blocks: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.unique(blocks, return_inverse=True)[1].astype(np.int64)


PROCESSES = (
    Process("independent rows", 500, low=0.93, high=0.97),
    Process("rows alike within 40 days", 1_000, 40, together=3, low=0.90, high=0.98),
    Process("rows alike within 60 uneven groups", 1_000, 60, uneven=True, low=0.90, high=0.98),
    Process("days alike their neighbours too", 1_000, 40, lasting=0.5, together=3, low=0.90, high=0.98),
)


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of the intervals that hold the truth, by metric."""

    ours: dict[Metric, float]
    before: dict[Metric, float]


def coverage(process: Process, *, trials: int) -> Coverage:
    """Simulate test parts of a process and count.

    Args:
        process: Where rows come from.
        trials: Test parts.
    """
    large = process.sample(np.random.default_rng(10**6), times=_TRUTH_ROWS // process.rows)
    truth = {metric: TABLE[metric].value(large.target, large.answers) for metric in METRICS}
    ours, before = (dict.fromkeys(METRICS, 0.0) for _ in range(2))
    for trial in range(trials):
        found = process.sample(np.random.default_rng(trial))
        by_block = Draws(found.blocks, RESAMPLES, run_length=process.together, seed=trial)
        by_row = Draws(np.arange(len(found.target)), BEFORE, seed=trial)
        for counted, draws, interval in ((ours, by_block, _ours), (before, by_row, _percentiles)):
            estimates = draws.estimates("binary", found.target, found.answers, only=METRICS)
            for metric, item in estimates.items():
                counted[metric] += _holds(interval(item), truth[metric]) / trials
    return Coverage(ours, before)


def _ours(estimate: Estimate) -> tuple[float, float] | None:
    return estimate.interval(CONFIDENCE)


def _percentiles(estimate: Estimate) -> tuple[float, float]:
    low, high = np.nanquantile(estimate.resampled, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _holds(interval: tuple[float, float] | None, truth: float) -> bool:
    return interval is not None and interval[0] <= truth <= interval[1]


# The champion comparison


@dataclass(frozen=True, slots=True)
class Passed:
    """Shares of candidates that pass: by each setting of `when_unclear`, and by the rule before."""

    promote_if_not_worse: float
    block: float
    promote: float
    before: float


def pass_rates(*, rows: int, loss: float, trials: int) -> Passed:
    """Simulate comparisons of a candidate with a champion by ROC AUC.

    Args:
        rows: Test rows.
        loss: By how much the candidate is truly worse.
        trials: Comparisons.
    """
    rules = [ChampionRule(when_unclear=word) for word in ("promote_if_not_worse", "block", "promote")]
    passed = np.zeros(4)
    for trial in range(trials):
        found = lost(rows, loss, seed=trial)
        comparison = compare_losses(found, CONFIDENCE, TABLE["roc_auc"].margin)
        if comparison is not None:
            passed[:3] += [comparison.passes(rule) for rule in rules]
        passed[3] += _percentiles(found)[0] <= 0
    return Passed(*(passed / trials).tolist())


def lost(rows: int, loss: float, *, seed: int) -> Estimate:
    """What a comparison on new rows says of a candidate that is truly worse by `loss`."""
    random = np.random.default_rng(seed)
    target = (random.random(rows) < POSITIVE).astype(np.int64)
    shared, *own = random.normal(size=(3, rows))
    noise = [np.sqrt(ALIKE) * shared + np.sqrt(1 - ALIKE) * one for one in own]
    draws = Draws(np.arange(rows), RESAMPLES, seed=seed)
    candidate, champion = (
        draws.estimates("binary", target, _scored(target, auc, error), only=["roc_auc"])["roc_auc"]
        for auc, error in zip((AUC - loss, AUC), noise, strict=True)
    )
    return champion - candidate


def _scored(target: NDArray[np.int64], auc: float, noise: Floats) -> Answers:
    """Answers of a model of known ROC AUC: scores of two normal distributions that far apart."""
    from scipy.stats import norm

    distance = np.sqrt(2) * norm.ppf(auc)
    positive = norm.cdf((distance * target + noise) / 2)
    return Answers(np.column_stack([1 - positive, positive]))


# Figures


def coverages(trials: int) -> list[Figure]:
    """Coverage of each metric's interval, process by process."""
    figures: list[Figure] = []
    for process in PROCESSES:
        found = coverage(process, trials=trials)
        for metric in METRICS:
            label = f"{process.name}: {TABLE[metric].label}"
            figures.append(_coverage_figure(f"coverage, {label}", found.ours[metric], process))
            figures.append(told(f"coverage of a bootstrap of rows, {label}", found.before[metric], unit="share"))
    return figures


def _coverage_figure(name: str, value: float, process: Process) -> Figure:
    if not process.low:
        return told(name, value, unit="share")
    target = f"{process.low:.0%} to {process.high:.0%}"
    holds = process.low <= value <= process.high
    return Figure(name=name, value=round(value, 4), unit="share", target=target, holds=holds)


def passes(trials: int) -> list[Figure]:
    """Pass rates of the champion comparison."""
    figures: list[Figure] = []
    for rows, most in ((200, 0.15), (500, 0.10)):
        worse = pass_rates(rows=rows, loss=WORSE, trials=trials)
        equal = pass_rates(rows=rows, loss=0.0, trials=trials)
        name = f"{WORSE} of ROC AUC worse, {rows} rows"
        figures += [
            at_most(f"pass, {name}", worse.promote_if_not_worse, most, unit="share", target=f"at most {most:.0%}"),
            at_least(
                f"pass, as good, {rows} rows", equal.promote_if_not_worse, 0.40, unit="share", target="at least 40%"
            ),
        ]
        for label, found in ((name, worse), (f"as good, {rows} rows", equal)):
            figures += [
                told(f"pass, {label}: when_unclear block", found.block, unit="share"),
                told(f"pass, {label}: when_unclear promote", found.promote, unit="share"),
                told(f"pass, {label}: blocked only when proven worse", found.before, unit="share"),
            ]
    return figures


PARTS: dict[str, Callable[[int], list[Figure]]] = {"coverage": coverages, "passes": passes}


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, write; a part alone goes to a file of its own name."""
    parser = argparse.ArgumentParser(description="Simulate how intervals cover and which candidates pass.")
    parser.add_argument("--only", choices=sorted(PARTS), help="simulate this part alone")
    parser.add_argument("--trials", type=int, default=600, help="test parts of each kind (default 600)")
    options = parser.parse_args(arguments)
    chosen: list[Any] = [options.only] if options.only else list(PARTS)
    figures = [figure for part in chosen for figure in PARTS[part](options.trials)]
    report(f"statistics-{options.only}" if options.only else "statistics", figures, console=Console(highlight=False))


if __name__ == "__main__":
    main()
