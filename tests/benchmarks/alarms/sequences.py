"""Windows one after another, some without a change and then some with one, and what our monitor makes of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.monitor.quality.lines import History
from components.shared.config.monitoring_policy import PolicyAction
from components.shared.decisions.evidence import Evidence
from tests.benchmarks.alarms.changes.kind import STRENGTHS, Kind
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.rows import Scene
from tests.benchmarks.alarms.tables import AlarmTable, Trained, dealt
from tests.benchmarks.alarms.watching import Monitor, Window, answered, decided, qualities

CLEAN = 5  # windows before the change: of 20 seeds these are 100
CHANGED = 4  # windows with it


@dataclass(frozen=True, slots=True)
class Injected:
    """Windows that all have one change."""

    kind: Kind
    strength: int
    windows: tuple[Window, ...]

    @property
    def name(self) -> tuple[str, str]:
        """The kind and the strength."""
        return self.kind.name, STRENGTHS[self.strength]


@dataclass(frozen=True, slots=True)
class Found:
    """When something was first found in windows with a change.

    Attributes:
        alarm: In which window, from 1; None for in none.
        retraining: The same of a retraining.
        why: What was said at the first alarm.
    """

    alarm: int | None
    retraining: int | None
    why: str = ""


class Seed:
    """A reference and windows, dealt by one seed.

    Args:
        table: The table.
        trained: Its model.
        number: The seed.
        folder: An empty one, for the package.
    """

    def __init__(self, table: AlarmTable, trained: Trained, number: int, folder: Path) -> None:
        self.table = table
        self.number = number
        self.reference, rest = dealt(trained.rows, table.reference, seed=number)
        self.monitor = Monitor(trained.package, self.reference, folder)
        whole = CLEAN * table.size
        self._pool = rest.take(np.arange(whole, len(rest)))
        parts = np.split(np.arange(whole), CLEAN)
        self.clean = [answered(place, rest.take(part), self.monitor.scorer) for place, part in enumerate(parts)]

    def changed(self, kinds: Sequence[Kind] = KINDS) -> Iterator[Injected]:
        """Windows of each kind of change at each strength."""
        for kind in kinds:
            for strength in range(len(STRENGTHS)):
                windows = (self._window(kind, strength, place) for place in range(CHANGED))
                yield Injected(kind, strength, tuple(windows))

    def _window(self, kind: Kind, strength: int, place: int) -> Window:
        random = np.random.default_rng([self.number, KINDS.index(kind), strength, place])
        rows = self._pool.take(random.choice(len(self._pool), self.table.size, replace=False))
        scene = Scene(rows, self._pool, self.table.columns, kind.amounts[strength], place, random)
        return answered(CLEAN + place, kind.change(scene), self.monitor.scorer)


class Watch:
    """Our monitor, that looks at one window after another; labels come a window later, or never.

    Args:
        monitor: Knows the model.
        labelled: Whether labels come.
        before: What is known of windows before, all of them with their labels or none.
    """

    def __init__(self, monitor: Monitor, *, labelled: bool, before: Sequence[Evidence] = ()) -> None:
        self._monitor = monitor
        self._labelled = labelled
        self._known = list(before)
        self._newest: tuple[Evidence, Window] | None = None

    def look(self, window: Window) -> tuple[PolicyAction, str]:
        """What is decided when a window has ended, and why."""
        before = self.known()
        now = self._monitor.observe(window, [one.rows for one in before])
        if not self._labelled:
            now = self._judged(now, window)
        # Where labels come, one window that is only estimated decides nothing: it is judged when they have come.
        self._newest = now, window
        decision = decided([*before, now])
        return decision.action, decision.reason

    def known(self) -> list[Evidence]:
        """What is known of the windows so far when the next one has ended."""
        if self._newest:
            evidence, window = self._newest
            self._known.append(self._judged(evidence, window) if self._labelled else evidence)
            self._newest = None
        return self._known

    def _judged(self, evidence: Evidence, window: Window) -> Evidence:
        history = History((), qualities(self._known))
        return self._monitor.judge(evidence, window, history, labelled=self._labelled)


def first_found(watch: Watch, windows: Sequence[Window]) -> Found:
    """Look at windows until a retraining is decided on."""
    alarm, why = None, ""
    for number, window in enumerate(windows, 1):
        action, reason = watch.look(window)
        if action != "nothing" and alarm is None:
            alarm, why = number, reason
        if action == "retrain":
            return Found(alarm, number, why)
    return Found(alarm, None, why)
