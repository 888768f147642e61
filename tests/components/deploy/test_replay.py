import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from components.deploy.replay import ask, replay_golden, wait_until_ready
from components.shared.errors import DeployError
from components.shared.package.model_package import read_golden


@pytest.fixture
def program() -> Iterator[Callable[..., str]]:
    """Another program at a port: gives one answer to whatever it is asked; returns a prediction URL."""
    servers: list[ThreadingHTTPServer] = []

    def start(content: Any, status: int = 200) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815, the name is the library's

            def log_message(self, *_: object) -> None: ...

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,)).start()
        return f"http://127.0.0.1:{servers[-1].server_port}/v1/models/demo:predict"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_ready_is_what_the_model_says(program):
    for answer in ({"name": "demo", "ready": True}, {"ready": "True"}):
        assert wait_until_ready(program(answer), seconds=5, alive=lambda: True)


@pytest.mark.parametrize("answer", [{"ready": False}, {"ready": "False"}, {}, [], b"<html>"])
def test_other_answers_are_waited_out(program, answer):
    start = time.monotonic()
    assert not wait_until_ready(program(answer), seconds=0.2, alive=lambda: True)
    assert 0.2 <= time.monotonic() - start < 2
    assert not wait_until_ready(program({"ready": True}, 503), seconds=0.1, alive=lambda: True)


def test_the_wait_ends_with_the_server(program):
    start = time.monotonic()
    assert not wait_until_ready(program({"ready": False}), seconds=30, alive=lambda: False)
    lives = iter([True, False])
    # Another program says that it is ready, at the port that ours could not have.
    assert not wait_until_ready(program({"ready": True}), seconds=30, alive=lambda: next(lives))
    assert time.monotonic() - start < 5


def test_golden_answers_are_compared(program, packages):
    golden = read_golden(packages())
    right = {"predictions": [item.answer for item in golden], "model_version": "v1"}
    assert replay_golden(program(right), packages(), version="v1") == []
    (wrong,) = replay_golden(program(right), packages(), version="v2")
    assert wrong.endswith("is served by version v1")
    swapped = {**right, "predictions": right["predictions"][::-1]}
    assert replay_golden(program(swapped), packages(), version="v1")[0].startswith("request 0: expected {'label'")
    for other in (right["predictions"][:1], [], None, "text"):
        count = len(other) if isinstance(other, list) else 0
        found = replay_golden(program({**right, "predictions": other}), packages(), version="v1")
        assert found == [f"{count} answers to 5 requests"]
    (wrong,) = replay_golden(program({"error": "no"}, 500), packages(), version="v1")
    assert 'answered 500: {"error": "no"}' in wrong


@pytest.mark.parametrize(
    ("content", "message"),
    [([1], r"answered \[1\], which is no prediction"), (b"<html>", "does not answer: "), (b"", "does not answer: ")],
)
def test_what_is_no_answer_is_told(program, content, message):
    with pytest.raises(DeployError, match=message):
        ask(program(content), [{}])


def test_no_proxy_is_asked_about_this_machine(program, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask(program({"predictions": []}), []) == {"predictions": []}
