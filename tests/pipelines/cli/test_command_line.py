"""The command line: what is refused before anything starts, and exit codes."""

import json
import shlex
import subprocess
import sys
import time

import pytest

from components.shared.config import Config
from pipelines import __main__ as command_line
from pipelines.cli.app import VERBS, application, verb_name
from tests.pipelines.command_line import ROOT, WINE, call, environment, settled, write_config


@pytest.fixture
def raising(monkeypatch):
    """Let `stop` end with an error."""

    def let(error):
        def stop_all(project):
            raise error

        monkeypatch.setattr("pipelines.local.services.stop_all", stop_all)

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
    assert command_line.main(arguments) == 2

    said = capsys.readouterr()
    assert "Usage: python -m pipelines" in said.err
    assert "Error: " in said.err
    assert said.out == ""


def test_help_names_every_command_under_its_heading(capsys):
    assert command_line.main(["--help"]) == 0

    shown = capsys.readouterr().out
    for heading, verbs in VERBS.items():
        listed = shown[shown.index(f"\n{heading}:\n") :]
        for verb in verbs:
            assert f"\n  {verb_name(verb)} " in listed


@pytest.mark.parametrize("verb", [verb for verbs in VERBS.values() for verb in verbs], ids=verb_name)
def test_the_help_of_a_verb_has_examples_that_can_be_typed(verb, capsys):
    name = verb_name(verb)
    assert command_line.main([name, "--help"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Usage: python -m pipelines {name} ")
    examples = [line.strip() for line in lines if line.startswith("      python -m pipelines ")]
    assert examples
    for example in examples:
        _, _, _, called, *arguments = shlex.split(example.partition(" > ")[0])
        assert called == name
        with application().commands[name].make_context(name, arguments):
            pass  # it would have raised what a user reads


def test_output_that_is_no_terminal_has_no_colours(tmp_path):
    code, output = call("run", "--help", folder=tmp_path)

    assert code == 0
    assert "\x1b" not in output


def test_the_program_of_one_word_completes_verbs_in_bash(tmp_path):
    code, output = call(
        folder=tmp_path, _FULLCIRCLE_COMPLETE="complete_bash", COMP_WORDS="fullcircle ro", COMP_CWORD="1"
    )

    assert (code, output.split()) == (0, ["rollback"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_completes_the_program_of_one_word(shell, tmp_path):
    code, output = call("--show-completion", shell, folder=tmp_path, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")

    assert code == 0
    assert f"_FULLCIRCLE_COMPLETE=complete_{shell}" in output
    assert "python" not in output


def test_the_program_of_one_word_says_what_is_missing_where_nothing_is_set_up(tmp_path):
    launcher = tmp_path / "fullcircle"
    launcher.write_bytes((ROOT / "fullcircle").read_bytes())

    done = subprocess.run(["bash", launcher, "stop"], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "make setup" in done.stderr


def test_the_program_of_one_word_takes_the_same_arguments(tmp_path):
    done = subprocess.run(
        [ROOT / "fullcircle", "stop"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "nothing was running\n")


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

    assert {"kfp", "pydantic", "rich", "typer", "yaml", "pandas"}.isdisjoint(json.loads(done.stdout))


def test_help_imports_nothing_heavy():
    program = "import json, sys, pipelines.__main__ as p; p.main(['--help']); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment(), cwd=ROOT
    )

    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "typer" in loaded
    assert {"kfp", "pydantic", "rich", "yaml", "pandas", "components.shared.config"}.isdisjoint(loaded)
