"""The overlay one-node in a namespace of a test's own, beside the one that it names itself."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.shared.store import Store, StoreSettings
from components.shared.store_admin import PURPOSES, Keys, prepare
from tests.cluster import containers, needs
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import restrict_storage_container
from tests.manifests.rendering import Object, overlay, overlay_with

_ELSEWHERE = ("PersistentVolume", "Job", "CronJob")  # of which deployments need none


@dataclass(frozen=True)
class OwnNamespace:
    """A namespace that is ready for deployments.

    Attributes:
        name: Its name.
        kubectl: The cluster.
        endpoint: The object store's address, reached from this machine.
    """

    name: str
    kubectl: Kubectl
    endpoint: str

    def __call__(self, *arguments: str, **options: Any) -> str:
        return self.kubectl("-n", self.name, *arguments, **options)

    def json(self, *arguments: str) -> Any:
        return self.kubectl.json("-n", self.name, *arguments)

    def store(self, purpose: str = "stages") -> Store:
        """The object store, with the rights of a purpose."""
        return Store(StoreSettings(self.endpoint, f"development-{purpose}", f"development-{purpose}-secret"))

    def address(self, service: str) -> str:
        """Address and port of a Service."""
        spec = self.json("get", "service", service)["spec"]
        return f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}"


@contextmanager
def own_namespace(cluster: Kubectl, name: str) -> Iterator[OwnNamespace]:
    """Make a namespace for deployments from the overlay; it is deleted in the end."""
    needs.images(cluster, "predictor", "minio")
    needs.free_namespace(cluster, name)
    restrict_storage_container(cluster)
    try:
        apply(cluster, [_forgetful(item) for item in rendered(name) if item["kind"] not in _ELSEWHERE])
        cluster("-n", name, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        found = OwnNamespace(name, cluster, "")
        found = OwnNamespace(name, cluster, found.address("minio-service"))
        users = {purpose: Keys(f"development-{purpose}", f"development-{purpose}-secret") for purpose in PURPOSES}
        prepare(found.store("root").settings, users, artifact_bucket="mlpipeline", wait_seconds=30)
        yield found
    finally:
        cluster("delete", "namespace", name, "--ignore-not-found", "--timeout=120s", timeout=130)


def wait_for(condition: Any, seconds: float = 60) -> Any:
    """What a condition gives once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return found


def apply(cluster: Kubectl, objects: list[Object]) -> None:
    """Apply objects, as YAML."""
    cluster("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


def rendered(namespace: str) -> list[Object]:
    """The overlay's objects, in this namespace and with the images under test."""
    return [_moved(item, namespace) for item in overlay("one-node")]


def rendered_with(namespace: str, component: str, folder: Path) -> list[Object]:
    """What a component adds to the overlay's objects or changes of them, as `rendered`; `folder` is empty."""
    before = overlay("one-node")
    return [_moved(item, namespace) for item in overlay_with("one-node", component, folder) if item not in before]


def _moved(item: Object, namespace: str) -> Object:
    found: Object = _texts(item, namespace)
    if item["kind"] == "Namespace":
        found["metadata"]["name"] = namespace
    if item["kind"] == "PersistentVolume":
        found["metadata"]["name"] = f"{namespace}-minio"
    return found


def _texts(value: Any, namespace: str, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _texts(item, namespace, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_texts(item, namespace) for item in value]
    if not isinstance(value, str):
        return value
    if key == "namespace" and value == "fullcircle":
        return namespace
    if key == "image":
        return containers.name_of(value.rpartition("/")[2].partition(":")[0])
    return value.replace("minio-service.fullcircle:", f"minio-service.{namespace}:").replace(
        "fullcircle-one-node", f"{namespace}-data"
    )


def _forgetful(item: Object) -> Object:
    """The same, but for a MinIO whose data end with its pod."""
    if item["kind"] == "StatefulSet":
        del item["spec"]["volumeClaimTemplates"], item["spec"]["persistentVolumeClaimRetentionPolicy"]
        item["spec"]["template"]["spec"].setdefault("volumes", []).append({"name": "data", "emptyDir": {}})
    return item
