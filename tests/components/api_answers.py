"""A server that answers over HTTP what it is told to, in place of a Kubernetes API server; tests/cluster asks one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from kubernetes import client

from components.shared.kubernetes.api import Cluster


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Any
    content: str


class ApiServer(ThreadingHTTPServer):
    """Answers by method and path; of several answers each is given once, and the last one from then on."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[tuple[str, str], tuple[int, Any] | list[tuple[int, Any]]] = {}
        self.asked: list[Asked] = []

    def cluster(self, *, seconds: float = 0.0) -> Cluster:
        """A client that asks a server that is away again for so long."""
        settings = client.Configuration()
        settings.host = f"http://127.0.0.1:{self.server_port}"
        settings.retries = False
        return Cluster(client.ApiClient(settings), seconds=seconds)


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        self.server.asked.append(Asked(self.command, self.path, body, self.headers.get("Content-Type", "")))
        answers = self.server.answers[self.command, self.path.partition("?")[0]]
        if isinstance(answers, list):
            answers = answers.pop(0) if len(answers) > 1 else answers[0]
        status, answer = answers
        content = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: Any) -> None:
        pass


@contextmanager
def answering() -> Iterator[ApiServer]:
    """A server that runs."""
    with ApiServer() as found:
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        found.shutdown()
        thread.join()
