"""How a candidate did on the test part: `metrics.json`, written by evaluate, read by gate, carried in the package.

Numbers are rounded to ten significant digits, so that the order in which processors add does not change the file.
"""

import math
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from components.shared.config import Metric, TaskName
from components.shared.errors import PackageError
from components.shared.files import write_text
from components.shared.formatting import format_against, format_limit, format_number, format_quantity, format_share
from components.shared.metrics import TABLE
from components.shared.package.model_package import METRICS


def finite(value: float | None) -> float | None:
    """The value rounded to ten significant digits; None for what JSON cannot hold."""
    # Adding 0 turns -0 into 0.
    return None if value is None or not math.isfinite(value) else float(f"{value:.10g}") + 0.0


def _rounded_ends(ends: tuple[float, float] | None) -> tuple[float, float] | None:
    return None if ends is None else (float(f"{ends[0]:.10g}"), float(f"{ends[1]:.10g}"))


Number = Annotated[float | None, AfterValidator(finite)]
Interval = Annotated[tuple[float, float] | None, AfterValidator(_rounded_ends)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scores(_Record):
    """Metrics of some rows, each with its confidence interval; None where the rows cannot tell."""

    values: dict[Metric, Number]
    intervals: dict[Metric, Interval] = {}
    blocks: Number = Field(
        default=None, description="How many equal and independent blocks of rows the intervals rest on."
    )


class Slice(_Record):
    """The test rows that share a value."""

    column: str
    value: str | None = Field(
        description="The value, or the interval of numbers or dates; None for the rows without one."
    )
    rows: int
    scores: Scores | None = Field(default=None, description="None for slices of too few rows to be judged.")


class Gap(_Record):
    """The difference between the best and the worst slice of a column."""

    column: str
    metric: Metric
    best: str | None
    worst: str | None
    gap: Number
    interval: Interval = None
    blocks: Number = Field(default=None, description="How many equal and independent blocks the interval rests on.")
    compared: int = Field(default=1, description="Pairs of slices of which this is the largest difference.")


class Importance(_Record):
    """How much worse the metric gets when a feature's values are shuffled among the rows."""

    feature: str
    drop: Number = Field(description="In the metric's unit; positive when the model needs the feature.")
    deviation: Number = Field(description="Standard deviation over the shuffles.")


class Contribution(_Record):
    """What a feature adds to the predictions (SHAP values)."""

    feature: str
    mean_absolute: Number = Field(description="Mean distance from 0, in units of the prediction.")
    direction: Number = Field(
        default=None, description="Correlation of the feature's value with its contribution, for numbers and dates."
    )
    raises: str | None = Field(default=None, description="Categories only: the value that adds most on average.")
    lowers: str | None = Field(default=None, description="Categories only: the value that takes most on average.")


class Shap(_Record):
    """SHAP values in brief: of the positive class's probability, the mean over all classes, or the value."""

    base: list[float] = Field(description="Mean prediction on the background rows, per class.")
    rows: int
    background: int
    contributions: list[Contribution]


class CurvePoints(_Record):
    """A curve to draw; `name` is the class it belongs to."""

    name: str
    x: list[float]
    y: list[float]


class ThresholdCurve(_Record):
    """A ROC curve with the probability that each point belongs to; all finite, at most 200 points."""

    x: list[float]
    y: list[float]
    thresholds: list[float]


class Calibration(_Record):
    """Mean probability and observed share of one class, by bins of about equally many rows."""

    name: str
    error: Number
    predicted: list[float]
    observed: list[float]
    rows: list[int]


class Confusion(_Record):
    """Rows, or the sums of their weights: row is the true class, column the answered one."""

    classes: list[str]
    counts: list[list[float]]
    weighted: bool = False


class Residuals(_Record):
    """Regression only: histogram of prediction minus truth, and of truth against prediction by bins of predictions."""

    counts: list[int]
    edges: list[float]
    predicted: list[float] = Field(description="Mean prediction of bins of about equally many rows.")
    observed: list[float] = Field(description="Mean truth of the same bins.")


class Resampled(_Record):
    """What a bootstrap resample draws with replacement: single rows, groups, or periods of time."""

    kind: str = Field(default="row", description="`row`, `group`, or a period such as `day`.")
    column: str = Field(default="", description="The column of the groups or times; empty for rows.")
    count: int = 0
    together: int = Field(default=1, description="How many in a row are drawn at once.")


class Evaluation(_Record):
    """Everything that was found out about a candidate on the test part."""

    name: str
    task: TaskName
    target: str
    metric: Metric = Field(description="What the search optimised.")
    rows: int
    threshold: float
    confidence: float
    resamples: int
    resampled_by: Resampled = Field(default=Resampled(), description="What a resample draws.")
    scores: Scores
    baseline: Scores = Field(
        description="Without looking at a feature: the training part's class shares, mean or median."
    )
    mape_rows_left_out: int = Field(default=0, description="Test rows with target 0, which MAPE leaves out.")
    confusion: Confusion | None = None
    roc: list[CurvePoints] = []
    overall_roc: ThresholdCurve | None = Field(
        default=None, description="Of the positive class, or of all classes together, each versus the rest."
    )
    pr: list[CurvePoints] = []
    calibration: list[Calibration] = []
    residuals: Residuals | None = None
    slices: list[Slice] = []
    gaps: list[Gap] = []
    importance_rows: int = 0
    importance: list[Importance] = []
    shap: Shap | None = None
    notes: list[str] = Field(default=[], description="What was left out or could not be determined, in sentences.")
    warnings: list[str] = Field(default=[], description="What the figures may be wrong about, in sentences.")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read `metrics.json` of a folder.

        Raises:
            PackageError: There is none, or it is of another format.
        """
        path = folder / METRICS
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise PackageError(f"{folder} has no {METRICS}. Run the evaluate stage again.") from error
        except ValidationError as error:
            raise PackageError(
                f"{path} is not what the evaluate stage writes ({error.error_count()} mistakes). Run that stage again."
            ) from error

    def write(self, folder: Path) -> None:
        """Write `metrics.json` into a folder; it appears only when complete."""
        write_text(folder / METRICS, self.model_dump_json(indent=2) + "\n")


def metric_text(metric: Metric, value: float | None) -> str:
    """A metric for people: shares of 1 in percent, everything else as a number, `–` for what is not known."""
    return format_share(value) if TABLE[metric].percent else format_number(value)


def limit_text(metric: Metric, limit: float) -> str:
    """A limit of a metric for people, with all of its digits."""
    return format_limit(limit, share=TABLE[metric].percent)


def against_text(metric: Metric, value: float, limit: float) -> str:
    """A metric for people, as exactly as it takes to tell it from the limit it is held against."""
    share = TABLE[metric].percent
    return format_against(value, limit, share=share, digits=3 if share else 4)


def interval_text(metric: Metric, interval: Interval) -> str:
    """A confidence interval for people."""
    return "–" if interval is None else f"{metric_text(metric, interval[0])} to {metric_text(metric, interval[1])}"


def resampled_text(by: Resampled) -> str:
    """What was resampled, for people: `single rows`, or such as `55 days of 'time_hour', 4 in a row`."""
    if by.kind == "row":
        return "single rows"
    run = f", {by.together} in a row" if by.together > 1 else ""
    return f"{format_quantity(by.count, by.kind)} of {by.column!r}{run}"


def value_text(value: str | None) -> str:
    """A slice's value for people."""
    return "(missing)" if value is None else value or "(empty)"
