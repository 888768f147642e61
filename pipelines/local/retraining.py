"""Retraining on this machine: the training pipeline in this process, as `run` does it.

What a run came to is kept in a file beside the runs, so that a process that is killed after the run and before it could
write that down does not train again.
"""

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from components.shared.config import Config
from components.shared.files import write_text
from pipelines.decisions.retraining import Outcome, RetrainingRun, RetrainingTask
from pipelines.local.run import BUILD, RunError, RunResult, train_here
from pipelines.local.workers import warm_up

_REASONS = 2  # of the gate, in a record


class LocalRetrainer:
    """Runs the training pipeline of a configuration in this process.

    Args:
        config: The configuration.
        console: Where progress is shown.
        arguments: Pipeline parameters other than the defaults.
        build: Folder for runs, the local store and the local endpoint.
    """

    def __init__(
        self, config: Config, *, console: Console, arguments: dict[str, object] | None = None, build: Path = BUILD
    ) -> None:
        self.config = config
        self.console = console
        self.arguments = arguments or {}
        self.build = build

    def find(self, task: RetrainingTask) -> RetrainingRun | None:
        """The finished run of a task whose end is not in the audit log yet; None for one that was interrupted."""
        file = self._file(task)
        if not file.is_file():
            return None
        found = json.loads(file.read_bytes())
        return RetrainingRun(found["run"], Outcome(**found["outcome"]))

    def begin(self, task: RetrainingTask) -> RetrainingRun:
        """Run the pipeline to its end."""
        warm_up()  # the libraries load while kfp is imported
        try:
            result = train_here(self.config, console=self.console, arguments=self.arguments, build=self.build)
            outcome = outcome_of(result)
        except RunError as error:
            if error.result is None:
                raise
            result, outcome = error.result, Outcome("failed", cpu_hours=_hours(error.result), message=str(error))
        run = RetrainingRun(f"{self.config.name}/{result.folder.name}", outcome)
        write_text(self._file(task), json.dumps({"run": run.run, "outcome": asdict(outcome)}) + "\n")
        return run

    def cancel(self, task: RetrainingTask) -> None:
        """Nothing to do: a run here ends with its process."""

    def interrupt(self) -> None:
        """End the run as Ctrl-C does."""
        os.kill(os.getpid(), signal.SIGINT)

    def _file(self, task: RetrainingTask) -> Path:
        return self.build.resolve() / "runs" / self.config.name / f"{task.name.replace(' ', '-')}.json"


def outcome_of(result: RunResult) -> Outcome:
    """What a run that did not fail came to, by what its gate and its deployment wrote."""
    verdict, endpoint = result.json("gate", "verdict") or {}, result.json("deploy", "endpoint")
    hours = _hours(result)
    if verdict.get("waits"):
        return Outcome("pending", verdict["candidate"], hours, "it waits for approval")
    if endpoint and endpoint["promoted"]:
        return Outcome("promoted", endpoint["version"], hours, "it passed the gate and serves")
    if endpoint:
        message = "it made the champion once more: the same data, the same model"
        return Outcome("blocked", endpoint["version"], hours, message)
    reasons = verdict.get("reasons", [])[:_REASONS]
    return Outcome("blocked", verdict.get("candidate", ""), hours, " ".join(reasons) or "the gate did not promote it")


def _hours(result: RunResult) -> float:
    """Hours that the tasks ran, each counted as one core."""
    return sum(record.seconds for record in result.records) / 3600
