"""Servers that are measured: started on a core of their own, asked until they answer, and ended."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console

from components.shared.processes import end, free_port, log_tail
from tests.benchmarks.load import LoadError, run_load
from tests.benchmarks.measure import proportional_size

PROJECT = Path(__file__).resolve().parents[2]
_FIRST_PORT = 19080
_START_SECONDS = 120.0
_RETRY_SECONDS = 0.002
_STOP_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        port: Where it answers.
        process: Its first process.
        start_seconds: From the start of the process to the first answer with 200.
    """

    port: int
    process: psutil.Process
    start_seconds: float

    @property
    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return sum(times.user + times.system for times in (one.cpu_times() for one in self._processes()))

    @property
    def memory(self) -> int:
        """Proportional set size of all its processes, in bytes."""
        return sum(proportional_size(one.pid) for one in self._processes())

    def counters(self) -> dict[str, float]:
        """What a server of ours has counted, by name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as answer:
            lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def _processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """Keep this thread, and what it starts, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def serving(
    command: Sequence[str], *, core: int, first: bytes, log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a server, wait until it answers, and end it.

    Args:
        command: Program and arguments; `{port}` in them stands for the port.
        core: The core it runs on.
        first: The request that it is asked until it answers with 200.
        log: File for what it prints.
        environment: Variables besides this process's own.

    Raises:
        RuntimeError: It ended, or did not answer in time; the message ends with its log.
    """
    port = free_port(_FIRST_PORT)
    with log.open("ab") as output, on_core(core):
        started = time.perf_counter()
        process = psutil.Popen(
            [argument.replace("{port}", str(port)) for argument in command],
            cwd=PROJECT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
        )  # fmt: skip
    try:
        while not _answers(port, first):
            if process.poll() is not None or time.perf_counter() - started > _START_SECONDS:
                raise RuntimeError(f"{' '.join(command)} does not answer; its log ends with:\n{log_tail(log)}")
            time.sleep(_RETRY_SECONDS)
        yield Server(port, process, time.perf_counter() - started)
    finally:
        _end(process)


def _end(process: psutil.Popen) -> None:
    if process.poll() is not None:
        return
    others = process.children(recursive=True)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait()
    for one in others:
        end(one)


def _answers(port: int, request: bytes) -> bool:
    with suppress(OSError, LoadError):
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        return bool(run_load(port, [request], seconds=0.0001, connections=1).answers)
    return False


@dataclass(frozen=True, slots=True)
class Bench:
    """How servers are started here.

    Attributes:
        package: The model package.
        folder: For their logs.
        core: The core they run on.
        first: The request that is asked until it is answered.
        environment: The object store's settings.
    """

    package: Path
    folder: Path
    core: int
    first: bytes
    environment: Mapping[str, str]

    def ours(
        self,
        *,
        log: bool = True,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Server]:
        """The project's model server, as the endpoint of a local run is started."""
        command = [
            *(sys.executable, "-P", "-m", "images.predictor", "--model_name", "flights"),
            *("--model_dir", str(self.package), "--http_port", "{port}", "--http_host", "127.0.0.1"),
            *("--workers", str(workers), "--settings", json.dumps({"log": {"enabled": log}})),
        ]
        return self._serving(command, {**self.environment, **(environment or {})})

    def peer(self, program: Path, model: Path) -> AbstractContextManager[Server]:
        """Another server around the same model."""
        return self._serving([sys.executable, str(program), "--model_dir", str(model), "--port", "{port}"], {})

    def busy(self, microseconds: float) -> AbstractContextManager[Server]:
        """A server that only keeps the core busy, so long a request."""
        program = "tests/benchmarks/peers/busy.py"
        return self._serving([sys.executable, program, "--microseconds", f"{microseconds:g}", "--port", "{port}"], {})

    def _serving(self, command: Sequence[str], environment: Mapping[str, str]) -> AbstractContextManager[Server]:
        log = self.folder / "servers.log"
        return serving(command, core=self.core, first=self.first, log=log, environment=environment)


def cores(console: Console) -> tuple[int, int]:
    """The core of the load and the object store, and that of the servers."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        console.print("[red]There is only one core: load and servers share it, and the figures are too low.[/]")
    return available[0], available[-1]
