"""Versions in a real object store, and an endpoint of real server processes that ends with the tests."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.deploy.deploy import FOLDER_VARIABLE, deploy_version
from components.deploy.deployed import Deployed
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.champion import Champion, move_champion, read_champion
from components.shared.config import ServingConfig
from components.shared.model_package import GOLDEN, METRICS, version_prefix
from components.shared.processes import free_port
from components.shared.store import Store, StoreSettings
from tests.helpers import make_manifest

NAME = "my-model-2"


@dataclass
class Site:
    """An object store with versions of a model, and the folder of a machine that serves."""

    store: Store
    folder: Path
    package: Path
    port: int

    @property
    def endpoint(self) -> LocalEndpoint:
        return LocalEndpoint(self.folder, NAME)

    @property
    def serving(self) -> ServingConfig:
        return ServingConfig(port=self.port, start_seconds=60)

    def add(self, number: int, *, broken: str = "") -> str:
        """Store a version; all answer alike, but those that were broken before their hashes were taken."""
        package = shutil.copytree(self.package, self.folder.parent / uuid.uuid4().hex)
        (package / METRICS).write_text(json.dumps({"number": number}))
        if broken == GOLDEN:
            golden = json.loads((package / GOLDEN).read_bytes())
            golden[0]["answer"]["label"] = not golden[0]["answer"]["label"]
            (package / GOLDEN).write_text(json.dumps(golden))
        elif broken:
            (package / broken).write_bytes(b"this is no " + broken.encode())
        version = make_manifest(package, name=NAME).version
        self.store.put_folder(version_prefix(NAME, version), package)
        return version

    def crown(self, version: str) -> None:
        """Make a version the champion, as publish does before deploy."""
        current = read_champion(self.store, NAME)
        if current is None or current.version != version:
            previous = current.version if current else None
            pointer = Champion(version=version, previous=previous, moved="2024-02-01T00:00:00+00:00")
            assert move_champion(self.store, NAME, pointer, expected=current)

    def champion(self) -> str | None:
        current = read_champion(self.store, NAME)
        return current.version if current else None

    def deploy(self, version: str, serving: ServingConfig | None = None) -> Deployed:
        self.crown(version)
        return deploy_version(NAME, version, serving or self.serving)

    def pid(self) -> int:
        state = self.endpoint.running()
        assert state is not None
        return state.pid


@pytest.fixture(scope="module")
def module_site(s3: StoreSettings, packages, tmp_path_factory) -> Iterator[Site]:
    store = Store(replace(s3, bucket=f"test-{uuid.uuid4().hex[:12]}"))
    store.ensure_bucket()
    folder = tmp_path_factory.mktemp("machine") / "serving"
    site = Site(store, folder, packages(), free_port(19000 + os.getpid() % 1000))
    yield site
    site.endpoint.stop()


@pytest.fixture
def site(module_site: Site, monkeypatch) -> Site:
    """The same for all tests of a module, because a server takes seconds to start; named by the environment."""
    for name, value in module_site.store.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.setenv(FOLDER_VARIABLE, str(module_site.folder))
    return module_site
