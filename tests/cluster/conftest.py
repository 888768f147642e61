"""A real cluster, named by KUBECONFIG. Tests are skipped without one."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster.kubectl import Kubectl


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def cluster() -> Kubectl:
    """The cluster, which answers."""
    if not os.environ.get("KUBECONFIG"):
        pytest.skip("needs a cluster: KUBECONFIG names none")
    found = Kubectl()
    try:
        found("get", "--raw", "/readyz", timeout=20)
    except (AssertionError, subprocess.TimeoutExpired, FileNotFoundError) as error:
        pytest.skip(f"the cluster that KUBECONFIG names does not answer: {error}")
    return found
