"""Processes that outlive the run that started them, remembered in a file, and ended only when they are surely ours.

A run on a laptop starts an object store and an endpoint and ends before they do; the next run has to find them again,
and `make stop` to end them. Neither may ever end a program of somebody else that has got the number of the old process.
They must not inherit the terminal or open files of the run, or make and CI runners would wait for them for ever.
"""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Self

import psutil

from components.shared.files import replacing

_CLOCK_SLACK = 2.0  # Linux derives a process's start from a clock that may be corrected by a second
_POLL_SECONDS = 0.02
_LOG_BYTES = 5_000_000
_TAIL_BYTES = 64_000
_NOTHING_LOGGED = "  (nothing was logged)"


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process by number and start time, so that a reused number is not mistaken for it."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Self:
        """The process that has the number now."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, or None when it has ended or its number belongs to another one."""
        with suppress(psutil.Error, ValueError):
            process = psutil.Process(self.pid) if self.pid else None
            if process and abs(process.create_time() - self.created) < _CLOCK_SLACK and is_running(process):
                return process
        return None


def is_running(process: psutil.Process) -> bool:
    """Whether a process is alive; one that has ended but was not yet collected is not."""
    with suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)  # our own child stays a zombie until somebody asks for its exit code
    with suppress(psutil.NoSuchProcess):
        # The first thread of a killed program can be gone while others still hold its ports and files.
        ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return bool(process.is_running() and not ended)
    return False


def spawn(command: Sequence[str], log: Path, *, environment: Mapping[str, str]) -> ProcessId:
    """Start a program in a session of its own: Ctrl-C in the terminal does not reach it, and it holds no open files.

    Args:
        command: Program, by its path, and arguments.
        log: File its output is appended to; begun anew once it has 5 MB.
        environment: All of its environment.

    Raises:
        OSError: The program cannot be run, or the log cannot be written.
    """
    fresh = os.O_TRUNC if log.exists() and log.stat().st_size > _LOG_BYTES else 0
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | fresh, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        actions = [
            (os.POSIX_SPAWN_DUP2, nothing, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
            *((os.POSIX_SPAWN_CLOSE, descriptor) for descriptor in _inheritable()),
        ]
        return ProcessId.of(os.posix_spawn(command[0], list(command), environment, setsid=True, file_actions=actions))
    finally:
        os.close(output)
        os.close(nothing)


def _inheritable() -> list[int]:
    """File descriptors inherited from make, a CI runner or a shell, which wait until every holder has ended."""
    found = []
    for descriptor in map(int, os.listdir("/dev/fd")):  # noqa: PTH208, names alone are wanted
        with suppress(OSError):  # the one that listed the folder
            if descriptor > 2 and os.get_inheritable(descriptor):
                found.append(descriptor)
    return found


def end(process: psutil.Process, *, seconds: float = 5.0) -> bool:
    """Ask a process to stop, end it when it does not within the time, and wait until it is gone.

    Returns:
        Whether it is gone; one that is not resists even SIGKILL, or belongs to somebody else.
    """
    for ask in (process.terminate, process.kill):
        with suppress(psutil.Error):
            ask()
        deadline = time.monotonic() + seconds
        while is_running(process):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS)
        else:
            return True
    return False


@contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM raise SystemExit here, so that what was begun is tidied up; without it a process ends at once.

    Where it is ignored it stays so, and other threads than the main one cannot have a handler.
    """
    before = signal.getsignal(signal.SIGTERM)
    if before in (signal.SIG_IGN, None) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C take effect only at the end of what must not be torn apart: some moments at most.

    SIGKILL heeds no one, so what is left by that has to be in order, too.
    """
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread alone
        yield
        return
    held: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, lambda received, _: held.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for received in dict.fromkeys(held):
            signal.raise_signal(received)


def _exit(number: int, frame: FrameType | None) -> None:
    del frame
    raise SystemExit(128 + number)


def port_is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on the port now."""
    with suppress(OSError), socket.create_server((host, port)):
        return True
    return False


def free_port(preferred: int, *, attempts: int = 100) -> int:
    """The preferred port, or the next one that is free on this machine's own address.

    Raises:
        OSError: None of them is.
    """
    last = min(preferred + attempts, 65536) - 1
    for port in range(preferred, last + 1):
        if port_is_free(port):
            return port
    raise OSError(f"none of the ports {preferred} to {last} is free")


def log_tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, indented, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return _NOTHING_LOGGED
    content = [line for line in text.splitlines() if line.strip()]
    return "\n".join(f"  {line[:300]}" for line in content[-lines:]) or _NOTHING_LOGGED


def write_private(path: Path, content: object) -> None:
    """Write JSON that only the owner may read, completely or not at all.

    Raises:
        OSError: The folder or the disk does not take it.
    """
    with replacing(path) as partial:
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(content, indent=2), encoding="utf-8")
