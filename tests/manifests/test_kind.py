"""What of `make cluster` can be tested without Docker: what it asks for, what it would do, that versions are pinned."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS, build, kubectl, one
from tests.pipelines.command_line import ROOT

UP = MANIFESTS / "kind" / "up"
TOOLS = (
    "bash",
    "awk",
    "cut",
    "df",
    "dirname",
    "basename",
    "env",
    "git",
    "grep",
    "mkdir",
    "od",
    "sed",
    "tr",
    "cat",
    "sort",
)


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A PATH with the usual tools, and none of those that make clusters."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(shutil.which(name) or name)
    return folder


def stand_in(folder: Path, name: str, body: str = "") -> None:
    """A program that writes down what it is asked to do."""
    path = folder / name
    path.write_text(f'#!/usr/bin/env bash\nprintf "%s\\n" "{name} $*" >>"$RECORD"\n{body}\n', encoding="utf-8")
    path.chmod(0o755)


def docker(folder: Path, *, memory: int = 16 * 1024**3, answers: bool = True) -> None:
    body = f'case "$*" in *MemTotal*) echo {memory} ;; *DockerRootDir*) echo / ;; esac\n[ {int(answers)} = 1 ]'
    stand_in(folder, "docker", body)


def run(programs: Path, up: Path = UP) -> tuple[int, str, str]:
    """Exit code, output, and what the stand-ins were asked."""
    record = programs.parent / "record"
    record.touch()
    environment = {"PATH": str(programs), "RECORD": str(record), "TAG": "v1", "HOME": os.environ["HOME"]}
    done = subprocess.run([up], capture_output=True, text=True, env=environment, check=False, timeout=60)
    return done.returncode, done.stdout + done.stderr, record.read_text()


def test_without_docker_it_says_all_that_is_missing_and_does_nothing(programs):
    code, output, asked = run(programs)

    assert code == 1
    assert asked == ""
    for name in ("docker is not on PATH", "kind v0.30.0 is not on PATH", "kubectl 1.32 or later"):
        assert f" - {name}" in output


def test_a_daemon_that_does_not_answer_and_another_kind_are_named(programs):
    docker(programs, answers=False)
    stand_in(programs, "kind", "echo kind v0.1.0 go1.0")
    stand_in(programs, "kubectl")

    code, output, asked = run(programs)

    assert code == 1
    assert "its daemon does not answer" in output
    assert "kind has to be v0.30.0, whose node image is pinned; found: kind v0.1.0" in output
    assert "create" not in asked


def test_too_little_memory_and_disk_are_told_beforehand(programs):
    docker(programs, memory=4 * 1024**3)
    stand_in(programs, "kind", "echo kind v0.30.0 go1.24 linux/amd64")
    stand_in(programs, "kubectl")
    (programs / "df").unlink()
    stand_in(programs, "df", "echo header; echo x 1 1 1048576 1 /")

    code, output, asked = run(programs)

    assert code == 1
    assert "Docker has 4 GiB of memory, and 12 are needed" in output
    assert "/ has 1 GiB of free disk, and 40 are needed" in output
    assert "create" not in asked


def test_it_makes_everything_in_order(programs, tmp_path):
    project = tmp_path / "project"
    for name in ("manifests", "images"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", project)
    docker(programs)
    stand_in(programs, "kind", 'case "$1" in version) echo kind v0.30.0 go1.24 linux/amd64 ;; esac')
    stand_in(programs, "kubectl", 'case "$*" in *"get secret"*) exit 1 ;; *"-f -"*) cat >/dev/null ;; esac')
    (programs / "df").unlink()
    stand_in(programs, "df", "echo header; echo x 1 1 104857600 1 /")

    code, output, asked = run(programs, project / "manifests" / "kind" / "up")

    assert code == 0, output
    steps = [
        "kind create cluster --config", "env/platform-agnostic?ref=2.17.0", "workflow-controller --patch-file",
        "workflow-controller-configmap --patch-file",
        "cert-manager.yaml", "kserve-crds.yaml", "kserve.yaml", "get configmap inferenceservice-config",
        "kserve-cluster-resources.yaml", "clusterstoragecontainer default", "docker build",
        "kind load docker-image --name fullcircle localhost/fullcircle/stage:v1", "kubectl -n kubeflow create -f -",
        "apply -k manifests/overlays/kubeflow/namespace", "apply -k build/kind", "job/prepare-store",
    ]  # fmt: skip
    places = [asked.find(step) for step in steps]
    assert places == sorted(places), asked
    assert -1 not in places, dict(zip(steps, places, strict=True))
    assert "make submit TAG=v1" in output
    for name in re.findall(r"--patch-file (\S+)", asked):
        assert (project / name).is_file(), name


def test_what_it_applies_names_the_images_that_it_loads(programs, tmp_path):
    test_it_makes_everything_in_order(programs, tmp_path)
    kubectl()

    objects = build(tmp_path / "project" / "build" / "kind")

    runtime = one(objects, "ServingRuntime", "fullcircle")
    assert runtime["spec"]["containers"][0]["image"] == "localhost/fullcircle/predictor:v1"
    assert "fullcircle/stage:dev" not in str(objects)


def test_every_version_is_pinned():
    text = UP.read_text(encoding="utf-8")
    config = yaml.safe_load((MANIFESTS / "kind" / "cluster.yaml").read_text(encoding="utf-8"))

    assert all(re.search(r"@sha256:[0-9a-f]{64}$", node["image"]) for node in config["nodes"])
    versions = dict(re.findall(r"readonly (\w+_VERSION)=(\S+)", text))
    assert set(versions) == {"KIND_VERSION", "KFP_VERSION", "KSERVE_VERSION", "CERT_MANAGER_VERSION"}
    assert all(re.fullmatch(r"v?\d+\.\d+\.\d+", version) for version in versions.values())
    assert (versions["KFP_VERSION"], versions["KSERVE_VERSION"]) == ("2.17.0", "v0.21.0")
    used = re.findall(r'"(\$(?:kfp|kserve)/[^"]*)"', text)
    assert all("?ref=$KFP_VERSION" in url for url in used if url.startswith("$kfp"))
    assert not re.search(r"\b(latest|master|main)\b", text)


@pytest.mark.parametrize("mark", ['"', '\\"'])
def test_kserves_configuration_becomes_standard_without_ingress(mark):
    before = '  "disableIngressCreation": false, "defaultDeploymentMode": "Knative", "enableGatewayApi": false'
    function = re.search(r"^set_kserve\(\) \{.*?^\}", UP.read_text(encoding="utf-8"), re.M | re.S)
    assert function is not None

    done = subprocess.run(
        ["bash", "-c", f"{function[0]}\nset_kserve"],
        input=before.replace('"', mark), capture_output=True, text=True, check=True,
    )  # fmt: skip

    after = done.stdout.replace(mark, '"')
    assert after == before.replace('Creation": false', 'Creation": true').replace("Knative", "Standard")
