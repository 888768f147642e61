"""A model server as a process of its own, to be attacked."""

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from components.shared.package.model_package import read_golden
from components.shared.package.schema import Schema
from components.shared.processes import log_tail
from images.predictor.protocols.tensors import DATATYPES
from tests.hostile.corpus import Attack, Target
from tests.hostile.runner import send
from tests.ports import free_port

NAME = "flights"
_PROJECT = Path(__file__).parents[2]


def target(package: Path) -> Target:
    """What is attacked, by the package that is served."""
    features = Schema.read(package).features
    row = read_golden(package)[0].row
    return Target(
        NAME,
        {feature.name: row[feature.name] for feature in features},
        {feature.name: feature.kind for feature in features},
        {feature.name: DATATYPES[feature.kind] for feature in features},
    )


@contextmanager
def ours(package: Path, log: Path, *, name: str = NAME) -> Iterator[tuple[psutil.Process, int]]:
    """Our server: short patience, so that slow clients do not make the test slow."""
    port = free_port()
    settings = json.dumps({"request_seconds": 3, "log": {"enabled": False}})
    command = [
        *(sys.executable, "-m", "images.predictor", f"--model_name={name}", f"--model_dir={package}"),
        *(f"--http_port={port}", "--http_host=127.0.0.1", f"--settings={settings}"),
    ]
    with serving(command, port, log, ready=f"/v1/models/{name}") as process:
        yield process, port


@contextmanager
def serving(command: Sequence[str], port: int, log: Path, *, ready: str) -> Iterator[psutil.Process]:
    """A server that is ready, ended afterwards.

    Raises:
        RuntimeError: It did not become ready; the message ends with its log.
    """
    with log.open("wb") as output:
        child = subprocess.Popen(
            command, cwd=_PROJECT, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": str(_PROJECT)},
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not _answers(f"http://127.0.0.1:{port}{ready}"):
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not become ready:\n{log_tail(log, 20)}")
            time.sleep(0.05)
        yield psutil.Process(child.pid)
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def memory(process: psutil.Process) -> int:
    """Proportional set size of a process and those it started, in bytes."""
    return sum(int(one.memory_full_info().pss) for one in [process, *process.children(recursive=True)])


def still_right(port: int, attacked: Target) -> bool:
    """Whether a good request is still answered."""
    answer, _ = asyncio.run(send(port, Attack("golden", (attacked.golden(),))))
    return answer.startswith(b"HTTP/1.1 200")
