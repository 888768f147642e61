"""What came of a replay: the quality of each strategy by week, what it took, and all that the product wrote down.

Strategies are compared by regret, what each week's answers lost against the best strategy of that week, because the
weeks differ in how hard they are: a mean alone would mostly tell about the weather. Quality is measured by all labels,
also those that none of the strategies knew in time.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.monitor.history.record import WindowEntry
from components.shared.decisions.records import Decided, Ended, Judged, Resumed, Started
from components.shared.metrics import score
from pipelines.demo.rows import Rows
from pipelines.demo.timetable import Timetable

if TYPE_CHECKING:
    import pyarrow as pa

METRIC: Final = "roc_auc"


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Outcome(_Frozen):
    """What a strategy came to.

    Attributes:
        name: What it is called in the figure.
        quality: The metric of its answers by week, by all labels; None where a week cannot tell.
        retrained: When it trained a model anew, whatever came of that.
        deployed: When another version began to answer by that.
        watching_seconds: Of the processor, for looking at what was asked.
        training_seconds: Of the processor, for training, judging and deploying.
    """

    name: str
    quality: tuple[float | None, ...]
    retrained: tuple[datetime, ...] = ()
    deployed: tuple[datetime, ...] = ()
    watching_seconds: float = 0.0
    training_seconds: float = 0.0

    @property
    def known(self) -> list[float]:
        """The quality of the weeks that can tell it."""
        return [value for value in self.quality if value is not None]

    @property
    def mean(self) -> float:
        """Mean quality."""
        return sum(self.known) / len(self.known)

    @property
    def worst(self) -> float:
        """Quality of the worst week."""
        return min(self.known)

    @property
    def cpu_minutes(self) -> float:
        """Minutes of one processor core."""
        return (self.watching_seconds + self.training_seconds) / 60


class Story(_Frozen):
    """A replay from its start to its end.

    Attributes:
        case: Name of the case.
        weeks: The first moment of each.
        rows: How many rows each had.
        learned: From when to when the first version had learned.
        outcomes: The strategies, the product last.
        windows: What the monitor found of each window and version.
        records: The audit log.
        seconds: How long the replay took.
    """

    case: str
    weeks: tuple[datetime, ...]
    rows: tuple[int, ...]
    learned: tuple[datetime, datetime]
    outcomes: tuple[Outcome, ...]
    windows: tuple[WindowEntry, ...]
    records: tuple[Decided | Started | Ended | Judged | Resumed, ...]
    seconds: float

    @property
    def ours(self) -> Outcome:
        """The product."""
        return self.outcomes[-1]

    @property
    def others(self) -> tuple[Outcome, ...]:
        """What it is compared with."""
        return self.outcomes[:-1]

    # Example: of the qualities 0.70, 0.68 and 0.69 in a week, the strategies lost 0, 0.02 and 0.01.
    def lost(self, outcome: Outcome) -> list[float | None]:
        """How much worse a strategy was than the best one, by week; None where a week cannot tell."""
        weeks = zip(*(one.quality for one in self.outcomes), outcome.quality, strict=True)
        return [
            None if week[-1] is None else max(value for value in week if value is not None) - week[-1] for week in weeks
        ]

    def regret(self, outcome: Outcome) -> float:
        """How much worse a strategy was than the best one of each week, on average."""
        known = [value for value in self.lost(outcome) if value is not None]
        return sum(known) / len(known)


def quality_by_week(rows: Rows, timetable: Timetable, probabilities: Sequence[float]) -> tuple[float | None, ...]:
    """The metric by week.

    Args:
        rows: What was asked.
        timetable: The weeks.
        probabilities: Of the positive class, for every row from the start on, in the order of `Rows.between`.
    """
    found, start = [], 0
    for number in range(timetable.weeks):
        week = rows.between(*timetable.span(number))
        answered = np.asarray(probabilities[start : start + week.num_rows], dtype=np.float64)
        found.append(_quality(week.column(rows.problem.target), answered))
        start += week.num_rows
    return tuple(found)


def _quality(labels: "pa.ChunkedArray", probabilities: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> float | None:
    known = np.asarray(labels.is_valid().to_numpy(), dtype=np.bool_)
    target = np.asarray(labels.drop_null().to_numpy(), dtype=np.int64)
    answers = np.column_stack([1 - probabilities[known], probabilities[known]]).astype(np.float32)
    value = score(METRIC, "binary", target, answers) if len(target) else float("nan")
    return value if np.isfinite(value) else None
