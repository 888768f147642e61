"""A real cluster, named by KUBECONFIG. Tests are skipped without one."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import needs
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import NAMESPACE, empty, ours
from tests.manifests.rendering import MANIFESTS

STORAGE_CONTAINER = MANIFESTS / "components" / "storage-container" / "cluster-storage-container.yaml"
IMAGES = ("stage", "predictor", "minio")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster, which answers."""
    if not os.environ.get("KUBECONFIG"):
        needs.lacking("needs a cluster: KUBECONFIG names none")
    found = Kubectl()
    try:
        found("get", "--raw", "/readyz", timeout=20)
    except (AssertionError, subprocess.TimeoutExpired, FileNotFoundError) as error:
        needs.lacking(f"the cluster that KUBECONFIG names does not answer: {error}")
    return found


@pytest.fixture(scope="session")
def images(cluster: Kubectl) -> dict[str, str]:
    """The images under test, which the nodes have: named by REGISTRY and TAG, or as `make images` names this tree's."""
    return needs.images(cluster, *IMAGES)


@pytest.fixture(scope="module")
def one_node(cluster: Kubectl, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay one-node with the images under test, in a namespace that is not there yet."""
    needs.free_namespace(cluster, NAMESPACE)
    folder = tmp_path_factory.mktemp("one-node")
    kustomization: dict[str, Any] = {
        "resources": [os.path.relpath((MANIFESTS / "overlays" / "one-node").resolve(), folder.resolve())],
        "images": [
            {
                "name": f"localhost/fullcircle/{name}",
                "newName": image.rpartition(":")[0],
                "newTag": image.rpartition(":")[2],
            }
            for name, image in images.items()
        ],
    }
    # The data outlive the overlay: a folder of the node for each test.
    mount = {"name": "data", "mountPath": "/data", "subPath": f"fullcircle-test-{uuid.uuid4().hex[:12]}"}
    template = {"spec": {"template": {"spec": {"containers": [{"name": "minio", "volumeMounts": [mount]}]}}}}
    patch = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "minio"}, **template}
    kustomization["patches"] = [{"patch": json.dumps(patch)}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def beforehand(cluster: Kubectl) -> set[str]:
    """What belongs to no namespace and is labelled as ours, but not of this test."""
    return ours(cluster)


@pytest.fixture(scope="module")
def applied(cluster: Kubectl, one_node: Path, beforehand: set[str]) -> Iterator[Path]:
    """The overlay, applied from nothing; deleted in the end, and the data before."""
    cluster("apply", "-k", one_node)
    yield one_node
    if not cluster.run("-n", NAMESPACE, "get", "pod", "minio-0").returncode:
        empty(cluster)
    cluster("delete", "--ignore-not-found", "--timeout=180s", "-k", one_node, timeout=200)


@pytest.fixture(scope="module")
def storage_container(cluster: Kubectl) -> Iterator[None]:
    """KServe's storage-initializer with a security context, and in the end as it was."""
    kind = ("clusterstoragecontainer", "default")
    before = cluster.run("get", *kind, "-o", "json")
    if before.returncode:
        needs.lacking("the cluster has no KServe")
    cluster("patch", *kind, "--type=merge", "--patch-file", STORAGE_CONTAINER)
    yield
    context = json.loads(before.stdout)["spec"]["container"].get("securityContext")
    patch = {"spec": {"container": {"securityContext": context}}}
    cluster("patch", *kind, "--type=merge", "--patch", json.dumps(patch))
