"""A real MinIO with a user for each purpose, for the tests of rights."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from components.shared.purposes import Purpose
from components.shared.store import StoreSettings
from components.shared.store_admin import PURPOSES, Keys, prepare
from pipelines.local.store import LocalStore

USERS: dict[Purpose, Keys] = {purpose: Keys(f"{purpose}-key", f"{purpose}-secret") for purpose in PURPOSES}


@contextmanager
def empty_minio(folder: Path) -> Iterator[StoreSettings]:
    """A MinIO with nothing in it, and its root keys."""
    cluster = Path(os.environ.get("CLUSTER_HOME") or Path.home() / ".cache" / "one-node-cluster", "bin", "minio")
    found = shutil.which("minio") or (str(cluster) if cluster.is_file() else None)
    if found is None:
        pytest.skip("no minio program, on PATH or among the test cluster's")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(found).parent}{os.pathsep}{os.environ['PATH']}")
        server = LocalStore(folder, programs=("minio",))
        yield server.start()
        server.stop()


def set_up(minio: StoreSettings) -> list[str]:
    """Make buckets and users, and say what was done."""
    return prepare(minio, USERS, artifact_bucket="mlpipeline", log_days=90)
