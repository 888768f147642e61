"""A monitor that decides and retrains, killed by SIGKILL at a random moment, again and again.

The object store is real, and so is the kill. In every second round another monitor works on the same model at the same
time. After each round a monitor is run that is not killed, as the next start of a schedule would be; then the evidence
of the round has one decision and one retraining with one end, and its version was made champion once.
"""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from components.shared.config import PolicyConfig
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence_files import keep_evidence, read_evidence
from components.shared.decisions.records import Decided, Ended, Started
from components.shared.decisions.retrainings import open_retraining
from components.shared.registry.registry import Registry
from components.shared.store import Store, StoreSettings
from pipelines.decisions.lease import Lease
from pipelines.decisions.retraining import MOST_ATTEMPTS, carry_out
from tests.components.deploy.kills import Kills
from tests.components.shared.decisions.windows import dropped
from tests.pipelines.decisions.retrainers import QuickRetrainer

MODEL = "demo"
POLICY = PolicyConfig.model_validate(
    {
        "mode": "on",
        "rules": {"measured_drop": {"action": "retrain"}},  # one window is enough
        "cool_down_hours": 0,
        "budget": {"runs": 10**6, "cpu_hours": 10**6},
    }
)
_RUN_SECONDS = 0.3
_LONGEST = timedelta(hours=24)


def monitor(settings: StoreSettings, by: str) -> None:
    """What a scheduled monitor does: decide on what is known, and see to the open retraining."""
    store = Store(settings)
    log = AuditLog(store, MODEL, by=by)
    champion = Registry(store, MODEL).champion_version()
    log.decide(read_evidence(store, MODEL, windows=10), POLICY, datetime.now(UTC), champion=champion)
    lease = Lease(store, f"monitoring/{MODEL}/retraining.json", holder=by, seconds=1, margin=0.3)
    retrainer = QuickRetrainer(store, seconds=_RUN_SECONDS)
    carry_out(log, lease, retrainer, longest=_LONGEST, clock=lambda: datetime.now(UTC))


@dataclass
class DecisionKills:
    """A store, and what was found in it.

    Attributes:
        settings: Of the object store, in which nothing of the model is yet.
        seed: For the moments.
    """

    settings: StoreSettings
    seed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _rounds: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.store = Store(self.settings)
        self.registry = Registry(self.store, MODEL)
        self.registry.promote("v-0", expected=None)

    def run(self, times: int) -> None:
        """Kill so many monitors; the duration of others, which are not killed, says when.

        A monitor that was done before its moment came is none of them.
        """
        while (killed := self.outcomes["killed"]) < times:
            if self._rounds % 10 == 0:  # it grows with the log
                start = time.monotonic()
                self.round(None)
                seconds = time.monotonic() - start
            self.round(self.random.uniform(0, seconds))
            if self.outcomes["killed"] > killed and self.outcomes["killed"] % 10 == 0:
                print(f"{self.outcomes['killed']} of {times} kills: {dict(self.outcomes)}", flush=True)

    def round(self, kill_after: float | None) -> None:
        """New evidence of a drop; a monitor that is killed, perhaps beside another; one that is not; and a look."""
        before = max((record.number for record in AuditLog(self.store, MODEL).records()), default=0)
        champion = self.registry.champion()
        assert champion is not None
        keep_evidence(self.store, dropped(self._rounds, version=champion.version))
        self._rounds += 1
        if kill_after is not None:
            self._kill(kill_after, beside_another=self._rounds % 2 == 0)
        until = time.monotonic() + 60
        while self._step() and time.monotonic() < until:
            time.sleep(0.1)  # until the lease of one that was killed is over
        self._look(before, champion.number)

    def _kill(self, seconds: float, *, beside_another: bool) -> None:
        if beside_another:
            other = threading.Thread(target=monitor, args=(self.settings, "another"))
            other.start()
        killed = Kills.kill_child(lambda: monitor(self.settings, "killed"), seconds)
        if beside_another:
            other.join()
        self.outcomes["killed" if killed else "not killed"] += 1
        self.outcomes["beside another"] += beside_another

    def _step(self) -> bool:
        """A monitor that is not killed; whether there is something left to do."""
        monitor(self.settings, "next")
        records = AuditLog(self.store, MODEL).records()
        return open_retraining(records) is not None

    def _look(self, before: int, champion: int) -> None:
        records = AuditLog(self.store, MODEL).records()
        first, last = records[0].number, records[-1].number  # of a long log the newest are shown
        assert [record.number for record in records] == list(range(first, last + 1))
        new = [record for record in records if record.number > before]
        decided = [record for record in new if isinstance(record, Decided)]
        assert [one.decision.action for one in decided] == ["retrain"]
        (ended,) = (record for record in new if isinstance(record, Ended))
        attempts = [record for record in new if isinstance(record, Started)]
        assert 1 <= len(attempts) <= MOST_ATTEMPTS
        assert len(new) == len(attempts) + 2
        self.outcomes[f"{len(attempts)} attempts"] += 1
        assert (ended.about, ended.result) == (decided[0].number, "promoted")
        (entry,) = self.registry.history()[champion:]
        assert entry.version == f"v-{decided[0].number}" == ended.version
