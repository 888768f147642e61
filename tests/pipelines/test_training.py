"""The compiled pipeline: what a cluster would be given."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.shared.stages import BY_NAME, TRAINING
from pipelines import training
from pipelines.__main__ import main
from pipelines.cluster.artifacts import WANTED
from tests.pipelines.command_line import ROOT, WINE, call_here, definitions, environment, write_config
from tests.pipelines.kfp_cache import Cache

CONFIGS = sorted(path.stem for path in WINE.parent.glob("*.yaml"))
STAGES = set(TRAINING)
# The outside world, the champion and what serves can have changed though no input has.
NOT_CACHED = {"fingerprint", "gate", "publish", "deploy", "monitor"}
# What `compile` may import besides the standard library: kfp, pydantic, and what those bring.
HEAVY = {
    "duckdb", "evidently", "ibis", "joblib", "kserve", "lightgbm", "matplotlib", "minio", "numpy", "onnx",
    "onnxruntime", "optuna", "pandas", "pandera", "psutil", "pyarrow", "rich", "scipy", "shap", "skl2onnx", "sklearn",
    "skops",
}  # fmt: skip


def compiled(config: Path, folder: Path) -> Any:
    output = folder / "pipeline.yaml"
    code, text = call_here("compile", config, "--output", output, folder=folder)
    assert (code, text) == (0, f"wrote {output}\n")
    return definitions(output)[0]


def tasks(definition: Any) -> dict[str, Any]:
    """Every stage's task, from the pipeline itself, its loop and its branch."""
    dags = [definition["root"]["dag"], *(part["dag"] for part in definition["components"].values() if "dag" in part)]
    return {name: task for dag in dags for name, task in dag["tasks"].items() if name in STAGES}


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return compiled(WINE, tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("name", CONFIGS)
def test_shipped_configs_compile_with_every_stage(name, tmp_path):
    definition = compiled(WINE.with_name(f"{name}.yaml"), tmp_path)

    assert definition["pipelineInfo"]["name"] == name.replace("_", "-")
    assert set(tasks(definition)) == STAGES


def test_three_use_cases_are_shipped_and_one_for_the_demonstration():
    assert CONFIGS == ["flights", "flights_demo", "flights_minutes", "wine"]


def test_all_stages_run_in_one_pinned_image_and_install_nothing(wine):
    containers = [executor["container"] for executor in wine["deploymentSpec"]["executors"].values()]

    assert len(containers) == len(STAGES)
    images = {container["image"] for container in containers}
    assert len(images) == 1
    name, _, tag = images.pop().rpartition(":")
    assert name
    assert tag not in ("", "latest")
    for container in containers:
        assert "pip" not in " ".join(container["command"][:3])


def test_caching_is_off_exactly_where_the_outside_world_matters(wine):
    assert {name for name, task in tasks(wine).items() if not task["cachingOptions"].get("enableCache")} == NOT_CACHED


def test_every_stage_input_and_output_is_described(wine):
    assert wine["pipelineInfo"]["description"]
    for stage in STAGES:
        assert getattr(training, stage).description.strip(), stage
    sections = [*wine["components"].values(), wine["root"]]
    described = [
        (name, definition.get("description", "").strip())
        for section in sections
        for side in ("inputDefinitions", "outputDefinitions")
        for kind in ("parameters", "artifacts")
        for name, definition in section.get(side, {}).get(kind, {}).items()
        if not name.startswith("pipelinechannel--")  # what KFP itself passes into a loop or branch
    ]
    assert len(described) > 50
    assert [name for name, text in described if not text] == []


def test_no_two_pages_or_reports_of_a_run_have_the_same_name(wine):
    named = [
        (name, artifact["artifactType"]["schemaTitle"])
        for stage in STAGES
        for name, artifact in wine["components"][f"comp-{stage}"]
        .get("outputDefinitions", {})
        .get("artifacts", {})
        .items()
    ]
    shown = [name for name, kind in named if kind in ("system.HTML", "system.Artifact")]
    assert sorted(set(shown)) == sorted(shown)
    pages = {name for name, kind in named if kind == "system.HTML"}
    assert pages == {
        "validate_page",
        "prepare_page",
        "profile_page",
        "card",
        "gate_page",
        "deploy_page",
        "monitor_page",
        "evidently",
        "history_page",
    }


def test_every_page_is_brought_from_a_cluster_and_linked_in_the_index(wine):
    pages = {
        (stage, name)
        for stage in STAGES
        for name, artifact in wine["components"][f"comp-{stage}"]
        .get("outputDefinitions", {})
        .get("artifacts", {})
        .items()
        if artifact["artifactType"]["schemaTitle"] == "system.HTML"
    }

    assert pages == {(stage, page.artifact) for stage in STAGES for page in BY_NAME[stage].pages}
    assert pages <= WANTED.keys()


def test_parameters_of_a_run_have_defaults_that_change_nothing(wine):
    defaults = {name: one["defaultValue"] for name, one in wine["root"]["inputDefinitions"]["parameters"].items()}

    assert defaults == {"window_start": "", "window_end": "", "paths": "", "force_promotion": False}


@pytest.mark.parametrize(
    ("change", "stages"),
    [
        ({"gate": {"thresholds": {"accuracy": {"minimum": 0.5}}}}, {"gate"}),
        ({"prepare": {"split": {"method": "random", "validation": 0.2, "test": 0.25}}}, {"prepare"}),
        ({"contract": {"quarantine_limit": 0.5}}, {"validate"}),
        ({"contract": {"minimum_rows": 7}}, {"validate", "prepare"}),
        ({"serving": {"port": 9999}}, {"deploy"}),
        ({"monitoring": {"null_share_change": 0.2}}, {"publish", "monitor"}),
        ({"evaluation": {"shap_rows": 30}}, {"evaluate", "gate"}),
        ({"search": {"seed": 5}}, {"tune", "train", "gate"}),
    ],
    ids=lambda value: "-".join(sorted(value)),
)
def test_a_changed_section_changes_only_the_stages_that_use_it(wine, change, stages, tmp_path):
    output = tmp_path / "changed.yaml"
    config = write_config(tmp_path / "config.yaml", **change)
    assert main(["compile", str(config), "--output", str(output)]) == 0

    before, after = tasks(wine), tasks(definitions(output)[0])
    assert {name for name in STAGES if before[name] != after[name]} == stages


@pytest.mark.parametrize("fuse", [[], [["publish", "deploy"]], [["publish", "deploy", "monitor"]]], ids=len)
def test_where_a_person_approves_no_run_deploys(tmp_path, fuse):
    output = tmp_path / "approval.yaml"
    config = write_config(tmp_path / "config.yaml", gate={"approval": "required"}, cluster={"fuse": fuse})
    assert main(["compile", str(config), "--output", str(output)]) == 0
    definition = definitions(output)[0]
    text = output.read_text(encoding="utf-8")
    assert "deploy_page" not in text
    if not fuse or len(fuse[0]) == 2:
        assert set(tasks(definition)) == STAGES - {"deploy"}


def at_a_second_run(first: Any, second: Any, *, marks: tuple[str, str] = ("m", "m")) -> set[str]:
    """The stages whose outputs of a first run a second one takes."""
    cache = Cache()
    cache.run(first, mark=marks[0])
    return cache.run(second, mark=marks[1])


def test_the_same_again_takes_what_an_earlier_run_has_made(wine):
    assert at_a_second_run(wine, wine) == STAGES - NOT_CACHED


def test_other_tables_are_read_and_all_below_is_made_again(wine):
    assert at_a_second_run(wine, wine, marks=("before", "after")) == set()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"gate": {"thresholds": {"accuracy": {"minimum": 0.5}}}}, set()),
        ({"evaluation": {"shap_rows": 30}}, {"evaluate"}),
        ({"train": {"golden_requests": 7, "reference_rows": 300, "parity_tolerance": 1e-4}}, {"train", "evaluate"}),
        ({"train": {"one_hot_limit": 3}}, {"tune", "train", "evaluate"}),
        ({"prepare": {"split": {"method": "random", "validation": 0.2, "test": 0.25}}},
         {"prepare", "profile", "tune", "train", "evaluate"}),
    ],
)  # fmt: skip
def test_a_changed_section_makes_again_what_is_below_it(wine, change, again, tmp_path):
    output = tmp_path / "changed.yaml"
    config = write_config(tmp_path / "config.yaml", **change)
    assert main(["compile", str(config), "--output", str(output)]) == 0

    assert at_a_second_run(wine, definitions(output)[0]) == STAGES - NOT_CACHED - again


def test_behind_a_task_that_is_not_cached_nothing_would_be(wine):
    """What there was before: an ingest that is never cached."""
    changed = json.loads(json.dumps(wine))
    changed["root"]["dag"]["tasks"]["ingest"]["cachingOptions"] = {}

    assert at_a_second_run(changed, changed) == set()


def test_compiling_imports_kfp_and_pydantic_and_nothing_heavy(tmp_path):
    program = (
        "import json, sys\n"
        "from pipelines.__main__ import main\n"
        f"code = main(['compile', {str(WINE)!r}, '--output', {str(tmp_path / 'pipeline.yaml')!r}])\n"
        "print(json.dumps([code, sorted({name.split('.')[0] for name in sys.modules})]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment(), cwd=ROOT, check=True
    )

    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0
    assert {"kfp", "pydantic"} <= set(modules)
    assert not HEAVY & set(modules)


def test_where_a_receiver_wants_to_know_of_failed_runs_an_exit_task_tells_it(tmp_path):
    receivers = [
        {"kind": "slack", "url_variable": "SLACK_HOOK"},
        {"kind": "webhook", "url_variable": "OTHER_HOOK", "events": ["promotion"]},
    ]
    config = write_config(tmp_path / "wine.yaml", monitoring={"notifications": {"receivers": receivers}})
    output = tmp_path / "pipeline.yaml"
    call_here("compile", config, "--output", output, folder=tmp_path)
    definition, platform = definitions(output)
    dag = definition["root"]["dag"]["tasks"]
    assert set(dag) == {"exit-handler-1", "notify"}
    assert dag["notify"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert dag["notify"]["cachingOptions"] == {}
    assert dag["notify"]["inputs"]["parameters"]["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}
    assert set(tasks(definition)) == STAGES
    executor = platform["deploymentSpec"]["executors"]["exec-notify"]
    (secret,) = executor["secretAsEnv"]
    assert (secret["secretName"], secret["optional"]) == ("fullcircle-notifications", True)
    assert [item["secretKey"] for item in secret["keyToEnv"]] == ["SLACK_HOOK"]
    assert executor["fieldPathAsEnv"][0]["name"] == "KFP_RUN_ID"
