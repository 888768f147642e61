import copy
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS, OVERLAYS, build, overlay, pods


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the script reads; it writes beside it."""
    shutil.copytree(MANIFESTS, tmp_path / "manifests")
    (tmp_path / "images").mkdir()
    shutil.copy(MANIFESTS.parent / "images" / "tag", tmp_path / "images")
    return tmp_path


def run(project: Path, name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [project / "manifests" / "with-images", name], env={**os.environ, **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_pod_gets_the_named_images_and_nothing_else_changes(project, name):
    before = copy.deepcopy(overlay(name))
    done = run(project, name, REGISTRY="registry.example.com/team", TAG="v1")
    assert done.returncode == 0, done.stderr
    assert f"kubectl apply -k build/manifests/{name}" in done.stdout

    after = build(project / "build" / "manifests" / name)

    for pod, pod_before in zip(pods(after), pods(before), strict=True):
        for container, container_before in zip(pod.spec["containers"], pod_before.spec["containers"], strict=True):
            image = container_before.pop("image").rpartition("/")[2].partition(":")[0]
            assert container.pop("image") == f"registry.example.com/team/{image}:v1"
    assert after == before


def test_an_unknown_overlay_is_refused_with_those_there_are(project):
    done = run(project, "prod", TAG="v1")

    assert done.returncode == 1
    assert done.stderr == "OVERLAY=prod: expected one of: kubeflow one-node production.\n"
    assert not (project / "build").exists()


def test_a_tag_that_moves_is_refused(project):
    done = run(project, "kubeflow", TAG="latest")

    assert done.returncode == 1
    assert "not latest" in done.stderr
    assert not (project / "build").exists()


@pytest.mark.parametrize("name", OVERLAYS)
def test_components_are_in_the_overlays_namespace_with_its_images(project, name):
    wanted = "waiting-versions prometheus monitoring"
    done = run(project, name, REGISTRY="registry.example.com/team", TAG="v1", COMPONENTS=wanted)
    assert done.returncode == 0, done.stderr
    assert f"with {wanted}. Next:" in done.stdout

    folder = project / "build" / "manifests" / name
    after = build(folder)

    namespace = yaml.safe_load((folder / "kustomization.yaml").read_text())["namespace"]
    before = {(item["kind"], item["metadata"]["name"]) for item in overlay(name)}
    added = [item for item in after if (item["kind"], item["metadata"]["name"]) not in before]
    assert {"Deployment", "PrometheusRule", "PodMonitor", "RoleBinding", "NetworkPolicy"} <= {
        one["kind"] for one in added
    }
    assert {item["metadata"]["namespace"] for item in added} == {namespace}
    images = {container["image"] for pod in pods(after) for container in pod.spec["containers"]}
    assert all(image.startswith("registry.example.com/team/") and image.endswith(":v1") for image in images)


def test_an_unknown_component_is_refused_with_those_there_are(project):
    done = run(project, "kubeflow", TAG="v1", COMPONENTS="monitoring wait")

    assert done.returncode == 1
    assert "there is no component wait; expected some of: argo-requeue argo-retries" in done.stderr
    assert not (project / "build").exists()
