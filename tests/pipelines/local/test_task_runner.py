"""Tasks in processes forked from a warm server, as kfp.local would start them."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from components.shared.errors import DataError
from components.shared.package.scoring import parse_rows
from pipelines.local.task_runner import TaskRunner
from pipelines.local.workers import explain
from pipelines.task_records import TaskRecord

HEADER = "import kfp\nfrom kfp import dsl\nfrom kfp.dsl import *\nfrom typing import *\n\n"


class Ears:
    """Remembers what it is told."""

    def __init__(self):
        self.heard = []

    def started(self, record):
        self.heard.append(("started", record.label))

    def ended(self, record):
        self.heard.append(("ended", record.label))


def command(body: str, folder: Path, parameters: dict[str, str] | None = None) -> list[str]:
    """A command as kfp compiles it for a component called `work`."""
    parameters = parameters or {}
    signature = ", ".join([*(f"{name}: str" for name in parameters), "result: dsl.Output[dsl.Artifact]"])
    code = f"{HEADER}def work({signature}):\n" + "\n".join(f"    {line}" for line in body.splitlines()) + "\n"
    artifact = {
        "name": "result",
        "type": {"schemaTitle": "system.Artifact"},
        "uri": str(folder / "result"),
        "metadata": {},
    }
    executor_input = {
        "inputs": {"parameterValues": parameters},
        "outputs": {"artifacts": {"result": {"artifacts": [artifact]}}, "outputFile": str(folder / "output.json")},
    }
    return ["sh", "-ec", "…", code, "--executor_input", json.dumps(executor_input), "--function_to_execute", "work"]


@pytest.fixture
def ears():
    return Ears()


@pytest.fixture
def runner(tmp_path, ears):
    return TaskRunner(tmp_path / "logs", ears)


def test_a_task_writes_its_artifact_log_and_summary(runner, ears, tmp_path):
    body = "print('▸ 3 rows')\nopen(result.path, 'w').write(family)"

    assert runner.run(command(body, tmp_path, {"family": "linear"}), {"GREETING": "hello"}) == 0

    record = runner.records[0]
    assert (record.label, record.message, record.cause) == ("work (linear)", "3 rows", "")
    assert record.artifacts["result"].read_text() == "linear"
    assert record.log == tmp_path / "logs" / "work-linear.log"
    assert record.seconds > 0
    assert ears.heard == [("started", "work (linear)"), ("ended", "work (linear)")]


def test_a_task_sees_the_environment_of_kfp(runner, tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_HERE", "1")
    names = ("FROM_HERE", "GIVEN", "_KFP_RUNTIME")
    body = f"import os\nopen(result.path, 'w').write(' '.join(os.environ[name] for name in {names}))"

    runner.run(command(body, tmp_path), {"GIVEN": "2"})

    assert (tmp_path / "result").read_text() == "1 2 true"


def test_an_error_for_users_is_shown_as_its_message_and_logged_with_traceback(runner, tmp_path):
    body = "from components.shared.errors import DataError\nraise DataError('The target is constant.')"

    assert runner.run(command(body, tmp_path)) == 1

    assert runner.failures()[0].cause == "The target is constant."
    assert "Traceback" in runner.records[0].log.read_text()


def test_a_process_that_is_killed_says_so(runner, tmp_path):
    runner.run(command("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", tmp_path))

    assert "killed, most likely because the machine ran out of memory" in runner.failures()[0].cause


def test_a_log_that_takes_nothing_does_not_hide_the_cause(runner, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "work.log").symlink_to("/dev/full")

    assert runner.run(command("print('x' * 100_000)", tmp_path)) == 1

    assert runner.failures()[0].cause.startswith("The disk is full")


def test_stopping_ends_what_runs_and_starts_nothing_more(runner, tmp_path):
    pid_file = tmp_path / "pid"
    body = f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    thread = threading.Thread(target=runner.run, args=(command(body, tmp_path),))
    thread.start()
    deadline = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)

    runner.stop()
    thread.join(10)

    assert not thread.is_alive()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert runner.run(command("pass", tmp_path)) == 1
    assert runner.records[1].cause == "stopped before it began"


def test_a_background_task_is_awaited_at_the_end(tmp_path, ears):
    runner = TaskRunner(tmp_path / "logs", ears, background=frozenset({"work"}))
    with runner.installed():
        assert runner.run(command("import time\ntime.sleep(0.3)\nopen(result.path, 'w').write('late')", tmp_path)) == 0
        assert not (tmp_path / "result").exists()

    assert (tmp_path / "result").read_text() == "late"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DataError("Too few rows."), "Too few rows."),
        (OSError(28, "No space left on device", "/x"), "The disk is full"),
        (RuntimeError("IO Error: Could not write: No space left on device"), "The disk is full"),
        (MemoryError(), "Out of memory"),
        (SystemExit(143), "stopped"),
        (KeyError("x"), "KeyError: 'x'"),
    ],
)
def test_causes_in_the_users_words(error, expected):
    assert explain(error).startswith(expected)


def test_the_cause_of_a_defect_names_the_line():
    with pytest.raises(AttributeError) as caught:
        parse_rows([], None)  # type: ignore[arg-type]

    assert "(at components/shared/package/scoring.py:" in explain(caught.value)


def test_a_record_knows_nothing_before_it_ran(tmp_path):
    record = TaskRecord(label="x", log=tmp_path / "x.log", artifacts={})

    assert (record.seconds, record.message, record.cause) == (0.0, "", "")
