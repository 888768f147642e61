"""The overlay one-node in a namespace of a test's own, beside the one that it names itself."""

import os
from typing import Any

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.manifests.rendering import Object, overlay

TAG = os.environ.get("FULLCIRCLE_IMAGE_TAG", "dev")


def image(name: str) -> str:
    """One of the project's images, as the node should have it."""
    return f"localhost/fullcircle/{name}:{TAG}"


def need_images(cluster: Kubectl, *names: str) -> None:
    """Skip the test where no node has the images."""
    nodes = cluster.json("get", "nodes")["items"]
    present = {name for node in nodes for item in node["status"]["images"] for name in item.get("names") or []}
    if missing := {image(name) for name in names} - present:
        pytest.skip(f"no node has {', '.join(sorted(missing))}: build and load them, or set FULLCIRCLE_IMAGE_TAG")


def rendered(namespace: str) -> list[Object]:
    """The overlay's objects, in this namespace and with the tag of the test's images."""
    return [_moved(item, namespace) for item in overlay("one-node")]


def apply(cluster: Kubectl, objects: list[Object]) -> None:
    """Apply objects, as YAML."""
    cluster("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))


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
    if key == "image" and value.endswith(":dev"):
        return f"{value.removesuffix(':dev')}:{TAG}"
    return value.replace("minio-service.fullcircle:", f"minio-service.{namespace}:").replace(
        "fullcircle-one-node", f"{namespace}-data"
    )
