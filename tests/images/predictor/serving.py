"""Running the server as a program, and asking it."""

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from prometheus_client.parser import text_string_to_metric_families

PROJECT = Path(__file__).parents[3]
NAME = "demo"
HOST = "127.0.0.1"
_END_SECONDS = 40  # longer than the grace a server has to write its log


def command(package: Path, port: int, **options: object) -> list[str]:
    """How the server of a package is started."""
    given = {"model_name": NAME, "model_dir": package, "http_port": port, "http_host": HOST, **options}
    return [sys.executable, "-P", "-m", "images.predictor", *(f"--{key}={value}" for key, value in given.items())]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), **(extra or {})}


def is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def path(self) -> str:
        return f"/v1/models/{NAME}"

    def ask(self, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Status and content of an answer, over a connection of its own."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=10)
        try:
            connection.request("GET" if body is None else "POST", path, body, dict(headers or {}))
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        kind = response.headers["content-type"]
        return response.status, json.loads(content) if kind == "application/json" else content.decode()

    def predict(self, rows: list[dict[str, Any]], request_id: str = "") -> tuple[int, Any]:
        headers = {"X-Request-Id": request_id} if request_id else {}
        return self.ask(f"{self.path}:predict", json.dumps({"instances": rows}), headers)

    def is_ready(self) -> bool:
        with suppress(OSError, http.client.HTTPException):
            return self.ask(self.path)[0] == 200
        return False

    def figures(self) -> dict[str, float]:
        """All samples of /metrics, by name and labels as Prometheus spells them."""
        samples = {}
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return samples

    def lines(self) -> list[dict[str, Any]]:
        """What it logged; each line has to be JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()


@contextmanager
def serving(
    package: Path, port: int, log: Path, *, store: Mapping[str, str] | None = None, **options: object
) -> Iterator[Server]:
    """A server that is ready; it and its workers are ended at the end, however the test ends."""
    with log.open("ab") as file:
        process = subprocess.Popen(command(package, port, **options), env=environment(store), stderr=file)
    server = Server(process, int(str(options.get("standby_port") or port)), log)
    try:
        until(lambda: process.poll() is not None or server.is_ready())
        assert process.poll() is None, log.read_text()
        yield server
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for worker in family:
        with suppress(psutil.NoSuchProcess):
            worker.kill()
