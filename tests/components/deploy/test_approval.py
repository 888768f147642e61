"""Versions that wait for a person, with a real store and real servers."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.deploy.approval import approve, reject
from components.deploy.promotion import of_verdict
from components.publish.publish import wait_for_approval
from components.shared.errors import DeployError, PackageError
from components.shared.package.model_package import GOLDEN
from components.shared.registry.judgement import Judgement
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.registry.registry import Registry
from tests.components.deploy.conftest import NAME, Site


def wait(site: Site, version: str) -> str:
    """As publish does."""
    return wait_for_approval(site.store, NAME, version, Terms(serving=site.serving), verdict=site.verdict(version))


def state(site: Site, version: str) -> str:
    return next(one.state for one in Registry(site.store, NAME).versions() if one.version == version)


def served(site: Site) -> str:
    found = site.endpoint.running()
    assert found is not None
    return found.version


def test_what_is_approved_is_deployed_with_the_proofs_of_every_deployment(site, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    before, version = site.add(1), site.add(2)
    site.deploy(before)
    monkeypatch.setenv("KFP_RUN_ID", "run-7")
    assert wait(site, version).startswith(f"version {version} waits for approval: `make approve MODEL={NAME} VERSION=")
    monkeypatch.delenv("KFP_RUN_ID")
    assert (state(site, version), served(site), site.champion()) == ("waits for approval", before, before)

    deployed = approve(site.store, NAME, version, folder=site.folder, why="looked at the card")

    assert deployed.promoted
    assert deployed.golden_requests > 0
    assert (served(site), site.champion(), state(site, version)) == (version, version, "champion")
    entry = Registry(site.store, NAME).history()[-1]
    assert (entry.action, entry.run, entry.replaced) == ("promoted", "run-7", before)
    assert entry.why == "approved by anna (looked at the card); passed the gate: 2 of 2 checks hold"
    answered = PendingVersions(site.store, NAME).all()[version]
    assert (answered.answer, answered.by, answered.why) == ("approved", "anna", "looked at the card")
    with pytest.raises(PackageError, match=rf"Version {version} of '{NAME}' was approved by anna on 20"):
        approve(site.store, NAME, version, folder=site.folder)


def test_what_is_rejected_never_serves(site, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    before, version = site.add(1), site.add(3)
    site.deploy(before)
    wait(site, version)
    assert reject(site.store, NAME, version, why="worse for some").in_words.startswith("rejected by anna on 20")
    assert (state(site, version), served(site), site.champion()) == ("rejected", before, before)
    with pytest.raises(PackageError, match="was rejected by anna on .*: worse for some"):
        approve(site.store, NAME, version, folder=site.folder)
    # The same version made by another run is not asked about again.
    assert "is not deployed: it was rejected by anna" in wait(site, version)


def test_what_does_not_serve_waits_on(site):
    before, broken = site.add(1), site.add(4, broken=GOLDEN)
    site.deploy(before)
    wait(site, broken)
    with pytest.raises(DeployError, match="golden requests wrongly"):
        approve(site.store, NAME, broken, folder=site.folder)
    assert (state(site, broken), served(site), site.champion()) == ("waits for approval", before, before)
    reject(site.store, NAME, broken, why="")


def test_what_was_compared_with_another_champion_is_not_deployed(site):
    before, version, other = site.add(1), site.add(5), site.add(6)
    site.deploy(before)
    wait(site, version)
    site.deploy(other)
    with pytest.raises(PackageError, match=f"version {version} was compared with version {before}: another run came"):
        approve(site.store, NAME, version, folder=site.folder)
    wait(site, version)  # a run that compares it anew
    assert approve(site.store, NAME, version, folder=site.folder).version == version


def test_one_that_was_killed_after_it_served_is_approved_again(site):
    before, version = site.add(1), site.add(7)
    site.deploy(before)
    wait(site, version)
    judged = Judgement.model_validate(json.loads(site.verdict(version).read_bytes()))
    registry = Registry(site.store, NAME)
    of_verdict(version, judged)(registry).complete()  # all but the answer
    assert not approve(site.store, NAME, version, folder=site.folder).promoted
    assert PendingVersions(site.store, NAME).all()[version].answer == "approved"


def test_one_that_does_not_wait_is_said(site):
    with pytest.raises(PackageError, match=rf"Version 'aaaa' of '{NAME}' does not wait for approval; none waits"):
        approve(site.store, NAME, "aaaa", folder=site.folder)
    version = site.add(8)
    wait(site, version)
    with pytest.raises(PackageError, match=f"there wait {version}"):
        reject(site.store, NAME, "aaaa", why="")


def test_of_two_answers_at_once_one_counts(site):
    version = site.add(9)
    wait(site, version)

    def answer(number: int) -> bool:
        try:
            reject(site.store, NAME, version, why=f"{number}")
        except PackageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(answer, range(8))) == 1
