"""A compiled pipeline under `kfp.local`, with a real S3 server and a real endpoint, on this machine.

A laptop runs the very definition that a cluster gets, so what works here works there; kfp.local is made to fit where it
is meant for toys: tasks start warm (`task_runner`), the EDA report runs beside the training, output goes into files,
and Ctrl-C ends everything that was begun. The store and the endpoint outlive the run (`local.store`,
`deploy.local_endpoint`), everything else is below its folder.
"""

import builtins
import contextlib
import json
import logging
import os
import signal
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from components.shared.config import Config
from components.shared.errors import FullcircleError
from components.shared.files import write_text
from components.shared.registry.history import RUN_VARIABLE
from components.shared.stages import STAGES
from pipelines.display import Progress
from pipelines.local.store import settings_or_start
from pipelines.local.task_runner import TaskRunner
from pipelines.task_records import TaskRecord

if TYPE_CHECKING:
    from kfp.dsl.base_component import BaseComponent
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PipelineTaskSpec

BUILD = Path("build")
BACKGROUND = frozenset(stage.name for stage in STAGES if stage.background)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The run's own folder: artifacts, logs, index page.
        records: One a task, in the order in which they started.
        seconds: Wall time from the first task to the last.
    """

    folder: Path
    records: list[TaskRecord]
    seconds: float

    def artifact(self, stage: str, name: str) -> Path | None:
        """Path of a stage's output artifact; None when the stage did not run or did not write it."""
        paths = (record.artifacts.get(name) for record in self.records if record.label == stage)
        return next((path for path in paths if path and path.exists()), None)

    def json(self, stage: str, name: str, file: str = "") -> Any:
        """Content of a JSON artifact, or of a file in a folder artifact; None when there is none."""
        path = self.artifact(stage, name)
        path = path / file if path and file else path
        return json.loads(path.read_bytes()) if path and path.is_file() else None


class RunError(FullcircleError):
    """A stage failed; the message contains each cause and names the log.

    Attributes:
        failures: The stages that failed.
        result: What the others left behind; None when that is not known.
    """

    def __init__(self, failures: list[TaskRecord], result: RunResult | None = None) -> None:
        self.failures = failures
        self.result = result
        super().__init__("\n".join(_failure(record) for record in failures))


def _failure(record: TaskRecord) -> str:
    cause = record.cause.strip().replace("\n", "\n  ")
    return f"{record.label} failed:\n  {cause}\n  Details: {record.log}"


def run_here(
    name: str,
    make_pipeline: "Callable[[], BaseComponent]",
    *,
    console: Console,
    arguments: Mapping[str, object] | None = None,
    build: Path = BUILD,
    serve_here: bool = True,
) -> RunResult:
    """Run a pipeline on this machine.

    Args:
        name: Name of the folder that its runs share.
        make_pipeline: Builds the pipeline; called where kfp may print what it likes.
        console: Where progress is shown.
        arguments: Pipeline parameters other than the defaults.
        build: Folder for runs, the local store and the local endpoint.
        serve_here: Whether this machine is to serve; otherwise deploy and monitor use the cluster this is a pod of.

    Returns:
        What the run left behind.

    Raises:
        StoreError: The object store cannot be reached or started.
        RunError: A stage failed.
        KeyboardInterrupt: The run was interrupted; what it had started is ended.
    """
    folder = _new_folder(build.resolve() / "runs" / name)
    environment = _environment(build.resolve(), run=f"{name}/{folder.name}", serve_here=serve_here)
    with environment, Progress(console) as progress:
        runner = TaskRunner(folder / "logs", progress, background=BACKGROUND)
        start = time.monotonic()
        with runner.installed(), _stop_on_signal(runner):
            _run_pipeline(make_pipeline, arguments or {}, folder)
    if failures := runner.failures():
        raise RunError(failures, RunResult(folder, runner.records, time.monotonic() - start))
    _write_timings(folder / "timings.json", runner.records)
    return RunResult(folder, runner.records, time.monotonic() - start)


def train_here(
    config: Config,
    *,
    console: Console,
    arguments: Mapping[str, object] | None = None,
    build: Path = BUILD,
    serve_here: bool = True,
) -> RunResult:
    """Run the training pipeline of a configuration on this machine, as `run_here` does."""

    def pipeline() -> "BaseComponent":
        from pipelines.training import training_pipeline

        return training_pipeline(config)

    return run_here(config.name, pipeline, console=console, arguments=arguments, build=build, serve_here=serve_here)


def _run_pipeline(make_pipeline: "Callable[[], BaseComponent]", arguments: Mapping[str, object], folder: Path) -> None:
    from kfp import local

    with _output_of_kfp(folder / "kfp.log"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # kfp's doubts about the image, which is not used here
        warnings.filterwarnings("ignore", "Task .* have no effect in the current local runner", UserWarning)
        local.init(
            runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(folder / "artifacts"), raise_on_error=False
        )
        pipeline = make_pipeline()
        _repeat_nothing(pipeline.pipeline_spec)
        _start_early(pipeline.pipeline_spec, BACKGROUND)
        pipeline(**arguments)


def _repeat_nothing(definition: "PipelineSpec") -> None:
    """Take the retries out: nothing evicts a task here, and what failed is reported at once."""
    parts = [definition.root, *definition.components.values()]
    for task in (task for part in parts for task in part.dag.tasks.values()):
        task.ClearField("retry_policy")


# Example: profile is a background task and needs prepare, which needs ingest. Then tune, which needs prepare too, is
# made to depend on profile, so that profile is started before it; ingest and prepare are not, since profile needs them
# itself.
def _start_early(definition: "PipelineSpec", background: frozenset[str]) -> None:
    """Make background tasks start as soon as their inputs are there; kfp.local may otherwise start them last.

    It starts the tasks one after another, in some order that the dependencies allow. So every other task that they do
    not need themselves is made to depend on them.
    """
    for part in (definition.root, *definition.components.values()):
        tasks = part.dag.tasks
        for name in background & set(tasks):
            needed = _needed(name, tasks)
            for other in set(tasks) - needed - background:
                tasks[other].dependent_tasks.append(name)


def _needed(name: str, tasks: "Mapping[str, PipelineTaskSpec]") -> set[str]:
    """The tasks that a task depends on, directly or through others."""
    direct = set(tasks[name].dependent_tasks) & set(tasks)
    return direct.union(*(_needed(other, tasks) for other in direct))


@contextlib.contextmanager
def _output_of_kfp(log: Path) -> Iterator[None]:
    """Write to a file what kfp prints and logs, and put back what it replaces, which its threads leave in disorder."""
    root, original_print = logging.getLogger(), builtins.print
    handlers, level = root.handlers[:], root.level
    file = log.open("w", encoding="utf-8", buffering=1)
    with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            yield
        finally:
            builtins.print = original_print
            root.handlers[:] = handlers
            root.setLevel(level)
    file.close()  # after an error it stays open: threads of kfp that are still ending may write to it


def _write_timings(path: Path, records: list[TaskRecord]) -> None:
    """When each stage ran, on the machine's monotonic clock, and where its artifacts are."""
    timings = [
        {
            "task": record.label,
            "started": record.started,
            "seconds": record.seconds,
            "artifacts": {name: str(artifact) for name, artifact in record.artifacts.items()},
        }
        for record in records
    ]
    write_text(path, json.dumps(timings) + "\n")


def _new_folder(parent: Path) -> Path:
    """A folder named by the time, and `latest` pointing at it."""
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    folder = parent / stamp
    (folder / "logs").mkdir(parents=True)
    pointer = parent / f".latest-{stamp}"
    pointer.symlink_to(stamp)
    pointer.replace(parent / "latest")
    return folder


@contextlib.contextmanager
def _environment(build: Path, *, run: str, serve_here: bool) -> Iterator[None]:
    """What the tasks find in their environment: the object store, where to serve, the code's version."""
    settings = settings_or_start(build.parent)
    before = dict(os.environ)
    os.environ.update(settings.environment())
    if serve_here:
        os.environ.setdefault("FULLCIRCLE_SERVING_FOLDER", str(build / "local" / "serving"))
    else:
        os.environ.pop("FULLCIRCLE_SERVING_FOLDER", None)
    os.environ.setdefault("FULLCIRCLE_GIT_COMMIT", git_commit())
    os.environ.setdefault(RUN_VARIABLE, run)  # which the history of the champion names
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def git_commit() -> str:
    """The commit of this checkout, with `-dirty` when it is changed; empty when there is no git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@contextlib.contextmanager
def _stop_on_signal(runner: TaskRunner) -> Iterator[None]:
    """End the tasks at once on Ctrl-C and SIGTERM, from whatever kfp is waiting for."""
    interrupted = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal interrupted
        del number, frame
        interrupted = True
        runner.stop()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        if interrupted:  # the code that the signal interrupted has swallowed the exception
            raise KeyboardInterrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
