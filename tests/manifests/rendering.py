"""Rendering of overlays, and what is asked of the result."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("one-node", "kubeflow", "production")
Object = dict[str, Any]


class Pod(NamedTuple):
    """A pod's specification and where it stands."""

    owner: str
    labels: dict[str, str]
    spec: Object


def kubectl() -> str:
    """The program; the test is skipped without one."""
    cluster = Path(os.environ.get("CLUSTER_HOME") or Path.home() / ".cache" / "one-node-cluster", "bin", "kubectl")
    found = shutil.which("kubectl") or (str(cluster) if cluster.is_file() else None)
    if found is None:
        pytest.skip("no kubectl, on PATH or among the test cluster's programs")
    return found


def build(folder: Path) -> list[Object]:
    """The objects of a kustomization."""
    command = [kubectl(), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


@cache
def _overlay(name: str) -> list[Object]:
    return build(MANIFESTS / "overlays" / name)


def overlay(name: str) -> list[Object]:
    """The objects of an overlay, rendered once."""
    kubectl()
    return _overlay(name)


def overlay_with(name: str, component: str, folder: Path) -> list[Object]:
    """The objects of an overlay with a component; `folder` is an empty folder for the kustomization."""
    base, part = (
        os.path.relpath((MANIFESTS / place).resolve(), folder.resolve())
        for place in (f"overlays/{name}", f"components/{component}")
    )
    kustomization = {"namespace": "fullcircle", "resources": [base], "components": [part]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
    return build(folder)


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of a kind and a name."""
    (found,) = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    return found


def kinds(objects: list[Object], kind: str) -> list[Object]:
    """All objects of a kind."""
    return [item for item in objects if item["kind"] == kind]


def pods(objects: list[Object]) -> Iterator[Pod]:
    """Every pod that the objects make, the model server's included."""
    for item in objects:
        owner = f"{item['kind']}/{item['metadata']['name']}"
        if item["kind"] == "CronJob":
            template = item["spec"]["jobTemplate"]["spec"]["template"]
        elif item["kind"] == "ServingRuntime":
            template = {"metadata": {"labels": item["spec"]["labels"]}, "spec": item["spec"]}
        elif "template" in item.get("spec", {}):
            template = item["spec"]["template"]
        else:
            continue
        yield Pod(owner, template["metadata"]["labels"], template["spec"])


def strings(value: Any) -> Iterator[str]:
    """Every text in an object."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value
