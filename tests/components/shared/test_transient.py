"""Trying again what fails for a moment."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from components.shared.errors import StoreError
from components.shared.kubernetes.api import Cluster, ClusterError
from components.shared.store import Store, StoreSettings
from components.shared.transient import retry_seconds, retry_transient
from tests.ports import free_port


class Failing:
    """An action that fails some times."""

    def __init__(self, times: int) -> None:
        self.left, self.calls = times, 0

    def __call__(self) -> str:
        self.calls += 1
        if self.left:
            self.left -= 1
            raise StoreError("away")
        return "done"


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """How long it would have slept; the clock goes on by that."""
    slept: list[float] = []
    clock = SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr("components.shared.transient.time", clock)
    return slept


def test_it_is_tried_until_it_succeeds_with_growing_waits(waits, capsys):
    action = Failing(8)

    assert retry_transient(action, is_transient=lambda error: True, seconds=60) == "done"

    assert action.calls == 9
    assert all(wait <= 0.5 * 2**number for number, wait in enumerate(waits))
    assert max(waits) <= 10
    assert capsys.readouterr().out.count("away It is tried again in ") == 8


def test_the_last_error_stands_when_the_time_is_over(waits):
    with pytest.raises(StoreError, match="away"):
        retry_transient(Failing(1000), is_transient=lambda error: True, seconds=20)

    assert sum(waits) == pytest.approx(20)


@pytest.mark.parametrize(("transient_one", "seconds"), [(False, 60), (True, 0)])
def test_what_stays_or_is_not_waited_for_fails_at_once(waits, transient_one, seconds):
    action = Failing(1)

    with pytest.raises(StoreError):
        retry_transient(action, is_transient=lambda error: transient_one, seconds=seconds)

    assert (action.calls, waits) == (1, [])


def test_how_long_is_said_by_the_place_or_the_environment(monkeypatch):
    for name in ("KUBERNETES_SERVICE_HOST", "FULLCIRCLE_RETRY_SECONDS"):
        monkeypatch.delenv(name, raising=False)
    assert retry_seconds() == 0
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert retry_seconds() == 60
    monkeypatch.setenv("FULLCIRCLE_RETRY_SECONDS", "7")
    assert retry_seconds() == 7


class Unsteady(BaseHTTPRequestHandler):
    """An API server that cannot answer at first."""

    statuses: list[int]
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b'{"message": "said"}'
        self.send_response(self.statuses.pop(0) if self.statuses else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("method", "statuses", "asked", "fails"),
    [
        ("GET", [503, 500], 3, False),
        ("PATCH", [504], 2, False),
        ("DELETE", [429], 2, False),
        ("GET", [403], 1, True),
        ("POST", [503], 1, True),
    ],
)
def test_the_api_server_is_asked_again_in_a_pod(monkeypatch, method, statuses, asked, fails):
    from kubernetes import client

    monkeypatch.setenv("FULLCIRCLE_RETRY_SECONDS", "20")
    seen: list[str] = []
    handler = type("Handler", (Unsteady,), {"statuses": list(statuses), "asked": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        settings = client.Configuration()
        settings.host = f"http://127.0.0.1:{http.server_port}"
        cluster = Cluster(client.ApiClient(settings))
        calls = {
            "GET": lambda: cluster.read("/api/x"),
            "PATCH": lambda: cluster.apply("/api/x", {}, fieldManager="a"),
            "DELETE": lambda: cluster.delete("/api/x"),
            "POST": lambda: cluster.create("/api/x", {}),
        }
        try:
            if fails:
                with pytest.raises(ClusterError, match="said"):
                    calls[method]()
            else:
                calls[method]()
        finally:
            http.shutdown()
            thread.join()

    assert seen == [method] * asked


@contextmanager
def serving_later(port: int, handler: type[Unsteady], *, seconds: float) -> Iterator[None]:
    """A server that comes up after a while."""
    servers: list[ThreadingHTTPServer] = []

    def serve() -> None:
        time.sleep(seconds)
        with ThreadingHTTPServer(("127.0.0.1", port), handler) as http:
            servers.append(http)
            http.serve_forever(poll_interval=0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        while not servers:
            time.sleep(0.05)
        servers[0].shutdown()
        thread.join()


@pytest.fixture
def away(monkeypatch) -> int:
    """The port of a store that the environment names and that is not there."""
    port = free_port()
    for name, value in StoreSettings(f"http://127.0.0.1:{port}", "a", "b").environment().items():
        monkeypatch.setenv(name, value)
    return port


def test_a_store_that_comes_up_again_is_waited_for_in_a_pod(monkeypatch, tmp_path, away):
    monkeypatch.setenv("FULLCIRCLE_RETRY_SECONDS", "20")
    with serving_later(away, type("Handler", (Unsteady,), {"statuses": [503] * 3, "asked": []}), seconds=1):
        Store.connect().for_bucket("other").get_file("k", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b'{"message": "said"}'


def test_elsewhere_a_store_that_is_not_there_is_said_at_once(monkeypatch, tmp_path, away):
    monkeypatch.setenv("FULLCIRCLE_RETRY_SECONDS", "0")
    with pytest.raises(StoreError, match="nothing answers there"):
        Store.connect().get_file("k", tmp_path / "file")
