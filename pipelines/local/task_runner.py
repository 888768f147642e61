"""How a task of `kfp.local` runs here: in a process forked from a server that has the libraries loaded.

`kfp.local` starts each task as a new interpreter, which imports kfp, pandas and scikit-learn anew: more than the work
of most stages. `TaskRunner` takes the place of the one function of kfp that starts that process; what runs in it is
KFP's own executor with the arguments KFP made, so that a task sees exactly what it would see on a cluster.
"""

import atexit
import builtins
import contextlib
import errno
import functools
import importlib
import inspect
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from components.shared.errors import FullcircleError
from components.shared.families import FAMILIES
from components.shared.progress import MARK
from components.shared.resources import cpu_count
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
    "ibis.backends.duckdb",
    "pandas",
    "onnxruntime",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
    "jinja2",
    "minio",
]
# Libraries of one stage alone, which take long: a process loads them ahead and waits for its task.
STANDBY = {
    "train": ["skl2onnx", "onnxmltools", "onnxmltools.convert.lightgbm.operator_converters.LightGbm", "skops.io"],
    "monitor": ["evidently"],
}
_ITERATIONS = 2  # of a loop, at most so many run at once under kfp.local
_BRIEF = 1e-4  # seconds of a pause not worth noting: thousands of imports of what is there already
_GRACE = 10.0  # seconds between asking a task to stop and ending it


@dataclass(slots=True)
class TaskRecord:
    """What became of a task.

    Attributes:
        label: Stage and loop item, such as `tune (lightgbm)`.
        log: Everything the task printed, with the traceback when it failed.
        artifacts: Paths of its output artifacts by name.
        item: The loop item; empty outside a loop.
        started: When the process was started, by `time.monotonic()`.
        seconds: Wall time of the process.
        work: Stretches of that clock in which the stage's own function ran, imports left out; empty until it ended.
        message: The stage's one-line summary.
        cause: Why it failed, for people; empty when it did not.
    """

    label: str
    log: Path
    artifacts: dict[str, Path]
    item: str = ""
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    work: list[tuple[float, float]] = field(default_factory=list)
    message: str = ""
    cause: str = ""

    @property
    def work_seconds(self) -> float:
        """Wall time of the stage's own function, imports left out."""
        return sum(end - start for start, end in self.work)


class Listener(Protocol):
    """Told of each task as it starts and ends; called from several threads."""

    def started(self, record: TaskRecord) -> None:
        """The task's process is about to start."""

    def ended(self, record: TaskRecord) -> None:
        """The task's process ended; `record.cause` says whether it failed."""


class TaskRunner:
    """Runs the tasks of one `kfp.local` run.

    Args:
        logs: Folder for one log file a task.
        listener: Told of starts and ends.
        background: Stages whose outputs no other task needs: they run beside the others and are awaited at the end.
    """

    def __init__(self, logs: Path, listener: Listener, background: frozenset[str] = frozenset()) -> None:
        self.logs = logs
        self.listener = listener
        self.background = background
        self.records: list[TaskRecord] = []
        self._processes: set[Any] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()  # a signal's handler may come while this thread holds it
        self._stopping = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let `kfp.local` start its tasks through this runner; awaits background tasks on a normal exit."""
        from kfp.local import graph_utils, subprocess_task_handler

        original = subprocess_task_handler.run_local_subprocess
        original_sort = graph_utils.topological_sort_tasks
        subprocess_task_handler.run_local_subprocess = self.run
        graph_utils.topological_sort_tasks = lambda tasks: self._background_first(original_sort(tasks), tasks)
        try:
            yield
            for thread in self._threads:
                thread.join()
        except BaseException:
            self.stop()
            raise
        finally:
            subprocess_task_handler.run_local_subprocess = original
            graph_utils.topological_sort_tasks = original_sort

    def run(self, full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
        """Run one task as kfp.local's `run_local_subprocess` would.

        Args:
            full_command: The shell command KFP compiled: program text, executor input and function name are in it.
            env_vars: Environment of the task besides this process's own.

        Returns:
            0, or 1 when the task failed.
        """
        code, arguments = full_command[3], full_command[4:]
        record = self._record(arguments)
        environment = {**os.environ, **(env_vars or {}), "_KFP_RUNTIME": "true"}
        if record.item:
            environment["FULLCIRCLE_CPUS"] = str(max(1, cpu_count() // _ITERATIONS))
        if record.label in self.background:
            thread = threading.Thread(target=self._run, args=(record, code, arguments, environment), daemon=True)
            self._threads.append(thread)
            thread.start()
            return 0
        self._run(record, code, arguments, environment)
        return 1 if record.cause else 0

    def _background_first(self, stack: list[str], tasks: Any) -> list[str]:
        """Let background tasks start as soon as what they need is there; kfp.local may leave them to the end.

        Args:
            stack: Task names in reverse order of execution.
            tasks: What each task depends on, by name.
        """
        order = [name for name in reversed(stack) if name not in self.background]
        for name in self.background & set(stack):
            needed = [order.index(other) for other in tasks[name].dependent_tasks if other in order]
            order.insert(max(needed, default=-1) + 1, name)
        return order[::-1]

    def failures(self) -> list[TaskRecord]:
        """Tasks that failed, in the order in which they started."""
        return [record for record in self.records if record.cause]

    def stop(self) -> None:
        """End every task that is running and start no more."""
        with self._lock:
            self._stopping = True
            processes = list(self._processes)
        for process in processes:
            _signal_group(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        for process in processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                _signal_group(process.pid, signal.SIGKILL)

    def _record(self, arguments: list[str]) -> TaskRecord:
        executor_input = json.loads(arguments[arguments.index("--executor_input") + 1])
        function = arguments[arguments.index("--function_to_execute") + 1]
        item = executor_input["inputs"].get("parameterValues", {}).get("family")
        outputs = executor_input["outputs"].get("artifacts", {})
        record = TaskRecord(
            label=f"{function} ({item})" if item else function,
            log=self.logs / f"{function}{f'-{item}' if item else ''}.log",
            artifacts={name: Path(value["artifacts"][0]["uri"]) for name, value in outputs.items()},
            item=item or "",
        )
        with self._lock:
            self.records.append(record)
        return record

    def _worker(self, record: TaskRecord) -> "_Worker":
        """A process for the task: one that waits for it, a new interpreter, or a fork of the warm server."""
        # The first task starts sooner on its own, beside the server that is still loading; the next ones await it.
        if record is self.records[0] and not _is_warm():
            return _Worker(context="spawn")
        for thread in _warming:
            thread.join()
        return _standby.pop(record.label, None) or _Worker()

    def _run(self, record: TaskRecord, code: str, arguments: list[str], environment: dict[str, str]) -> None:
        worker = self._worker(record)
        with self._lock:
            if self._stopping:
                record.cause = "stopped before it began"
                return
            self.listener.started(record)
            record.started = time.monotonic()
            worker.start()
            self._processes.add(worker.process)
        outcome = worker.run(code, arguments, environment, record.log)
        process = worker.process
        process.join()
        with self._lock:
            self._processes.discard(process)
        record.seconds = time.monotonic() - record.started
        record.work = outcome.get("work", [])
        record.message = _last_message(record.log)
        if process.exitcode:
            record.cause = outcome.get("cause") or _died(process.exitcode)
        self.listener.ended(record)


class _Worker:
    """A process for one task, told by a pipe what to do.

    Args:
        modules: What it imports before it listens.
        context: `spawn` for a new interpreter, `forkserver` for a fork of the warm server.
    """

    def __init__(self, modules: Sequence[str] = (), *, context: str = "forkserver") -> None:
        kind: Any = multiprocessing.get_context(context)
        told, self._task = kind.Pipe(duplex=False)
        self.outcome, answer = kind.Pipe(duplex=False)
        # A daemon: one that is never needed ends with this process.
        self.process = kind.Process(target=_execute_when_told, args=(list(modules), told, answer), daemon=True)
        self._theirs = (told, answer)

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


def _execute_when_told(modules: list[str], told: Connection, sender: Connection) -> None:
    """Body of a worker: import ahead, then wait for a task; without one it ends quietly with its parent."""
    os.setpgrp()
    for module in modules:
        with contextlib.suppress(ImportError):  # the task itself will say what is missing
            importlib.import_module(module)
    try:
        code, arguments, environment, log = told.recv()
    except EOFError:
        return
    execute_task(code, arguments, environment, log, sender)


_standby: dict[str, _Worker] = {}
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
    """Start the workers that import ahead; the first start returns when the server has loaded its libraries."""
    with contextlib.suppress(EOFError, OSError):  # the command ended meanwhile, and the server with it
        for stage, modules in standby.items():
            worker = _Worker(modules)
            worker.start()
            _standby[stage] = worker


def _end_server() -> None:
    """End the server at once: left to itself it would first load what it has begun to."""
    pid: int | None = getattr(forkserver._forkserver, "_forkserver_pid", None)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _is_warm() -> bool:
    return not any(thread.is_alive() for thread in _warming)


@contextlib.contextmanager
def _no_output() -> Iterator[None]:
    """Give processes started meanwhile no hold on standard output and error: `… | tail` waits for each that has one."""
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
        sender: Takes one dictionary: `work` as in `TaskRecord`, and `cause` when the task failed.
    """
    _keep_descriptors_to_this_process()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.environ.clear()
    os.environ.update(environment)
    _redirect_output(log)
    clock = _WorkClock()
    try:
        with tempfile.TemporaryDirectory(prefix="fullcircle-task-") as folder, clock.installed():
            program = Path(folder, "ephemeral_component.py")
            program.write_text(code, encoding="utf-8")
            sys.argv = ["executor_main", "--component_module_path", str(program), *arguments]
            _executor_main()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001, whatever it is, the person is told
        sender.send({"work": clock.stretches, "cause": explain(error)})
        with contextlib.suppress(OSError):  # a full disk takes no log either
            traceback.print_exc()
            sys.stderr.flush()
        sys.exit(1)
    sender.send({"work": clock.stretches})


def _executor_main() -> None:
    from kfp.dsl.executor_main import executor_main

    executor_main()


class _WorkClock:
    """When the component's function ran, without imports made in it; on the monotonic clock, which processes share."""

    def __init__(self) -> None:
        self.stretches: list[tuple[float, float]] = []
        self._since: float | None = None  # None outside the function and during an import

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Time the function KFP's executor is about to call."""
        from kfp.dsl.executor import Executor

        original_init, original_import = Executor.__init__, builtins.__import__

        def timed_init(executor: Any, *args: Any, **kwargs: Any) -> None:
            original_init(executor, *args, **kwargs)
            executor.func = self._timed(executor.func)

        def timed_import(*args: Any, **kwargs: Any) -> Any:
            return self._time_import(original_import, *args, **kwargs)

        Executor.__init__ = timed_init
        builtins.__import__ = timed_import
        try:
            yield
        finally:
            Executor.__init__, builtins.__import__ = original_init, original_import

    def _time_import(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        if self._since is None or args[0] in sys.modules or threading.current_thread() is not threading.main_thread():
            return original(*args, **kwargs)
        self._pause()
        try:
            return original(*args, **kwargs)
        finally:
            self._resume()

    def _resume(self) -> None:
        now = time.monotonic()
        is_brief = bool(self.stretches) and now - self.stretches[-1][1] < _BRIEF
        self._since = self.stretches.pop()[0] if is_brief else now

    def _pause(self) -> None:
        if self._since is not None:
            self.stretches.append((self._since, time.monotonic()))
        self._since = None

    def _timed(self, function: Any) -> Any:
        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self._since = time.monotonic()
            try:
                return function(*args, **kwargs)
            finally:
                self._pause()

        timed.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]  # kfp looks at the arguments
        return timed


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


def _last_message(log: Path) -> str:
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.removeprefix(MARK) for line in reversed(lines) if line.startswith(MARK)), "")


def _died(exitcode: int) -> str:
    if exitcode == -signal.SIGKILL:
        return "The process was killed, most likely because the machine ran out of memory."
    if exitcode < 0:
        return f"The process ended by signal {signal.Signals(-exitcode).name}."
    return f"The process ended with exit code {exitcode}."


def _signal_group(pid: int | None, number: signal.Signals) -> None:
    if pid is not None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
