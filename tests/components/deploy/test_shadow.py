"""A candidate beside real servers of this machine, and beside a stand-in for KServe; each test begins with its own."""

import http.client
import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.deploy.inference_service import MODEL_VERSION, annotation
from components.deploy.rollback import roll_back, undeploy
from components.deploy.serving_namespace import ServingNamespace
from components.deploy.shadow import Shadow, end_shadow, start_shadow
from components.monitor.shadow import main as compare
from components.shared.config import DarkLaunchConfig, InferenceLogConfig, ServingConfig, ShadowConfig
from components.shared.decisions.evidence import Estimate
from components.shared.errors import DeployError
from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT, log_prefix
from components.shared.package.model_package import GOLDEN, read_golden
from components.shared.registry.registry import Registry
from components.shared.shadow.comparison import ShadowComparison
from tests.components.deploy.conftest import NAME, Site
from tests.components.deploy.kubernetes import FakeCluster, KServe, kserve
from tests.components.deploy.test_deploy import servers, wait_until
from tests.ports import free_port

COPIED = ServingConfig(shadow=ShadowConfig(percent=100), log=InferenceLogConfig(flush_seconds=0.5))


@contextmanager
def machine(module_site: Site, folder: Path) -> Iterator[Site]:
    """The same store, on a machine of its own."""
    site = replace(module_site, folder=folder / "serving", port=free_port(200))
    try:
        yield site
    finally:
        site.endpoint.stop()
        assert servers(site) == []


@pytest.fixture
def own(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with machine(site, tmp_path) as found:
        monkeypatch.setenv("FULLCIRCLE_SERVING_FOLDER", str(found.folder))
        yield found


def copied(site: Site) -> ServingConfig:
    return COPIED.model_copy(update={"port": site.port})


def shadowed(site: Site, version: str) -> Shadow:
    return start_shadow(site.store, NAME, version, copied(site), folder=site.folder)


def ask(site: Site, count: int) -> None:
    body = json.dumps({"instances": [read_golden(site.package)[0].row]})
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        for _ in range(count):
            connection.request("POST", f"/v1/models/{NAME}:predict", body)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (200, True)


def figure(site: Site, name: str, **labels: str) -> float:
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def logged(site: Site, root: str) -> pa.Table:
    keys = [item.key for item in site.store.list(log_prefix(NAME, root))]
    return pa.concat_tables(pq.read_table(io.BytesIO(site.store.get_bytes(key))) for key in keys)


def test_a_candidate_is_sent_copies_until_it_is_deployed(own):
    champion, candidate, other = own.add(11), own.add(12), own.add(13)
    own.deploy(champion, copied(own))
    serving = own.pid()
    assert shadowed(own, candidate).message == (
        f"{candidate} is sent copies of 100 % of the requests that {champion} answers, at "
        f"http://127.0.0.1:{own.port + 100}/v1/models/{NAME}:predict"
    )
    wait_until(lambda: figure(own, "fullcircle_shadow_candidate") == 1)
    ask(own, 10)
    wait_until(lambda: figure(own, "fullcircle_shadow_requests_total", outcome="answered") == 10)
    assert own.pid() == serving  # nothing of the server that serves has changed
    # Another version is deployed meanwhile: the candidate stays, and is sent copies by the new server.
    own.deploy(other, copied(own))
    assert (state := own.endpoint.shadow.running()) is not None
    assert state.version == candidate
    wait_until(lambda: figure(own, "fullcircle_shadow_candidate") == 1)
    ask(own, 5)
    wait_until(lambda: figure(own, "fullcircle_shadow_requests_total", outcome="answered") == 5)
    own.deploy(candidate, copied(own))
    assert own.endpoint.shadow.running() is None
    assert own.champion() == candidate
    assert len(servers(own)) == 1
    found = logged(own, SHADOW_ROOT)
    assert set(found["request_id"].to_pylist()) <= set(logged(own, LOG_ROOT)["request_id"].to_pylist())
    assert (found.num_rows, set(found["model_version"].to_pylist())) == (15, {candidate})
    for served, rows in ((champion, 10), (other, 5)):
        assert compare([NAME, candidate, "--champion", served, "--rows=10"]) == 0
        kept = own.store.get_bytes(f"monitoring/{NAME}/shadow/{candidate}.json")
        comparison = ShadowComparison.model_validate_json(kept)
        assert (comparison.champion, comparison.rows, comparison.enough) == (served, rows, rows == 10)
        assert comparison.agreement == Estimate(value=1.0, low=1.0, high=1.0)
        assert comparison.champion_latency is not None
        assert 0 < comparison.champion_latency.p50 < 1000
    assert b"5 of 10 that are enough" in own.store.get_bytes(f"monitoring/{NAME}/shadow/{candidate}.html")


def test_another_candidate_gives_way_and_undeploying_ends_the_last(own):
    champion, first, second = own.add(11), own.add(12), own.add(13)
    own.deploy(champion, copied(own))
    shadowed(own, first)
    again = shadowed(own, first)
    assert again.version == first
    shadowed(own, second)
    assert len(servers(own)) == 2
    assert end_shadow(NAME, version=first, folder=own.folder) == ""
    assert end_shadow(NAME, version=second, folder=own.folder) == second
    assert end_shadow(NAME, folder=own.folder) == ""
    assert servers(own) == [own.pid()]
    shadowed(own, second)
    assert undeploy(NAME, folder=own.folder) == champion
    assert servers(own) == []


def test_a_candidate_that_answers_wrongly_leaves_none(own):
    own.deploy(own.add(11), copied(own))
    with pytest.raises(DeployError, match="answers 1 of 5 golden requests wrongly"):
        shadowed(own, own.add(14, broken=GOLDEN))
    assert servers(own) == [own.pid()]
    ask(own, 3)


def test_what_is_in_the_way_is_told(own):
    with pytest.raises(DeployError, match="Nothing serves .* Deploy it first"):
        shadowed(own, own.add(12))
    champion = own.add(11)
    own.deploy(champion)
    with pytest.raises(DeployError, match=r"serves without copying requests. Set serving.shadow.percent"):
        shadowed(own, own.add(12))
    own.deploy(champion, copied(own))
    with pytest.raises(DeployError, match="serves already"):
        shadowed(own, champion)
    with (
        socket.create_server(("127.0.0.1", own.port + 100)),
        pytest.raises(DeployError, match=f"answer at port {own.port + 100}, where another program does"),
    ):
        shadowed(own, own.add(12))
    assert servers(own) == [own.pid()]


def test_a_candidate_whose_start_was_killed_is_ended_by_the_next(own):
    own.deploy(own.add(11), copied(own))
    shadowed(own, own.add(12))
    own.endpoint.shadow.state_file.unlink()  # as if it was killed before it could write down what it started
    shadowed(own, own.add(13))
    assert len(servers(own)) == 2


@pytest.fixture
def cluster(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[KServe]:
    with kserve() as found:
        monkeypatch.delenv("FULLCIRCLE_SERVING_FOLDER", raising=False)
        monkeypatch.setattr(ServingNamespace, "connect", lambda namespace="": FakeCluster(found))
        monkeypatch.setattr("components.deploy.readiness._POLL_SECONDS", 0.01)
        monkeypatch.setattr("components.deploy.removing.pause", lambda: time.sleep(0.01))
        yield found


def test_a_candidate_on_a_cluster(site, cluster):
    serving = COPIED.model_copy(update={"dark_launch": DarkLaunchConfig(enabled=False), "start_seconds": 5})

    def add(number: int) -> str:
        version: str = site.add(number)
        cluster.answers[version] = [item.answer for item in read_golden(site.package)]
        return version

    champion, candidate = add(21), add(22)
    site.crown(champion)
    with pytest.raises(DeployError, match="Nothing serves"):
        start_shadow(site.store, NAME, candidate, serving)
    site.deploy(champion, serving)
    found = start_shadow(site.store, NAME, candidate, serving)
    assert (found.champion, found.place) == (champion, f"{NAME}-shadow")
    assert annotation(cluster.services[f"{NAME}-shadow"], MODEL_VERSION) == candidate
    assert end_shadow(NAME, version=champion) == ""
    cluster.wrong = {("shadow", wrong := add(23))}
    with pytest.raises(DeployError, match="golden requests wrongly"):
        start_shadow(site.store, NAME, wrong, serving)
    assert f"{NAME}-shadow" not in cluster.services
    start_shadow(site.store, NAME, candidate, serving)
    site.deploy(candidate, serving)
    assert cluster.services.keys() == {NAME}
    assert Registry(site.store, NAME).champion() is not None
    start_shadow(site.store, NAME, champion, serving)
    assert undeploy(NAME) == candidate
    assert not cluster.services


def test_a_roll_back_keeps_the_settings_of_copies(own):
    first, second = own.add(11), own.add(12)
    own.deploy(first, copied(own))
    own.deploy(second, copied(own))
    shadowed(own, third := own.add(13))
    assert roll_back(own.store, NAME, folder=own.folder).version == first
    state: Any = own.endpoint.running()
    assert state.shadow_port == own.port + 100
    assert own.endpoint.shadow.running().version == third
