"""`python -m pipelines` as a person starts it, in a folder of its own."""

import io
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WINE = ROOT / "pipelines" / "configs" / "wine.yaml"
_NOT_INHERITED = ("AWS_", "FULLCIRCLE_")


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would point at a store, and with the project's code."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_INHERITED)}
    # One commit for all: what others change in the meantime is not another version.
    return {**kept, "PYTHONPATH": str(ROOT), "FULLCIRCLE_GIT_COMMIT": "0123456789ab", "COLUMNS": "100", **extra}


def start(*arguments: object, folder: Path, **extra: str) -> "subprocess.Popen[str]":
    """Start a command in a process group of its own; both outputs are one pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *map(str, arguments)],
        cwd=folder,
        env=environment(**extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


def call(*arguments: object, folder: Path, seconds: float = 180.0, **extra: str) -> tuple[int, str]:
    """Exit code and output of a command; fails when anything holds its output open for longer."""
    with start(*arguments, folder=folder, **extra) as process:
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return process.returncode, output


def call_here(*arguments: object, folder: Path, **extra: str) -> tuple[int, str]:
    """The same in this process, which has the libraries loaded."""
    from pipelines.__main__ import main

    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(output), redirect_stderr(output):
        patch.chdir(folder)
        for name in os.environ:
            if name.startswith(_NOT_INHERITED):
                patch.delenv(name)
        for name, value in {"COLUMNS": "100", **extra}.items():
            patch.setenv(name, value)
        code = main([str(argument) for argument in arguments])
    return code, output.getvalue()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    """The output up to the line with a text."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} never came:\n{seen}")


def write_config(path: Path, *, base: Path = WINE, **sections: Any) -> Path:
    """A copy of a use case with some sections' keys changed."""
    config = yaml.safe_load(base.read_text(encoding="utf-8"))
    for name, value in sections.items():
        config[name] = {**config.get(name, {}), **value} if isinstance(value, dict) else value
    path.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path


def processes_of(folder: Path) -> dict[int, str]:
    """Command lines, by number, of every process that works in a folder or was told of it."""
    found = {}
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if process.status() != psutil.STATUS_ZOMBIE and (process.cwd() == str(folder) or str(folder) in command):
                found[process.pid] = command
        except (psutil.Error, OSError):  # it has just ended
            continue
    return {pid: command for pid, command in found.items() if pid != os.getpid()}


def settled(folder: Path, *, servers: int, seconds: float = 10.0) -> dict[int, str]:
    """The processes of a folder once only this many are left, or after a time."""
    deadline = time.monotonic() + seconds
    while len(found := processes_of(folder)) > servers and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def definitions(path: Path) -> tuple[Any, Any]:
    """A compiled pipeline: what every platform reads, and what Kubernetes does."""
    # libyaml's parser: of so long a file PyYAML's own takes a second.
    pipeline, platform = yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
    return pipeline, platform["platforms"]["kubernetes"]
