"""Whether a candidate is shown to be no worse than the champion: a non-inferiority test (Piaggio et al., 2012).

"Not proven to be worse" is no proof of being as good: on few rows nothing is proven. So the confidence interval of the
loss is held against a margin that nobody minds. Wholly within it, the candidate is no worse; wholly beyond it, it is
worse; in between the rows cannot tell, and the configuration says what to do then.
"""

from dataclasses import dataclass
from typing import Literal

from components.shared.bootstrap import Estimate
from components.shared.config import ChampionRule, Metric
from components.shared.metrics import TABLE

Outcome = Literal["no worse", "worse", "unclear"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a candidate compares with the champion.

    Attributes:
        loss: How much worse the candidate is; negative when it is better.
        interval: Confidence interval of the loss.
        margin: The loss that is allowed, in the metric's unit.
    """

    loss: float
    interval: tuple[float, float]
    margin: float

    # Example: 0.005 is allowed. A loss of -0.002 to 0.004 is no worse, one of 0.006 to 0.02 is worse, and -0.01 to 0.02
    # is unclear.
    @property
    def outcome(self) -> Outcome:
        """What the interval shows."""
        low, high = self.interval
        if high <= self.margin:
            return "no worse"
        return "worse" if low > self.margin else "unclear"

    def passes(self, rule: ChampionRule) -> bool:
        """Whether the candidate may be promoted."""
        if self.outcome != "unclear":
            return self.outcome == "no worse"
        return rule.when_unclear == "promote" or (rule.when_unclear == "promote_if_not_worse" and self.loss <= 0)


def compare_losses(loss: Estimate, confidence: float, margin: float) -> Comparison | None:
    """Hold a loss against the margin; None when the rows cannot tell the metric.

    Args:
        loss: How much worse the candidate is, positive is worse, paired resample by resample.
        confidence: Confidence level of the two-sided interval.
        margin: The loss that is allowed, in the metric's unit.
    """
    interval = loss.interval(confidence)
    return None if interval is None or loss.value != loss.value else Comparison(loss.value, interval, margin)


def allowed_loss(metric: Metric, rule: ChampionRule, champion: float) -> float:
    """The margin in the metric's unit: what the rule says, else the metric's own.

    Args:
        metric: What is compared.
        rule: `gate.champion`.
        champion: The champion's value; the margin of an error is a share of it.
    """
    if rule.allowed_loss is not None:
        return rule.allowed_loss
    found = TABLE[metric]
    return found.margin * abs(champion) if found.relative else found.margin
