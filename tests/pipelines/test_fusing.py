"""Neighbouring stages in one task: what the compiled pipeline says, and what a run of such a task leaves behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from components.shared.config import DEFAULT_TASKS, Config
from components.shared.errors import ConfigError
from components.shared.runs.task_names import label_of, stages_in, stages_of
from components.shared.stages import BY_NAME, TRAINING
from pipelines.cluster.tasks import combined_resources, constant
from pipelines.config_file import load_config
from pipelines.fusing import Call, Output, component_of, fuse, output_names, own_names
from pipelines.local.task_runner import TaskRunner
from pipelines.task_records import TaskRecord, divide_record
from tests.pipelines.command_line import WINE, call_here, definitions, write_config

FUSE = [["ingest", "validate", "prepare"], ["train", "evaluate", "gate"], ["publish", "deploy"]]


def compiled(folder: Path, fuse: list[list[str]]) -> tuple[Any, Any]:
    config = write_config(folder / "config.yaml", cluster={"fuse": fuse})
    code, text = call_here("compile", config, folder=folder)
    assert code == 0, text
    return definitions(folder / "build" / "wine.yaml")


def tasks(pipeline: Any) -> dict[str, Any]:
    parts = [pipeline["root"], *pipeline["components"].values()]
    found = {name: task for part in parts for name, task in part.get("dag", {}).get("tasks", {}).items()}
    return {name: task for name, task in found.items() if stages_in(name)}


def outputs(pipeline: Any, task: str) -> dict[str, Any]:
    definitions = pipeline["components"][f"comp-{task}"].get("outputDefinitions", {})
    return {name: about for kind in definitions.values() for name, about in kind.items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return compiled(tmp_path_factory.mktemp("plain"), [])


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return compiled(tmp_path_factory.mktemp("fused"), FUSE)


class TestCompiled:
    def test_each_group_is_one_task_and_the_others_are_their_own(self, fused):
        assert set(tasks(fused[0])) == {
            "fingerprint", "ingest-validate-prepare", "profile", "tune", "train-evaluate-gate", "publish-deploy",
            "monitor",
        }  # fmt: skip
        assert len(fused[0]["deploymentSpec"]["executors"]) == 7

    def test_every_output_of_every_stage_is_there_with_its_type_and_description(self, plain, fused):
        for task in tasks(fused[0]):
            here = outputs(fused[0], task)
            for output, name in output_names(stages_in(task)).items():
                assert here.pop(name) == outputs(plain[0], output.stage)[output.name]
            assert here == {}

    def test_a_name_is_the_stages_own_unless_two_use_it(self):
        names = output_names(("publish", "deploy"))

        assert names[Output("deploy", "deploy_page")] == "deploy_page"
        assert names[Output("publish", "Output")] == "publish_Output"
        assert names[Output("deploy", "Output")] == "deploy_Output"
        assert own_names("publish-deploy")["publish_Output"] == ("publish", "Output")
        assert own_names("deploy") == {}

    def test_an_input_that_stages_share_is_one_and_what_they_hand_on_is_none(self, fused):
        inputs = fused[0]["components"]["comp-train-evaluate-gate"]["inputDefinitions"]

        assert inputs["artifacts"].keys() == {"splits", "trials", "validation"}
        assert inputs["parameters"].keys() == {
            "search", "training", "problem", "lineage", "name", "evaluation", "settings", "force",
        }  # fmt: skip

    def test_inputs_of_one_name_and_two_values_are_told_apart(self):
        calls = {
            "validate": Call(
                component_of("validate"), {"contract": "{}", "problem": "1", "table": Output("ingest", "table")}
            ),
            "prepare": Call(
                component_of("prepare"),
                {"settings": "{}", "problem": "2", "contract": "{}", "table": Output("validate", "valid")},
            ),
        }

        made = fuse(calls)

        assert (made.inputs["problem"], made.inputs["prepare_problem"]) == ("1", "2")
        assert made.component.component_spec.inputs.keys() == made.inputs.keys()
        assert made.inputs["table"] == Output("ingest", "table")

    def test_a_group_is_cached_when_all_its_stages_are(self, fused):
        cached = {name for name, task in tasks(fused[0]).items() if task["cachingOptions"].get("enableCache")}

        assert cached == {"ingest-validate-prepare", "profile", "tune"}

    def test_a_group_is_repeated_as_its_stages_are_and_never_with_one_that_is_not(self, fused):
        policies = {name: task.get("retryPolicy", {}).get("maxRetryCount") for name, task in tasks(fused[0]).items()}

        assert policies["ingest-validate-prepare"] == 2
        assert policies["train-evaluate-gate"] == 2
        assert policies["publish-deploy"] is None

    def test_a_group_gets_the_most_that_one_needs_and_the_time_of_all(self, fused):
        executors = fused[0]["deploymentSpec"]["executors"]
        resources = executors["exec-train-evaluate-gate"]["container"]["resources"]
        platform = fused[1]["deploymentSpec"]["executors"]

        assert resources["resourceMemoryLimit"] == "4Gi"
        seconds = sum(DEFAULT_TASKS[stage].seconds for stage in ("train", "evaluate", "gate"))
        assert int(platform["exec-train-evaluate-gate"]["activeDeadlineSeconds"]) == seconds

    def test_a_group_has_the_keys_that_one_of_its_stages_needs(self, fused):
        platform = fused[1]["deploymentSpec"]["executors"]

        assert "secretAsEnv" in platform["exec-train-evaluate-gate"]  # the gate
        assert "secretAsEnv" not in platform["exec-profile"]
        assert "fullcircle-monitoring" in str(platform["exec-publish-deploy"])

    def test_tasks_together(self):
        small, large = DEFAULT_TASKS["fingerprint"], DEFAULT_TASKS["train"]

        both = combined_resources([small, large])

        assert (both.cpu_limit, both.memory_limit, both.seconds, both.retries) == (2, "4Gi", 4500, 2)
        assert combined_resources([small]) == small


class TestNames:
    def test_a_tasks_name_says_its_stages(self):
        assert stages_in("ingest-validate-prepare") == ("ingest", "validate", "prepare")
        assert stages_in("ingest_validate") == ("ingest", "validate")
        assert stages_in("ingest-driver") == stages_in("for-loop-2") == stages_in("") == ()

    def test_of_nested_tasks(self):
        parts = ["root", "condition-1", "publish-deploy", "executor"]

        assert stages_of(parts) == ("publish", "deploy")
        assert label_of(parts) == "publish, deploy"

    def test_without_a_log_each_stage_is_said_to_be_what_the_task_was(self, tmp_path):
        record = TaskRecord("publish, deploy", tmp_path / "x.log", {}, seconds=3.0, message="the same")

        assert [(part.label, part.message, part.seconds) for part in divide_record(record, "publish-deploy", "")] == [
            ("publish", "the same", 3.0), ("deploy", "the same", 3.0),
        ]  # fmt: skip
        assert divide_record(record, "deploy", "▸ done\n") == []


class Ears:
    def __init__(self) -> None:
        self.ended_records: list[TaskRecord] = []

    def started(self, record: TaskRecord) -> None:
        assert record.label == "ingest, validate, prepare"

    def ended(self, record: TaskRecord) -> None:
        self.ended_records.append(record)


def command(config: Config, folder: Path) -> list[str]:
    """What KFP would start for the task that reads, checks and prepares the wine, with its outputs in a folder."""
    problem, contract = constant(config.problem), constant(config.contract)
    given: dict[str, dict[str, Any]] = {
        "ingest": {"source": constant(config.source), "window_start": "", "window_end": "", "paths": "", "mark": "m"},
        "validate": {"contract": contract, "table": Output("ingest", "table")},
        "prepare": {"settings": constant(config.prepare), "contract": contract, "table": Output("validate", "valid")},
    }
    made = fuse({stage: Call(component_of(stage), {"problem": problem, **inputs}) for stage, inputs in given.items()})
    spec = made.component.component_spec
    kinds = {name: output.type.partition("@")[0] for name, output in spec.outputs.items()}
    artifacts = {
        name: {"artifacts": [{"name": name, "type": {"schemaTitle": kind}, "uri": str(folder / name), "metadata": {}}]}
        for name, kind in kinds.items()
        if kind.startswith("system.")
    }
    executor_input = {
        "inputs": {"parameterValues": dict(made.inputs)},
        "outputs": {"artifacts": artifacts, "outputFile": str(folder / "output.json")},
    }
    container = spec.implementation.container
    assert container.args[-1] == "ingest_validate_prepare"
    return [*container.command, "--executor_input", json.dumps(executor_input), *container.args[2:]]


class TestRun:
    def test_each_stage_has_its_artifacts_message_seconds_and_log(self, tmp_path):
        ears = Ears()
        runner = TaskRunner(tmp_path / "logs", ears)

        assert runner.run(command(load_config(WINE), tmp_path)) == 0, runner.records

        ingest, validate, prepare = runner.records
        assert [each.label for each in runner.records] == ["ingest", "validate", "prepare"]
        assert "178 rows" in ingest.message
        assert all(each.message and not each.cause for each in runner.records)
        assert validate.artifacts.keys() == {"valid", "quarantine", "validate_report", "validate_page"}
        assert "<html" in validate.artifacts["validate_page"].read_text()
        assert (prepare.artifacts["splits"] / "train.parquet").is_file()
        assert prepare.log == tmp_path / "logs" / "prepare.log"
        assert f"▸ {prepare.message}" in prepare.log.read_text()
        assert ingest.message not in prepare.log.read_text()
        assert 0 < sum(each.seconds for each in runner.records) <= ears.ended_records[0].seconds
        output = json.loads((tmp_path / "output.json").read_text())
        assert output["parameterValues"].keys() == {"lineage"}
        assert output["artifacts"]["valid"]["artifacts"][0]["metadata"] == {"rows": 178}

    def test_a_failure_names_its_stage_and_what_came_before_it_has_ended_well(self, tmp_path):
        ears = Ears()
        runner = TaskRunner(tmp_path / "logs", ears)
        config = load_config(write_config(tmp_path / "c.yaml", contract={"minimum_rows": 500}))

        assert runner.run(command(config, tmp_path)) == 1

        assert [(each.label, bool(each.cause)) for each in runner.records] == [("ingest", False), ("validate", True)]
        (failed,) = runner.failures()
        assert "500" in failed.cause
        assert "Traceback" in failed.log.read_text()
        assert "Traceback" not in runner.records[0].log.read_text()


class TestConfig:
    @pytest.mark.parametrize(
        ("fuse", "message"),
        [
            ([["ingest", "validat"]], "cluster.fuse.0.1: found 'validat'"),
            ([["ingest", "validat"]], "Did you mean 'validate'?"),
            ([["ingest", "prepare"]], "[ingest, prepare] are no neighbours in this order: after ingest come validate"),
            (
                [["validate", "ingest"]],
                "[validate, ingest] are no neighbours in this order: after validate",
            ),
            ([["ingest", "validate"], ["validate", "prepare"]], "validate is named twice"),
            ([["ingest"]], "[ingest]: a group is of at least two neighbours"),
            ([["tune", "train"]], "tune runs once for each model family"),
            ([["profile", "tune", "train"]], "tune runs once for each model family"),
            ([["gate", "publish"]], "publish runs only when the gate promotes the candidate"),
            ([["ingest", "predict"]], "predict is no stage of the training pipeline"),
            ([["monitor", "publish"]], "monitor is the last"),
        ],
    )
    def test_what_cannot_be_one_task_is_refused_with_the_reason(self, tmp_path, fuse, message):
        with pytest.raises(ConfigError) as caught:
            load_config(write_config(tmp_path / "c.yaml", cluster={"fuse": fuse}))

        assert message in str(caught.value)

    def test_every_other_pair_of_neighbours_compiles(self, tmp_path):
        pairs = [["fingerprint", "ingest"], ["validate", "prepare"], ["train", "evaluate"], ["publish", "deploy"]]
        pipeline = compiled(tmp_path, pairs)[0]

        assert {"fingerprint-ingest", "validate-prepare", "train-evaluate", "publish-deploy"} <= tasks(pipeline).keys()

    def test_nothing_is_fused_by_default(self, plain):
        assert set(tasks(plain[0])) == set(TRAINING)
        assert BY_NAME["predict"].part == "prediction"
