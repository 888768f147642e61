"""The product in a replay: its pipeline, its endpoint with the inference log, its labels, monitor and policy.

Only time goes faster: windows are cut by the time of the flights, and monitor and policy are given the moment.
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from rich.console import Console

from components.monitor.history.record import History
from components.monitor.observation.observe import observed
from components.shared.config import Config, MonitoringConfig
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.records import Decided, Ended, Record, Resumed
from components.shared.errors import DeployError
from components.shared.labels.store import Labels
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.watching import Watcher
from pipelines.demo.endpoint import Answer, ask, wait_for_log
from pipelines.demo.outcome import Outcome, quality_by_week
from pipelines.demo.rows import Rows
from pipelines.demo.telling import week_line
from pipelines.demo.timetable import Timetable
from pipelines.local.retraining import LocalRetrainer
from pipelines.local.run import train_here
from pipelines.local.services import stop_all
from pipelines.local.store import LocalStore
from pipelines.local.workers import cpu_seconds, warm_up

NAME = "ours"
RUNS_LOG = "runs.log"
_SERVING = "FULLCIRCLE_SERVING_FOLDER"


@contextlib.contextmanager
def own_store(root: Path) -> Iterator[Store]:
    """An object store and a place for the endpoint in a folder of their own.

    What an earlier one left there is ended and removed. In the end store and endpoint are ended.
    """
    before = dict(os.environ)
    stop_all(root)
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    try:
        store = Store(LocalStore(root).start())
        os.environ.update(store.settings.environment())
        os.environ[_SERVING] = str(root.resolve() / "build" / "local" / "serving")
        yield store
    finally:
        os.environ.clear()
        os.environ.update(before)
        stop_all(root)


@dataclass(frozen=True, slots=True)
class First:
    """The first version.

    Attributes:
        model: Folder of the model.
        url: Where the endpoint answers.
        message: For people.
    """

    model: Path
    url: str
    message: str


@dataclass
class Replay:
    """One replay.

    Attributes:
        config: Tables and settings.
        timetable: When things happen.
        rows: What is asked.
        root: Folder of the runs, the store and the endpoint.
        store: The object store.
        say: Takes a line for people.
    """

    config: Config
    timetable: Timetable
    rows: Rows
    root: Path
    store: Store
    say: Callable[[str], None]
    answers: list[Answer] = field(default_factory=list)
    retrained: list[datetime] = field(default_factory=list)
    deployed: list[datetime] = field(default_factory=list)
    watching: float = 0.0
    training: float = 0.0

    @property
    def build(self) -> Path:
        """Where runs write to."""
        return self.root / "build"

    def train_first(self) -> First:
        """The first version: the pipeline as `run` has it, on the rows from before the start.

        Raises:
            DeployError: The gate did not let it through.
            RunError: A stage failed.
        """
        warm_up()
        with self._log() as console:
            window = _parameters(*self.timetable.learned_first())
            result = train_here(self.config, console=console, arguments=window, build=self.build)
        model, endpoint = result.artifact("train", "model"), result.json("deploy", "endpoint")
        if model is None or endpoint is None:
            raise DeployError(f"The first version does not serve; {self.root / RUNS_LOG} says why.")
        message = f"version {endpoint['version']} serves at {endpoint['url']}"
        return First(model, endpoint["url"], message)

    def run(self, url: str) -> None:
        """Week by week: requests, labels, a look of the monitor and of the policy, and what follows from it.

        Args:
            url: Where the endpoint answers.
        """
        last = self.timetable.start
        for number, moment in enumerate(self.timetable.looks()):
            self._ask(url, last, moment)
            self._label(last, moment)
            evidence, records = self._look(moment)
            self.say(week_line(self.timetable.week(number), evidence, records))
            last = moment

    def history(self) -> History:
        """All that the monitor has found out."""
        windows = self.config.monitoring.windows.model_copy(update={"look_back": "999d"})
        override, end = MonitoringConfig(windows=windows), self.timetable.looks()[-1]
        found = observed(self.store, self.config.name, override=override, now=end).history
        # Their pages stay in the object store, which ends.
        return found.model_copy(update={"windows": tuple(one.model_copy(update={"page": ""}) for one in found.windows)})

    def records(self) -> list[Record]:
        """The audit log."""
        return AuditLog(self.store, self.config.name).records()

    def outcome(self) -> Outcome:
        """What the product came to."""
        return Outcome(
            name=NAME,
            quality=quality_by_week(self.rows, self.timetable, [answer.probability for answer in self.answers]),
            retrained=tuple(self.retrained),
            deployed=tuple(self.deployed),
            watching_seconds=self.watching,
            training_seconds=self.training,
        )

    def _ask(self, url: str, start: datetime, end: datetime) -> None:
        requests = self.rows.requests(self.rows.between(start, end))
        positive = Registry(self.store, self.config.name).schema().labels[1]
        self.answers += ask(url, requests, positive=positive)
        wait_for_log(self.store, self.config.name, len(self.answers))

    @cached_property
    def _labels(self) -> Labels:
        return Labels(self.store, self.config.name, Registry(self.store, self.config.name).schema())

    def _label(self, after: datetime, until: datetime) -> None:
        for arrival, (start, end) in self.timetable.arrivals(after, until):
            known = self.rows.labels(self.rows.between(start, end))
            if known.num_rows:
                self._labels.append(known, source="landed", arrival=arrival)

    def _look(self, moment: datetime) -> tuple[list[Evidence], list[Record]]:
        began = cpu_seconds()
        evidence = list(observed(self.store, self.config.name, now=moment).evidence)
        self.watching += cpu_seconds() - began
        began = cpu_seconds()
        with self._log() as console:
            retrainer = LocalRetrainer(
                self.config, console=console, arguments=_parameters(*self.timetable.learned(moment)), build=self.build
            )
            records = Watcher(self.store, self.config.name, retrainer, lambda: moment, by="demo").look()
        spent = cpu_seconds() - began
        ended = [record for record in records if isinstance(record, Ended)]
        self.training += spent if ended else 0.0
        self.watching += 0.0 if ended else spent
        self.retrained += [moment for _ in ended]
        self.deployed += [moment for record in ended if record.result == "promoted"]
        return evidence, [*records, *self._answered(records, moment)]

    def _answered(self, records: Sequence[Record], moment: datetime) -> list[Record]:
        """What a person says who is asked whether to go on, as `resume` does: in a demonstration always yes."""
        decided = [record.decision for record in records if isinstance(record, Decided)]
        if not any(decision.held_back == "not helping" for decision in decided):
            return []
        resumed = Resumed(when=moment, why="the demonstration lets it go on")
        AuditLog(self.store, self.config.name).add(resumed)
        return [resumed]

    @contextlib.contextmanager
    def _log(self) -> Iterator[Console]:
        """Where runs say what they do: a file, as the terminal has a line a week."""
        with (self.root / RUNS_LOG).open("a", encoding="utf-8") as file:
            yield Console(file=file, width=200, highlight=False)


def _parameters(start: datetime, end: datetime) -> dict[str, object]:
    """The pipeline's parameters for what it is to learn from."""
    return {"window_start": start.isoformat(), "window_end": end.isoformat()}
