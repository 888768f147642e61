"""What others do, on the same rows with the same training: retrain never, monthly, or whenever the data drifted.

They deploy whatever they have trained. Rows are scored with their models here, without an endpoint.
"""

import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from components.monitor.evidently_preset import preset_alarm
from components.shared import frames
from components.shared.config import Config
from components.shared.package.scored import load_scorer
from components.shared.package.scoring import score_rows
from pipelines.demo.outcome import Outcome, quality_by_week
from pipelines.demo.rows import Rows
from pipelines.demo.timetable import Timetable
from pipelines.demo.training import Trainer

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Look:
    """What a strategy can look at.

    Attributes:
        moment: When.
        last: When it looked before.
        week: The rows of the week that is over.
        model: The model that answers, its folder.
    """

    moment: datetime
    last: datetime
    week: "pa.Table"
    model: Path


class Strategy(Protocol):
    """When to retrain."""

    name: str

    def retrains(self, look: Look) -> bool:
        """Whether to retrain now."""


class Never:
    """The first model for ever."""

    name = "never retrain"

    def retrains(self, look: Look) -> bool:
        """Never."""
        del look
        return False


class Monthly:
    """At the first look of each month."""

    name = "monthly"

    def retrains(self, look: Look) -> bool:
        """Whether a month has begun since the last look."""
        return look.moment.month != look.last.month


class AtEachAlarm:
    """Whenever Evidently's preset calls the week drifted, compared with the model's reference."""

    name = "at each alarm of Evidently"

    def retrains(self, look: Look) -> bool:
        """Whether the preset calls the rows of the week drifted."""
        return preset_alarm(look.model, look.week).rings


@dataclass
class _Run:
    """One strategy going through the replay."""

    strategy: Strategy
    model: Path
    probabilities: list[float] = field(default_factory=list)
    retrained: list[datetime] = field(default_factory=list)
    watching: float = 0.0
    training: float = 0.0

    def answer(self, rows: "pa.Table") -> None:
        scorer = load_scorer(self.model)
        inputs = frames.inputs(frames.features(rows, scorer.schema), scorer.schema)
        self.probabilities += score_rows(scorer, inputs)[:, 1].tolist()

    def look(self, look: Look, timetable: Timetable, trainer: Trainer) -> None:
        began = time.process_time()
        retrains = self.strategy.retrains(look)
        self.watching += time.process_time() - began
        if retrains:
            trained = trainer.train(*timetable.learned(look.moment))
            self.model = trained.model
            self.training += trained.cpu_seconds
            self.retrained.append(look.moment)


def replay_strategies(config: Config, timetable: Timetable, rows: Rows, first: Path, folder: Path) -> list[Outcome]:
    """What each of them comes to.

    Args:
        config: Tables and settings.
        timetable: When things happen.
        rows: What is asked.
        first: The model that all begin with.
        folder: Where their models go.
    """
    trainer = Trainer(config, folder)
    strategies: tuple[Strategy, ...] = (Never(), Monthly(), AtEachAlarm())
    return [_replay(strategy, timetable, rows, first, trainer) for strategy in strategies]


def _replay(strategy: Strategy, timetable: Timetable, rows: Rows, first: Path, trainer: Trainer) -> Outcome:
    run, last = _Run(strategy, first), timetable.start
    for number, moment in enumerate(timetable.looks()):
        run.answer(rows.between(last, moment))
        week = rows.between(*timetable.span(number))
        run.look(Look(moment, last, week, run.model), timetable, trainer)
        last = moment
    return Outcome(
        name=strategy.name,
        quality=quality_by_week(rows, timetable, run.probabilities),
        retrained=tuple(run.retrained),
        deployed=tuple(run.retrained),
        watching_seconds=run.watching,
        training_seconds=run.training,
    )
