"""The record of a training run, `training.json`: all that made the model, nothing of when and how fast.

Two runs of the same code that made the same model write the same record, byte for byte, because it is part of the
version's content: a time of day in it would make every run a new version. When and how long stand in the manifest and
in the run instead.
"""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from components.shared.config import FamilyName, Metric, SearchConfig, TrainConfig
from components.shared.frames import time_range
from components.shared.package.model_package import Lineage
from components.shared.package.schema import Schema
from components.shared.trials import FamilyTrials, Value
from components.train.calibrating import CalibrationRecord
from components.train.deciding import Decisions, ThresholdRecord

_LIBRARIES = ("lightgbm", "numpy", "onnx", "onnxmltools", "onnxruntime", "pandas", "scikit-learn", "skl2onnx", "skops")


class TrainingRecord(BaseModel):
    """What made a model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    family: FamilyName
    parameters: dict[str, Value]
    metric: Metric = Field(description="What was optimised.")
    scores: dict[FamilyName, float] = Field(description="Best score by family, on rows not learned from.")
    incomplete: list[FamilyName] = Field(
        default=[], description="Families whose every trial was cut short: their scores are of fewer rows."
    )
    trials: dict[FamilyName, int] = Field(default={}, description="Trials by family.")
    search_warnings: dict[FamilyName, list[str]] = Field(
        default={}, description="What makes a family's search worth less than it seems, in sentences."
    )
    threshold: ThresholdRecord | None = Field(default=None, description="Binary only.")
    calibration: CalibrationRecord | None = Field(default=None, description="Classes only.")
    seed: int
    rows: int = Field(description="Rows the model was fitted on: training and validation part.")
    preprocessing: dict[str, Any] = Field(description="The configuration of the training stage.")
    lineage: Lineage
    libraries: dict[str, str]
    git_commit: str = Field(description="Commit of the project's code; empty when unknown.")


def make_record(
    best: FamilyTrials,
    found: list[FamilyTrials],
    *,
    search: SearchConfig,
    training: TrainConfig,
    lineage: Lineage,
    rows: int,
    decisions: Decisions,
) -> TrainingRecord:
    """Put the record together."""
    return TrainingRecord(
        family=best.family,
        parameters=dict(sorted(decisions.parameters.items())),
        metric=best.metric,
        scores={trials.family: trials.best.score for trials in found},
        incomplete=[trials.family for trials in found if trials.best.cut],
        trials={trials.family: len(trials.trials) for trials in found},
        search_warnings={trials.family: trials.warnings for trials in found if trials.warnings},
        threshold=decisions.threshold,
        calibration=decisions.calibration,
        seed=search.seed,
        rows=rows,
        preprocessing=training.model_dump(mode="json"),
        lineage=lineage,
        libraries={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
        git_commit=git_commit(),
    )


def with_train_end(lineage: Lineage, splits: Path, schema: Schema) -> Lineage:
    """The lineage with the newest moment of the training and the validation part, which the model learns from both."""
    if not schema.time_column:
        return lineage
    newest = time_range(splits, ["train", "validation"], schema.time_column)[1]
    return lineage.model_copy(update={"train_end": newest})


def git_commit() -> str:
    """The commit this code is of: `FULLCIRCLE_GIT_COMMIT`, which images carry, or what git says; empty when unknown."""
    if stated := os.environ.get("FULLCIRCLE_GIT_COMMIT"):
        return stated
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
