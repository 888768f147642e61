"""A candidate beside an endpoint on a real cluster: copies reach it, both answers are logged, and it goes again."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from components.deploy.deploy import FOLDER_VARIABLE
from components.deploy.rollback import undeploy
from components.deploy.shadow import end_shadow, start_shadow
from components.shared.config import InferenceLogConfig, ServingConfig, ShadowConfig
from components.shared.errors import DeployError
from components.shared.inference_rows import SHADOW_ROOT, log_prefix
from components.shared.package.model_package import GOLDEN
from components.shared.shadow.known import Look, look_at_shadow
from tests.cluster.kubectl import Kubectl
from tests.cluster.own_namespace import OwnNamespace, own_namespace, wait_for
from tests.cluster.test_deploy import GOLDEN_ONLY, NAME, Site, asking, candidates
from tests.helpers import make_package

NAMESPACE = f"fullcircle-shadow-{os.getpid()}"  # of this run, beside others
SERVING = ServingConfig(
    dark_launch=GOLDEN_ONLY, shadow=ShadowConfig(percent=100, rows=50), log=InferenceLogConfig(flush_seconds=1)
)
SHADOW = f"inferenceservice.serving.kserve.io/{NAME}-shadow"


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl) -> Iterator[OwnNamespace]:
    with own_namespace(cluster, NAMESPACE) as found:
        yield found


@pytest.fixture(scope="module")
def module_site(namespace: OwnNamespace, packages: Any, tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("versions")
    other = make_package(folder / "other", noise=0.4)
    return Site(namespace, namespace.store(), packages(), folder, other, SERVING, NAMESPACE)


@pytest.fixture
def site(module_site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The same for all tests, with the stages' keys in the environment."""
    for name, value in module_site.store.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return module_site


def test_copies_of_requests_reach_a_candidate(site):
    champion, candidate = site.add(1), site.add(2, other=True)
    site.deploy(champion)
    found = start_shadow(site.store, NAME, candidate, SERVING, namespace=NAMESPACE)
    assert (found.champion, found.place) == (champion, f"{NAME}-shadow")
    log = site.namespace.store("monitoring")
    with asking(site) as answers:
        wait_for(lambda: log.list(log_prefix(NAME, SHADOW_ROOT)))
        wait_for(lambda: look_at_shadow(log, NAME, candidate, Look(needed=50)).enough)
    compared = look_at_shadow(log, NAME, candidate, Look(needed=50))
    print(compared.message)
    assert answers.versions() == [champion]
    assert compared.distance is not None
    assert compared.distance.value > 0  # another model
    assert not log.list(log_prefix(f"{NAME}-shadow"))


def test_a_candidate_that_fails_leaves_none(site):
    with pytest.raises(DeployError, match="exit code 1"):
        start_shadow(site.store, NAME, site.add(3, broken=GOLDEN), SERVING, namespace=NAMESPACE)
    assert candidates(site) == []


def test_a_candidate_goes_when_it_is_decided_on(site):
    champion, candidate = site.champion(), site.add(2, other=True)
    start_shadow(site.store, NAME, candidate, SERVING, namespace=NAMESPACE)
    assert candidates(site) == [SHADOW]
    assert end_shadow(NAME, version=candidate, namespace=NAMESPACE) == candidate
    assert candidates(site) == []
    start_shadow(site.store, NAME, candidate, SERVING, namespace=NAMESPACE)
    assert site.deploy(candidate).replaced == champion
    assert candidates(site) == []
    start_shadow(site.store, NAME, champion, SERVING, namespace=NAMESPACE)
    assert undeploy(NAME, namespace=NAMESPACE) == candidate
    assert site.namespace("get", "inferenceservices").strip() == ""
