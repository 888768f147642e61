"""How a task of `kfp.local` runs here: in a process forked from a server that has the libraries loaded.

`kfp.local` starts each task as a new interpreter, which imports kfp, pandas and scikit-learn anew: more than the work
of most stages. `TaskRunner` takes the place of the one function of kfp that starts that process; what runs in it is
KFP's own executor with the arguments KFP made, so that a task sees exactly what it would see on a cluster.
"""

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from components.shared.resources import cpu_count
from components.shared.runs import CAUSE_VARIABLE
from components.shared.runs.task_names import stages_in
from pipelines.local.workers import take_worker
from pipelines.task_records import TaskRecord, announced, divide_record

_ITERATIONS = 2  # of a loop, at most so many run at once under kfp.local
_GRACE = 10.0  # seconds between asking a task to stop and ending it


class Listener(Protocol):
    """Called for each task as it starts and ends, from several threads."""

    def started(self, record: TaskRecord) -> None:
        """The task's process is about to start."""

    def ended(self, record: TaskRecord) -> None:
        """The task's process ended; `record.cause` says whether it failed."""


class TaskRunner:
    """Runs the tasks of one `kfp.local` run.

    Args:
        logs: Folder for one log file a task.
        listener: Called at starts and ends.
        background: Stages whose outputs no other task needs: they run beside the others and are awaited at the end.
    """

    def __init__(self, logs: Path, listener: Listener, background: frozenset[str] = frozenset()) -> None:
        self.logs = logs
        self.listener = listener
        self.background = background
        self.tasks: list[TaskRecord] = []
        self._processes: set[Any] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()  # a signal's handler may come while this thread holds it
        self._stopping = False

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """Let `kfp.local` start its tasks through this runner; awaits background tasks on a normal exit."""
        from kfp.local import subprocess_task_handler

        original = subprocess_task_handler.run_local_subprocess
        subprocess_task_handler.run_local_subprocess = self.run
        try:
            yield
            for thread in self._threads:
                thread.join()
        except BaseException:
            self.stop()
            raise
        finally:
            subprocess_task_handler.run_local_subprocess = original

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
        if failures := self.failures():  # for the exit task, which tells of them
            environment[CAUSE_VARIABLE] = "; ".join(f"{failed.label}: {failed.cause}" for failed in failures)
        if record.label in self.background:
            thread = threading.Thread(target=self._run, args=(record, code, arguments, environment), daemon=True)
            self._threads.append(thread)
            thread.start()
            return 0
        self._run(record, code, arguments, environment)
        return 1 if record.cause else 0

    @property
    def records(self) -> list[TaskRecord]:
        """One a stage, in the order in which they started; of a task of several that goes on, one for all."""
        return [part for task in self.tasks for part in task.parts or [task]]

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
        label = ", ".join(stages_in(function)) or function
        record = TaskRecord(
            label=f"{label} ({item})" if item else label,
            log=self.logs / f"{function}{f'-{item}' if item else ''}.log",
            artifacts={name: Path(value["artifacts"][0]["uri"]) for name, value in outputs.items()},
            item=item or "",
        )
        with self._lock:
            self.tasks.append(record)
        return record

    def _run(self, record: TaskRecord, code: str, arguments: list[str], environment: dict[str, str]) -> None:
        function = arguments[arguments.index("--function_to_execute") + 1]
        worker = take_worker(stages_in(function), is_first=record is self.tasks[0])
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
        log = record.log.read_text(encoding="utf-8", errors="replace") if record.log.is_file() else ""
        record.message = announced(log)
        if process.exitcode:
            record.cause = outcome.get("cause") or _died(process.exitcode)
        record.parts = divide_record(record, function, log)
        self.listener.ended(record)


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
