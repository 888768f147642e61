"""Doing what was decided: the one retraining that is open, by whoever has the lease, to an end that is written down.

Every step can be done again. The decision is in the audit log before anything begins; each attempt is in it before it
begins; a run is looked for before one is begun; and the end is written once, by a holder of the lease that no other has
followed. So a process that is killed anywhere and started again comes to the same state.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.records import Decision, Ended, Record, Result, Started
from components.shared.decisions.retrainings import Retraining, open_retraining, retrainings_of
from components.shared.store import Store
from pipelines.decisions.lease import Held, Lease, LeaseLostError

MOST_ATTEMPTS = 3
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class RetrainingTask:
    """What is to be done.

    Attributes:
        model: Name of the model.
        number: Of the decision.
        decision: Why.
        attempt: 1, 2, …; 0 while none has begun.
    """

    model: str
    number: int
    decision: Decision
    attempt: int = 0

    @property
    def name(self) -> str:
        """What its run is called; a retraining has one name, whatever the attempt."""
        return f"{self.model} retraining {self.number:08d}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    Attributes:
        result: In one word.
        version: The version that it made; empty for none.
        cpu_hours: Hours of one processor core.
        message: For people.
    """

    result: Result
    version: str = ""
    cpu_hours: float = 0.0
    message: str = ""


@dataclass(frozen=True, slots=True)
class RetrainingRun:
    """A run that has begun.

    Attributes:
        run: Its id.
        outcome: What it came to; None while it goes on.
    """

    run: str
    outcome: Outcome | None = None


class Retrainer(Protocol):
    """Where the training pipeline runs."""

    def find(self, task: RetrainingTask) -> RetrainingRun | None:
        """The run of a task that an earlier process began, going on or ended; None where it has to be begun."""

    def begin(self, task: RetrainingTask) -> RetrainingRun:
        """Begin a run. It may be over when this returns, or go on elsewhere."""

    def cancel(self, task: RetrainingTask) -> None:
        """End a run that takes too long."""

    def interrupt(self) -> None:
        """Make a `begin` of this process stop, from another thread, once another process may hold the lease."""


def retraining_lease(store: Store, model: str, *, holder: str) -> Lease:
    """The lease under which a model is retrained."""
    return Lease(store, f"monitoring/{model}/retraining.json", holder=holder)


def carry_out(log: AuditLog, lease: Lease, retrainer: Retrainer, *, longest: timedelta, clock: Clock) -> Ended | None:
    """Begin the open retraining, or see how far it is, and write its end down.

    Args:
        log: The audit log of the model.
        lease: Under which the model is retrained.
        retrainer: Where the pipeline runs.
        longest: After this time a retraining that has not ended counts as failed.
        clock: The moment, UTC.

    Returns:
        The record of its end; None where none is open, it goes on, or another process sees to it.

    Raises:
        LeaseLostError: The lease was lost meanwhile; another process sees to it.
    """
    if open_retraining(log.records()) is None or (held := lease.acquire()) is None:
        return None
    try:
        with held.kept(retrainer.interrupt):
            found = open_retraining(log.records())  # read again: nobody else can change it now
            return _Executor(log, held, retrainer, clock).advance(found, longest) if found else None
    finally:
        held.release()


@dataclass(frozen=True, slots=True)
class _Executor:
    log: AuditLog
    held: Held
    retrainer: Retrainer
    clock: Clock

    def advance(self, retraining: Retraining, longest: timedelta) -> Ended | None:
        decided = retraining.decided
        task = RetrainingTask(self.log.model, decided.number, decided.decision, len(retraining.started))
        run = self.retrainer.find(task) if task.attempt else None
        late = self.clock() - decided.when > longest
        if late and (run is None or run.outcome is None):
            if run is not None:
                self.retrainer.cancel(task)
            message = f"it has not ended within {longest.total_seconds() / 3600:g} hours of the decision"
            return self._end(task, RetrainingRun(run.run if run else "", Outcome("failed", message=message)))
        if run is None and task.attempt >= MOST_ATTEMPTS:
            message = f"it was begun {task.attempt} times, and cut short each time"
            return self._end(task, RetrainingRun("", Outcome("failed", message=message)))
        return self._end(task, run or self._begin(task))

    def _begin(self, task: RetrainingTask) -> RetrainingRun:
        attempt = task.attempt + 1
        started = Started(when=self.clock(), about=task.number, attempt=attempt, lease=self.held.number)
        self.log.append(lambda records: self._unless_overtaken(records, started))
        self.held.check()
        return self.retrainer.begin(RetrainingTask(task.model, task.number, task.decision, attempt))

    def _end(self, task: RetrainingTask, run: RetrainingRun) -> Ended | None:
        if run.outcome is None:
            return None
        self.held.check()
        outcome = run.outcome
        ended = Ended(
            when=self.clock(),
            about=task.number,
            result=outcome.result,
            run=run.run,
            version=outcome.version,
            cpu_hours=outcome.cpu_hours,
            message=outcome.message,
        )
        written = self.log.append(lambda records: self._unless_overtaken(records, ended))
        return written if isinstance(written, Ended) else None

    def _unless_overtaken(self, records: Sequence[Record], record: Started | Ended) -> Record | None:
        """The record to add, or None when the retraining has already ended.

        Raises:
            LeaseLostError: A later holder of the lease has begun an attempt.
        """
        (retraining,) = (one for one in retrainings_of(records) if one.number == record.about)
        if any(started.lease > self.held.number for started in retraining.started):
            raise LeaseLostError(f"{self.held.lease.uri} has been taken over by another, which does the retraining.")
        return None if retraining.ended else record
