"""What the audit log says of the retrainings: which are open, what each came to, and how much they took.

The log is a sequence of records by several processes, and the policy asks about retrainings. Here the records about one
decision are put together. Nothing is kept: it is read from the records each time, so that it cannot differ from them. A
version that waits for a person ends twice, first as `pending`; cool-down and budget go by the first end, when the run
was over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from components.shared.config.monitoring_policy import PolicyMode
from components.shared.decisions.records import Decided, Ended, Judged, Record, Resumed, Started


@dataclass(slots=True)
class Retraining:
    """One that was decided.

    Attributes:
        decided: The decision.
        started: Each attempt.
        ran: The end of its run. None: open.
        ended: What came of it; of several records the last, as a version that waits is answered later. None: open.
        judged: Whether it helped; None while that is not known.
    """

    decided: Decided
    started: list[Started] = field(default_factory=list)
    ran: Ended | None = None
    ended: Ended | None = None
    judged: Judged | None = None

    @property
    def number(self) -> int:
        """The number of the decision."""
        return self.decided.number

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done, or under way; one that a dry run would have done never is."""
        return self.ended is None and self.decided.decision.retrains

    @property
    def rests_since(self) -> datetime:
        """The moment that cool-down and budget count from: the end of the run, or the decision where nothing ran.

        A later answer to a version that waited does not move it.
        """
        return self.ran.when if self.ran else self.decided.when

    @property
    def cpu_hours(self) -> float:
        """Hours of one processor core that it took."""
        return self.ran.cpu_hours if self.ran else 0.0

    @property
    def helped(self) -> bool | None:
        """Whether it helped; None while not known. A promotion counts as help until it is judged otherwise."""
        if self.judged is not None:
            return self.judged.helped
        if self.ended is None or self.ended.result == "pending":
            return None
        return self.ended.result == "promoted"


def retrainings_of(records: Sequence[Record], mode: PolicyMode | None = None) -> list[Retraining]:
    """Every retraining that was decided, the oldest first.

    Args:
        records: The audit log, the oldest first.
        mode: Only those decided in this mode; None for all. What a dry run would have done holds back no other mode.
    """
    found: dict[int, Retraining] = {}
    for record in records:
        if isinstance(record, Decided):
            if record.decision.action == "retrain" and mode in (None, record.decision.mode):
                found[record.number] = Retraining(record)
        elif not isinstance(record, Resumed) and record.about in found:
            _add(found[record.about], record)
    return list(found.values())


def _add(retraining: Retraining, record: Started | Ended | Judged) -> None:
    match record:
        case Started():
            retraining.started.append(record)
        case Ended():
            retraining.ran = retraining.ran or record
            retraining.ended = record
        case Judged():
            retraining.judged = record


def open_retraining(records: Sequence[Record]) -> Retraining | None:
    """The retraining that is to be done or under way; None when there is none. There is never more than one."""
    return next((one for one in retrainings_of(records) if one.is_open), None)


# Example: the retrainings helped, did not, are not judged yet, did not. Without the third that is yes, no, no: two in a
# row.
def without_help(retrainings: Sequence[Retraining], records: Sequence[Record]) -> int:
    """Number of the latest retrainings in a row that did not help, since a person last resumed retraining.

    Retrainings whose effect is not known yet are left out.
    """
    resumed = max((record.number for record in records if isinstance(record, Resumed)), default=0)
    known = [one.helped for one in retrainings if one.helped is not None and one.number > resumed]
    return next((count for count, helped in enumerate(reversed(known)) if helped), len(known))
