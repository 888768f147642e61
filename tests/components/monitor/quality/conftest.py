"""Windows of answers as an endpoint logs them, and the labels that come later."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from components.monitor.quality.model import QualityModel
from components.shared.config import TaskName
from components.shared.frames import features, inputs
from components.shared.inference_rows import (
    LATENCY,
    MODEL_VERSION,
    PREDICTION,
    RECEIVED,
    REQUEST_ID,
    REQUEST_ROW,
    log_schema,
    probability_names,
)
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from tests.helpers import make_manifest, make_package, make_splits, make_table

MONDAY = datetime(2026, 3, 9, tzinfo=UTC)
DAY = timedelta(days=1)


class Endpoint:
    """A model that answers rows of a table, and knows what really becomes of them."""

    def __init__(self, package: Path) -> None:
        self.scorer = Scorer.load(package, version="v1")
        self.schema: Schema = self.scorer.schema

    def day(
        self, day: int, *, rows: int = 2_000, amount: float = 0.0, flipped: float = 0.0, **changed: Any
    ) -> tuple[pa.Table, pa.Table]:
        """The answers of a day, as logged, and a table of all their labels.

        Args:
            day: Its number, from 0.
            rows: How many.
            amount: Moves a feature: inputs shift.
            flipped: Share of the labels that say something else: the relation changes.
            **changed: Columns to put in place of others.
        """
        random = np.random.default_rng(day)
        table = make_table(self.schema.task, rows=rows, seed=1_000 + day)
        target = table["target"].to_numpy(zero_copy_only=False)
        if amount:
            table = _moved(table, self.schema.task, amount, seed=1_000 + day)
            target = table["target"].to_numpy(zero_copy_only=False)
        lost = random.random(rows) < flipped
        target = np.where(lost, random.permutation(target), target)
        moments = [MONDAY + day * DAY + DAY * place / rows for place in range(rows)]
        scores = self.scorer.score(inputs(features(table, self.schema), self.schema))
        columns: dict[str, Any] = {name: table[name] for name in self.schema.columns}
        columns["id"] = [f"{day}-{place}" for place in range(rows)]
        columns |= {REQUEST_ID: [f"r{day}-{place}" for place in range(rows)], REQUEST_ROW: [0] * rows}
        columns |= {RECEIVED: moments, MODEL_VERSION: ["v1"] * rows, LATENCY: [2.5] * rows}
        columns[PREDICTION] = TASKS[self.schema.task].answer.logged(scores, self.schema)
        columns |= dict(zip(probability_names(self.schema), scores.T, strict=False)) if scores.ndim == 2 else {}
        logged = pa.table({**columns, **changed}).select(log_schema(self.schema, ()).names)
        labels = {"request_id": columns[REQUEST_ID], "label": pa.array(target.tolist())}
        return logged.cast(log_schema(self.schema, ()), safe=False), pa.table(labels)


def _moved(table: pa.Table, task: TaskName, amount: float, *, seed: int) -> pa.Table:
    """Rows whose `amount` is moved, and the targets that follow from it as before: rows of another table, chosen."""
    many = make_table(task, rows=12_000, seed=seed + 1)
    values = many["amount"].fill_null(-9.0).to_numpy()
    random = np.random.default_rng(seed)
    odds = np.exp(amount * np.clip(values, -3, 3))
    chosen = random.choice(len(values), table.num_rows, replace=False, p=odds / odds.sum())
    return many.take(pa.array(chosen))


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], tuple[Endpoint, QualityModel]]:
    """By task a small model with a reference of 100 rows, and what its quality is held against."""
    made: dict[TaskName, tuple[Endpoint, QualityModel]] = {}

    def endpoint(task: TaskName = "binary") -> tuple[Endpoint, QualityModel]:
        if task not in made:
            folder = tmp_path_factory.mktemp("quality") / task
            package = make_package(
                folder, task=task, splits=make_splits(folder.with_name("splits"), task=task, rows=6_000)
            )
            make_manifest(package)
            made[task] = Endpoint(package), QualityModel.load(package, version="v1")
        return made[task]

    return endpoint
