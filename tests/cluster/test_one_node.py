"""The overlay one-node from nothing to ready and back."""

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.model_package import GOLDEN, verify, version_prefix
from components.shared.store import Store, StoreSettings
from images.predictor.program import SETTINGS_VARIABLE
from tests.cluster.kubectl import Kubectl
from tests.manifests.rendering import MANIFESTS

NAMESPACE = "fullcircle"
STORAGE_CONTAINER = MANIFESTS / "components" / "storage-container" / "cluster-storage-container.yaml"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
DEPLOYER = f"system:serviceaccount:{NAMESPACE}:pipeline-runner"


@pytest.fixture(scope="module")
def one_node(cluster: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay one-node with the images that the node has, in a namespace that is not there yet."""
    tag = os.environ.get("FULLCIRCLE_IMAGE_TAG", "dev")
    images = {f"localhost/fullcircle/{name}:{tag}" for name in ("stage", "predictor", "minio")}
    nodes = cluster.json("get", "nodes")["items"]
    present = {name for node in nodes for image in node["status"]["images"] for name in image.get("names") or []}
    if missing := images - present:
        pytest.skip(f"no node has {', '.join(sorted(missing))}: build and load them, or set FULLCIRCLE_IMAGE_TAG")
    if not cluster.run("get", "namespace", NAMESPACE).returncode:
        pytest.skip(f"the namespace {NAMESPACE} is there already: this test would delete it")
    folder = tmp_path_factory.mktemp("one-node")
    kustomization = {
        "resources": [os.path.relpath((MANIFESTS / "overlays" / "one-node").resolve(), folder.resolve())],
        "images": [{"name": image.rpartition(":")[0], "newTag": tag} for image in sorted(images)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def applied(cluster: Kubectl, one_node: Path) -> Iterator[Path]:
    """The overlay, applied from nothing; deleted in the end."""
    cluster("apply", "-k", one_node)
    yield one_node
    cluster("delete", "--ignore-not-found", "--timeout=180s", "-k", one_node, timeout=200)


@pytest.fixture
def storage_container(cluster: Kubectl) -> Iterator[None]:
    """KServe's storage-initializer with a security context, and in the end as it was."""
    kind = ("clusterstoragecontainer", "default")
    before = cluster.run("get", *kind, "-o", "json")
    if before.returncode:
        pytest.skip("the cluster has no KServe")
    cluster("patch", *kind, "--type=merge", "--patch-file", STORAGE_CONTAINER)
    yield
    context = json.loads(before.stdout)["spec"]["container"].get("securityContext")
    patch = {"spec": {"container": {"securityContext": context}}}
    cluster("patch", *kind, "--type=merge", "--patch", json.dumps(patch))


def inference_service(uri: str) -> dict[str, Any]:
    """An endpoint called demo that serves what lies there."""
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": "demo",
            "namespace": NAMESPACE,
            "annotations": {"serving.kserve.io/deploymentMode": "Standard"},
        },
        "spec": {
            "predictor": {
                "serviceAccountName": "fullcircle-serving",
                "model": {
                    "modelFormat": {"name": "fullcircle", "version": "1"},
                    "protocolVersion": "v2",
                    "storageUri": uri,
                    "env": [{"name": SETTINGS_VARIABLE, "value": '{"log": {"flush_seconds": 1}}'}],
                },
            }
        },
    }


def identities(cluster: Kubectl, folder: Path) -> dict[str, tuple[str, int | None]]:
    """Each object's id, and the count of changes of what is asked of it."""
    found = cluster.json("get", "-k", folder)["items"]
    return {
        f"{item['kind']}/{item['metadata']['name']}": (item["metadata"]["uid"], item["metadata"].get("generation"))
        for item in found
    }


def may(cluster: Kubectl, who: str, what: str) -> bool:
    answer = cluster.run("auth", "can-i", *what.split(), f"--as={who}", "-n", NAMESPACE).stdout.strip()
    assert answer in ("yes", "no")
    return answer == "yes"


class TestOneNode:
    """In this order."""

    def test_from_nothing_to_ready(self, cluster, applied):
        cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        wait = cluster.run(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/prepare-store", "--timeout=120s", timeout=130
        )
        log = cluster.run("-n", NAMESPACE, "logs", "job/prepare-store").stdout
        assert wait.returncode == 0, log
        assert "user development-serving has the rights of serving" in log

    def test_applied_again_nothing_changes(self, cluster, applied):
        before = identities(cluster, applied)
        again = cluster("apply", "-k", applied)
        assert "created" not in again
        assert identities(cluster, applied) == before
        assert cluster.run("diff", "-k", applied).stdout == ""

    def test_the_monitoring_job_runs(self, cluster, applied):
        cluster("-n", NAMESPACE, "create", "job", "--from=cronjob/fullcircle-monitoring", "monitoring-now")
        wait = cluster.run(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/monitoring-now", "--timeout=120s", timeout=130
        )
        log = cluster.run("-n", NAMESPACE, "logs", "job/monitoring-now").stdout
        assert wait.returncode == 0, log
        assert "no model is published yet" in log

    def test_data_outlive_the_pod(self, cluster, applied):
        before = cluster.json("-n", NAMESPACE, "get", "pod", "minio-0")["metadata"]["uid"]
        cluster("-n", NAMESPACE, "delete", "pod", "minio-0", "--wait")
        cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        assert cluster.json("-n", NAMESPACE, "get", "pod", "minio-0")["metadata"]["uid"] != before
        cluster("-n", NAMESPACE, "create", "job", "--from=cronjob/fullcircle-monitoring", "monitoring-later")
        # Its user and bucket are still known.
        cluster(
            "-n", NAMESPACE, "wait", "--for=condition=complete", "job/monitoring-later", "--timeout=120s", timeout=130
        )

    def test_an_endpoint_answers_and_logs(self, cluster, applied, storage_container, packages):
        """Published with the stages' keys, created with the stages' rights, served and logged with serving's keys."""
        package = packages()
        version = verify(package).version
        with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
            store = Store(StoreSettings(address, "development-stages", "development-stages-secret"))
            store.put_folder(version_prefix("demo", version), package)
            endpoint = json.dumps(inference_service(store.uri(version_prefix("demo", version))))
            cluster("apply", "-f", "-", f"--as={DEPLOYER}", stdin=endpoint)
            cluster("-n", NAMESPACE, "wait", "--for=condition=Ready", "inferenceservice/demo", "--timeout=90s")
            golden = json.loads((package / GOLDEN).read_bytes())
            with cluster.forwarded(NAMESPACE, "demo-predictor", 80) as url:
                asked = json.dumps({"instances": [item["row"] for item in golden]}).encode()
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(f"{url}/v1/models/demo:predict", asked, headers)
                with urllib.request.urlopen(request, timeout=10) as answer:
                    assert json.load(answer)["predictions"] == [item["answer"] for item in golden]
            monitoring = Store(StoreSettings(address, "development-monitoring", "development-monitoring-secret"))
            end = time.monotonic() + 20
            while not monitoring.list("inference/demo/") and time.monotonic() < end:
                time.sleep(0.5)
            assert len(monitoring.list("inference/demo/")) == 1
        cluster("-n", NAMESPACE, "delete", "inferenceservice/demo", f"--as={DEPLOYER}")

    @pytest.mark.parametrize(
        "what",
        [
            *(f"{verb} inferenceservices.serving.kserve.io" for verb in VERBS),
            "get pods", "list pods", "get pods --subresource=log", "get services", "list events",
            "create jobs", "get jobs", "list jobs", "watch jobs", "get cronjobs/fullcircle-monitoring",
        ],
    )  # fmt: skip
    def test_stages_may(self, cluster, applied, what):
        assert may(cluster, DEPLOYER, what)

    @pytest.mark.parametrize(
        "what",
        [
            "get secrets", "list secrets", "get configmaps", "create pods", "delete pods",
            "create pods --subresource=exec", "delete jobs", "patch cronjobs", "get cronjobs/other",
            "list services", "create services",
            "create servingruntimes.serving.kserve.io", "create roles.rbac.authorization.k8s.io",
            "create rolebindings.rbac.authorization.k8s.io", "get statefulsets.apps", "get nodes",
            "create serviceaccounts --subresource=token", "list inferenceservices.serving.kserve.io -A",
        ],
    )  # fmt: skip
    def test_stages_may_not(self, cluster, applied, what):
        assert not may(cluster, DEPLOYER, what)

    @pytest.mark.parametrize("account", ["minio", "fullcircle-serving", "fullcircle-monitoring", "default"])
    def test_other_accounts_may_nothing(self, cluster, applied, account):
        who = f"system:serviceaccount:{NAMESPACE}:{account}"
        for what in ("get pods", "get secrets", "get inferenceservices.serving.kserve.io", "create jobs"):
            assert not may(cluster, who, what)

    def test_deleted_nothing_is_left(self, cluster, applied):
        cluster("delete", "--timeout=180s", "-k", applied, timeout=200)
        assert cluster.run("get", "namespace", NAMESPACE).returncode
        kinds = cluster("api-resources", "--verbs=list", "--namespaced=false", "-o", "name").split()
        found = cluster("get", ",".join(kinds), "-l", "app.kubernetes.io/part-of=fullcircle", "-o", "name")
        assert found.strip() == ""
        assert "data-minio-0" not in cluster("get", "persistentvolumeclaims", "-A", "-o", "name")
