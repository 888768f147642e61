"""What each verb does, called as the program calls it."""

import io
import json
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from components.shared.config import Config
from pipelines.__main__ import main
from pipelines.cli import options
from pipelines.cli.consoles import warnings_of_a_failed_run
from pipelines.local.run import RunError, RunResult
from pipelines.task_records import TaskRecord
from tests.pipelines.command_line import WINE, definitions, write_config


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_compile_writes_beside_the_runs_unless_told_otherwise(folder, capsys):
    assert main(["compile", str(WINE)]) == 0

    assert capsys.readouterr().out == "".join(
        f"wrote build/wine{ending}.yaml\n" for ending in ("", "-batch-prediction", "-monitoring")
    )
    definition, _ = definitions(folder / "build/wine.yaml")
    assert definition["pipelineInfo"]["name"] == "wine"
    assert (folder / "build/wine-batch-prediction.yaml").is_file()


def test_compile_makes_the_folder_it_is_told(folder):
    assert main(["compile", str(WINE), "--output", "deep/er/p.yaml"]) == 0

    assert (folder / "deep/er/p.yaml").stat().st_size > 1000


def test_one_pipeline_alone_is_compiled_when_it_is_named(folder, capsys):
    assert main(["compile", str(WINE), "--pipeline", "batch-prediction"]) == 0

    assert capsys.readouterr().out == "wrote build/wine-batch-prediction.yaml\n"
    assert not (folder / "build/wine.yaml").exists()


def test_a_written_contract_is_one_the_config_accepts(folder, capsys):
    assert main(["contract", str(WINE)]) == 0

    assert "wrote build/wine-contract.yaml" in capsys.readouterr().out
    written = yaml.safe_load((folder / "build/wine-contract.yaml").read_text(encoding="utf-8"))
    merged = {**yaml.safe_load(WINE.read_text(encoding="utf-8")), "contract": written["contract"]}
    contract = Config.model_validate(merged).contract
    assert len(contract.columns) == 14


def test_a_contract_of_a_table_that_is_missing_writes_nothing(folder, capsys):
    config = write_config(folder / "c.yaml", source={"tables": {"wine": {"path": "nowhere.csv"}}})

    assert main(["contract", str(config)]) == 1

    assert "nowhere.csv" in capsys.readouterr().err
    assert not (folder / "build").exists()


def test_stop_where_nothing_ever_ran(folder, capsys):
    assert main(["stop"]) == 0

    assert capsys.readouterr().out == "nothing was running\n"
    assert list(folder.iterdir()) == []


def test_options_of_a_run_become_parameters_of_the_pipeline():
    parameters = options.pipeline_parameters(window_start="2024-01-01", window_end="2024-02-01", paths="{}", force=True)

    assert parameters == {
        "window_start": "2024-01-01",
        "window_end": "2024-02-01",
        "paths": "{}",
        "force_promotion": True,
    }


@pytest.mark.parametrize("command", ["rollback", "undeploy"])
def test_without_an_endpoint_here_or_a_cluster_it_says_so(command, store, folder, monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", str(folder / "none"))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert main([command, "demo"]) == 1

    expected = {"rollback": "No version of 'demo' has served yet", "undeploy": "There is no cluster to deploy on"}
    assert expected[command] in capsys.readouterr().err


def test_old_hours_of_the_log_are_told_and_removed_when_that_is_wanted(store, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["prune", "--days", "30"]) == 0
    assert capsys.readouterr().out == "nothing is logged yet\n"
    old = "inference/demo/date=2024-03-01/hour=05/050000.000000-a_1.parquet"
    version = "models/demo/versions/v1/manifest.json"
    for key in (old, version):
        store.put_bytes(key, b"12345")
    assert main(["prune", "--days", "30"]) == 0
    said = capsys.readouterr().out
    assert "demo: 1 hours, 2024-03-01 05:00 to 2024-03-01 06:00 UTC, would be removed: 1 objects" in said
    assert "Nothing was removed." in said
    assert store.exists(old)
    assert main(["prune", "other", "--days", "30", "--yes"]) == 0
    assert "other: nothing is older" in capsys.readouterr().out
    assert main(["prune", "demo", "--days", "30", "--yes"]) == 0
    assert "were removed" in capsys.readouterr().out
    assert [item.key for item in store.list()] == [version]
    assert main(["prune", "demo", "--days", "0.1"]) == 1
    assert "kept for at least 1 day" in capsys.readouterr().err


def test_what_the_stages_warned_of_is_printed_when_one_fails(tmp_path):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"warnings": ["3 rows were set aside."]}))
    passed = TaskRecord("validate", tmp_path / "validate.log", {"validate_report": report})
    failed = TaskRecord("predict", tmp_path / "predict.log", {}, cause="no such version")
    output = io.StringIO()
    console = Console(file=output, width=100)
    with pytest.raises(RunError, match="no such version"), warnings_of_a_failed_run(console):
        raise RunError([failed], RunResult(tmp_path, [passed, failed], 1.0))
    assert "validate: 3 rows were set aside." in output.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        ["versions", "demo"], ["decisions", "demo"], ["resume", "demo"], ["replay-policy", "demo"], ["monitor"],
        ["reject", "demo", "--version", "v1"], ["prune", "--days", "30"], ["watch", str(WINE)], ["open", "demo"],
    ],
    ids=lambda command: command[0],
)  # fmt: skip
def test_where_nothing_has_run_no_store_is_begun(command, folder, monkeypatch, capsys):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)

    assert main(command) == 1

    said = capsys.readouterr().err
    assert f"nothing has run in {folder} yet" in said
    assert "For a model on a cluster, set AWS_ENDPOINT_URL" in said
    assert list(folder.iterdir()) == []
