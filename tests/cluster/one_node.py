"""What is known of the overlay one-node, and how it is brought up for a test or a benchmark."""

import json
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from components.shared.store import Store, StoreSettings
from tests.cluster import needs
from tests.cluster.kubectl import Kubectl
from tests.manifests.rendering import MANIFESTS

NAMESPACE = "fullcircle"
ELSEWHERE = tuple(f"{NAMESPACE}-{test}" for test in ("deploy", "shadow", "test", "use", "waiting"))
# Public: the overlay's own development keys, by purpose.
KEYS = {
    purpose: (f"development-{purpose}", f"development-{purpose}-secret")
    for purpose in ("root", "stages", "serving", "monitoring", "artifacts")
}


def ours(cluster: Kubectl) -> set[str]:
    """What belongs to no namespace and is labelled as ours, but for what tests in namespaces of their own made."""
    kinds = cluster("api-resources", "--verbs=list", "--namespaced=false", "-o", "name").split()
    found = set(cluster("get", ",".join(kinds), "-l", "app.kubernetes.io/part-of=fullcircle", "-o", "name").split())
    return {one for one in found if not one.rpartition("/")[2].startswith(ELSEWHERE)}


def empty(cluster: Kubectl) -> None:
    """Remove what is in the store."""
    with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
        store = Store(StoreSettings(address, *KEYS["root"]))
        for item in store.list(""):
            store.delete(item.key)


_STORAGE_CONTAINER = ("clusterstoragecontainer", "default")


def write_overlay(folder: Path, images: Mapping[str, str]) -> Path:
    """The overlay with these images, and with data of its own: they outlive it, in a folder of the node.

    Returns:
        The folder.
    """
    mount = {"name": "data", "mountPath": "/data", "subPath": f"fullcircle-test-{uuid.uuid4().hex[:12]}"}
    template = {"spec": {"template": {"spec": {"containers": [{"name": "minio", "volumeMounts": [mount]}]}}}}
    patch = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "minio"}, **template}
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
        "patches": [{"patch": json.dumps(patch)}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return folder


@contextmanager
def overlay(cluster: Kubectl, folder: Path) -> Iterator[None]:
    """The overlay, applied from nothing; deleted in the end, and the data before."""
    cluster("apply", "-k", folder)
    yield
    if not cluster.run("-n", NAMESPACE, "get", "pod", "minio-0").returncode:
        empty(cluster)
    cluster("delete", "--ignore-not-found", "--timeout=180s", "-k", folder, timeout=200)


def restrict_storage_container(cluster: Kubectl) -> None:
    """Give KServe's storage-initializer a security context. It stays: tests that run beside this one rely on it too."""
    if cluster.run("get", *_STORAGE_CONTAINER).returncode:
        needs.lacking("the cluster has no KServe")
    file = MANIFESTS / "components" / "storage-container" / "cluster-storage-container.yaml"
    cluster("patch", *_STORAGE_CONTAINER, "--type=merge", "--patch-file", file)


def await_store(cluster: Kubectl) -> None:
    """Wait until the overlay's object store answers and is set up."""
    cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
    cluster("-n", NAMESPACE, "wait", "--for=condition=complete", "job/prepare-store", "--timeout=120s", timeout=130)
