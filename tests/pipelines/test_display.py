"""What is shown while a run goes on."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from pipelines.display import Progress
from pipelines.task_records import TaskRecord


def record(label: str = "ingest", **values) -> TaskRecord:
    made = TaskRecord(label=label, log=Path("ingest.log"), artifacts={})
    for name, value in values.items():
        setattr(made, name, value)
    return made


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=70, highlight=False, legacy_windows=False)


def shown(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def test_a_pipe_gets_a_plain_line_a_stage_however_long():
    target = console(terminal=False)
    done = record(seconds=1.25, message="178 rows, " * 20)

    with Progress(target) as progress:
        progress.started(done)
        assert shown(target) == ""
        progress.ended(done)

    assert shown(target) == f" ✓ {'ingest':<31}  1.2 s  {'178 rows, ' * 20}\n"


def test_a_failed_stage_is_marked_and_its_cause_left_for_the_end():
    target = console(terminal=False)

    with Progress(target) as progress:
        progress.ended(record(seconds=0.5, cause="The table is empty."))

    assert shown(target) == f" ✗ {'ingest':<31}  0.5 s  failed\n"


def test_brackets_in_a_message_are_shown_as_they_are():
    target = console(terminal=False)

    with Progress(target) as progress:
        progress.ended(record(message="allowed: [0, 1] [bold]"))

    assert "allowed: [0, 1] [bold]" in shown(target)


def test_a_terminal_shows_what_runs_with_a_clock_and_clears_it():
    target = console(terminal=True)
    first, second = record("tune (linear)"), record("tune (dummy)", message="done")

    with Progress(target) as progress:
        progress.started(first)
        progress.started(second)
        progress._live.refresh()
        running = shown(target)
        progress.ended(second)

    assert "tune (linear)" in running
    assert "tune (dummy)" in running
    assert "0.0 s" in running
    assert "✓" in shown(target)[len(running) :]
    assert shown(target).endswith("\x1b[2K") or "\x1b[?25h" in shown(target)  # the cursor is back


def test_an_error_ends_the_drawing():
    target = console(terminal=True)
    progress = Progress(target)

    with pytest.raises(RuntimeError), progress:
        raise RuntimeError

    assert not progress._live.is_started
