"""Fixtures of the tests that run the server as a program."""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.shared.package.model_package import read_golden


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
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
