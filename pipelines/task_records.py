"""What became of each task of a run, here or on a cluster; of a task that runs several stages, of each of them.

The display, the summary and the timings ask the same of a task, whether kfp.local ran it, Argo did, or nothing ran
because an earlier run had done it. A task of several stages is divided by the marks that each stage leaves in the log,
so that people see stages wherever they ran.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

from components.shared.progress import MARK, divide
from components.shared.runs.task_names import stages_in
from pipelines.fusing import own_names


@dataclass(slots=True)
class TaskRecord:
    """What became of a task, or of one stage of a task that runs several.

    Attributes:
        label: Stage and loop item, such as `tune (lightgbm)`; several stages with commas between.
        log: Everything it printed, with the traceback when it failed.
        artifacts: Paths of its output artifacts by name.
        item: The loop item; empty outside a loop.
        started: When the process was started, by `time.monotonic()`.
        seconds: Wall time of the process.
        message: The stage's one-line summary.
        cause: Why it failed, for people; empty when it did not.
        parts: Of a task that ran several stages and has ended, a record of each that began.
    """

    label: str
    log: Path
    artifacts: dict[str, Path]
    item: str = ""
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    message: str = ""
    cause: str = ""
    parts: list["TaskRecord"] = field(default_factory=list)


def announced(log: str) -> str:
    """The one-line summary in a stage's log; empty when it did not come so far."""
    lines = (line for line in reversed(log.splitlines()) if line.startswith(MARK))
    return next(lines, "").removeprefix(MARK)


def divide_record(record: TaskRecord, task: str, log: str) -> list[TaskRecord]:
    """What became of each stage of a task that has ended, with a log of its own.

    Args:
        record: The task's record.
        task: The task's name, such as `ingest-validate-prepare`.
        log: Everything it printed; empty where that is not known, or nothing ran as an earlier run had done it.

    Returns:
        A record of each stage that began; none for a task of one stage. Without a log, one of each stage, with the
        task's seconds and message.
    """
    stages = stages_in(task)
    if len(stages) < 2:
        return []
    outputs = {(stage, own): record.artifacts.get(name) for name, (stage, own) in own_names(task).items()}
    parts = _logged(record, log) if log else [_part(record, stage, record.message, record.seconds) for stage in stages]
    for part in parts:
        part.artifacts = {own: path for (stage, own), path in outputs.items() if stage == part.label and path}
    if parts:
        parts[-1].cause = record.cause
    return parts


def _logged(record: TaskRecord, log: str) -> list[TaskRecord]:
    parts: list[TaskRecord] = []
    for each in divide(log):
        spent = sum(part.seconds for part in parts)
        seconds = max(0.0, record.seconds - spent) if each.seconds is None else each.seconds
        part = _part(record, each.stage, announced(each.text), seconds)
        part.started = record.started + spent
        part.log.parent.mkdir(parents=True, exist_ok=True)
        part.log.write_text(each.text, encoding="utf-8")
        parts.append(part)
    return parts


def _part(record: TaskRecord, stage: str, message: str, seconds: float) -> TaskRecord:
    log = record.log.with_name(f"{stage}.log")
    return TaskRecord(stage, log, {}, started=record.started, message=message, seconds=seconds)
