"""Candidates of different quality, evaluated, to be judged by the gate."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from components.gate.gate import Candidate, Rules
from components.shared.config import EvaluationConfig, GateConfig, SearchConfig, TaskName
from components.shared.evaluation import Evaluation, Gap, Scores, Slice
from components.shared.package.model_package import TRAINED_FILES, version_prefix
from components.shared.registry.registry import Registry
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests.helpers import make_manifest, make_package, make_splits, put_folder

EVALUATION = EvaluationConfig(resamples=100)


def rules(**settings: object) -> Rules:
    return Rules(GateConfig.model_validate(settings), SearchConfig(), EVALUATION)


def evaluation(task: TaskName = "binary", **changes: object) -> Evaluation:
    """What evaluate would say of a good candidate."""
    metric = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task]
    good, bad = (0.9, 0.5) if TASKS[task].has_positive_class else (0.5, 1.0)
    settings: dict[str, object] = {
        "name": "demo",
        "task": task,
        "target": "target",
        "metric": metric,
        "rows": 120,
        "threshold": 0.5,
        "confidence": 0.95,
        "resamples": 100,
        "scores": {"values": {metric: good}},
        "baseline": {"values": {metric: bad}},
    }
    return Evaluation.model_validate(settings | changes)


def slices(values: Mapping[str, float | None], *, gap: float | None = None, spread: float = 0.0) -> dict[str, Any]:
    """Slices of one column by ROC AUC, None is one of too few rows; intervals reach `spread` to each side."""
    return {
        "slices": [
            Slice(
                column="colour",
                value=name,
                rows=50,
                scores=None
                if value is None
                else Scores(
                    values={"roc_auc": value},
                    intervals={"roc_auc": (value - spread, value + spread)} if spread else {},
                    blocks=50,
                ),
            )
            for name, value in values.items()
        ],
        "gaps": []
        if gap is None
        else [Gap(column="colour", metric="roc_auc", best="a", worst="b", gap=gap, interval=(gap - 0.05, gap + 0.05))],
    }


@pytest.fixture(scope="session")
def splits(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], Path]:
    """The prepared parts of a task, of enough rows to tell models apart."""
    found: dict[TaskName, Path] = {}

    def make(task: TaskName) -> Path:
        if task not in found:
            found[task] = make_splits(tmp_path_factory.mktemp(task) / "splits", task=task, rows=2000)
        return found[task]

    return make


@pytest.fixture
def candidate(splits: Callable[[TaskName], Path], tmp_path: Path) -> Callable[..., Candidate]:
    """Makes an evaluated candidate; `noise` makes it worse."""

    def make(task: TaskName = "binary", *, noise: float = 0.0, found: Evaluation | None = None) -> Candidate:
        model = make_package(tmp_path / f"model-{task}-{noise}", task=task, splits=splits(task), noise=noise)
        evaluated = tmp_path / f"evaluated-{task}-{noise}"
        evaluated.mkdir(exist_ok=True)
        (found or evaluation(task)).write(evaluated)
        (evaluated / "card.html").write_text("<html></html>", encoding="utf-8")
        return Candidate("demo", model, evaluated, splits(task))

    return make


@pytest.fixture
def crown(store: Store, tmp_path: Path) -> Callable[[Candidate], str]:
    """Publishes a candidate's package and makes it the champion."""

    def make(candidate: Candidate) -> str:
        package = tmp_path / "champion"
        package.mkdir()
        for name, path in candidate.files().items():
            shutil.copyfile(path, package / name)
        assert set(TRAINED_FILES) <= {path.name for path in package.iterdir()}
        version = make_manifest(package).version
        put_folder(store, version_prefix("demo", version), package)
        Registry(store, "demo").promote(version, expected=None)
        return version

    return make
