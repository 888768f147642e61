"""A real cluster, named by KUBECONFIG. Tests are skipped without one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.cluster import needs
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import (
    NAMESPACE,
    ours,
    overlay,
    restrict_storage_container,
    write_overlay,
)

IMAGES = ("stage", "predictor", "minio")


# Files whose tests share a namespace; the others have one of their own.
TOGETHER = {
    "test_manifests": NAMESPACE,
    "test_one_node": NAMESPACE,
    "test_pipeline": NAMESPACE,
    "test_diagnose": "fullcircle-use",
    "test_doctor": "fullcircle-use",
    "test_submit": "fullcircle-use",
}


class ByNamespace(LoadScopeScheduling):  # type: ignore[misc]
    """Runs the tests of one namespace one after the other, beside those of others."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0]).stem
        return TOGETHER.get(file, file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByNamespace:
    return ByNamespace(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster, which answers."""
    if not os.environ.get("KUBECONFIG"):
        needs.lacking("needs a cluster: KUBECONFIG names none")
    found = Kubectl()
    try:
        found("get", "--raw", "/readyz", timeout=20)
    except (AssertionError, subprocess.TimeoutExpired, FileNotFoundError) as error:
        needs.lacking(f"the cluster that KUBECONFIG names does not answer: {error}")
    return found


@pytest.fixture(scope="session")
def images(cluster: Kubectl) -> dict[str, str]:
    """The images under test, which the nodes have: named by REGISTRY and TAG, or as `make images` names this tree's."""
    return needs.images(cluster, *IMAGES)


@pytest.fixture(scope="module")
def one_node(cluster: Kubectl, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The overlay one-node with the images under test, in a namespace that is not there yet."""
    needs.free_namespace(cluster, NAMESPACE)
    return write_overlay(tmp_path_factory.mktemp("one-node"), images)


@pytest.fixture(scope="module")
def beforehand(cluster: Kubectl) -> set[str]:
    """What belongs to no namespace and is labelled as ours, but not of this test."""
    return ours(cluster)


@pytest.fixture(scope="module")
def applied(cluster: Kubectl, one_node: Path, beforehand: set[str]) -> Iterator[Path]:
    """The overlay, applied from nothing; deleted in the end, and the data before."""
    with overlay(cluster, one_node):
        yield one_node


@pytest.fixture(scope="module")
def storage_container(cluster: Kubectl) -> None:
    """KServe's storage-initializer with a security context."""
    restrict_storage_container(cluster)
