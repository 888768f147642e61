"""Following a run of a real Kubeflow Pipelines 2.17: what its records hold, and what they do not."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.cluster.artifacts import fetch_artifacts
from tests.pipelines.cluster.runs import NOWHERE, put, stage_pod, workflow, workflow_node
from tests.pipelines.cluster.test_submit import submit
from tests.pipelines.command_line import WINE, call_here, write_config
from tests.pipelines.kfp_server import Server, look, record, task_records

PROMOTED = {"promoted": True, "forced": False, "checks": [{"holds": True}], "reasons": []}
ENDPOINT = {"url": "http://wine.example/v1/models/wine:predict", "version": "0a1b2c"}
TUNE = "wk57s(0).root(0).for-loop-2(0).iteration-iterations({0}:{0})(0).iteration-item(0)"
# Past 1 MiB of Workflow the records stand still where they were.
FROZEN = (
    *task_records("root(0).gate", "SUCCEEDED", seconds=3, begun=30),
    record("root(0).condition-1(0).publish-driver(0)", "RUNNING", begun=40),
    *task_records("root(0).condition-1(0).publish", "RUNNING", begun=42),
)


def begun(folder: Path, kfp: Server, config: Path = WINE) -> str:
    call_here("submit", config, "--host", kfp.url, "--no-follow", folder=folder, **NOWHERE)
    return str(kfp.runs[-1].run_id)


def follow(run: str, folder: Path, kfp: Server, environment: dict[str, str], *, config: Path = WINE) -> str:
    command = ("follow", config, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=folder, **environment)
    assert code == 0, output
    return output


def test_each_line_says_what_the_stage_said_and_its_log_is_kept(kfp, cluster, store, tmp_path):
    api, environment = cluster
    config = write_config(tmp_path / "wine.yaml", search={"families": ["linear", "lightgbm"]})
    run = begun(tmp_path, kfp, config)
    loop = "root(0).for-loop-2(0).iteration-iterations({0}:{0})(0).iteration-item(0).tune"
    kfp.looks = [
        look(
            "SUCCEEDED",
            *task_records("root(0).ingest", "SUCCEEDED", seconds=8, begun=1),
            *task_records("root(0).validate", "SUCCEEDED", seconds=1, begun=10, cached=True),
            *task_records(loop.format(0), "SUCCEEDED", seconds=3, begun=20),
            *task_records(loop.format(1), "SUCCEEDED", seconds=4, begun=20),
        )
    ]
    api.add(stage_pod(run, "ingest(0)", within="wk57s(0).root(0)", phase="Succeeded"), "kubeflow")
    api.logs["wine-ingest"] = "▸ 178 rows\n"
    for number, family in enumerate(("linear", "lightgbm")):
        pod = stage_pod(run, "tune(0)", within=TUNE.format(number), phase="Succeeded")
        pod["metadata"]["name"] = f"wine-{family}"
        api.add(pod, "kubeflow")
        api.logs[f"wine-{family}"] = f"▸ best of {family}\n"
    put(store, run, "gate", "verdict", PROMOTED)

    output = follow(run, tmp_path, kfp, environment, config=config)

    assert "✓ ingest                           8.0 s  178 rows\n" in output
    assert "✓ validate                         1.0 s  the same as in an earlier run (cached)\n" in output
    assert "✓ tune (linear)                    3.0 s  best of linear\n" in output
    assert "✓ tune (lightgbm)                  4.0 s  best of lightgbm\n" in output
    assert output.count("✓") == 4
    folder = tmp_path / "build/runs/wine" / run
    assert (folder / "logs/tune-lightgbm.log").read_text() == "▸ best of lightgbm\n"
    index = (folder / "index.html").read_text()
    assert "logs/ingest.log" in index
    assert "logs/validate.log" not in index


def test_of_stages_that_shared_a_task_each_has_its_line_its_log_and_its_page(kfp, cluster, store, tmp_path):
    api, environment = cluster
    config = write_config(
        tmp_path / "wine.yaml", cluster={"fuse": [["ingest", "validate", "prepare"], ["train", "evaluate"]]}
    )
    run = begun(tmp_path, kfp, config)
    kfp.looks = [
        look(
            "SUCCEEDED",
            *task_records("root(0).ingest-validate-prepare", "SUCCEEDED", seconds=8, begun=1),
            *task_records("root(0).train-evaluate", "SUCCEEDED", seconds=2, begun=10, cached=True),
        )
    ]
    api.add(stage_pod(run, "ingest-validate-prepare(0)", within="wk57s(0).root(0)", phase="Succeeded"), "kubeflow")
    api.logs["wine-ingest-validate-prepare"] = (
        "■ ingest begins\n▸ 178 rows\n■ ingest ended after 1.50 s\n"
        "■ validate begins\n▸ all hold\n■ validate ended after 2.00 s\n"
        "■ prepare begins\n▸ 106 rows to train\n■ prepare ended after 3.00 s\n"
    )
    put(store, run, "gate", "verdict", PROMOTED)
    put(store, run, "ingest-validate-prepare", "validate_page", "<html>")
    put(store, run, "ingest-validate-prepare", "splits/summary.json", {"warnings": ["two columns are alike"]})

    output = follow(run, tmp_path, kfp, environment, config=config)

    assert "✓ ingest                           1.5 s  178 rows\n" in output
    assert "✓ validate                         2.0 s  all hold\n" in output
    assert "✓ prepare                          3.0 s  106 rows to train\n" in output
    assert "✓ train                            2.0 s  the same as in an earlier run (cached)\n" in output
    assert "✓ evaluate                         2.0 s  the same as in an earlier run (cached)\n" in output
    assert "prepare: two columns are alike" in output
    folder = tmp_path / "build/runs/wine" / run
    assert (folder / "logs/validate.log").read_text() == "▸ all hold\n"
    assert (folder / "pages/validate-page.html").is_file()


def test_a_failure_of_stages_that_shared_a_task_names_the_stage(kfp, cluster, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    kfp.looks = [look("FAILED", *task_records("root(0).ingest-validate-prepare", "FAILED", seconds=8, begun=1))]
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1}}}
    name = "ingest-validate-prepare(0)"
    api.add(stage_pod(run, name, within="wk57s(0).root(0)", phase="Failed", containerStatuses=[ended]), "kubeflow")
    api.logs["wine-ingest-validate-prepare"] = (
        "■ ingest begins\n▸ 178 rows\n■ ingest ended after 1.50 s\n■ validate begins\n"
        "Traceback (most recent call last):\ncomponents.shared.errors.DataError: The contract is broken.\n"
    )

    command = ("follow", WINE, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **environment)

    assert code == 1
    assert "✓ ingest                           1.5 s  178 rows\n" in output
    assert "✗ validate                         6.5 s  failed\n" in output
    assert " ✗ validate: The contract is broken.\n" in output


def test_where_records_stand_still_the_workflow_is_followed(kfp, cluster, store, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    kfp.looks = [look("RUNNING", *FROZEN), look("SUCCEEDED", *FROZEN)]
    stages = ("root(0).gate", *(f"root(0).condition-1(0).{name}" for name in ("publish", "deploy", "monitor")))
    nodes = [workflow_node(f"{path}{end}", "Succeeded") for path in stages for end in ("", "(0)", "(0).executor(0)")]
    api.add(workflow(run, *nodes), "kubeflow")
    put(store, run, "gate", "verdict", PROMOTED)
    put(store, run, "deploy", "endpoint", ENDPOINT)
    put(store, run, "deploy", "deploy_page", "<html>")
    put(store, run, "train", "model/golden.json", [{"row": {"hue": 1.5}}])

    output = follow(run, tmp_path, kfp, environment)

    for name in ("publish", "deploy", "monitor"):
        assert f"✓ {name:<31}  7.0 s" in output
    assert f" Endpoint  {ENDPOINT['url']}\n" in output
    assert "hue" in output
    assert "unchanged" not in output
    assert "not known" not in output.replace("Metrics   not known", "")
    assert (tmp_path / "build/runs/wine" / run / "pages/deploy-page.html").is_file()


def test_of_stages_taken_from_an_earlier_run_the_gate_says_where_things_are(kfp, cluster, store, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    stages = ("train", "evaluate")
    kfp.looks = [
        look(
            "SUCCEEDED", *(one for name in stages for one in task_records(f"root(0).{name}", "SUCCEEDED", cached=True))
        )
    ]
    put(store, run, "gate", "verdict", PROMOTED)
    put(store, run, "deploy", "endpoint", ENDPOINT)
    put(store, "earlier", "train", "model/golden.json", [{"row": {"hue": 1.5}}])
    put(store, "earlier", "train", "model/model.onnx", "not needed here")
    root = f"minio://{store.settings.bucket}/v2/artifacts/wine/earlier"
    places = {
        "model": f"{root}/train/a1/model",
        "evaluated": f"{root}/evaluate/a1/evaluate_report",
        "splits": f"{root}/x",
    }
    given = {name: {"artifacts": [{"name": "7", "uri": uri}]} for name, uri in places.items()}
    pod = stage_pod(run, "gate(0)", within="wk57s(0).root(0)", phase="Succeeded")
    executor_input = json.dumps({"inputs": {"artifacts": given}})
    pod["spec"]["containers"][0]["command"] = ["launch", "--executor_input", executor_input, "--component_spec", "{}"]
    api.add(pod, "kubeflow")

    output = follow(run, tmp_path, kfp, environment)

    assert "hue" in output
    folder = tmp_path / "build/runs/wine" / run
    assert not (folder / "artifacts/train/model/model.onnx").exists()


def test_the_card_is_in_the_report_that_the_gate_was_given(store, tmp_path):
    put(store, "earlier", "evaluate", "evaluate_report/card.html", "<html>")
    put(store, "earlier", "evaluate", "evaluate_report/metrics.json", {})
    uri = f"minio://{store.settings.bucket}/v2/artifacts/wine/earlier/evaluate/a1/evaluate_report"

    found = fetch_artifacts(store, "v2/artifacts/wine/run", tmp_path, given={"evaluated": uri, "splits": "minio://b/x"})

    assert found.keys() == {"evaluate"}
    assert found["evaluate"]["card"].read_text() == '"<html>"'
    assert (found["evaluate"]["evaluate_report"] / "metrics.json").is_file()


def test_with_records_alone_the_artifacts_say_what_became_of_the_run(kfp, store, tmp_path):
    run = begun(tmp_path, kfp)
    kfp.looks = [look("SUCCEEDED", *FROZEN)]
    artifacts = store.for_bucket("mlpipeline")
    artifacts.ensure_bucket()
    put(artifacts, run, "gate", "verdict", PROMOTED)
    put(artifacts, run, "deploy", "endpoint", ENDPOINT)

    output = follow(run, tmp_path, kfp, NOWHERE | store.settings.environment())

    assert "How publish ended is not known here" in output
    assert f" Endpoint  {ENDPOINT['url']}\n" in output
    assert "✓ publish" not in output


@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        (PROMOTED, "not known: the candidate was promoted, and what deploy wrote could not be read"),
        (None, "not known: neither what the gate nor what deploy wrote could be read"),
        ({**PROMOTED, "promoted": False}, "unchanged: the candidate was not deployed"),
    ],
)
def test_only_what_is_known_is_said_of_the_endpoint(kfp, store, tmp_path, verdict, said):
    run = begun(tmp_path, kfp)
    kfp.looks = [look("SUCCEEDED", *FROZEN)]
    artifacts = store.for_bucket("mlpipeline")
    artifacts.ensure_bucket()
    put(artifacts, run, "evaluate", "card", "<html>")
    if verdict:
        put(artifacts, run, "gate", "verdict", verdict)

    output = follow(run, tmp_path, kfp, NOWHERE | store.settings.environment())

    assert f" Endpoint  {said}\n" in output
    index = (tmp_path / "build/runs/wine" / run / "index.html").read_text()
    assert said in index
    if not verdict:
        assert " Gate      not known\n" in output
        assert "not promoted" not in index


def pending(run: str, *, seconds: float, **status: Any) -> dict[str, Any]:
    pod = stage_pod(run, "train(0)", within="wk57s(0).root(0)", phase="Pending", **status)
    created = datetime.now(UTC) - timedelta(seconds=seconds)
    pod["metadata"]["creationTimestamp"] = created.strftime("%Y-%m-%dT%H:%M:%SZ")
    return pod


@pytest.mark.parametrize("seconds", [60, 0])
def test_a_pod_that_waits_for_long_is_said_to_with_the_reason(kfp, cluster, tmp_path, seconds):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    kfp.looks = [look("RUNNING"), look("RUNNING"), look("SUCCEEDED")]
    said = "0/1 nodes are available: 1 Insufficient cpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}
    api.add(pending(run, seconds=seconds, conditions=[condition]), "kubeflow")

    output = follow(run, tmp_path, kfp, environment)

    assert output.count(f"s: no node takes it: {said} Lower its requests (cluster.tasks") == (seconds > 20)
    assert output.count("· train has waited") == (seconds > 20)


def test_a_pod_without_a_reason_is_said_to_wait_too(kfp, cluster, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    kfp.looks = [look("SUCCEEDED")]
    api.add(pending(run, seconds=30), "kubeflow")

    said = follow(run, tmp_path, kfp, environment)
    assert re.search(r"· train has waited [3-9]\d s: its pod is there", said), said


def test_a_failed_run_ends_with_the_stages_own_words_and_what_mends_it(kfp, cluster, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    kfp.looks = [look("FAILED", *task_records("root(0).condition-1(0).deploy", "FAILED", seconds=9))]
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    within = "wk57s(0).root(0).condition-1(0)"
    api.add(stage_pod(run, "deploy(0)", within=within, phase="Failed", containerStatuses=[ended]), "kubeflow")
    api.logs["wine-deploy"] = (
        "Traceback (most recent call last):\n"
        "components.shared.errors.DeployError: The new version is not ready.\nRaise serving.start_seconds.\n"
        "F1128 20:01:09.100001      27 main.go:56] failed to execute component: exit status 1\n"
        'time=2026-11-28T20:01:09Z level=INFO msg="sub-process exited" argo=true error="exit status 1"\n'
        "Error: exit status 1\n"
    )

    command = ("follow", WINE, run, "--host", kfp.url, "--seconds", "0.05")
    code, output = call_here(*command, folder=tmp_path, **environment)
    diagnosed = call_here("diagnose", run, "--host", kfp.url, folder=tmp_path, **environment)[1]

    assert code == 1
    for said in (output, diagnosed):
        assert " ✗ deploy: The new version is not ready.\n   Raise serving.start_seconds.\n" in said
        assert "(the container main ended with exit code 1)" in said
        assert "exit status 1" not in said
        assert "launcher" not in said
        assert "argo=true" not in said


def test_of_a_stage_without_memory_the_last_line_it_wrote_is_shown(kfp, cluster, tmp_path):
    api, environment = cluster
    run = begun(tmp_path, kfp)
    killed = {"name": "main", "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
    api.add(
        stage_pod(run, "train(0)", within="wk57s(0).root(0)", phase="Failed", containerStatuses=[killed]), "kubeflow"
    )
    executor_input = json.dumps({"inputs": {"parameterValues": {"name": "wine"}}}, indent=4)
    api.logs["wine-train"] = (
        f"[KFP Executor 2026-11-28 20:01:01,200 INFO]: Got executor_input:\n{executor_input}\n"
        "fitting lightgbm on 100,000 rows\n"
        "I1128 20:01:09.000001      27 launcher_v2.go:150] publish\n"
    )

    output = call_here("diagnose", run, "--host", kfp.url, folder=tmp_path, **environment)[1]

    assert "✗ train: the container main ran out of memory" in output
    assert "Remedy: Raise cluster.tasks.<stage>.memory_limit" in output
    assert "the last that it wrote:\n     fitting lightgbm on 100,000 rows\n" in output
    assert "parameterValues" not in output
    assert "launcher" not in output


def test_submit_says_nothing_of_what_it_does_not_know(kfp, tmp_path):
    kfp.looks = [look("SUCCEEDED", *FROZEN)]

    code, output = submit(tmp_path, host=kfp.url)

    assert code == 0
    assert "Endpoint" not in output
    assert "How publish ended is not known here" in output
