"""Running the built images as a cluster would: another user, a read-only root, no rights."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.cluster.kubectl import Kubectl
from tests.pipelines.command_line import ROOT

REGISTRY = os.environ.get("REGISTRY") or "localhost/fullcircle"
# The profile `restricted`, with an emptyDir at /tmp. The host's network, for the addresses of the other containers.
RESTRICTED = (
    "--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:rw,mode=1777", "--user=1000:1000", "--cap-drop=ALL",
    "--security-opt=no-new-privileges", "--network=host", "--pull=never",
)  # fmt: skip


def name_of(image: str) -> str:
    """The image's full name: by REGISTRY and TAG, or what `make images` builds of this tree."""
    tag = subprocess.run(
        [ROOT / "images" / "tag", os.environ.get("TAG", "")], capture_output=True, text=True, check=True
    )
    return f"{REGISTRY}/{image}:{tag.stdout.strip()}"


def lacking(what: str) -> NoReturn:
    """Skip the test, with the reason; or fail it where FULLCIRCLE_CLUSTER_REQUIRED says that everything is there."""
    if os.environ.get("FULLCIRCLE_CLUSTER_REQUIRED"):
        pytest.fail(what)
    pytest.skip(what)


def not_on_nodes(cluster: Kubectl, images: Iterable[str]) -> list[str]:
    """Those of the images that no node of a cluster has."""
    nodes = cluster.json("get", "nodes")["items"]
    present = {name for node in nodes for image in node["status"]["images"] for name in image.get("names") or []}
    return sorted(set(images) - present)


def why_not() -> str:
    """Why the images cannot be run here; empty when they can."""
    if not shutil.which("podman"):
        return "podman, which runs the images, is not on PATH"
    try:
        missing = [name for name in map(name_of, ("stage", "predictor", "minio")) if not _exists(name)]
    except subprocess.CalledProcessError as error:
        return str(error.stderr).strip()
    return f"there is no image {missing[0]}: make images, or name others by REGISTRY and TAG" if missing else ""


def _exists(name: str) -> bool:
    return subprocess.run(["podman", "image", "exists", name], check=False).returncode == 0


def inspect(image: str) -> Any:
    """What the image says of itself."""
    return json.loads(podman("image", "inspect", name_of(image)))[0]


def podman(*arguments: object) -> str:
    """Output of a podman command that has to succeed."""
    done = subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def run(image: str, *command: object, options: tuple[str, ...] = ()) -> str:
    """Output of a command that ends, in a container of its own."""
    return podman("run", "--rm", *RESTRICTED, *options, name_of(image), *command)


@contextmanager
def running(image: str, *command: object, options: tuple[str, ...] = ()) -> Iterator[str]:
    """A container that goes on, by its id; removed afterwards."""
    container = podman("run", "--detach", *RESTRICTED, *options, name_of(image), *command).strip()
    try:
        yield container
    finally:
        logs = subprocess.run(["podman", "logs", container], capture_output=True, text=True, check=False)
        print(logs.stdout, logs.stderr, sep="\n")  # shown when a test fails
        podman("rm", "--force", "--time=5", container)


def readable(folder: Path) -> Path:
    """The folder, readable by any user, as a mount for a container has to be."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder
