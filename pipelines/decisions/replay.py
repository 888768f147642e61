"""What another rule would have decided on the same history.

The evidence is gone through in the order in which it became known, each time with what was known then. What a
retraining that never took place would have come to, nobody can know: it counts as over at once and without cost, so
that cool-down and the number of runs hold the next one back, as in a dry run, and the windows that count stay those of
the version that was champion at the moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from components.shared.config.monitoring_policy import PolicyConfig
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.policy import next_record
from components.shared.decisions.records import Decided, Record, decisions_of
from components.shared.registry.history import Entry, champion_at


@dataclass(frozen=True, slots=True)
class Replayed:
    """What was decided when something became known, and what another rule would have decided.

    Attributes:
        was: The decision of the audit log on the same evidence; None where there was none.
        would: The other rule's.
    """

    was: Decided | None
    would: Decided

    @property
    def differs(self) -> bool:
        """Whether another thing would have been done."""
        return self.was is None or self.was.decision.action != self.would.decision.action


def replay(
    evidence: Sequence[Evidence], past: Sequence[Record], policy: PolicyConfig, history: Sequence[Entry]
) -> list[Replayed]:
    """Decide again at each moment at which something became known.

    Args:
        evidence: All records of evidence of a model, also those that later ones replaced, in any order.
        past: The audit log, the oldest record first.
        policy: The other rule; its mode does not matter.
        history: Of the champions, the oldest entry first.

    Returns:
        One for each moment that gave a decision, in order of time.
    """
    dry = policy.model_copy(update={"mode": "dry_run"})
    decisions = decisions_of(past)
    found: list[Replayed] = []
    would: list[Record] = []
    for moment in sorted({one.made for one in evidence}):
        known = [one for one in evidence if one.made <= moment]
        record = next_record(known, would, dry, moment, champion=champion_at(history, moment))
        if record is not None:
            would.append(record.model_copy(update={"number": len(would) + 1}))
            found.append(Replayed(_on_same(decisions, record), record))
    return found


def _on_same(decisions: Sequence[Decided], record: Decided) -> Decided | None:
    """The first of the decisions that was taken at `record.when` or later on the same latest window."""
    decision = record.decision
    same = (
        one
        for one in decisions
        if (one.decision.version, one.decision.window) == (decision.version, decision.window)
        and one.when >= record.when
    )
    return next(same, None)
