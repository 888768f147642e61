import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from components.shared import processes
from components.shared.processes import (
    ProcessId,
    end,
    free_port,
    is_running,
    log_tail,
    port_is_free,
    spawn,
    stoppable,
    uninterrupted,
    write_private,
)

SHELL = "/bin/sh"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "program.log"


@pytest.fixture
def sleeper(log) -> Iterator[ProcessId]:
    """A program that lives until it is ended."""
    process = spawn([SHELL, "-c", "echo started; exec sleep 60"], log, environment=dict(os.environ))
    yield process
    if found := process.find():
        found.kill()
        end(found)


def wait_until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_program_is_started_found_and_ended(sleeper, log):
    process = sleeper.find()
    assert process is not None
    wait_until(lambda: log.exists() and log.read_text() == "started\n")
    # Ctrl-C goes to the terminal's session, which is not its own.
    assert os.getsid(process.pid) == process.pid
    assert end(process)
    assert sleeper.find() is None
    assert not psutil.pid_exists(process.pid)
    assert end(process)  # a second time is no mistake


def test_its_environment_is_all_it_gets(log):
    process = spawn([SHELL, "-c", "echo $GIVEN; echo ${HOME:-none}"], log, environment={"GIVEN": "this"})
    wait_until(lambda: process.find() is None)
    assert log.read_text().split() == ["this", "none"]


def test_a_log_is_private_and_continued_until_it_is_large(log, monkeypatch):
    for text in ("one", "two"):
        process = spawn([SHELL, "-c", f"echo {text}"], log, environment={})
        wait_until(lambda process=process: process.find() is None)
    assert log.read_text().split() == ["one", "two"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    monkeypatch.setattr(processes, "_LOG_BYTES", 3)
    process = spawn([SHELL, "-c", "echo three"], log, environment={})
    wait_until(lambda: process.find() is None)
    assert log.read_text().split() == ["three"]


def test_a_program_that_is_not_there(log, tmp_path):
    with pytest.raises(FileNotFoundError):
        spawn([str(tmp_path / "nothing")], log, environment={})


def test_a_reused_number_is_another_process(sleeper):
    earlier = ProcessId(sleeper.pid, sleeper.created - 100)
    assert earlier.find() is None
    corrected = ProcessId(sleeper.pid, sleeper.created + 1)
    assert corrected.find() is not None


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_numbers_that_no_process_has(pid):
    assert ProcessId(pid, 0.0).find() is None


def test_a_zombie_has_ended(tmp_path):
    """One whose parent never asks for its exit code, as when the first process of a container does not."""
    pid_file = tmp_path / "pid"
    script = f"sleep 0.1 & echo $! > {pid_file}; exec sleep 60"
    with subprocess.Popen([SHELL, "-c", script]) as parent:
        try:
            wait_until(lambda: pid_file.exists() and pid_file.read_text().strip())
            zombie = psutil.Process(int(pid_file.read_text()))
            found = ProcessId(zombie.pid, zombie.create_time())
            wait_until(lambda: zombie.status() == psutil.STATUS_ZOMBIE)
            assert not is_running(zombie)
            assert found.find() is None
            start = time.monotonic()
            assert end(zombie)
            assert time.monotonic() - start < 1
        finally:
            parent.kill()


def test_a_process_that_does_not_listen_is_ended_all_the_same(log):
    stubborn = spawn([SHELL, "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"], log, environment={})
    wait_until(lambda: log.read_text() == "ready\n")
    process = stubborn.find()
    assert process is not None
    assert end(process, seconds=0.3)
    assert stubborn.find() is None


def test_a_process_that_cannot_be_ended_is_told(monkeypatch, sleeper):
    process = sleeper.find()
    assert process is not None
    with monkeypatch.context() as patched:
        # What a process of another user answers.
        for method in ("terminate", "kill"):
            patched.setattr(process, method, lambda: (_ for _ in ()).throw(psutil.AccessDenied()))
        assert not end(process, seconds=0.05)


def test_ports():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not port_is_free(port)
        assert port < free_port(port) < port + 100
        with pytest.raises(OSError, match=f"none of the ports {port} to {port} is free"):
            free_port(port, attempts=1)
    assert port_is_free(port)
    assert free_port(port) == port


def test_a_port_that_another_program_has_on_all_addresses_is_not_free():
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not port_is_free(server.getsockname()[1])


def test_there_is_no_port_beyond_the_last():
    with socket.create_server(("127.0.0.1", 65535)), pytest.raises(OSError, match="65535 to 65535"):
        free_port(65535)


def test_the_end_of_a_log(log, tmp_path):
    log.write_bytes(b"".join(b"line %d\n\n" % number for number in range(20_000)) + b"\xff last\n")
    assert log_tail(log, 2) == "  line 19999\n  \N{REPLACEMENT CHARACTER} last"
    log.write_text("x" * 1000)
    assert log_tail(log) == "  " + "x" * 300
    log.write_text("\n\n")
    assert log_tail(log) == log_tail(tmp_path / "none") == "  (nothing was logged)"


def test_a_private_file(tmp_path):
    path = tmp_path / "new" / "state.json"
    write_private(path, {"pid": 1})
    assert json.loads(path.read_text()) == {"pid": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o644)
    write_private(path, {"pid": 2})
    assert json.loads(path.read_text()) == {"pid": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_private_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    path = tmp_path / "state.json"
    write_private(path, {"pid": 1})
    with pytest.raises(TypeError):
        write_private(path, {"pid": object()})
    assert json.loads(path.read_text()) == {"pid": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_being_told_to_stop_lets_a_program_tidy_up(tmp_path):
    script = f"""
from pathlib import Path
import time
from components.shared.processes import stoppable
with stoppable():
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        Path({str(tmp_path / "tidied")!r}).touch()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 128 + signal.SIGTERM
    assert (tmp_path / "tidied").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_effect_at_the_end_of_what_must_not_be_torn_apart(number):
    class InterruptedHereError(Exception): ...

    def interrupt(*_: object) -> None:
        raise InterruptedHereError

    done: list[int] = []

    def work() -> None:
        with uninterrupted():
            for part in range(2):
                signal.raise_signal(number)
                done.append(part)

    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(InterruptedHereError):
            work()
        assert done == [0, 1]
        assert signal.getsignal(number) is interrupt
        with uninterrupted():
            done.append(2)
    finally:
        signal.signal(number, before)
    assert done == [0, 1, 2]


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_changes_no_handlers():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_the_handler_that_was_there_is_put_back():
    def mine(*_: object) -> None: ...

    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stoppable():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        for handler in (mine, signal.SIG_DFL):
            signal.signal(signal.SIGTERM, handler)
            with stoppable():
                assert signal.getsignal(signal.SIGTERM) not in (handler, signal.SIG_IGN)
            assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_thread_has_no_handler_of_its_own():
    seen = []

    def work() -> None:
        with stoppable():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
