"""What tests on a cluster cannot do without."""

import os
import socket
import subprocess
from typing import NoReturn

import pytest

from tests.cluster import containers
from tests.cluster.kubectl import Kubectl

NODE = "10.244.0.1"  # this machine, for the pods of the one-node cluster
_REQUIRED = "FULLCIRCLE_CLUSTER_REQUIRED"


def lacking(what: str) -> NoReturn:
    """Skip the test, with the reason; or fail it where FULLCIRCLE_CLUSTER_REQUIRED says that everything is there."""
    if os.environ.get(_REQUIRED):
        pytest.fail(what)
    pytest.skip(what)


def images(cluster: Kubectl, *names: str) -> dict[str, str]:
    """Full names of the images under test, which the nodes have: by REGISTRY and TAG, or by this tree."""
    try:
        found = {name: containers.name_of(name) for name in names}
    except subprocess.CalledProcessError as error:
        lacking(str(error.stderr).strip())
    if os.environ.get(_REQUIRED):  # they were just handed to the nodes, which tell of it a minute later
        return found
    nodes = cluster.json("get", "nodes")["items"]
    present = {name for node in nodes for image in node["status"]["images"] for name in image.get("names") or []}
    if missing := set(found.values()) - present:
        lacking(
            f"no node has {', '.join(sorted(missing))}: make images, hand them to the node, or set REGISTRY and TAG"
        )
    return found


def free_namespace(cluster: Kubectl, name: str) -> None:
    """A namespace that is not there yet, since the test deletes it."""
    if not cluster.run("get", "namespace", name).returncode:
        lacking(f"the namespace {name} is there already: this test would delete it")


def this_machine() -> None:
    """An address at which pods reach this machine."""
    try:
        socket.create_server((NODE, 0)).close()
    except OSError:
        pytest.skip(f"this machine has not the address {NODE}, at which pods of the one-node cluster reach it")
