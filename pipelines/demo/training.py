"""The training of the pipeline, as far as a model: the same stages with the same settings, one after another, here.

The strategies that a replay is compared with need nothing of what follows it: judging, publishing and deploying.
"""

import contextlib
import io
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kfp import dsl

from components.ingest.component import ingest
from components.prepare.component import prepare
from components.shared.config import Config
from components.train.component import train
from components.tune.component import tune
from components.validate.component import validate
from pipelines.cluster.tasks import constant


@dataclass(frozen=True, slots=True)
class Trained:
    """A model.

    Attributes:
        model: Its folder.
        cpu_seconds: What it took of the processor.
    """

    model: Path
    cpu_seconds: float


class Trainer:
    """Trains on windows of the source, on each of them once.

    Args:
        config: Tables and settings.
        folder: Where models go.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._known: dict[tuple[datetime, datetime], Trained] = {}

    def train(self, start: datetime, end: datetime) -> Trained:
        """A model of the rows of a window.

        Raises:
            FullcircleError: As the stages of a run.
        """
        if (start, end) not in self._known:
            began = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()):
                model = self._train(start, end, self._folder / f"{start:%Y%m%d}-{end:%Y%m%d}")
            self._known[start, end] = Trained(model, time.process_time() - began)
        return self._known[start, end]

    def _train(self, start: datetime, end: datetime, folder: Path) -> Path:
        config, problem = self._config, constant(self._config.problem)
        folder.mkdir(parents=True)
        window = {"window_start": start.isoformat(), "window_end": end.isoformat()}
        table, valid = _dataset(folder, "table.parquet"), _dataset(folder, "valid.parquet")
        splits = _dataset(folder, "splits")
        lineage = ingest.python_func(source=constant(config.source), problem=problem, paths="", table=table, **window)
        validate.python_func(
            contract=constant(config.contract),
            problem=problem,
            table=table,
            valid=valid,
            quarantine=_dataset(folder, "quarantine.parquet"),
            validate_report=dsl.Artifact(uri=str(folder / "validation.json")),
            validate_page=dsl.HTML(uri=str(folder / "validation.html")),
        )
        prepare.python_func(
            settings=constant(config.prepare),
            problem=problem,
            contract=constant(config.contract.of_schema),
            table=valid,
            splits=splits,
            prepare_page=dsl.HTML(uri=str(folder / "preparation.html")),
        )
        return self._fit(splits, problem, lineage.lineage, folder)

    def _fit(self, splits: dsl.Dataset, problem: str, lineage: str, folder: Path) -> Path:
        """Search and fit, as `tune` and `train` do."""
        config, model = self._config, folder / "model"
        found = []
        for family in config.search.families:
            found.append(dsl.Artifact(uri=str(folder / f"{family}.json")))
            tune.python_func(
                family=family,
                search=constant(config.search),
                training=constant(config.train.fitting),
                splits=splits,
                trials=found[-1],
            )
        train.python_func(
            search=constant(config.search),
            training=constant(config.train),
            problem=problem,
            lineage=lineage,
            trials=found,
            splits=splits,
            model=dsl.Model(uri=str(model)),
        )
        return model


def _dataset(folder: Path, name: str) -> dsl.Dataset:
    return dsl.Dataset(uri=str(folder / name))
