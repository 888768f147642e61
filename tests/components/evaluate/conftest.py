"""A small model of each task, with the parts it was made from; tests only read them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from components.shared.config import TaskName
from tests.helpers import make_package, make_splits


@dataclass(frozen=True)
class Made:
    splits: Path
    model: Path
    validation: Path


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], Made]:
    """Gives the folders of a task."""
    found: dict[TaskName, Made] = {}

    def make(task: TaskName) -> Made:
        if task not in found:
            folder = tmp_path_factory.mktemp(task)
            splits = make_splits(folder / "splits", task=task)
            validation = folder / "validation.json"
            validation.write_text('{"valid_rows": 600, "quarantined_rows": 4}', encoding="utf-8")
            found[task] = Made(splits, make_package(folder / "model", task=task, splits=splits), validation)
        return found[task]

    return make
