"""`train`: the scikit-learn pipeline in front of the model, and the model package.

The search depends on how models are fitted and not on what is kept of the best one. So the first part of the section is
a model of its own (`FittingConfig`), which is all that tune is given: more golden requests do not make it search again.
"""

from typing import Literal

from pydantic import Field

from components.shared.config.base import Section, Share

DatePart = Literal["elapsed", "year", "quarter", "month", "week", "day", "day_of_year", "weekday", "hour", "minute"]


class FittingConfig(Section):
    """How a model is fitted: all that a trial of the search depends on, and nothing else of the section `train`."""

    clip_quantiles: tuple[Share, Share] | None = Field(
        default=(0.001, 0.999),
        description="Numbers are clipped at these quantiles of the training part; null leaves them.",
    )
    one_hot_limit: int = Field(default=10, ge=0, description="Categories up to this many become one column each.")
    ordinal_limit: int = Field(
        default=100,
        ge=0,
        description="Categories up to this many become one code for tree models; "
        "above it, and always for linear ones, the target's mean.",
    )
    date_parts: list[DatePart] = Field(
        default=["elapsed", "month", "day", "weekday", "hour"],
        description="What a timestamp feature becomes: `elapsed` is the moment itself, in days, and the days between "
        "each two of several timestamps; weekday 0 is Monday, `week` is ISO 8601's. Linear models get sine and cosine "
        "of what begins again after its last value, too.",
    )
    missing: Literal["auto", "indicator", "median"] = Field(
        default="auto",
        description="What a missing number or time becomes: `median` of the column; `indicator`, the median and one "
        "more column that tells where it was missing; `auto`, missing as it is for tree models, `indicator` for linear "
        "ones. A column that misses nothing in the training rows always gets its median.",
    )
    class_weight: Literal["balanced", "none"] = Field(default="none", description="Whether rare classes weigh more.")


class TrainConfig(FittingConfig):
    """The scikit-learn pipeline in front of the model."""

    calibration: Literal["auto", "none", "sigmoid", "isotonic"] = Field(
        default="auto",
        description="Whether probabilities are mapped to observed shares: `auto` does where rows that the model did "
        "not learn from show that it helps (not where they are a later period with other shares of the classes), and "
        "always after `class_weight: balanced`; `isotonic` is for two classes.",
    )
    parity_tolerance: float = Field(
        default=1e-5,
        gt=0,
        description="Largest difference between ONNX and scikit-learn: of probabilities, "
        "or in standard deviations of the target.",
    )
    parity_share: Share = Field(
        default=0.9999, description="Share of test rows that have to agree within the tolerance."
    )
    reference_rows: int = Field(
        default=20_000, ge=100, description="Most rows of the test part kept in the package as reference for drift."
    )
    golden_requests: int = Field(
        default=20, ge=1, le=1000, description="Requests kept in the package with their expected answers."
    )

    @property
    def fitting(self) -> FittingConfig:
        """What the search of parameters is given: with more, a change of the rest would make it search again."""
        return FittingConfig.model_validate(self.model_dump(include=set(FittingConfig.model_fields)))
