"""One table and one seed, looked at by everybody: a piece of work for a process of its own."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.shared.package.scored import load_scorer
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.peers import NANNYML, Evidently, Flags, nannyml
from tests.benchmarks.alarms.sequences import CHANGED, Injected, Seed, Watch, first_found
from tests.benchmarks.alarms.tables import TABLES, AlarmTable, Trained, rest_of
from tests.benchmarks.alarms.watching import Window

ALARM, RETRAINING, UNLABELLED = "alarm", "retraining", "retraining without labels"
EVIDENTLY, ANY_COLUMN = "Evidently", "Evidently, any column"
QUALITY, ANY_WAY = "nannyml", "nannyml, any column too"
LOOKED_AT = 2  # the one window with a change that Evidently looks at: slow changes are at 3/4, seasons at the opposite
_LATE = 1  # windows until labels have come
_WITHOUT_COLUMNS = tuple(way for way in NANNYML if way != "univariate")


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done.

    Attributes:
        table: Name of the table.
        package: The model's folder.
        seed: The seed.
        evidently: Whether Evidently looks too.
        nannyml: Whether nannyml looks too.
        kinds: Names of the kinds of change.
    """

    table: str
    package: Path
    seed: int
    evidently: bool
    nannyml: bool
    kinds: tuple[str, ...]

    @property
    def file(self) -> str:
        """What its outcomes are kept as."""
        peers = "".join(f"-{name}" for name in ("evidently", "nannyml") if getattr(self, name))
        return f"{self.table}-{self.seed:02}{peers}.json"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Who found a change, and when.

    Attributes:
        table: Name of the table.
        seed: The seed.
        kind: Name of the kind; empty for windows without a change.
        strength: 0 to 2; -1 for windows without a change.
        found: First window in which it was found, from 1, by who looked; None for in none.
        windows: In how many windows there was an alarm, by who looked; of windows without a change only.
        why: What our first alarm said.
    """

    table: str
    seed: int
    kind: str
    strength: int
    found: dict[str, int | None]
    windows: dict[str, int]
    why: str = ""


def measure(work: Work) -> list[Outcome]:
    """Look at windows without a change, and at those of each kind."""
    table = next(one for one in TABLES if one.name == work.table)
    kinds = [kind for kind in KINDS if kind.name in work.kinds]
    with tempfile.TemporaryDirectory(prefix="fullcircle-alarms-") as temporary:
        folder = Path(temporary)
        trained = Trained(work.package, load_scorer(work.package), rest_of(table, table.rows()))
        seed = Seed(table, trained, work.seed, folder / "package")
        sequences = list(seed.changed(kinds))
        others = _peers(work, table, seed, sequences, folder)
        clean, watch = _clean(seed, others, work)
        outcomes = [clean]
        for place, sequence in enumerate(sequences, 1):
            found = first_found(Watch(seed.monitor, labelled=True, before=watch.known()), sequence.windows)
            by_all = {ALARM: found.alarm, RETRAINING: found.retraining}
            by_all |= {who: _first(flags[place]) for who, flags in others.items()}
            outcomes.append(
                Outcome(work.table, work.seed, sequence.kind.name, sequence.strength, by_all, {}, found.why)
            )
    return outcomes


def _clean(seed: Seed, others: Mapping[str, list[Flags]], work: Work) -> tuple[Outcome, Watch]:
    """Windows without a change, with labels and without; the watch that has seen them with their labels."""
    watch, unlabelled = (Watch(seed.monitor, labelled=labelled) for labelled in (True, False))
    actions = [watch.look(window) for window in seed.clean]
    without = [unlabelled.look(window)[0] for window in seed.clean]
    windows = {
        ALARM: sum(action != "nothing" for action, _ in actions),
        RETRAINING: sum(action == "retrain" for action, _ in actions),
        UNLABELLED: without.count("retrain"),
    }
    windows |= {who: sum(flags[0]) for who, flags in others.items()}
    why = "; ".join(f"{place}: {action}: {reason}" for place, (action, reason) in enumerate(actions)
                    if action != "nothing")  # fmt: skip
    return Outcome(work.table, work.seed, "", -1, {}, windows, why), watch


def _peers(
    work: Work, table: AlarmTable, seed: Seed, sequences: Sequence[Injected], folder: Path
) -> dict[str, list[Flags]]:
    """Alarms of the peers by who looked: of the clean windows, and then of each sequence."""
    parts: list[Sequence[Window]] = [seed.clean, *(sequence.windows for sequence in sequences)]
    found: dict[str, list[Flags]] = {}
    if work.evidently:
        preset = Evidently(seed)
        nothing = (False, False)
        looks = [[preset.look(window) for window in seed.clean]]
        for sequence in sequences:
            looks.append([preset.look(window) if place == LOOKED_AT else nothing
                          for place, window in enumerate(sequence.windows)])  # fmt: skip
        for place, who in enumerate((EVIDENTLY, ANY_COLUMN)):
            found[who] = [[look[place] for look in part] for part in looks]
    if work.nannyml:
        ways = nannyml(table, seed, sequences, folder)
        ways["measured"] = [_late(flags) for flags in ways["measured"]]
        for who, some in ((QUALITY, _WITHOUT_COLUMNS), (ANY_WAY, NANNYML)):
            found[who] = [[any(each) for each in zip(*(ways[way][place] for way in some), strict=True)]
                          for place in range(len(parts))]  # fmt: skip
    return found


def _late(flags: Flags) -> Flags:
    """Alarms when the labels have come."""
    return [*([False] * _LATE), *flags[:-_LATE]]


def _first(flags: Flags) -> int | None:
    return flags.index(True) + 1 if True in flags[:CHANGED] else None
