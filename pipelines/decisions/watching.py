"""One look at a model: decide on what is known, see to the open retraining, and find out what earlier ones came to.

A schedule takes such looks, or a loop on a laptop. Each leaves in the audit log what became known, and a look at which
nothing became known leaves nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.shared.config import MonitoringConfig
from components.shared.config.monitoring_policy import PolicyConfig
from components.shared.decisions.arrivals import Objects, objects_at
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.evidence_files import read_evidence
from components.shared.decisions.policy import judge
from components.shared.decisions.records import Decided, Ended, Judged, Record, Result, Resumed, Started
from components.shared.decisions.retrainings import Retraining, retrainings_of
from components.shared.registry.history import Entry, rolled_back
from components.shared.registry.monitoring import read_settings
from components.shared.registry.pending import Pending, PendingVersions
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.lease import LeaseLostError
from pipelines.decisions.outbox import tell
from pipelines.decisions.retraining import Clock, Retrainer, carry_out, retraining_lease


@dataclass(frozen=True, slots=True)
class Watcher:
    """What looks at one model.

    Attributes:
        store: The object store.
        model: Name of the model.
        retrainer: Where the training pipeline runs.
        clock: The moment, UTC.
        by: Who writes into the audit log; empty for this process's run or person.
        settle: Sees to the versions that wait: brings them up as shadows, and answers what can be answered. By default
            nobody does.
    """

    store: Store
    model: str
    retrainer: Retrainer
    clock: Clock
    by: str = ""
    settle: Callable[[], None] = lambda: None

    def look(self) -> list[Record]:
        """Take one look.

        Returns:
            The records that were added, by this process or by others meanwhile, the oldest first.

        Raises:
            PackageError: An object of the store is damaged.
            StoreError: The object store cannot be reached or refuses.
        """
        log = AuditLog(self.store, self.model, by=self.by)
        before = {record.number for record in log.records()}
        registry = Registry(self.store, self.model)  # one object for the whole look: it caches the entries it has read
        history, evidence = registry.history(), read_evidence(self.store, self.model)
        version = history[-1].version if history else ""
        settings = self._settings(version)
        policy = settings.policy
        self._rolled_back(log, history)
        if version:
            log.decide(evidence, policy, self.clock(), champion=version, objects=self._objects(policy, version))
        self._answered(log)
        self._judged(log, evidence, policy)
        self._carried_out(log, policy)
        self.settle()
        self._answered(log)
        records = log.records()
        self._told(records, registry.history(), evidence, settings)
        return [record for record in records if record.number not in before]

    def _settings(self, champion: str) -> MonitoringConfig:
        """How the champion is watched; the default where there is no champion."""
        return read_settings(self.store, self.model, champion) if champion else MonitoringConfig()

    def _objects(self, policy: PolicyConfig, champion: str) -> Objects | None:
        """What is at the places whose new objects ask for a retraining; None where there are none."""
        if not policy.new_objects:
            return None
        return objects_at(policy.new_objects, model=self.model, version=champion)

    def _told(
        self,
        records: Sequence[Record],
        history: Sequence[Entry],
        evidence: Sequence[Evidence],
        settings: MonitoringConfig,
    ) -> None:
        tell(
            self.store,
            self.model,
            settings.notifications,
            records=records,
            history=history,
            evidence=evidence,
            now=self.clock(),
        )

    def _carried_out(self, log: AuditLog, policy: PolicyConfig) -> None:
        lease = retraining_lease(self.store, self.model, holder=log.by)
        longest = timedelta(hours=policy.longest_hours)
        try:
            carry_out(log, lease, self.retrainer, longest=longest, clock=self.clock)
        except LeaseLostError:
            return  # another process sees to it

    def _answered(self, log: AuditLog) -> None:
        """Record the answers that versions of earlier retrainings have got since they began to wait."""
        waiting = [one for one in retrainings_of(log.records()) if one.ended and one.ended.result == "pending"]
        pending = PendingVersions(self.store, self.model).all() if waiting else {}
        for one in waiting:
            if one.ended and (found := pending.get(one.ended.version)) and found.answer:
                answered = _with_answer(one.ended, found, self.clock())
                _add_unless(log, answered, lambda now: now.ended is not None and now.ended.result != "pending")

    def _rolled_back(self, log: AuditLog, history: Sequence[Entry]) -> None:
        """Record that a retraining did not help when its version was rolled back; done before anything is decided."""
        turned_away = rolled_back(history)
        for one in retrainings_of(log.records()):
            entry = turned_away.get(one.ended.version) if one.ended else None
            if entry and one.helped:
                message = f"somebody went back to version {entry.version}: {entry.why or 'no reason given'}"
                judged = Judged(when=self.clock(), about=one.number, helped=False, message=message)
                _add_unless(log, judged, lambda found: not found.helped)

    def _judged(self, log: AuditLog, evidence: Sequence[Evidence], policy: PolicyConfig) -> None:
        for one in retrainings_of(log.records()):
            if one.ended and one.ended.result == "promoted" and one.judged is None:
                verdict = judge(one, evidence, policy)
                if verdict is not None:
                    helped, message = verdict
                    judged = Judged(when=self.clock(), about=one.number, helped=helped, message=message)
                    _add_unless(log, judged, lambda found: found.judged is not None)


def _with_answer(waits: Ended, pending: Pending, when: datetime) -> Ended:
    """The final record of a retraining whose version waited: the answer, with the cost of the run unchanged."""
    result: Result = "promoted" if pending.answer == "approved" else pending.answer or "pending"
    return Ended(
        when=when,
        about=waits.about,
        result=result,
        run=waits.run,
        version=waits.version,
        cpu_hours=waits.cpu_hours,
        message=pending.in_words,
    )


def _add_unless(log: AuditLog, record: Ended | Judged, is_known: Callable[[Retraining], bool]) -> None:
    """Add a record about a retraining, unless `is_known` says that another process has just added it."""

    def make(records: Sequence[Record]) -> Record | None:
        return None if is_known(_about(records, record.about)) else record

    log.append(make)


def _about(records: Sequence[Record], number: int) -> Retraining:
    (found,) = (one for one in retrainings_of(records) if one.number == number)
    return found


def in_words(records: Sequence[Record]) -> Iterator[str]:
    """Each record in a line for people."""
    for record in records:
        match record:
            case Decided():
                decision = record.decision
                dry = ", were it not a dry run" if decision.action == "retrain" and not decision.retrains else ""
                yield f"decision {record.number}: {decision.action}{dry}: {decision.reason}"
            case Started():
                yield f"retraining {record.about} begun, attempt {record.attempt}"
            case Ended():
                version = f", version {record.version}" if record.version else ""
                yield f"retraining {record.about} {record.result}{version}: {record.message}"
            case Judged():
                yield f"retraining {record.about} {'helped' if record.helped else 'did not help'}: {record.message}"
            case Resumed():
                yield f"retraining may go on: {record.why or 'no reason given'}"
