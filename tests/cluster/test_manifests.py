"""The overlays on a real API server: its schemas, its admission."""

import re
from collections.abc import Iterator

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import NAMESPACE
from tests.manifests.rendering import MANIFESTS, OVERLAYS, overlay, pods

STORAGE_CONTAINER = MANIFESTS / "components" / "storage-container" / "cluster-storage-container.yaml"


@pytest.fixture(scope="module")
def namespaces(cluster: Kubectl) -> Iterator[None]:
    """The namespaces that dry runs need; only those that were not there are removed again."""
    made = []
    for name in (NAMESPACE, "kubeflow"):
        if cluster.run("get", "namespace", name).returncode:
            cluster("create", "namespace", name)
            made.append(name)
    yield
    for name in made:
        cluster("delete", "namespace", name)


@pytest.mark.parametrize("name", [*OVERLAYS, "kubeflow/namespace"])
def test_the_api_server_takes_every_object(cluster, namespaces, name):
    done = cluster.run("apply", "--dry-run=server", "-k", MANIFESTS / "overlays" / name)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"violate|unknown field|Warning: (?!resource namespaces)", done.stderr), done.stderr


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_is_admitted_under_the_restricted_profile(cluster, namespaces, name):
    cluster("label", "--overwrite", "namespace", "fullcircle", "pod-security.kubernetes.io/enforce=restricted")
    for number, pod in enumerate(pods(overlay(name))):
        known = {"containers", "volumes", "securityContext", "restartPolicy", "affinity"}
        spec = {key: value for key, value in pod.spec.items() if key in known}
        if pod.owner.startswith("StatefulSet/"):
            spec["volumes"] = [*spec["volumes"], {"name": "data", "emptyDir": {}}]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"admitted-{number}", "namespace": "fullcircle", "labels": pod.labels},
            "spec": spec,
        }
        cluster("apply", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump(body))


def test_the_storage_container_can_be_patched(cluster):
    before = cluster.run("get", "clusterstoragecontainer", "default", "-o", "json")
    if before.returncode:
        pytest.skip("the cluster has no KServe")
    patched = cluster.json(
        "patch",
        "clusterstoragecontainer",
        "default",
        "--type=merge",
        "--dry-run=server",
        "--patch-file",
        STORAGE_CONTAINER,
    )
    container = patched["spec"]["container"]
    assert container["securityContext"]["runAsNonRoot"]
    assert container["image"]
