"""A deployment on a stand-in for KServe whose Service or API server is away for a moment; see `kubernetes.py`."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.deploy.dark_launch import DarkLaunch
from components.deploy.deploy import deploy_version
from components.deploy.deployed import Deployed
from components.deploy.inference_service import API_VERSION
from components.deploy.rollback import roll_back
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import DarkLaunchConfig, ServingConfig
from components.shared.errors import DeployError
from components.shared.package.model_package import read_golden, verify
from components.shared.package.proof import proof_token
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.api_answers import answering
from tests.components.deploy.kubernetes import NAMESPACE, FakeCluster, KServe, kserve
from tests.deployments import champion_of, copy_package, write_verdict

NAME = "demo"


class Site:
    """A store with versions, and servers."""

    def __init__(self, store: Store, package: Path, folder: Path, servers: KServe) -> None:
        self.store, self.package, self.folder, self.servers = store, package, folder, servers

    def add(self, number: int) -> str:
        package = copy_package(self.package, self.folder / str(number), name=NAME, number=number)
        manifest = verify(package)
        Registry(self.store, NAME).publish(package, manifest)
        self.servers.answers[manifest.version] = [item.answer for item in read_golden(package)]
        return manifest.version

    def deploy(self, version: str) -> Deployed:
        verdict = write_verdict(self.folder / "verdict.json", version, champion=champion_of(self.store, NAME))
        serving = ServingConfig(dark_launch=DarkLaunchConfig(requests=0), start_seconds=5, pull_seconds=5)
        return deploy_version(NAME, version, serving, verdict=verdict)

    def state(self) -> tuple[str | None, str | None]:
        """What serves, and what is champion."""
        return self.servers.version(NAME), champion_of(self.store, NAME)


@pytest.fixture
def site(store: Store, packages: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with kserve() as servers:
        monkeypatch.delenv("FULLCIRCLE_SERVING_FOLDER", raising=False)
        monkeypatch.setattr(ServingNamespace, "connect", lambda namespace="": FakeCluster(servers))
        monkeypatch.setattr("components.deploy.readiness._POLL_SECONDS", 0.01)
        rehearsal = lambda *_: lambda serves: lambda url: DarkLaunch(ran=True, version="")  # noqa: E731
        monkeypatch.setattr("components.deploy.cluster_deployment._rehearsal", rehearsal)
        yield Site(store, packages(), tmp_path, servers)


def test_a_service_that_is_not_programmed_yet_is_asked_again(site, monkeypatch):
    """Its pods are ready, and the first connections fail: in the dark launch, and where clients ask."""
    version = site.add(1)
    site.servers.refusals = 5
    assert site.deploy(version).message.endswith("now the champion")
    again = site.add(2)
    site.servers.refusals = 5
    site.deploy(again)
    assert site.state() == (again, again)
    # The same again: what does not answer for a moment is not started anew.
    site.servers.refusals = 3
    assert not site.deploy(again).restarted


def test_a_service_that_never_answers_is_given_up_at_the_deadline(site, monkeypatch):
    monkeypatch.setattr("components.deploy.cluster_proof.SETTLE_SECONDS", 0.3)
    version = site.add(1)
    site.deploy(version)
    site.servers.refusals = 10**6
    with pytest.raises(DeployError, match=f"failed its dark launch.*does not answer.*Version {version} serves on"):
        site.deploy(site.add(2))
    assert site.state() == (version, version)


def test_a_wrong_answer_is_not_asked_for_again(site):
    version, wrong = site.add(1), site.add(2)
    site.deploy(version)
    site.servers.wrong = {("candidate", wrong)}
    asked = len(site.servers.asked)
    with pytest.raises(DeployError, match="answers 5 of 5 golden requests wrongly"):
        site.deploy(wrong)
    assert len(site.servers.asked) == asked + 1
    assert site.state() == (version, version)


def test_what_proves_a_version_is_marked(site):
    version = site.add(1)
    site.deploy(version)
    token = proof_token(site.folder / "1")
    assert site.servers.asked == [token, token]


def test_the_champion_stays_when_nobody_can_ask_what_serves(site, monkeypatch):
    """The API server goes away while a version is proven, and is away still when the deployment fails."""
    version = site.add(1)
    site.deploy(version)

    def away(cluster: FakeCluster, name: str) -> None:
        raise DeployError("The API server does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr(FakeCluster, "pods", away)
        with pytest.raises(DeployError, match="The API server does not answer"):
            site.deploy(site.add(2))
    assert champion_of(site.store, NAME) == version
    other = site.add(3)
    site.deploy(other)
    assert site.state() == (other, other)


def test_an_api_server_that_is_away_for_a_moment_is_asked_again(monkeypatch):
    """Each request of a deployment, changes included; a conflict is one of such moments."""
    monkeypatch.setattr("components.shared.transient.time.sleep", lambda _: None)
    path = f"/apis/{API_VERSION}/namespaces/{NAMESPACE}/inferenceservices/demo"
    body = {"metadata": {"name": "demo"}}
    with answering() as server:
        server.answers["PATCH", path] = [(503, {"message": "starting"}), (409, {"message": "changed"}), (200, body)]
        assert ServingNamespace(server.cluster(seconds=30), NAMESPACE).apply(body) == body
        assert len(server.asked) == 3


def test_a_roll_back_puts_back_what_was_champion(site):
    first, second = site.add(1), site.add(2)
    site.deploy(first)
    site.deploy(second)
    site.servers.wrong = {("endpoint", site.add(3))}
    with pytest.raises(DeployError, match=f"does not serve: .*Version {second} serves on"):
        site.deploy(next(iter(site.servers.wrong))[1])
    assert roll_back(site.store, NAME).version == first
    assert site.state() == (first, first)
