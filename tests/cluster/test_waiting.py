"""Versions that wait, seen to by the job that decides, with the component that lets it."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from components.shared.config import GateConfig
from components.shared.registry.judgement import Judgement
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.registry.registry import Registry
from tests.cluster import needs
from tests.cluster.kubectl import Kubectl
from tests.cluster.own_namespace import OwnNamespace, apply, own_namespace, rendered_with, wait_for
from tests.cluster.test_deploy import NAME, Site
from tests.helpers import make_package

NAMESPACE = f"fullcircle-waiting-{os.getpid()}"  # of this run, beside others


@pytest.fixture(scope="module")
def site(cluster: Kubectl, packages: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    needs.images(cluster, "stage")
    folder = tmp_path_factory.mktemp("versions")
    with own_namespace(cluster, NAMESPACE) as namespace:
        apply(cluster, rendered_with(NAMESPACE, "waiting-versions", tmp_path_factory.mktemp("component")))
        other = make_package(folder / "other", noise=0.4)
        yield Site(namespace, namespace.store(), packages(), folder, other, place=NAMESPACE)


def look(namespace: OwnNamespace, name: str) -> str:
    """The log of a Job that the CronJob makes, which asks for runs where there are none: nothing is to be retrained."""
    job = namespace.json("create", "job", "--from=cronjob/fullcircle-decisions", name, "--dry-run=client")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container["args"] = ["watch", NAME, "--namespace", "elsewhere", "--kfp-namespace", NAMESPACE]
    apply(namespace.kubectl, [job])
    wait_for(lambda: namespace.json("get", "job", name)["status"].get("conditions"), seconds=180)
    return namespace("logs", f"job/{name}")


def let_wait(site: Site, version: str, *, champion: str | None, pending_days: float = 14) -> None:
    gate = GateConfig(approval="live", pending_days=pending_days)
    terms = Terms(serving=site.serving, gate=gate, namespace=NAMESPACE)
    judged = Judgement(promoted=True, candidate=version, champion=champion)
    PendingVersions(site.store, NAME).add(version, judged, terms, run="run-1")


def test_what_may_serve_is_deployed_and_what_waited_too_long_ends(site):
    """A first version has nothing to be worse than; a second one comes too late."""
    first, second = site.add(1), site.add(2, other=True)
    let_wait(site, first, champion=None)
    log = look(site.namespace, "look-1")
    assert f"{NAME}: version {first} " in log, log
    assert site.champion() == first, log
    assert site.answering() == first
    (entry,) = Registry(site.store, NAME).history()
    assert "approved by watch (there is no champion to compare with)" in entry.why

    began = datetime.now(UTC)
    let_wait(site, second, champion=first, pending_days=1e-6)
    log = look(site.namespace, "look-2")
    assert f"version {second} expired on {began:%Y-%m-%d}" in log, log
    assert PendingVersions(site.store, NAME).all()[second].answer == "expired"
    assert site.champion() == first
