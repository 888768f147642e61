"""Whether the relation of features and target has changed, which no look at the features can show (concept drift).

An estimate without labels rests on the relation being what it was. On the rows whose labels have come, it can be held
against the measured value: how far they part is what the estimate was off by. By chance alone that is as much as its
interval says; from window to window it also varies for other reasons, such as the weather of a week, which estimates of
all windows before tell. A new one is held against both, by the prediction interval of a random-effects meta-analysis
(Higgins, Thompson and Spiegelhalter, 2009), with the variance between windows of DerSimonian and Laird (1986). At a
level of 99 % one window in a hundred parts further without a change; a difference that nobody minds (`Metric.margin`)
never counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from components.shared.decisions.evidence import Estimate
from components.shared.metrics import TABLE
from components.shared.names import MetricName

FEWEST = 3  # fewer earlier differences do not show how much they vary
_LEVEL = 0.99
_NORMAL = 1.959964  # half the width of a 95 % interval in standard errors


@dataclass(frozen=True, slots=True)
class Limits:
    """The prediction interval of the next difference: outside of it, the relation has changed."""

    low: float
    high: float


def limits(before: Sequence[Estimate], now: Estimate) -> Limits | None:
    """The range in which the next difference is expected, from the errors of earlier estimates.

    Args:
        before: Measured minus estimated quality of earlier windows, each with its interval by chance alone.
        now: The same difference of the current window; only the width of its interval is used.

    Returns:
        The range; None when there are too few differences.
    """
    if len(before) < FEWEST:
        return None
    from scipy.stats import t

    values = np.array([one.value for one in before])
    variances = np.array([_variance(one) for one in before])
    between = _between(values, variances)
    weights = 1 / (variances + between)
    mean = float(weights @ values / weights.sum())
    error = math.sqrt(between + _variance(now) + 1 / weights.sum())
    reach = float(t.ppf((1 + _LEVEL) / 2, len(before) - 1)) * error
    return Limits(mean - reach, mean + reach)


def has_changed(metric: MetricName, before: Sequence[Estimate], now: Estimate, *, reference: float) -> bool:
    """Whether measured and estimated part by more than estimates were off before, and by more than nobody minds.

    Args:
        metric: The metric.
        before: Measured minus estimated of earlier windows.
        now: The same of the window at hand.
        reference: The metric on the reference rows.
    """
    found = limits(before, now)
    if found is None or found.low <= now.value <= found.high:
        return False
    about = TABLE[metric]
    margin = about.margin * abs(reference) if about.relative else about.margin
    return abs(now.value - (found.low + found.high) / 2) > margin


def _variance(estimate: Estimate) -> float:
    return max(((estimate.high - estimate.low) / 2 / _NORMAL) ** 2, 1e-18)


def _between(values: np.ndarray, variances: np.ndarray) -> float:
    """The variance between windows, by moments; 0 when chance alone explains how much they vary."""
    weights = 1 / variances
    mean = weights @ values / weights.sum()
    excess = float(weights @ (values - mean) ** 2) - (len(values) - 1)
    return max(0.0, excess / float(weights.sum() - (weights @ weights) / weights.sum()))
