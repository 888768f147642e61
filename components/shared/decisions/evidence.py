"""What is known of one window of requests when a decision is taken: all that a rule may look at.

The monitor writes it, one object a window and version; the policy reads it and nothing else, so that a decision can be
taken again later, by another rule, from the same evidence. Moments are UTC.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

FORMAT: Final = "fullcircle-evidence/1"

# What can be wrong with the rows themselves: a fault at the source, which no retraining would help.
ProblemKind = Literal[
    "empty",  # no row at all where there used to be some
    "volume",  # far fewer or far more rows than in the windows before
    "schema",  # a column is missing, or of another type
    "nulls",  # a column's share of missing values has changed
    "unseen",  # categories that the reference does not contain
    "range",  # numbers outside of what the model knows, as after a change of units; or a column that is constant
    "freshness",  # the newest row is old
    "damaged",  # files that cannot be read
    "duplicates",  # rows of one request more than once
    "clock",  # rows without a usable time of their own
]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(_Frozen):
    """Something wrong with the rows of a window.

    Attributes:
        kind: What kind of thing.
        column: The column it is about; empty when it is about the rows as a whole.
        value: How much: a share of the rows, or a ratio of numbers of rows.
        severe: Whether the rows cannot be trusted: nothing is learned from them.
        message: For people.
    """

    kind: ProblemKind
    column: str = ""
    value: float = 0.0
    severe: bool = False
    message: str


class Drifted(_Frozen):
    """A column whose distribution is not that of the reference.

    Attributes:
        column: Its name.
        value: The distance, or the p-value of a test.
        threshold: From where it counts as drifted, or below where.
        importance: Share of the model's total importance that is this column's, 0 to 1.
    """

    column: str
    value: float
    threshold: float
    importance: float


class PredictionDrift(_Frozen):
    """How the distribution of the predictions is to that of the reference, drifted or not.

    Attributes:
        column: Name of the predictions.
        method: How it was measured; empty in records of before, which there were only of predictions that drifted.
        value: The distance, or the p-value of a test.
        threshold: From where it counts as drifted, or below where.
        importance: Of the predictions: all of it.
        drifted: Whether they drifted: beyond the threshold, and by more than chance explains.
    """

    column: str
    method: str = ""
    value: float
    threshold: float
    importance: float = 1.0
    drifted: bool = True


class Estimate(_Frozen):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


class Quality(_Frozen):
    """How good the answers of a window were, in the metric of the model.

    Attributes:
        metric: Name of the metric.
        higher_is_better: Its direction.
        reference: The metric on the reference rows, which the model had not seen.
        reference_low: Lower end of its 95 % interval; None where it is not known, as in records of before.
        reference_high: Upper end of it.
        measured: On the labelled rows; None without any.
        estimated: Without labels; None where it cannot be estimated.
        labelled: Share of the rows that have a label, 0 to 1.
        expected: Share that should have one by now, by the distribution of the label lag; None when it is not known.
        mature: Whether so many labels are there that the measured value may decide.
        off: By how much an estimate for the labelled rows was off: measured minus estimated, on these rows and by the
            relation of features and target that the reference rows show; the interval says what chance alone explains.
        relation_changed: Whether they part by more than the estimates were off before: the relation of features and
            target is another one (concept drift), which no look at the features can show.
    """

    metric: str
    higher_is_better: bool
    reference: float
    reference_low: float | None = None
    reference_high: float | None = None
    measured: Estimate | None = None
    estimated: Estimate | None = None
    labelled: float = 0.0
    expected: float | None = None
    mature: bool = False
    off: Estimate | None = None
    relation_changed: bool = False


class Evidence(_Frozen):
    """What is known of the rows of a window that one version answered.

    Attributes:
        format: Of this record.
        model: Name of the model.
        version: The version that answered.
        start: First moment of the window.
        end: First moment after it.
        rows: Number of rows.
        drifted: Columns that drifted, the most important first; columns that the model does not use are not among them.
        prediction: Of the predictions, whether they drifted or not; None when that was not measured.
        problems: What is wrong with the rows.
        quality: How good the answers were; None where nothing is known.
        made: When this was found out. Labels come late: a later record of the same window replaces this one.
    """

    format: Literal["fullcircle-evidence/1"] = FORMAT
    model: str
    version: str
    start: datetime
    end: datetime
    rows: int
    drifted: tuple[Drifted, ...] = ()
    prediction: PredictionDrift | None = None
    problems: tuple[Problem, ...] = ()
    quality: Quality | None = None
    made: datetime

    def digest(self) -> str:
        """SHA-256 of its JSON, in hexadecimal."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


# Example: windows of a day, one each hour. The newest two end at 10:00 and 11:00, so the next one ends at 12:00.
def next_window_end(evidence: Iterable[Evidence]) -> datetime | None:
    """When the window after the newest one is over; None where no window is known.

    Overlapping windows end closer together than they are long: the distance of the newest two ends counts then.
    """
    lengths = {one.end: one.end - one.start for one in evidence}
    if not lengths:
        return None
    *earlier, newest = sorted(lengths)
    return newest + min([lengths[newest], *(newest - end for end in earlier[-1:])])
