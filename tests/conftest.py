"""Fixtures that tests of several folders share."""

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from components.shared.config import TaskName
from components.shared.store import Store, StoreSettings
from pipelines.local.store import LocalStore

# OpenMP reads these when it is loaded. The processes of pytest share the cores, and threads of the one that wait by
# spinning keep the other from its work: a file of 20 s took more than 8 min.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# How long an example takes says more of what else the machine does than of the code.
settings.register_profile("fullcircle", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fullcircle")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold a slow test: at the end, one process would be busy with them alone."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[TaskName], Path]:
    """Complete model packages by task, with a small real model; copy one before changing it."""
    from tests.helpers import make_manifest, make_package

    made: dict[TaskName, Path] = {}

    def package(task: TaskName = "binary") -> Path:
        if task not in made:
            made[task] = make_package(tmp_path_factory.mktemp("packages") / task, task=task)
            make_manifest(made[task])
        return made[task]

    return package


@pytest.fixture(scope="session")
def s3_program() -> str:
    """The S3 server the tests run against: `weed`, or what FULLCIRCLE_TEST_S3 says (`minio`, which must be on PATH)."""
    return os.environ.get("FULLCIRCLE_TEST_S3") or "weed"


@pytest.fixture(scope="session")
def s3(s3_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreSettings]:
    """A real S3 server of this test process."""
    server = LocalStore(tmp_path_factory.mktemp("s3"), programs=(s3_program,))
    yield server.start()
    server.stop()


@pytest.fixture
def store(s3: StoreSettings, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A new, empty bucket, which the environment names too."""
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    settings = replace(s3, bucket=f"test-{uuid.uuid4().hex[:12]}")
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    store = Store(settings)
    store.ensure_bucket()
    # weed makes room for a bucket at its first write, and takes a second over it when several come at once.
    store.put_bytes("first", b"")
    store.delete("first")
    return store
