"""Versions in a real object store, and an endpoint of real server processes that ends with the tests."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from components.deploy.deploy import FOLDER_VARIABLE, deploy_version
from components.deploy.deployed import Deployed
from components.deploy.local_endpoint import LocalEndpoint
from components.shared.config import ServingConfig
from components.shared.store import Store, StoreSettings
from tests.deployments import add_version, champion_of, crown, write_verdict
from tests.ports import free_port

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
        return add_version(self.store, NAME, self.package, folder=self.folder.parent, number=number, broken=broken)

    def crown(self, version: str) -> None:
        """Make a version the champion, as if it had served."""
        crown(self.store, NAME, version)

    def champion(self) -> str | None:
        return champion_of(self.store, NAME)

    def verdict(self, version: str) -> Path:
        """The gate's, which compared with the champion."""
        return write_verdict(self.folder.parent / "verdicts" / version, version, champion=self.champion())

    def deploy(self, version: str, serving: ServingConfig | None = None) -> Deployed:
        """As a run does that the gate let through."""
        return deploy_version(NAME, version, serving or self.serving, verdict=self.verdict(version))

    def pid(self) -> int:
        state = self.endpoint.running()
        assert state is not None
        return state.pid


@pytest.fixture(scope="module")
def module_site(s3: StoreSettings, packages, tmp_path_factory) -> Iterator[Site]:
    store = Store(replace(s3, bucket=f"test-{uuid.uuid4().hex[:12]}"))
    store.ensure_bucket()
    folder = tmp_path_factory.mktemp("machine") / "serving"
    site = Site(store, folder, packages(), free_port(200))
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
