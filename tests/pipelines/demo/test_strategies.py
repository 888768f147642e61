"""What others do, on small data: when each of them trains, and that later rows are answered by what it trained."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import Config
from pipelines.demo.outcome import quality_by_week
from pipelines.demo.rows import Rows
from pipelines.demo.strategies import Look, Monthly, replay_strategies
from pipelines.demo.timetable import Timetable
from pipelines.demo.training import Trainer

TABLE = Timetable(weeks=6, learn_days=28)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    """A table whose relation turns round in May: `late` follows x, and later -x; z moves away in May, too."""
    random, path = np.random.default_rng(0), tmp_path_factory.mktemp("rows") / "rows.parquet"
    rows = 180 * 24
    hours = np.arange(rows)
    moments = np.datetime64("2013-01-01T00:00:00", "us") + hours.astype("timedelta64[h]")
    may = moments >= np.datetime64("2013-05-01")
    x, z = random.normal(size=rows), random.normal(size=rows) + 5 * may
    late = (np.where(may, -x, x) + random.normal(size=rows) / 2) > 0
    pq.write_table(pa.table({"scheduled": moments, "x": x, "z": z, "late": late}), path)
    return Config.model_validate(
        {
            "name": "small",
            "source": {"tables": {"rows": {"path": str(path)}}},
            "problem": {"target": "late", "task": "binary", "time_column": "scheduled", "features": ["x", "z"]},
            "search": {"families": ["linear"], "budget": {"trials": 1, "seconds": 600}},
        }
    )


@pytest.fixture(scope="module")
def rows(config) -> Rows:
    return Rows(Path(config.model_dump()["source"]["tables"]["rows"]["path"]), config.problem)


def test_each_strategy_trains_when_it_says_and_answers_with_what_it_trained(config, rows, tmp_path):
    first = Trainer(config, tmp_path / "first").train(*TABLE.learned_first())

    never, monthly, alarms = replay_strategies(config, TABLE, rows, first.model, tmp_path / "models")

    looks = TABLE.looks()
    assert never.retrained == ()
    assert monthly.retrained == (looks[4],)  # the first look of May
    assert looks[4] in alarms.retrained  # the week in which z moved away
    assert not set(alarms.retrained) & set(looks[:4])
    measured = [value for value in never.quality if value is not None]
    assert min(measured[:4]) > 0.9
    assert measured[5] < 0.1
    assert never.quality[:4] == monthly.quality[:4]
    assert first.cpu_seconds > 0
    assert monthly.training_seconds > 0 == never.training_seconds
    assert alarms.watching_seconds > never.watching_seconds


def test_a_window_is_trained_on_once(config, tmp_path):
    trainer = Trainer(config, tmp_path)

    assert trainer.train(*TABLE.learned_first()) is trainer.train(*TABLE.learned_first())


def test_monthly_looks_at_the_calendar(tmp_path):
    first, *_, last = TABLE.looks()

    assert Monthly().retrains(Look(last, first, pa.table({}), tmp_path))
    assert not Monthly().retrains(Look(first, first - timedelta(days=1), pa.table({}), tmp_path))


def test_quality_is_that_of_each_week_by_its_own_labels(rows):
    asked = rows.between(TABLE.start, TABLE.looks()[-1])
    right = [float(late) for late in asked["late"].to_pylist()]

    assert quality_by_week(rows, TABLE, right) == (1.0,) * 6
    assert quality_by_week(rows, TABLE, [0.5] * len(right)) == (0.5,) * 6
