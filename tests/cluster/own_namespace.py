"""The overlay one-node in a namespace of a test's own, beside others: MinIO, its users, the runtime, the rights."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import yaml

from components.shared.store import Store, StoreSettings
from components.shared.store_admin import PURPOSES, Keys, prepare
from tests.cluster.containers import lacking, name_of, not_on_nodes
from tests.cluster.kubectl import Kubectl
from tests.manifests.rendering import MANIFESTS, Object, overlay

_STORAGE_CONTAINER = MANIFESTS / "components" / "storage-container" / "cluster-storage-container.yaml"
_ELSEWHERE = ("PersistentVolume", "Job", "CronJob")  # of which this needs none


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


def objects(name: str) -> list[Object]:
    """The overlay's objects for a namespace, with a MinIO whose data end with its pod."""
    text = yaml.safe_dump_all([item for item in overlay("one-node") if item["kind"] not in _ELSEWHERE])
    text = text.replace("namespace: fullcircle\n", f"namespace: {name}\n")
    text = text.replace("minio-service.fullcircle:", f"minio-service.{name}:")
    for image in ("stage", "predictor", "minio"):
        text = text.replace(f"localhost/fullcircle/{image}:dev\n", f"{name_of(image)}\n")
    found = list(yaml.safe_load_all(text))
    for item in found:
        if item["kind"] == "Namespace":
            item["metadata"]["name"] = name
        if item["kind"] == "StatefulSet":
            del item["spec"]["volumeClaimTemplates"], item["spec"]["persistentVolumeClaimRetentionPolicy"]
            volumes = item["spec"]["template"]["spec"].setdefault("volumes", [])
            volumes.append({"name": "data", "emptyDir": {}})
    return found


@contextmanager
def own_namespace(cluster: Kubectl, name: str) -> Iterator[OwnNamespace]:
    """Make a namespace from the overlay; it is deleted in the end."""
    if missing := not_on_nodes(cluster, map(name_of, ("predictor", "minio"))):
        lacking(f"no node has {', '.join(missing)}: make images, hand them to the node, or set REGISTRY and TAG")
    if not cluster.run("get", "namespace", name).returncode:
        lacking(f"the namespace {name} is there already: this test would delete it")
    if cluster.run("get", "clusterstoragecontainer", "default").returncode:
        lacking("the cluster has no KServe")
    # Others in this cluster rely on it too, so that it stays.
    cluster("patch", "clusterstoragecontainer", "default", "--type=merge", "--patch-file", _STORAGE_CONTAINER)
    try:
        cluster("apply", "-f", "-", stdin=yaml.safe_dump_all(objects(name)))
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
