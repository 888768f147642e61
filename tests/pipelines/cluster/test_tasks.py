"""What a cluster is told about each task, in the compiled pipelines."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.config import DEFAULT_TASKS
from components.shared.stages import BY_NAME
from components.shared.store import StoreSettings
from pipelines.__main__ import main
from pipelines.cluster.compiled import put_in_ascii
from pipelines.cluster.tasks import constant
from pipelines.config_file import load_config
from pipelines.local.run import BACKGROUND, _repeat_nothing, _start_early
from pipelines.training import training_pipeline
from tests.pipelines.argo_status import status_bytes
from tests.pipelines.command_line import ROOT, WINE, call, definitions, write_config

# The stage observe has a pipeline of its own.
STAGES = set(BY_NAME) - {"observe"}
USES_THE_STORE = {name for name in STAGES if BY_NAME[name].uses_store}
# A version that failed to serve is not tried again, and a killed prediction has left its claim on the destination.
NOT_REPEATED = {"deploy", "predict"}
LONGEST_PATH = 10
FLIGHTS = WINE.with_name("flights.yaml")
FAMILIES = ["linear", "lightgbm", "hist_gradient_boosting", "random_forest"]
# Bytes. It was 732 KiB, with every default in it and each description twice, before there were the fingerprint, the
# verdict that deploy takes, the page of prepare and the history that monitor shows.
LARGEST_STATUS = 688 * 1024


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both pipelines, compiled from a configuration with other tasks than the default, by a person's command."""
    folder = tmp_path_factory.mktemp("compiled")
    tasks = {"train": {"memory_limit": "12Gi", "retries": 4}, "predict": {"cpu": 3, "cpu_limit": 4, "seconds": 60}}
    description = "Wie gut ist der Wein\N{HORIZONTAL ELLIPSIS}\nund warum?"
    cluster = {"tasks": tasks, "stages_secret": "team-stages"}
    config = write_config(folder / "config.yaml", description=description, cluster=cluster)
    code, text = call("compile", config, folder=folder, FULLCIRCLE_STAGE_IMAGE="registry.example/team/stage:1a2b3c")
    assert code == 0, text
    return folder / "build"


@pytest.fixture(scope="module")
def training(folder: Path) -> Any:
    return definitions(folder / "wine.yaml")


@pytest.fixture(scope="module")
def prediction(folder: Path) -> Any:
    return definitions(folder / "wine-batch-prediction.yaml")


def dags(pipeline: Any) -> dict[str, Any]:
    """Tasks of the pipeline, its loop and its branch, by the component's name."""
    parts = {"root": pipeline["root"], **pipeline["components"]}
    return {name: part["dag"]["tasks"] for name, part in parts.items() if "dag" in part}


def stages(pipeline: Any) -> dict[str, Any]:
    return {name: task for tasks in dags(pipeline).values() for name, task in tasks.items() if name in STAGES}


def containers(pipeline: Any) -> dict[str, Any]:
    executors = pipeline["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor["container"] for name, executor in executors.items()}


def test_the_image_is_the_one_that_was_named(training, prediction):
    for pipeline, _ in (training, prediction):
        assert {one["image"] for one in containers(pipeline).values()} == {"registry.example/team/stage:1a2b3c"}


@pytest.mark.parametrize("name", ["wine.yaml", "wine-batch-prediction.yaml"])
def test_the_files_are_ascii_also_where_the_configuration_is_not(folder, name):
    content = (folder / name).read_bytes()

    assert content.isascii()
    if name == "wine.yaml":
        assert definitions(folder / name)[0]["pipelineInfo"]["description"].startswith("Wie gut ist der Wein…")


def test_every_task_has_requests_and_limits(training, prediction):
    for pipeline, _ in (training, prediction):
        for stage, container in containers(pipeline).items():
            resources = container["resources"]
            named = {key: resources[key] for key in resources if key.startswith("resource")}
            assert named.keys() == {
                "resourceCpuRequest", "resourceCpuLimit", "resourceMemoryRequest", "resourceMemoryLimit",
            }, stage  # fmt: skip


def test_resources_are_the_configurations_and_else_the_stages_own(training, prediction):
    train = containers(training[0])["train"]["resources"]
    predict = containers(prediction[0])["predict"]["resources"]

    assert train["resourceMemoryLimit"] == "12Gi"
    assert train["resourceMemoryRequest"] == DEFAULT_TASKS["train"].memory
    assert (predict["resourceCpuRequest"], predict["resourceCpuLimit"]) == ("3", "4")


def test_what_a_small_table_reserves_fits_beside_an_endpoint_on_two_cores(training, tmp_path):
    config = write_config(tmp_path / "large.yaml", cluster={"size": "large", "tasks": {"tune": {"cpu": 1.5}}})
    assert main(["compile", str(config), "--output", str(tmp_path / "large-pipeline.yaml")]) == 0
    large = containers(definitions(tmp_path / "large-pipeline.yaml")[0])

    for stage, container in containers(training[0]).items():
        assert float(container["resources"]["resourceCpuRequest"]) <= 0.25, stage
    assert large["train"]["resources"]["resourceCpuRequest"] == "1"
    assert large["tune"]["resources"]["resourceCpuRequest"] == "1.5"
    assert large["train"]["resources"]["resourceMemoryRequest"] == "2Gi"


def test_every_task_ends_in_time(training, prediction):
    for pipeline, platform in (training, prediction):
        executors = platform["deploymentSpec"]["executors"]
        limits = {name.removeprefix("exec-"): int(one["activeDeadlineSeconds"]) for name, one in executors.items()}
        assert limits.keys() == stages(pipeline).keys()
        assert min(limits.values()) >= 60
    assert limits == {"ingest": DEFAULT_TASKS["ingest"].seconds, "predict": 60}


def test_every_task_runs_as_the_images_user_who_is_not_root(training, prediction):
    for pipeline, platform in (training, prediction):
        told = platform["deploymentSpec"]["executors"]
        assert {name: executor.get("securityContext") for name, executor in told.items()} == {
            f"exec-{name}": {"runAsUser": "1000", "runAsGroup": "1000", "runAsNonRoot": True}
            for name in containers(pipeline)
        }


def test_what_is_safe_to_repeat_is_repeated_with_back_off(training, prediction):
    tasks = stages(training[0]) | stages(prediction[0])

    assert {name for name, task in tasks.items() if "retryPolicy" not in task} == NOT_REPEATED
    policies = {name: task["retryPolicy"] for name, task in tasks.items() if name not in NOT_REPEATED}
    for policy in policies.values():
        assert (policy["backoffDuration"], policy["backoffFactor"]) == ("30s", 2.0)
    assert policies["train"]["maxRetryCount"] == 4
    # Argo counts it from the start of the first attempt: each may take its whole time, and the waits some more.
    assert policies["train"]["backoffMaxDuration"] == f"{5 * DEFAULT_TASKS['train'].seconds + 600}s"
    assert policies["validate"]["maxRetryCount"] == 1


def settings(compiled: Any) -> dict[str, Any]:
    """What the platform is told about each stage's pod."""
    executors = compiled[1]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): one for name, one in executors.items()}


def variables(sources: list[Any]) -> dict[tuple[str, str], str]:
    """The variable that each key of each ConfigMap or secret becomes; all may be missing."""
    assert all(source["optional"] for source in sources)
    return {
        (source.get("secretName") or source["configMapName"], pair.get("secretKey") or pair["configMapKey"]): pair[
            "envVar"
        ]
        for source in sources
        for pair in source["keyToEnv"]
    }


def test_the_store_and_its_keys_are_for_those_that_use_it(training, prediction):
    pods = settings(training) | settings(prediction)

    assert {stage for stage, pod in pods.items() if "secretAsEnv" in pod} == USES_THE_STORE
    for stage, pod in pods.items():
        assert ("configMapAsEnv" in pod) == (stage in USES_THE_STORE), stage
        if stage in USES_THE_STORE:
            keys = variables(pod["secretAsEnv"])
            assert keys["team-stages", "AWS_ACCESS_KEY_ID"] == "AWS_ACCESS_KEY_ID"
            assert keys["team-stages", "AWS_SECRET_ACCESS_KEY"] == "AWS_SECRET_ACCESS_KEY"
            assert len(keys) == (4 if stage == "deploy" else 2), stage
            (run,) = pod["fieldPathAsEnv"]
            assert run == {"name": "KFP_RUN_ID", "fieldPath": "metadata.labels['pipeline/runid']"}


def test_what_is_asked_of_the_config_map_is_in_it(training):
    asked = variables(settings(training)["publish"]["configMapAsEnv"])
    documents = yaml.safe_load_all((ROOT / "manifests" / "base" / "config-map.yaml").read_text())
    (data,) = [document["data"] for document in documents if document["metadata"]["name"] == "fullcircle-store"]

    assert {name for name, _ in asked} == {"fullcircle-store"}
    assert all(key == variable for (_, key), variable in asked.items())
    assert {key for _, key in asked} == data.keys()
    given = {**data, "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    assert StoreSettings.from_environment(given).endpoint == data["AWS_ENDPOINT_URL"]


def test_the_deployment_alone_may_read_the_log(training):
    pods = settings(training)
    keys = variables(pods["deploy"]["secretAsEnv"])

    assert keys["fullcircle-monitoring", "AWS_ACCESS_KEY_ID"] == "FULLCIRCLE_LOG_ACCESS_KEY_ID"
    assert keys["fullcircle-monitoring", "AWS_SECRET_ACCESS_KEY"] == "FULLCIRCLE_LOG_SECRET_ACCESS_KEY"
    assert [stage for stage, pod in pods.items() if "fullcircle-monitoring" in str(pod)] == ["deploy"]


def test_a_secrets_name_that_cannot_be_is_refused(tmp_path, capsys):
    config = write_config(tmp_path / "c.yaml", cluster={"stages_secret": "My Secret"})

    assert main(["compile", str(config)]) == 1

    assert "cluster.stages_secret" in capsys.readouterr().err


def test_the_graph_reads_well(training):
    pipeline = training[0]
    shown = {name: task["taskInfo"]["name"] for tasks in dags(pipeline).values() for name, task in tasks.items()}

    assert {shown.pop(stage) for stage in STAGES & shown.keys()} == {
        stage.capitalize() for stage in STAGES - {"predict", "notify"}
    }
    assert sorted(shown.values()) == ["Each model family", "Promoted by the gate"]


def test_what_argo_keeps_of_a_run_stays_small(tmp_path):
    config = write_config(tmp_path / "c.yaml", base=FLIGHTS, search={"families": FAMILIES})
    assert main(["compile", str(config), "--output", str(tmp_path / "p.yaml")]) == 0

    # Past 1 MiB with all else that it holds, Argo compresses it, and Kubeflow Pipelines' records stand still.
    assert status_bytes(*definitions(tmp_path / "p.yaml"), families=len(FAMILIES)) < LARGEST_STATUS


@pytest.mark.parametrize("name", ["flights", "flights_minutes", "wine"])
def test_a_stage_reads_from_its_constant_the_section_that_was_configured(name):
    config = load_config(WINE.with_name(f"{name}.yaml"))

    for field in set(type(config).model_fields) - {"name", "description", "cluster"}:
        section = getattr(config, field)
        assert type(section).model_validate_json(constant(section)) == section
        assert len(constant(section)) < len(section.model_dump_json()) or constant(section) == section.model_dump_json()


def test_a_program_does_not_repeat_its_description(training):
    for container in containers(training[0]).values():
        assert '"""' not in container["command"][-1]


def test_the_longest_path_is_short(training):
    pipeline = training[0]

    def length(component: str) -> int:
        """Tasks one after the other in a component."""
        tasks = dags(pipeline)[component]

        def until(name: str) -> int:
            inner = tasks[name]["componentRef"]["name"]
            own = length(inner) if inner in dags(pipeline) else 1
            return own + max((until(before) for before in tasks[name].get("dependentTasks", [])), default=0)

        return max(until(name) for name in tasks)

    assert length("root") == LONGEST_PATH


def test_make_names_the_image_by_registry_and_tag():
    shown = make("compile", "REGISTRY=registry.example/team", "TAG=1a2b3c")

    assert 'images/tag "1a2b3c"' in shown
    assert "registry.example/team/stage:$tag" in shown


def test_make_images_passes_on_registry_and_tag():
    assert 'REGISTRY="registry.example/team" TAG="1a2b3c" images/build' in make(
        "images", "REGISTRY=registry.example/team", "TAG=1a2b3c"
    )


def test_make_submit_says_where_and_with_which_image_but_not_the_token():
    printed = make(
        "submit", "HOST=http://localhost:8080", "TOKEN=se-cret", "TAG=v1", 'PATHS={"wine": "s3://b/k"}', "FORCE=1"
    )

    assert '"http://localhost:8080"' in printed
    assert "localhost/fullcircle/stage:$tag" in printed
    assert 'images/tag "v1"' in printed
    assert """--paths '{"wine": "s3://b/k"}' --force""" in printed
    assert "se-cret" not in printed


@pytest.mark.parametrize(
    ("target", "given", "named"),
    [
        (
            "follow",
            ("RUN=r1", "NAMESPACE=ann"),
            'follow "pipelines/configs/flights.yaml" "r1" --host "" --namespace "ann"',
        ),
        ("schedule", ("CRON=17 3 * * mon",), 'schedule "pipelines/configs/flights.yaml" "17 3 * * mon"'),
        ("diagnose", ("RUN=r1",), 'diagnose "r1"'),
        ("doctor", ("TAG=v1", "JSON=1"), '--image "localhost/fullcircle/stage:v1" --json'),
        ("cluster", (), "manifests/kind/up"),
    ],
)
def test_make_hands_on_what_it_is_given(target, given, named):
    assert named in make(target, *given)


def make(*arguments: str) -> str:
    return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_a_comment_at_the_top_is_escaped(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("# Description: Größe\na: 1\n", encoding="utf-8")

    put_in_ascii(path)

    assert path.read_bytes() == b"# Description: Gr\\xf6\\xdfe\na: 1\n"


def test_a_task_that_ends_before_its_search_is_refused(tmp_path, capsys):
    config = write_config(tmp_path / "c.yaml", cluster={"tasks": {"tune": {"seconds": 5}}})

    assert main(["compile", str(config)]) == 1

    assert "cluster.tasks.tune.seconds (5)" in capsys.readouterr().err


def test_nothing_is_repeated_on_one_machine():
    pipeline = training_pipeline(load_config(WINE))
    assert "retry_policy" in str(pipeline.pipeline_spec)

    _repeat_nothing(pipeline.pipeline_spec)

    assert "retry_policy" not in str(pipeline.pipeline_spec)


def test_what_goes_on_beside_others_here_starts_as_soon_as_its_inputs_are_there():
    """In the order in which kfp.local starts tasks, which it finds by what depends on what."""
    from kfp.local.graph_utils import topological_sort_tasks

    definition = training_pipeline(load_config(WINE)).pipeline_spec
    _start_early(definition, BACKGROUND)

    order = list(reversed(topological_sort_tasks(definition.root.dag.tasks)))
    assert order[order.index("prepare") + 1] == "profile"
    assert order[-1].startswith("condition")
    (branch,) = [part for name, part in definition.components.items() if name.startswith("comp-condition")]
    assert list(reversed(topological_sort_tasks(branch.dag.tasks))) == ["publish", "monitor", "deploy"]
