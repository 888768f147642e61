"""The history of a model's windows: what moved, when, which version answered, how good it was, what was decided.

It is made of records alone (reports of windows, decisions), at `monitoring/<model>/history.json`, and can be made of
them again.
"""

from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from components.shared.decisions.evidence import Drifted, PredictionDrift, Problem, Quality
from components.shared.decisions.records import Decided, Decision, Ended, Judged, Record, Resumed
from components.shared.evaluation import Gap
from components.shared.shadow.comparison import ShadowComparison

FORMAT: Final = "fullcircle-history/1"
Status = Literal["compared", "too few rows", "no rows", "version unknown"]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class WindowEntry(_Frozen):
    """One window of one version.

    Attributes:
        start: Its first moment, UTC.
        end: The first moment after it.
        version: The version that answered.
        rows: How many rows it answered.
        status: What could be found out.
        moved: Distance of each measured column from the reference, in units of its threshold: from 1 on it drifted,
            unless chance explains it.
        drifted: Columns that drifted and that the model uses, the most important first.
        prediction: Of the predictions, whether they drifted or not; None when that was not measured.
        problems: What is wrong with the rows.
        quality: How good the answers were.
        gaps: The largest gaps between slices, on labelled rows.
        page: The window's own page, beside this file.
    """

    start: datetime
    end: datetime
    version: str
    rows: int
    status: Status
    moved: dict[str, float] = {}
    drifted: tuple[Drifted, ...] = ()
    prediction: PredictionDrift | None = None
    problems: tuple[Problem, ...] = ()
    quality: Quality | None = None
    gaps: tuple[Gap, ...] = ()
    page: str = ""


class DecisionEntry(_Frozen):
    """A record of the audit log, as far as a page tells it.

    Attributes:
        number: Of the record.
        when: When it was written.
        kind: What kind of record.
        about: The end of the window that it is about; None where it is about none.
        action: What was decided, or what came of it.
        why: Why, in words.
    """

    number: int
    when: datetime
    kind: str
    about: datetime | None = None
    action: str
    why: str = ""

    @classmethod
    def of(cls, record: Record) -> "DecisionEntry":
        """A record of the audit log."""
        about, why = None, getattr(record, "message", "")
        action: str = record.kind
        if isinstance(record, Decided):
            decision = record.decision
            about, why = decision.window[1], decision.reason
            action = f"{decision.action} (dry run)" if _is_dry(decision) else decision.action
        elif isinstance(record, Ended):
            action = record.result
        elif isinstance(record, Judged):
            action = "helped" if record.helped else "did not help"
        elif isinstance(record, Resumed):
            why = record.why
        return cls(number=record.number, when=record.when, kind=record.kind, about=about, action=action, why=why)


def _is_dry(decision: Decision) -> bool:
    return decision.mode == "dry_run" and decision.action != "nothing"


class History(_Frozen):
    """The history page, for programs.

    Attributes:
        format: Of this record.
        model: Name of the model.
        champion: The version that serves; empty where that is not known.
        windows: The oldest first.
        decisions: The oldest first.
        remarks: What else there is to know, in sentences.
        shadows: How the versions that wait fare beside the champion.
    """

    format: Literal["fullcircle-history/1"] = FORMAT
    model: str
    champion: str = ""
    windows: tuple[WindowEntry, ...] = ()
    decisions: tuple[DecisionEntry, ...] = ()
    remarks: tuple[str, ...] = ()
    shadows: tuple[ShadowComparison, ...] = ()
