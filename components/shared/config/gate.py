"""`gate`: what a candidate has to fulfil.

The defaults are meant to be kept: a candidate has to be better than a constant answer, no worse than the champion, not
too large and not too slow. What a loss is that nobody minds differs by metric, which is why it is said by the metric
where it is not said here.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from components.shared.config.base import Section
from components.shared.names import MetricName


class Threshold(Section):
    """What a metric has to reach."""

    minimum: float | None = Field(default=None, description="Smallest allowed value.")
    maximum: float | None = Field(default=None, description="Largest allowed value.")

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.minimum is None and self.maximum is None:
            raise ValueError("give `minimum`, `maximum` or both")
        return self


class ChampionRule(Section):
    """The comparison with the model now serving, on the same test rows."""

    metric: MetricName | None = Field(default=None, description="What is compared; by default the search's metric.")
    allowed_loss: float | None = Field(
        default=None,
        ge=0,
        description="How much worse, in the metric's unit, the candidate may be. It passes when the paired confidence "
        "interval of its loss lies within, and is blocked when it lies wholly beyond. By default a loss that nobody "
        "minds: 0.005 of ROC AUC and accuracy, 0.01 of the other scores, 1% of the champion's error.",
    )
    when_unclear: Literal["promote_if_not_worse", "block", "promote"] = Field(
        default="promote_if_not_worse",
        description="What to do when the test rows cannot tell, because the interval lies on both sides of "
        "`allowed_loss`: promote if the candidate is no worse on these rows, or always `block` or `promote`.",
    )


class SliceRule(Section):
    """What has to hold in every slice that has enough rows."""

    metric: MetricName | None = Field(
        default=None, description="What is compared across slices; by default the search's metric."
    )
    floor: float | None = Field(default=None, description="Worst allowed value in any slice.")
    largest_gap: float | None = Field(
        default=None, gt=0, description="Largest allowed difference between the best and the worst slice of a column."
    )


class GateConfig(Section):
    """What a candidate has to fulfil to be promoted."""

    mode: Literal["block", "warn"] = Field(
        default="block", description="`block` keeps a failing candidate out; `warn` only says so."
    )
    approval: Literal["none", "required", "live"] = Field(
        default="none",
        description="`required` stores a version that passes without deploying it: it waits until a person says "
        "`make approve` or `make reject`. `live` lets it wait until the newest labelled requests show whether it is no "
        "worse than the champion: `make watch` deploys or rejects it then.",
    )
    pending_days: float = Field(
        default=14,
        ge=0,
        description="Days that a version waits before it expires, because nobody answered or too few labels came to "
        "tell; 0 for no end.",
    )
    thresholds: dict[MetricName, Threshold] = Field(default={}, description="Limits of metrics on the test part.")
    beat_baseline: bool = Field(
        default=True, description="Whether the candidate has to be better than answering without looking at a feature."
    )
    champion: ChampionRule = Field(default=ChampionRule(), description="No worse than the champion.")
    same_requests: bool = Field(
        default=True,
        description="Whether the candidate has to take every request that the champion takes: no column that is new, "
        "gone or stands elsewhere, no value that may not be missing any more, no other type.",
    )
    slices: SliceRule = Field(default=SliceRule(), description="Floors and gaps of slices.")
    package_megabytes: float = Field(
        default=50, gt=0, description="Largest size of the model package, in MB (10^6 bytes)."
    )
    row_milliseconds: float = Field(
        default=5, gt=0, description="Largest median time, in ms, to score one row on one thread."
    )
