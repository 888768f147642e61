"""How late labels come: what share of them should be there by now, and how much those that are there stand for.

Of an answer that is three days old only a label that takes at most three days can be seen: its lag is truncated by the
answer's age. The product-limit estimate for right-truncated data (Lynden-Bell, 1971; for delays of reports Lagakos,
Barraj and De Gruttola, 1988, and Kalbfleisch and Lawless, 1989) allows for that, and needs nothing of the answers
without a label: these may never get one. It is Kaplan and Meier's (1958) with time running backwards: with d(u) labels
of lag u, among n(u) labels of at most that lag whose answers are at least that old, the share that comes within t is
the product over all u > t of 1 - d(u) / n(u). It is the share among the labels that come within the longest time that
is looked back on; when many come close to that, others come later still, and the distribution is not known yet.

Classes come at different times, such as a fraud at once and its absence after two months. So a label stands for as many
rows of its class as the inverse of the probability that it would be here by now: inverse probability weighting (Horvitz
and Thompson, 1952; for delayed feedback Chapelle, 2014, and Yasui et al., 2020), with the lags of its own class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

FEWEST_LABELS = 50  # with fewer labels the distribution of lags is not known
_LATEST_SHARE = 0.1  # largest share of lags in the later half of the horizon with which the distribution is known
_OLDEST_SHARE = 0.05  # share of the labelled answers that are older than the horizon: enough to see the longest lags
_SMALLEST_CHANCE = 0.05  # one label stands for no more than 20 rows: a larger weight would be noise


@dataclass(frozen=True, slots=True)
class LagDistribution:
    """When labels come, of those that come at all.

    Attributes:
        lags: Ascending lags, in seconds.
        shares: Share of the labels that come within each of them; the last is 1.
        horizon: How far is looked back, in seconds: of labels that take longer nothing is said.
        labels: How many labels it is learned from.
    """

    lags: Floats
    shares: Floats
    horizon: float
    labels: int

    def within(self, seconds: Floats) -> Floats:
        """The share of the labels that come within so many seconds, of the same shape."""
        place = np.searchsorted(self.lags, seconds, side="right")
        return np.concatenate([[0.0], self.shares])[place]

    def quantile(self, share: float) -> float:
        """Seconds within which a share of the labels comes."""
        place = int(np.searchsorted(self.shares, share - 1e-12))
        return float(self.lags[min(place, len(self.lags) - 1)])

    @property
    def is_known(self) -> bool:
        """Whether the horizon is long enough: there are enough labels, and few of them come in its later half."""
        late = 1 - float(self.within(np.array([self.horizon / 2]))[0])
        return self.labels >= FEWEST_LABELS and late <= _LATEST_SHARE


# Example, in days: the labels of answers that are 2, 5 and 5 days old came after 1, 1 and 3 days. Two of three within a
# day? The youngest answer could not have shown a lag of 3. Of the two that could, one did, so half of all labels take
# longer than a day: the lags 1 and 3 have the shares 0.5 and 1.
def lag_distribution(lags: Floats, ages: Floats) -> LagDistribution:
    """The product-limit estimate of when labels come.

    Args:
        lags: Seconds from answer to label, shape (labels,); negative ones count as 0.
        ages: Seconds from the same answers to now, shape (labels,).
    """
    lags = np.maximum(lags, 0.0)
    ages = np.maximum(ages, lags)
    # Without a horizon, a single very old answer would decide about all longer lags.
    horizon = float(np.quantile(ages, 1 - _OLDEST_SHARE)) if len(ages) else 0.0
    ages, lags = ages[lags <= horizon], lags[lags <= horizon]
    distinct, counts = np.unique(lags, return_counts=True)
    at_risk = np.searchsorted(np.sort(lags), distinct, side="right") - np.searchsorted(np.sort(ages), distinct)
    # From the longest lag down: what is left of 1 after the labels that take longer.
    kept = 1 - counts / np.maximum(at_risk, 1)
    shares = np.append(np.cumprod(kept[:0:-1])[::-1], 1.0) if len(distinct) else np.empty(0)
    return LagDistribution(distinct, np.asarray(shares, dtype=np.float64), horizon, len(lags))


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers of some time, and when their labels came.

    Attributes:
        received: When they were asked for, in seconds since 1970, shape (rows,).
        arrived: When their first labels came, likewise; NaN where there is none. Corrections are not late labels.
        classes: The index of the class that the label says, shape (rows,); -1 where there is none, or for numbers.
    """

    received: Floats
    arrived: Floats
    classes: Indices

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Which have a label."""
        return np.isfinite(self.arrived)

    @staticmethod
    def together(parts: Sequence["Answered"]) -> "Answered":
        """Answers of several windows as one."""
        empty = Answered(np.empty(0), np.empty(0), np.empty(0, np.int64))
        columns = zip(*((part.received, part.arrived, part.classes) for part in (empty, *parts)), strict=True)
        received, arrived, classes = (np.concatenate(column) for column in columns)
        return Answered(received, arrived, classes)


@dataclass(frozen=True, slots=True)
class LabelLag:
    """What is known of how late the labels of a model come.

    Attributes:
        overall: Of all labels; None while it is not known.
        by_class: Of the labels of each class of which there are enough.
        eventual: Share of all answers that get a label in the end.
        late: Classes with enough labels of which too many came late to know how late they come.
    """

    overall: LagDistribution | None = None
    by_class: dict[int, LagDistribution] = field(default_factory=dict)
    eventual: float = 1.0
    late: frozenset[int] = frozenset()

    def longest(self, share: float) -> float | None:
        """Seconds within which so many labels of each class come; None while that is not known of all of them."""
        if self.overall is None or self.late:
            return None
        return max(one.quantile(share) for one in (self.overall, *self.by_class.values()))

    def expected(self, received: Floats, now: float) -> float | None:
        """The share of answers that should have their label by now; None while that is not known.

        Args:
            received: When they were asked for, in seconds since 1970, shape (rows,).
            now: Likewise.
        """
        if self.overall is None or not len(received):
            return None
        return self.eventual * float(self.overall.within(now - received).mean())

    def weights(self, received: Floats, classes: Indices, now: float) -> Floats:
        """How many rows of its class each labelled answer stands for, shape (labelled,); at most 20.

        Args:
            received: When the labelled answers were asked for, in seconds since 1970, shape (labelled,).
            classes: The index of their class; -1 for numbers.
            now: The moment as of which the labels are known.
        """
        chances = np.ones(len(received))
        if self.overall is not None:
            chances = self.overall.within(now - received)
        for index, lags in self.by_class.items():
            of_class = classes == index
            chances[of_class] = lags.within(now - received[of_class])
        weights: Floats = 1 / np.clip(chances, _SMALLEST_CHANCE, 1.0)
        return weights


def label_lag(answered: Answered, now: float) -> LabelLag:
    """Learn how late labels come.

    Args:
        answered: Answers of as long a time as there is, the newest included.
        now: The moment as of which their labels are known, in seconds since 1970.
    """
    labelled = answered.labelled
    lags, ages = (answered.arrived - answered.received)[labelled], (now - answered.received)[labelled]
    overall = lag_distribution(lags, ages)
    if not overall.is_known:
        return LabelLag()
    # Every answer had this chance that its label is here, if it gets one (Horvitz and Thompson).
    chances = float(overall.within(now - answered.received).sum())
    eventual = min(1.0, np.count_nonzero(labelled) / chances) if chances else 1.0
    classes = answered.classes[labelled]
    found = {
        int(index): lag_distribution(lags[classes == index], ages[classes == index]) for index in np.unique(classes)
    }
    by_class = {index: lags for index, lags in found.items() if index >= 0 and lags.is_known}
    unknown = found.keys() - by_class.keys() - {-1}
    late = frozenset(index for index in unknown if found[index].labels >= FEWEST_LABELS)
    return LabelLag(overall, by_class, eventual, late)


def is_mature(labelled: int, rows: int, lag: LabelLag, *, coverage: float, minimum: int) -> bool:
    """Whether enough labels of a window are there for the measured quality to decide.

    Args:
        labelled: Its rows with a label.
        rows: Its rows.
        lag: How late labels come.
        coverage: The share that has to be there of those that will come.
        minimum: Fewest labels.
    """
    return labelled >= max(minimum, coverage * lag.eventual * rows)
