import copy
import os
import shutil
import subprocess
from pathlib import Path

import pytest

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
