"""Fixtures that tests of the model server share."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.shared import shapley
from components.shared.package.model_package import read_golden
from tests.ports import free_port


@pytest.fixture
def package(packages: Callable[..., Path]) -> Path:
    """A small model package."""
    return packages()


@pytest.fixture
def rows(package: Path) -> list[dict[str, Any]]:
    """The rows of its golden requests."""
    return [request.row for request in read_golden(package)]


@pytest.fixture
def free() -> int:
    """A port that nobody uses."""
    return free_port()


@pytest.fixture
def slow_walks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Explanations take their time: an entry for each walk through the features that has begun."""
    walks: list[int] = []
    walk = shapley._walk

    def slow(*arguments: Any, **more: Any) -> Any:
        walks.append(1)
        time.sleep(0.05)
        return walk(*arguments, **more)

    monkeypatch.setattr(shapley, "_walk", slow)
    return walks
