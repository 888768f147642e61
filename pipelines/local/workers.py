"""The processes of tasks that run on this machine, forked from a server that has the libraries loaded.

What takes long to import is imported once: by the server, and by processes that wait for the one stage that needs it.
"""

import atexit
import contextlib
import errno
import importlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from components.shared.errors import FullcircleError
from components.shared.families import FAMILIES
from components.shared.stages import STAGES
from components.shared.tracking import no_tracking

PRELOAD = [
    "kfp.dsl.executor_main",
    "pandas",
    "pyarrow.parquet",
    "duckdb",
    "ibis.backends.duckdb",
    "pandera.ibis",
    "onnxruntime",
    *sorted({module for family in FAMILIES.values() for module in family.modules}),
    "optuna",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "jinja2",
    "minio",
]
# What prediction alone needs of it.
PRELOAD_PREDICTION = [
    "kfp.dsl.executor_main",
    "pyarrow.parquet",
    "duckdb",
    "pandas",
    "onnxruntime",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "jinja2",
    "minio",
]
# Libraries of one stage alone, which take long: a process loads them ahead and waits for its task.
STANDBY: dict[str, Sequence[str]] = {stage.name: stage.libraries for stage in STAGES if stage.libraries}


class Worker:
    """A process for one task, which gets its work by a pipe.

    Args:
        modules: What it imports before it listens.
        context: `spawn` for a new interpreter, `forkserver` for a fork of the warm server.
    """

    def __init__(self, modules: Sequence[str] = (), *, context: str = "forkserver") -> None:
        kind: Any = multiprocessing.get_context(context)
        receiver, self._task = kind.Pipe(duplex=False)
        self.outcome, answer = kind.Pipe(duplex=False)
        # A daemon: one that is never needed ends with this process.
        self.process = kind.Process(target=_execute_one_task, args=(list(modules), receiver, answer), daemon=True)
        self._theirs = (receiver, answer)

    def start(self) -> None:
        """Start the process, unless it runs and imports ahead already."""
        if self.process.pid is not None:
            return
        self.process.start()
        for connection in self._theirs:
            connection.close()

    def run(self, code: str, arguments: list[str], environment: dict[str, str], log: Path) -> dict[str, Any]:
        """Hand it its task and wait for what came of it; nothing when it died meanwhile."""
        try:
            self._task.send((code, arguments, environment, log))
            outcome: dict[str, Any] = self.outcome.recv()
        except (EOFError, OSError):
            return {}
        return outcome


def _execute_one_task(modules: list[str], receiver: Connection, sender: Connection) -> None:
    """Body of a worker: import ahead, then wait for a task; without one it ends quietly with its parent."""
    os.setpgrp()
    for module in modules:
        with contextlib.suppress(ImportError):  # the task itself will say what is missing
            importlib.import_module(module)
    try:
        code, arguments, environment, log = receiver.recv()
    except EOFError:
        return
    execute_task(code, arguments, environment, log, sender)


_standby: dict[str, Worker] = {}
_warming: list[threading.Thread] = []


def warm_up(preload: Sequence[str] = PRELOAD, standby: Mapping[str, Sequence[str]] = STANDBY) -> None:
    """Start the server that tasks are forked from; it loads the libraries while this process goes on.

    Args:
        preload: What the server loads.
        standby: By stage, what a process of its own loads besides.
    """
    # OpenMP reads this when it is loaded: tasks share the cores, so waiting threads must not burn them.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    no_tracking()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    with _no_output():
        forkserver.ensure_running()
    atexit.register(_end_server)
    _warming.append(threading.Thread(target=_start_standby, args=(standby,), daemon=True))
    _warming[-1].start()


def _start_standby(standby: Mapping[str, Sequence[str]]) -> None:
    """Start the workers that import ahead; the first start returns when the server has loaded its libraries.

    A worker that is left from the run before, because its stage was not reached, is kept for this run.
    """
    with contextlib.suppress(EOFError, OSError):  # the command ended meanwhile, and the server with it
        for stage, modules in standby.items():
            if stage in _standby:
                continue
            worker = Worker(modules)
            worker.start()
            _standby[stage] = worker


def take_worker(stages: Sequence[str], *, is_first: bool) -> Worker:
    """A process for a task: one that waits for a stage of it, a new interpreter, or a fork of the warm server.

    Args:
        stages: The stages that the task runs.
        is_first: Whether it is the run's first task: it starts sooner on its own, beside the server that is loading.
    """
    if is_first and not _is_warm():
        return Worker(context="spawn")
    for thread in _warming:
        thread.join()
    waiting = next((stage for stage in stages if stage in _standby), "")
    return _standby.pop(waiting) if waiting else Worker()


def _end_server() -> None:
    """End the server at once: left to itself it would first load what it has begun to."""
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def cpu_seconds() -> float:
    """Seconds of a processor core that this process has taken so far, with all tasks that were run from it."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    with contextlib.suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)] if pid else []:
            total += sum(process.cpu_times()[:4])
    return total


def _is_warm() -> bool:
    return not any(thread.is_alive() for thread in _warming)


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """Let processes started meanwhile not inherit standard output and error: `… | tail` would wait for their end."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nothing, number)
        yield
    finally:
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nothing)


def execute_task(code: str, arguments: list[str], environment: dict[str, str], log: Path, sender: Connection) -> None:
    """Body of a task's process: KFP's executor, with everything it prints in a log file.

    Args:
        code: Program text of the component, as compiled.
        arguments: The executor's arguments.
        environment: Environment variables of the task.
        log: File for standard output and error.
        sender: Takes one dictionary: `cause` when the task failed, else nothing.
    """
    _keep_descriptors_to_this_process()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.clear()
    os.environ.update(environment)
    _redirect_output(log)
    try:
        with tempfile.TemporaryDirectory(prefix="fullcircle-task-") as folder:
            program = Path(folder, "ephemeral_component.py")
            program.write_text(code, encoding="utf-8")
            sys.argv = ["executor_main", "--component_module_path", str(program), *arguments]
            _executor_main()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001, whatever it is, the person gets to know it
        sender.send({"cause": explain(error)})
        with contextlib.suppress(OSError):  # a full disk takes no log either
            traceback.print_exc()
            sys.stderr.flush()
        sys.exit(1)
    sender.send({})


def _executor_main() -> None:
    from kfp.dsl.executor_main import executor_main

    executor_main()


def explain(error: BaseException) -> str:
    """Why a task failed, in a few lines for people."""
    if isinstance(error, FullcircleError):
        return str(error)
    if is_disk_full(error):
        return f"The disk is full: {error}. Free some space (`make clean` removes earlier runs) and start again."
    if isinstance(error, MemoryError):
        return "Out of memory. Use a shorter data window, fewer columns, or a machine with more memory."
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "stopped"
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if "components" in Path(frame.filename).parts
    ]
    where = f" (at {_in_project(frames[-1].filename)}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error).strip() or 'no message'}{where}"


def _in_project(file: str) -> Path:
    """The path of a source file from the project's folder on."""
    parts = Path(file).parts
    return Path(*parts[len(parts) - 1 - parts[::-1].index("components") :])


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no space left, or none this user may have."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return "No space left on device" in str(error)


def _keep_descriptors_to_this_process() -> None:
    """Let no program started by a task inherit the pipes that tell the fork server that the run goes on.

    They came through a socket, which leaves them inheritable: the model server would keep the fork server alive.
    """
    first, last = 3, 256
    for descriptor in range(first, last):
        with contextlib.suppress(OSError):
            os.set_inheritable(descriptor, False)


def _redirect_output(log: Path) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    sys.stdout.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = os.fdopen(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    warnings.simplefilter("default")
