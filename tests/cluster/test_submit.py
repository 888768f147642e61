"""Submitting without an address: through the API server, and from a pod of the cluster.

A server that speaks KFP's API stands behind the Service `ml-pipeline`; Services, proxy, pods and MinIO are real.
"""

import base64
import json
import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kfp_server_api as api
import pytest

from components.shared.config import MonitoringConfig
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence_files import keep_evidence
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.store import Store, StoreSettings
from tests.cluster import needs
from tests.cluster.containers import name_of
from tests.cluster.kubectl import Kubectl
from tests.cluster.needs import NODE
from tests.cluster.own_namespace import apply, rendered
from tests.cluster.test_diagnose import SECURITY
from tests.components.shared.decisions.windows import ON, dropped
from tests.manifests.rendering import kubectl as kubectl_program
from tests.pipelines.command_line import WINE, call
from tests.pipelines.kfp_server import Server, look, node, serving

NAMESPACE = os.environ.get("FULLCIRCLE_TEST_NAMESPACE", "fullcircle-use")
RELAY = f"""
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()

async def answer(reader, writer):
    there = await asyncio.open_connection("{NODE}", int(sys.argv[1]))
    await asyncio.gather(copy(reader, there[1]), copy(there[0], writer), return_exceptions=True)

async def main():
    async with await asyncio.start_server(answer, "0.0.0.0", 8888) as server:
        await server.serve_forever()

asyncio.run(main())
"""
PLACES = ("--namespace", NAMESPACE, "--kfp-namespace", NAMESPACE)


@pytest.fixture(scope="module")
def kubectl(cluster: Kubectl) -> Iterator[Kubectl]:
    """The cluster with MinIO and the accounts, in a namespace of its own."""
    needs.images(cluster, "stage", "minio")
    if not cluster.run("get", "--raw", "/version").stdout:
        pytest.skip("the cluster does not say its version")
    needs.this_machine()
    was_there = not cluster.run("get", "namespace", NAMESPACE).returncode
    cluster.run("-n", NAMESPACE, "delete", "job", "prepare-store", "--ignore-not-found")
    apply(cluster, [item for item in rendered(NAMESPACE) if item["kind"] != "ServingRuntime"])
    cluster("-n", NAMESPACE, "wait", "--for=condition=complete", "job/prepare-store", "--timeout=180s", timeout=190)
    yield cluster
    if not was_there:
        cluster("delete", "namespace", NAMESPACE, "--timeout=180s", timeout=200)
        cluster("delete", "persistentvolume", f"{NAMESPACE}-minio", "--ignore-not-found")


@pytest.fixture
def kfp(kubectl: Kubectl) -> Iterator[Server]:
    """The server, behind the Service that KFP's is called by: a pod hands on what comes to it."""
    with serving(NODE) as server:
        metadata = {"name": "ml-pipeline", "namespace": NAMESPACE}
        relay = pod(
            "ml-pipeline", ["python", "-c", RELAY, server.url.rpartition(":")[2]], labels={"app": "ml-pipeline"}
        )
        ports = [{"name": "http", "port": 8888}]
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
        apply(kubectl, [{**service, "spec": {"selector": {"app": "ml-pipeline"}, "ports": ports}}, relay])
        health = f"/api/v1/namespaces/{NAMESPACE}/services/ml-pipeline:http/proxy/apis/v2beta1/healthz"
        end = time.monotonic() + 60
        while kubectl.run("get", "--raw", health).returncode and time.monotonic() < end:
            time.sleep(0.5)
        yield server
        kubectl("-n", NAMESPACE, "delete", "service/ml-pipeline", "pod/ml-pipeline", "--grace-period=0", "--force")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What a person's shell has: kubectl on PATH and a kubeconfig."""
    folder = str(Path(shutil.which("kubectl") or kubectl_program()).parent)
    return {"KUBECONFIG": os.environ["KUBECONFIG"], "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def pod(name: str, command: list[str], **metadata: Any) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": name_of("stage"),
        "command": command,
        "env": [{"name": "HOME", "value": "/tmp"}],
        "resources": {"limits": {"memory": "1Gi"}},
        "securityContext": SECURITY,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"restartPolicy": "Never", "serviceAccountName": "pipeline-runner", "containers": [container]},
    }


def ended(kubectl: Kubectl, name: str) -> str:
    """The log of a pod that ends well."""
    for _ in range(120):
        phase = kubectl.json("-n", NAMESPACE, "get", "pod", name)["status"]["phase"]
        if phase in ("Succeeded", "Failed"):
            break
        time.sleep(0.5)
    log = kubectl("-n", NAMESPACE, "logs", name)
    assert phase == "Succeeded", log
    return log


def test_a_run_is_followed_through_the_api_server_with_words_and_pages_from_the_cluster(
    kubectl, kfp, environment, tmp_path
):
    code, output = call("submit", WINE, *PLACES, "--no-follow", folder=tmp_path, **environment)
    assert code == 0, output
    assert f"kubectl -n {NAMESPACE} port-forward service/ml-pipeline-ui 8080:80" in output
    run = kfp.runs[0].run_id
    kfp.looks = [
        look("SUCCEEDED", node("ingest", "SUCCEEDED", number="11", seconds=4), node("gate", "SUCCEEDED", number="12"))
    ]
    stage = pod(
        f"wine-{run[:8]}",
        ["python", "-c", "from components.shared.progress import announce; announce('178 rows')"],
        labels={"pipeline/runid": run},
        annotations={"workflows.argoproj.io/node-name": "wine-x7k2p.root.ingest.executor"},
    )
    apply(kubectl, [stage])
    _put_verdict(kubectl, run)
    ended(kubectl, stage["metadata"]["name"])

    code, output = call("follow", WINE, run, *PLACES, folder=tmp_path, **environment)
    kubectl("-n", NAMESPACE, "delete", "pod", stage["metadata"]["name"])

    assert code == 0, output
    assert "✓ ingest                           4.0 s  178 rows" in output
    assert " Gate      not promoted (0 of 1 checks hold)" in output
    assert "· worse than before" in output
    assert (tmp_path / "build/runs/wine" / run / "index.html").is_file()


def _put_verdict(kubectl: Kubectl, run: str) -> None:
    secret = kubectl.json("-n", NAMESPACE, "get", "secret", "mlpipeline-minio-artifact")["data"]
    access, hidden = (base64.b64decode(secret[name]).decode() for name in ("accesskey", "secretkey"))
    verdict = {"promoted": False, "forced": False, "checks": [{"holds": False}], "reasons": ["worse than before"]}
    with kubectl.forwarded(NAMESPACE, "minio-service", 9000) as address:
        store = Store(StoreSettings(address, access, hidden, bucket="mlpipeline"))
        store.put_bytes(f"v2/artifacts/wine/{run}/gate/a1/verdict", json.dumps(verdict).encode())


def test_a_pod_of_the_cluster_submits_by_the_services_name(kubectl, kfp):
    command = ["python", "-m", "pipelines", "submit", "pipelines/configs/wine.yaml", *PLACES, "--no-follow"]
    submitting = pod("submits", command)
    kubectl.run("-n", NAMESPACE, "delete", "pod", "submits", "--ignore-not-found")
    apply(kubectl, [submitting])

    log = ended(kubectl, "submits")
    kubectl("-n", NAMESPACE, "delete", "pod", "submits")

    assert len(kfp.runs) == 1
    assert kfp.runs[0].run_id in log


def test_the_job_that_decides_begins_a_retraining_in_kubeflow_pipelines(kubectl, kfp):
    """From the CronJob's own template, but for the namespaces: evidence that the monitoring kept leads to one run."""
    kfp.pipelines.append(api.V2beta1Pipeline(pipeline_id="p", display_name="demo"))
    version = api.V2beta1PipelineVersion(
        pipeline_id="p", pipeline_version_id="v1", display_name="demo-1", created_at=datetime.now(UTC)
    )
    kfp.versions.append(version)
    with kubectl.forwarded(NAMESPACE, "minio-service", 9000) as address:
        stages, monitoring = (_store(address, purpose) for purpose in ("stages", "monitoring"))
        root = _store(address, "root")
        root.delete_many([item.key for item in root.list() if "/demo" in item.key])  # the disk outlives the cluster
        keep_settings(stages, "demo", "v1", MonitoringConfig(policy=ON))
        Registry(stages, "demo").promote("v1", expected=None, why="a test's")
        for day in (1, 2):
            keep_evidence(monitoring, dropped(day))
        first, again = _decided(kubectl, "decides"), _decided(kubectl, "decides-again")
        records = AuditLog(monitoring, "demo").records()
    assert "demo: decision 1: retrain: roc_auc is measured as" in first, first
    assert "demo: retraining 1 begun, attempt 1" in first
    assert "demo: nothing new" in again, again
    assert [record.kind for record in records] == ["decided", "started"]
    (run,) = kfp.runs
    assert run.display_name == "demo retraining 00000001"
    assert run.pipeline_version_reference.pipeline_version_id == "v1"


def _store(address: str, purpose: str) -> Store:
    return Store(StoreSettings(address, f"development-{purpose}", f"development-{purpose}-secret"))


def _decided(kubectl: Kubectl, name: str) -> str:
    """The log of a Job that the CronJob makes."""
    job = kubectl.json(
        "-n", NAMESPACE, "create", "job", "--from=cronjob/fullcircle-decisions", name, "--dry-run=client"
    )
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["args"] = ["watch", *PLACES]
    apply(kubectl, [job])
    for _ in range(240):
        status = kubectl.json("-n", NAMESPACE, "get", "job", name)["status"]
        if status.get("succeeded") or status.get("failed"):
            break
        time.sleep(0.5)
    log = kubectl("-n", NAMESPACE, "logs", f"job/{name}")
    kubectl("-n", NAMESPACE, "delete", "job", name)
    assert status.get("succeeded"), log
    return log


def test_a_service_that_is_not_there_is_named(kubectl, environment, tmp_path):
    code, output = call("submit", WINE, *PLACES, "--no-follow", folder=tmp_path, **environment)

    assert code == 1
    assert f"there is no Service ml-pipeline in the namespace {NAMESPACE}" in output
    assert "KFP_NAMESPACE" in output
    assert "HOST=http://localhost:8080" in output
    assert "Traceback" not in output
