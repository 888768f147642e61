"""`monitoring.checks`: from where the rows themselves are wrong, whatever their distribution."""

from typing import Self

from pydantic import Field, model_validator

from components.shared.config.base import Section, Share


class ChecksConfig(Section):
    """What the rows of a window may be like; nulls are `monitoring.null_share_change`."""

    unseen: Share = Field(
        default=0.05, description="Share of a column's rows in categories that the reference does not contain."
    )
    outside: Share = Field(
        default=0.05,
        description="Share of a column's rows beyond the smallest and largest value of the reference and of the "
        "training part.",
    )
    severe: Share = Field(
        default=0.5,
        description="Share of a column's rows, of each of these kinds, from which the rows are not to be trusted; of "
        "numbers out of range only where they came at once.",
    )
    volume: float = Field(
        default=5.0, gt=1, description="Times more or fewer rows than in the windows before (their median)."
    )
    joint_auc: float = Field(
        default=0.55,
        ge=0.5,
        le=1,
        description="ROC AUC from which a classifier that tells rows of the window and of the reference apart is joint "
        "drift.",
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.severe < max(self.unseen, self.outside):
            raise ValueError(f"severe: {self.severe} is less than unseen ({self.unseen}) or outside ({self.outside})")
        return self
