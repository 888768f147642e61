"""Fixtures of the tests that run the server as a program."""

import socket

import pytest


@pytest.fixture
def free() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
