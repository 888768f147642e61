"""Distances and tests between two columns, from their statistics alone.

Each is the one of that name in Evidently, with its conventions (bins, norms, what is put in place of zeros), so that
the verdicts agree; what a distance cannot know from statistics, its docstring says. Missing values are left out, as
Evidently leaves them out.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from components.monitor.statistics.bins import CategoryBins, ColumnBins, NumberBins
from components.monitor.statistics.columns import CategoryStatistics, NumberStatistics
from components.shared.config import DriftMethod

Column = NumberStatistics | CategoryStatistics
Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Formula = Callable[[Floats, Floats], Floats]

_FEW_VALUES = 20  # up to which Evidently compares numbers value by value
SMALLEST_NORM = 0.001
_ZERO = 0.0001


# Example: 0 and 1 before, 1 and 2 now. Each value moved by 1, and the deviation before is 0.5, so the distance is 2.
def wasserstein(reference: NumberStatistics, current: NumberStatistics, bins: NumberBins) -> float:
    """First Wasserstein distance, in standard deviations of the reference (at least 0.001).

    The area between the two distribution functions (Vallender 1974; `scipy.stats.wasserstein_distance`). Of a bin, the
    sum of its values gives the area below each function exactly, so the area between them is exact wherever they do
    not cross within the bin; where they do, their difference is taken as linear there.
    """
    norm = max(reference.deviation, SMALLEST_NORM)
    edges = bins.values
    widths, uppers = np.diff(edges), edges[1:]
    before, now = (_below_edges(part) for part in (reference, current))
    areas = [
        share[:-1] * widths + (uppers * part.counts[1:-1] - part.sums[1:-1]) / part.values
        for part, share in ((reference, before), (current, now))
    ]
    between = np.abs(areas[0] - areas[1])
    left, right = (before - now)[:-1], (before - now)[1:]
    crossing = left * right < 0
    linear = (left**2 + right**2) / np.where(crossing, 2 * (np.abs(left) + np.abs(right)), 1.0) * widths
    inside = np.where(crossing, np.maximum(between, linear), between).sum()
    below = abs(_beyond(edges[0], reference, 0) - _beyond(edges[0], current, 0))
    above = abs(_beyond(edges[-1], reference, -1) - _beyond(edges[-1], current, -1))
    return float(inside + below + above) / norm


def _below_edges(column: NumberStatistics) -> Floats:
    """Share of the values below each edge."""
    return np.cumsum(column.counts[:-1]) / column.values


def _beyond(edge: float, column: NumberStatistics, place: int) -> float:
    """Sum of the distances from an outermost edge to the values beyond it, divided by the number of all values."""
    return abs(float(column.sums[place] - edge * column.counts[place])) / column.values


def kolmogorov_smirnov(reference: NumberStatistics, current: NumberStatistics) -> float:
    """P-value of the two-sided Kolmogorov–Smirnov test of two samples (Hodges 1958; `scipy.stats.ks_2samp`).

    The largest difference of the distribution functions is looked for at the edges of the bins. Between them it may be
    larger, by less than the share of the rows in a bin, so the p-value is never too small. It is that of the limiting
    distribution, which SciPy takes too from 10,000 rows on.
    """
    from scipy.stats import kstwo

    difference = np.abs(_below_edges(reference) - _below_edges(current)).max()
    rows = reference.values * current.values / (reference.values + current.values)
    return float(np.clip(kstwo.sf(difference, max(1, round(rows))), 0, 1))


# Example: 1,000 rows on either side are counted in ceil(log2(2,000) + 1) = 12 classes.
def number_counts(reference: NumberStatistics, current: NumberStatistics, bins: NumberBins) -> tuple[Counts, Counts]:
    """Rows in the classes by which Evidently compares numbers (`get_binned_data`).

    Up to 20 different values in the reference: value by value; what lies between two of them counts as one more value.
    Otherwise classes of equal width over the range of both, in number by Sturges' rule (Sturges 1926). How values lie
    within a bin is estimated from their mean; outside of the reference's range the sketch tells it.
    """
    if bins.distinct <= _FEW_VALUES:
        return reference.counts, current.counts
    low = min(_number(reference.minimum), _number(current.minimum))
    high = max(_number(reference.maximum), _number(current.maximum))
    classes = math.ceil(math.log2(reference.values + current.values) + 1)
    limits = np.linspace(low, high, classes + 1)
    return _histogram(reference, bins, limits), _histogram(current, bins, limits)


def _number(value: float | None) -> float:
    return 0.0 if value is None else value


def _histogram(column: NumberStatistics, bins: NumberBins, limits: Floats) -> Counts:
    """Values between limits of which the first is the minimum and the last the maximum, or beyond."""
    inner = limits[1:-1]
    edges = bins.values
    within = (inner >= edges[0]) & (inner < edges[-1])
    below = np.zeros(len(inner))
    below[within] = _rank_within(column, edges, inner[within])
    for place in np.flatnonzero(~within):
        below[place] = _rank_outside(column, float(inner[place]), above=bool(inner[place] >= edges[-1]))
    ranks = np.concatenate([[0], np.round(below).astype(np.int64), [column.values]])
    return np.asarray(ranks[1:] - ranks[:-1])


# Example: a bin from 0 to 10 has four values with a mean of 3. They are taken as spread over 0 to 6, so two lie below
# 3.
def _rank_within(column: NumberStatistics, edges: Floats, limits: Floats) -> Floats:
    """How many values lie below limits that are within the reference's range.

    The values of a bin are taken as evenly spread over the part of it that begins or ends with the bin and has their
    mean in its middle.
    """
    place = np.searchsorted(edges, limits, side="right")
    counts, low, high = column.counts[place], edges[place - 1], edges[place]
    mean = np.where(counts > 0, column.sums[place] / np.maximum(counts, 1), (low + high) / 2)
    start = np.maximum(low, 2 * mean - high)
    width = np.maximum(np.minimum(high, 2 * mean - low) - start, (high - low) * 1e-9)  # 0 where all are the same
    share = np.clip((limits - start) / width, 0.0, 1.0)
    return np.asarray(np.cumsum(column.counts)[place - 1] + share * counts)


def _rank_outside(column: NumberStatistics, limit: float, *, above: bool) -> float:
    """How many values lie below a limit that is outside of the reference's range."""
    inside = float(column.counts[1:-1].sum()) if above else 0.0
    if column.outside.is_empty():
        return inside
    share = float(column.outside.get_rank(limit, inclusive=False))
    return inside + share * float(column.outside.n)


def category_counts(reference: CategoryStatistics, current: CategoryStatistics) -> tuple[Counts, Counts]:
    """Rows by category: each of the known ones, the rare ones together, each unseen one that is told by name.

    Evidently counts the rare ones and all unseen ones one by one. That differs where the reference has more than 1,000
    categories, or a window more than 20 that the reference has not.
    """
    names = sorted({*reference.unseen, *current.unseen})
    before, now = (
        np.concatenate([part.counts, [part.rare, part.others], [part.unseen.get(name, 0) for name in names]])
        for part in (reference, current)
    )
    return before.astype(np.int64), now.astype(np.int64)


def class_counts(reference: Column, current: Column, bins: ColumnBins) -> tuple[Counts, Counts]:
    """Rows by class, of numbers or of categories that have values; classes without any row are left out."""
    match reference, current, bins:
        case NumberStatistics(), NumberStatistics(), NumberBins():
            before, now = number_counts(reference, current, bins)
        case CategoryStatistics(), CategoryStatistics(), CategoryBins():
            before, now = category_counts(reference, current)
        case _:
            raise TypeError("expected statistics of one column, of numbers or of categories, and its bins")
    there = (before + now) > 0
    return before[there], now[there]


def jensen_shannon(before: Floats, now: Floats) -> Floats:
    """Jensen–Shannon distance (Lin 1991; Endres and Schindelin 2003): the root of the divergence, in nats.

    As `scipy.spatial.distance.jensenshannon`.

    Args:
        before: Shares of the reference by class, shape (…, classes).
        now: Shares of the current rows by class, of the same shape.

    Returns:
        The distances, shape (…).
    """
    middle = (before + now) / 2
    divergence = (_entropy(before, middle) + _entropy(now, middle)) / 2
    return np.sqrt(np.maximum(0.0, divergence))


def _entropy(shares: Floats, others: Floats) -> Floats:
    """Relative entropy; a class without rows adds nothing."""
    there = shares > 0
    ratios = np.divide(shares, others, out=np.ones_like(shares), where=there)
    return np.asarray((shares * np.log(ratios)).sum(axis=-1))


# Example: shares of 0.5 and 0.5, now 0.4 and 0.6: 0.1 * ln(0.5/0.4) - 0.1 * ln(0.5/0.6) = 0.022 + 0.018 = 0.04.
def psi(before: Floats, now: Floats) -> Floats:
    """Population stability index (Siddiqi 2006; as a divergence, Jeffreys 1946).

    A class without rows counts as a share of 0.0001, or of a millionth of the smallest share if that is at most 0.0001.

    Args:
        before: Shares of the reference by class, shape (…, classes).
        now: Shares of the current rows by class, of the same shape.

    Returns:
        The indices, shape (…).
    """
    before, now = _without_zeros(before), _without_zeros(now)
    return np.asarray(((before - now) * np.log(before / now)).sum(axis=-1))


def _without_zeros(shares: Floats) -> Floats:
    smallest = np.where(shares > 0, shares, np.inf).min(axis=-1, keepdims=True)
    return np.where(shares > 0, shares, np.where(smallest <= _ZERO, smallest / 10**6, _ZERO))


FORMULAS: dict[DriftMethod, Formula] = {"jensenshannon": jensen_shannon, "psi": psi}


def chi_square(before: Counts, now: Counts) -> float | None:
    """P-value of Pearson's chi-square test (Pearson 1900; `scipy.stats.chisquare`); None with a single class.

    As Evidently has it: the shares of the reference are taken for the true ones. So it is sure of differences that
    chance explains when the reference is small, and of any category that the reference does not contain.

    Args:
        before: Rows of the reference by class.
        now: Current rows by class.
    """
    from scipy.stats import chi2

    if len(before) < 2:
        return None
    expected = before * (now.sum() / before.sum())
    with np.errstate(divide="ignore"):
        statistic = ((now - expected) ** 2 / expected).sum()
    return float(chi2.sf(statistic, len(before) - 1))


def distance(method: DriftMethod, reference: Column, current: Column, bins: ColumnBins) -> float | None:
    """The distance, or the p-value, by a method of `monitoring`; None where it is not defined.

    Args:
        method: Its name in the configuration; one that fits the column.
        reference: What is compared with; has values.
        current: What is compared; has values.
        bins: What both were counted into.

    Raises:
        KeyError: There is no such method for such a column.
    """
    match method, reference, current, bins:
        case "wasserstein", NumberStatistics(), NumberStatistics(), NumberBins():
            return wasserstein(reference, current, bins)
        case "ks", NumberStatistics(), NumberStatistics(), NumberBins():
            return kolmogorov_smirnov(reference, current)
    before, now = class_counts(reference, current, bins)
    if method == "chisquare":
        return chi_square(before, now)
    return float(FORMULAS[method](before / before.sum(), now / now.sum()))
