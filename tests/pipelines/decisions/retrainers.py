"""A retrainer that takes milliseconds, and leaves in a real store what the pipeline does: a run and a champion."""

import json
import threading
import time
from dataclasses import dataclass, field

from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.retraining import Outcome, RetrainingRun, RetrainingTask


@dataclass
class QuickRetrainer:
    """Each run is an object; it promotes a version named by the decision.

    Attributes:
        store: Where its runs and versions are.
        seconds: How long a run takes.
        deaf: Whether it goes on when it is interrupted, as a process does that stood still.
        remote: Whether a run goes on elsewhere: `begin` returns at once, and a later `find` looks at it.
    """

    store: Store
    seconds: float = 0.0
    remote: bool = False
    deaf: bool = False
    interrupted: threading.Event = field(default_factory=threading.Event)
    cancelled: list[str] = field(default_factory=list)

    def find(self, task: RetrainingTask) -> RetrainingRun | None:
        found = self.store.read_with_etag(self._key(task))
        if found is None:
            return None
        run = json.loads(found[0])
        if self.remote and time.time() < run["until"]:
            return RetrainingRun(run["id"])
        return self._finish(run["id"], task)

    def begin(self, task: RetrainingTask) -> RetrainingRun:
        run = f"run-{task.number}-{task.attempt}"
        if self.remote:
            until = time.time() + self.seconds
            self.store.create(self._key(task), json.dumps({"id": run, "until": until}).encode())
            return RetrainingRun(run)
        if self.deaf:
            time.sleep(self.seconds)
        elif self.interrupted.wait(self.seconds):
            raise KeyboardInterrupt
        self.store.create(self._key(task), json.dumps({"id": run, "until": 0}).encode())
        return self._finish(run, task)

    def cancel(self, task: RetrainingTask) -> None:
        self.cancelled.append(task.name)

    def interrupt(self) -> None:
        self.interrupted.set()

    def runs(self) -> list[str]:
        """Every run that was begun."""
        return [item.key for item in self.store.list("runs/")]

    def _finish(self, run: str, task: RetrainingTask) -> RetrainingRun:
        """Promote the version unless it is champion, as deploying the same version again does."""
        registry = Registry(self.store, task.model)
        champion, version = registry.champion(), f"v-{task.number}"
        if champion is None or champion.version != version:
            registry.promote(version, expected=champion, run=run)
        return RetrainingRun(run, Outcome("promoted", version=version, cpu_hours=0.1, message="passed the gate"))

    def _key(self, task: RetrainingTask) -> str:
        return f"runs/{task.name}"
