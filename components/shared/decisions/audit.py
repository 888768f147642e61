"""The audit log of a model in the object store: `monitoring/<model>/decisions/00000001.json`, ….

Why a model was retrained, or was not, is asked months later, when whoever set the policy is gone. Records are numbered
and only added, each on the condition that its number is free, so several processes can write at once and none
overwrites another. The log is also the memory of the policy: cool-down, budget and "did the last one help" are read
from it and kept nowhere else.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from components.shared.append_only import AppendOnlyLog
from components.shared.config.monitoring_policy import PolicyConfig
from components.shared.decisions.arrivals import Objects
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.policy import next_record
from components.shared.decisions.records import RECORDS, Decided, Record
from components.shared.registry.history import this_person, this_run
from components.shared.store import Store

RECORDS_READ = 1000  # six weeks of a decision an hour


class AuditLog:
    """Every decision about a model, and what came of each.

    Every method raises `StoreError` when the store cannot be reached or refuses, and `PackageError` when a record is
    damaged.

    Args:
        store: The object store.
        model: Name of the model.
        by: Who writes; by default the run of this process, or else the person.
    """

    def __init__(self, store: Store, model: str, *, by: str = "") -> None:
        self.model = model
        self.by = by or this_run() or this_person()
        self._log: AppendOnlyLog[Record] = AppendOnlyLog(
            store, f"monitoring/{model}/decisions/", RECORDS, name="an audit log"
        )

    def records(self) -> list[Record]:
        """The newest records, the oldest of them first: what is further back holds nothing back."""
        return self._log.entries(RECORDS_READ)

    def append(self, make: Callable[[Sequence[Record]], Record | None]) -> Record | None:
        """Add what follows from the records that are there; see `AppendOnlyLog.append`."""

        def signed(records: Sequence[Record]) -> Record | None:
            made = make(records)
            return None if made is None else made.model_copy(update={"by": self.by})

        return self._log.append(signed, newest=RECORDS_READ)

    def add(self, record: Record) -> None:
        """Add a record, whatever the others say."""

        def whatever_is_there(records: Sequence[Record]) -> Record:
            del records
            return record

        self.append(whatever_is_there)

    def decide(
        self,
        evidence: Sequence[Evidence],
        policy: PolicyConfig,
        now: datetime,
        *,
        champion: str,
        objects: Objects | None = None,
    ) -> Decided | None:
        """Decide on the champion's latest window, and on what is new at the source, and write it down once.

        Of two that do so at once one decides; the other looks at the decision and finds nothing left to do.

        Returns:
            The decision that was added; None where there is nothing to decide on, the policy is off, or the newest one
            stands.
        """
        if policy.mode == "off":
            return None
        added = self.append(lambda past: next_record(evidence, past, policy, now, champion=champion, objects=objects))
        return added if isinstance(added, Decided) else None
