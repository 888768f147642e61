"""The command line: what is refused before anything starts, and exit codes."""

import json
import subprocess
import sys
import time

import pytest

from components.shared.config import Config
from pipelines import __main__ as command_line
from pipelines import commands
from tests.pipelines.command_line import ROOT, WINE, call, environment, settled, write_config


@pytest.fixture
def raising(monkeypatch):
    """Let `stop` end with an error."""

    def let(error):
        def stop(options):
            raise error

        monkeypatch.setattr(commands, "stop", stop)

    return let


def test_a_wrong_config_is_refused_before_anything_starts(tmp_path):
    config = write_config(tmp_path / "wrong.yaml", search={"budgte": {"seconds": 5}}, gate={"mode": "maybe"})

    code, output = call("run", config, folder=tmp_path)

    assert code == 1
    assert "search.budgte" in output
    assert "budget" in output
    assert "gate.mode" in output
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.yaml"]


@pytest.mark.parametrize("command", ["run", "predict", "compile", "contract"])
def test_a_config_that_is_not_there(command, capsys):
    assert command_line.main([command, "nowhere/wine.yaml"]) == 1

    assert "nowhere/wine.yaml" in capsys.readouterr().err


def test_a_store_that_is_not_there_ends_the_run_soon(tmp_path):
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    start = time.monotonic()

    code, output = call("run", WINE, folder=tmp_path, seconds=60, AWS_ENDPOINT_URL="http://127.0.0.1:1", **keys)

    assert code == 1
    assert "http://127.0.0.1:1" in output
    assert "Traceback" not in output
    assert "✗" not in output
    assert time.monotonic() - start < 20
    assert settled(tmp_path, servers=0) == {}


def test_a_store_without_keys_ends_the_run_soon(tmp_path):
    code, output = call("run", WINE, folder=tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:1")

    assert code == 1
    assert "AWS_ACCESS_KEY_ID" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("arguments", [[], ["walk"], ["run"], ["run", str(WINE), "--unknown"]])
def test_a_command_line_that_makes_no_sense_shows_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)

    assert ended.value.code == 2
    assert "usage: python -m pipelines" in capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(["--help"])

    assert ended.value.code == 0
    shown = capsys.readouterr().out
    for command in ("run", "predict", "fetch", "stop", "rollback", "undeploy", "compile", "contract", "schema"):
        assert f"    {command} " in shown


def test_the_schema_is_that_of_the_configuration(capsys):
    assert command_line.main(["schema"]) == 0

    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(Config.model_json_schema()))


def test_an_interruption_has_its_own_exit_code(raising, capsys):
    raising(KeyboardInterrupt())

    assert command_line.main(["stop"]) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_full_disk_outside_a_stage_is_said_in_words(raising, capsys):
    raising(OSError(28, "No space left on device"))

    assert command_line.main(["stop"]) == 1
    assert "The disk is full" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(raising):
    raising(PermissionError(13, "Permission denied"))

    with pytest.raises(PermissionError):
        command_line.main(["stop"])


def test_the_command_line_itself_imports_nothing_of_others():
    program = "import json, sys, pipelines.__main__; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment(), cwd=ROOT
    )

    assert {"kfp", "pydantic", "rich", "yaml", "pandas"}.isdisjoint(json.loads(done.stdout))
