"""Versions that wait, as each look of `watch` sees to them: a real store, a real log, real servers."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from components.deploy.approval import approve, reject
from components.deploy.waiting import Place, begin_shadow, see_to_waiting
from components.publish.publish import wait_for_approval
from components.shared.config import GateConfig, InferenceLogConfig, ServingConfig, ShadowConfig
from components.shared.errors import DeployError
from components.shared.labels.store import Labels
from components.shared.package.scoring import Scorer
from components.shared.registry.judgement import Judgement
from components.shared.registry.pending import Pending, PendingVersions, Terms
from components.shared.registry.registry import Registry
from tests.components.deploy.conftest import NAME, Site
from tests.components.deploy.test_deploy import servers, wait_until
from tests.components.deploy.test_shadow import ask
from tests.components.monitor.logged import START, put_log, requests
from tests.helpers import make_schema, make_table
from tests.ports import free_port


def test_a_version_says_where_it_is_to_be_served(store):
    """Else it is where the one who looks says; packages of before have nothing of it."""
    waiting, judged = PendingVersions(store, NAME), Judgement(promoted=True)
    said = waiting.add("v1", judged, Terms(serving=ServingConfig(), namespace="team-a"), run="r")
    unsaid = waiting.add("v2", judged, Terms(serving=ServingConfig()), run="r")
    place = Place(namespace="kubeflow")
    assert (place.of(said).namespace, place.of(unsaid).namespace) == ("team-a", "kubeflow")


@pytest.fixture
def own(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The same store, on a machine of its own."""
    found = replace(site, folder=tmp_path / "serving", port=free_port(200))
    monkeypatch.setenv("FULLCIRCLE_SERVING_FOLDER", str(found.folder))
    yield found
    found.endpoint.stop()
    assert servers(found) == []


def wait(site: Site, version: str, *, serving: ServingConfig | None = None, **gate: object) -> str:
    """As publish does."""
    terms = Terms(serving=serving or site.serving, gate=GateConfig.model_validate({"approval": "required", **gate}))
    return wait_for_approval(site.store, NAME, version, terms, verdict=site.verdict(version))


def look(site: Site, *, days: float = 0) -> list[str]:
    lines: list[str] = []
    now = datetime.now(UTC) + timedelta(days=days)
    see_to_waiting(site.store, NAME, Place(site.folder), tell=lines.append, now=now)
    return lines


def kept(site: Site, version: str) -> Pending:
    return PendingVersions(site.store, NAME).all()[version]


def state(site: Site, version: str) -> str:
    return next(one.state for one in Registry(site.store, NAME).versions() if one.version == version)


def log_with_labels(site: Site, version: str, rows: int = 150) -> None:
    asked = requests(Scorer.load(site.package, version=version), rows, span=timedelta(hours=1))
    put_log(site.store, asked, model=NAME)
    said = [str(value).lower() for value in make_table(rows=rows, seed=7)["target"].to_pylist()]
    labels = pa.table({"request_id": asked["request_id"], "label": said})
    Labels(site.store, NAME, make_schema()).append(labels, source="test", arrival=START + timedelta(days=2))


def test_the_newest_labelled_requests_decide(own):
    before, version = own.add(40), own.add(41)
    own.crown(before)
    said = wait(own, version, approval="live")
    assert "waits for labelled requests since 20" in said
    assert "`make watch` deploys it when they show that it is no worse" in said
    (line,) = look(own)
    assert line.startswith(f"version {version} waits for labelled requests since 20")
    assert "no labels of 'my-model-2' have arrived yet" in line

    log_with_labels(own, before)
    (line,) = look(own)
    assert "now the champion" in line
    assert (own.champion(), state(own, version)) == (version, "champion")
    answered = kept(own, version)
    assert (answered.answer, answered.by) == ("approved", "watch")
    assert f"of the champion {before} on the newest 150 labelled requests: no worse" in answered.why
    assert f"approved by watch ({answered.why})" in Registry(own.store, NAME).history()[-1].why
    assert look(own) == []


def test_what_waits_for_too_long_expires_and_may_wait_again(own):
    before, version = own.add(42), own.add(43)
    own.crown(before)
    wait(own, version, pending_days=3)
    (line,) = look(own, days=2.9)
    assert "waits for approval since 20" in line
    assert look(own, days=3.1)[0].startswith(f"version {version} expired on 20")
    assert (state(own, version), own.champion()) == ("expired", before)
    assert kept(own, version).why == "not decided within 3 days"
    assert look(own, days=3.2) == []
    wait(own, version, pending_days=0)
    assert "waits for approval" in look(own, days=1000)[0]
    reject(own.store, NAME, version, folder=own.folder, why="enough")


def test_what_another_champion_has_overtaken_expires(own):
    before, version, other = own.add(44), own.add(45), own.add(46)
    own.crown(before)
    wait(own, version)
    own.crown(other)
    (line,) = look(own)
    assert line.startswith(f"version {version} expired on 20")
    assert f"version {other} became champion meanwhile" in line


def test_a_shadow_comes_with_waiting_and_has_to_have_answered_enough(own, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    before, version, other = own.add(47), own.add(48), own.add(49)
    shadow = ShadowConfig(percent=100, rows=20)
    copied = ServingConfig(port=own.port, shadow=shadow, log=InferenceLogConfig(flush_seconds=0.5))
    own.deploy(before, copied)
    wait(own, version, serving=copied)
    lines: list[str] = []
    begin_shadow(own.store, NAME, Place(own.folder), tell=lines.append)
    assert lines[0].startswith(f"{version} is sent copies of 100 % of the requests that {before} answers")
    assert own.endpoint.shadow.running().version == version
    with pytest.raises(DeployError, match=rf"Version {version} has answered 0 of the 20 rows .*--force"):
        approve(own.store, NAME, version, folder=own.folder)
    with pytest.raises(DeployError, match="has answered 0 of the 20 rows"):
        approve(own.store, NAME, version, folder=own.folder, force=True)  # without a reason

    wait(own, other, serving=copied)
    assert [line.split()[0] for line in look(own)][:1] == [other]  # the newest takes the place
    assert own.endpoint.shadow.running().version == other
    assert reject(own.store, NAME, other, folder=own.folder, why="no").answer == "rejected"
    assert own.endpoint.shadow.running() is None

    look(own)
    assert own.endpoint.shadow.running().version == version
    wait_until(lambda: _approved(own, version), seconds=90)
    assert own.champion() == version
    assert own.endpoint.shadow.running() is None


def _approved(site: Site, version: str) -> bool:
    """Ask, and try to approve without a reason."""
    ask(site, 20)
    try:
        approve(site.store, NAME, version, folder=site.folder)
    except DeployError as error:
        if "rows that serving.shadow.rows asks for" in str(error):
            return False
        raise
    return True
