"""How likely chance alone makes a distance so large: what tells drift from a window of few rows.

A distance between two samples of one distribution is never 0, and the fewer rows, the larger. So a distance counts only
where the same rows, dealt anew to reference and window, seldom lie so far apart: a permutation test (Fisher 1935; Efron
and Tibshirani 1993, chapter 15), for which counts by class are enough. Its tail is that of a gamma distribution with
mean and variance of the draws, so that few hundred of them tell small probabilities too. Rows are taken as independent.
"""

from functools import partial

import numpy as np

from components.monitor.statistics.bins import ColumnBins
from components.monitor.statistics.columns import NumberStatistics
from components.monitor.statistics.distances import (
    FORMULAS,
    SMALLEST_NORM,
    Column,
    Counts,
    Floats,
    Formula,
    class_counts,
)
from components.shared.config import DriftMethod

_DRAWS = 200
_MOST_ROWS = 100_000_000  # up to so many NumPy draws without replacement; beyond, with replacement


def p_value(method: DriftMethod, reference: Column, current: Column, bins: ColumnBins) -> float:
    """The probability that so many rows of one distribution lie at least as far apart as these.

    Args:
        method: Of the configuration; any but `ks`, which is such a test itself.
        reference: What is compared with; has values.
        current: What is compared; has values.
        bins: What both were counted into.
    """
    from scipy.stats import gamma

    match method, reference, current:
        case "wasserstein", NumberStatistics(), NumberStatistics():
            before, now, formula = _by_bin(reference, current)
        case _:
            before, now = class_counts(reference, current, bins)
            formula = _FORMULAS[method]
    found = formula(*(part / part.sum() for part in (before, now)))
    draws = formula(*_dealt(before, now))
    mean, variance = float(draws.mean()), float(draws.var())
    if variance <= 0:
        return float(found <= mean)
    return float(gamma.sf(found, mean**2 / variance, scale=variance / mean))


# Example: of two classes the reference has 6 and 4 rows, the window 4 and 6. Their PSI is 0.16. But the same 20 rows,
# dealt anew, have 0.20 on average, so the p-value is 0.34: chance explains it. Of 60 and 40 against 40 and 60 the PSI
# is the same, dealt anew it is 0.02 on average, and the p-value is 0.004.
def _dealt(before: Counts, now: Counts) -> tuple[Floats, Floats]:
    """Divide the rows of both at random into samples of the same sizes: shares by class, each (draws, classes)."""
    random, pooled = np.random.default_rng(0), before + now
    rows, others = int(before.sum()), int(now.sum())
    if rows + others <= _MOST_ROWS:
        dealt = random.multivariate_hypergeometric(pooled, rows, size=_DRAWS, method="marginals")
        return dealt / rows, (pooled - dealt) / others
    shares = pooled / pooled.sum()
    return tuple(random.multinomial(size, shares, size=_DRAWS) / size for size in (rows, others))  # type: ignore[return-value]


def _by_bin(reference: NumberStatistics, current: NumberStatistics) -> tuple[Counts, Counts, Formula]:
    """Rows by bin, and a function for the Wasserstein distance that takes each value as the mean of its bin."""
    counts, sums = reference.counts + current.counts, reference.sums + current.sums
    there = counts > 0
    gaps = np.diff(sums[there] / counts[there]) / max(reference.deviation, SMALLEST_NORM)
    return reference.counts[there], current.counts[there], partial(_wasserstein, gaps=gaps)


def _wasserstein(before: Floats, now: Floats, *, gaps: Floats) -> Floats:
    return np.asarray(np.abs(np.cumsum(before - now, axis=-1)[..., :-1]) @ gaps)


def _homogeneity(before: Floats, now: Floats) -> Floats:
    """Pearson's statistic of whether two samples have the same shares by class, up to a factor."""
    return np.asarray(((before - now) ** 2 / (before + now)).sum(axis=-1))


_FORMULAS: dict[DriftMethod, Formula] = {**FORMULAS, "chisquare": _homogeneity}
