"""Deployments on a real cluster, in the order in which an endpoint lives: each test begins with what the last left."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from components.deploy import cluster_proof
from components.deploy.canary import canary_service
from components.deploy.deploy import FOLDER_VARIABLE, deploy_version
from components.deploy.deployed import Deployed
from components.deploy.inference_service import (
    GIT_COMMIT,
    MODEL_VERSION,
    RUN_ID,
    Release,
    candidate_service,
    inference_service,
)
from components.deploy.rollback import roll_back
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import CanaryConfig, DarkLaunchConfig, ReplicasConfig, ResourcesConfig, ServingConfig
from components.shared.errors import DeployError, PackageError
from components.shared.inference_log.access import ACCESS_KEY, SECRET_KEY
from components.shared.package.model_package import GOLDEN, read_golden, version_prefix
from components.shared.registry.history import rollback_target
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.__main__ import main as pipelines
from tests import deployments
from tests.cluster.kubectl import Kubectl
from tests.cluster.own_namespace import OwnNamespace, own_namespace, wait_for
from tests.deployments import add_version, champion_of, write_verdict
from tests.helpers import make_package

NAMESPACE = f"fullcircle-deploy-{os.getpid()}"  # of this run, beside others
NAME = "demo"
GOLDEN_ONLY = DarkLaunchConfig(enabled=False)


@dataclass
class Site:
    """A namespace, and versions of a model in its store."""

    namespace: OwnNamespace
    store: Store
    package: Path
    folder: Path
    other: Path  # a package of another model for the same rows
    serving: ServingConfig = field(default_factory=lambda: ServingConfig(dark_launch=GOLDEN_ONLY))
    place: str = NAMESPACE

    def add(self, number: int, *, broken: str = "", other: bool = False) -> str:
        """Store a version; all answer alike, but the other model's and those broken before their hashes were taken."""
        package = self.other if other else self.package
        return add_version(self.store, NAME, package, folder=self.folder, number=number, broken=broken)

    def deploy(self, version: str, serving: ServingConfig | None = None) -> Deployed:
        """As a run does that the gate let through."""
        return deploy_version(
            NAME, version, serving or self.serving, verdict=self.verdict(version), namespace=self.place
        )

    def champion(self) -> str:
        return champion_of(self.store, NAME) or ""

    def verdict(self, version: str) -> Path:
        """The gate's, which compared with the champion."""
        return write_verdict(self.folder / "verdicts" / version, version, champion=self.champion() or None)

    def service(self, name: str = NAME) -> Any:
        return self.namespace.json("get", "inferenceservice", name, "--show-managed-fields")

    def pods(self) -> list[Any]:
        """Those that are not told to end."""
        items = self.namespace.json("get", "pods", "-l", "component=predictor")["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def leaving(self) -> list[str]:
        """Names of the endpoint's servers that are told to end, and have not."""
        items = self.namespace.json("get", "pods", "-l", f"serving.kserve.io/inferenceservice={NAME}")["items"]
        return [item["metadata"]["name"] for item in items if "deletionTimestamp" in item["metadata"]]

    def answering(self) -> str:
        """The version that answers, once those servers are gone that were told to leave: they answer on for a while."""
        wait_for(lambda: not self.leaving())
        row = read_golden(self.package)[0].row
        url = urlsplit(self.namespace.address(f"{NAME}-predictor"))
        with closing(http.client.HTTPConnection(str(url.hostname), url.port, timeout=10)) as connection:
            connection.request("POST", f"/v1/models/{NAME}:predict", json.dumps({"instances": [row]}))
            return str(json.loads(connection.getresponse().read())["model_version"])


@pytest.fixture(scope="module")
def namespace(cluster: Kubectl) -> Iterator[OwnNamespace]:
    with own_namespace(cluster, NAMESPACE) as found:
        yield found


@pytest.fixture(scope="module")
def module_site(namespace: OwnNamespace, packages, tmp_path_factory) -> Site:
    folder = tmp_path_factory.mktemp("versions")
    return Site(namespace, namespace.store(), packages(), folder, make_package(folder / "other", noise=0.4))


@pytest.fixture
def site(module_site: Site, monkeypatch) -> Site:
    """The same for all tests, with the stages' keys in the environment."""
    for name, value in module_site.store.settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    return module_site


def asking(site: Site, pause: float = 0.01) -> AbstractContextManager[deployments.Answers]:
    """Clients that ask the endpoint all the time."""
    url, row = urlsplit(site.namespace.address(f"{NAME}-predictor")), read_golden(site.package)[0].row
    return deployments.asking(str(url.hostname), url.port or 80, NAME, row, pause=pause)


def test_a_first_version_that_fails_leaves_nothing(site):
    broken = site.add(0, broken=GOLDEN)
    start = time.monotonic()
    with pytest.raises(DeployError) as caught:
        site.deploy(broken)
    print(f"refused after {time.monotonic() - start:.1f} s: {caught.value}")
    message = str(caught.value)
    assert f"Version {broken} of '{NAME}' does not serve: pod {NAME}-predictor-" in message
    assert "the container kserve-container ended with exit code 1" in message
    assert "answers 1 of 5 golden requests wrongly: request 0: expected" in message
    assert "There was no version before it; the endpoint is removed." in message
    assert site.champion() == ""
    assert site.namespace("get", "inferenceservices").strip() == ""


def test_a_first_version(site, monkeypatch):
    version = site.add(1)
    monkeypatch.setenv("KFP_RUN_ID", "run-1")
    deployed = site.deploy(version)
    print(deployed.model_dump_json())
    assert (deployed.version, deployed.replaced, deployed.rollout) == (version, "", "first")
    assert deployed.golden_requests == len(read_golden(site.package))
    assert deployed.url == f"http://{NAME}-predictor.{NAMESPACE}.svc.cluster.local/v1/models/{NAME}:predict"
    assert site.answering() == version
    metadata = site.service()["metadata"]
    assert (metadata["annotations"][MODEL_VERSION], metadata["annotations"][RUN_ID]) == (version, "run-1")
    assert GIT_COMMIT in metadata["annotations"]
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "fullcircle"
    managers = {part["manager"] for part in metadata["managedFields"] if part["operation"] == "Apply"}
    assert managers == {"fullcircle"}


def test_the_same_again_changes_nothing(site, monkeypatch):
    version, before, pods = site.add(1), site.service()["metadata"], site.pods()
    monkeypatch.setenv("KFP_RUN_ID", "run-2")
    deployed = site.deploy(version)
    assert (deployed.restarted, deployed.rollout) == (False, "unchanged")
    assert deployed.message.startswith(f"{version} answers already at ")
    after = site.service()["metadata"]
    assert (after["uid"], after["generation"], after["annotations"]) == (
        before["uid"], before["generation"], before["annotations"],
    )  # fmt: skip
    assert [pod["metadata"]["uid"] for pod in site.pods()] == [pod["metadata"]["uid"] for pod in pods]


def test_what_somebody_changed_by_hand_is_undone(site):
    """The version is the same, but not how it is served: it is rolled out again."""
    version, pods = site.answering(), site.pods()
    patch = [{"op": "replace", "path": "/spec/predictor/model/env/0/value", "value": '{"rows": 1}'}]
    site.namespace("patch", "inferenceservice", NAME, "--type=json", "--patch", json.dumps(patch))
    with asking(site) as answers:
        deployed = site.deploy(version)
    assert (deployed.restarted, deployed.replaced) == (True, "")
    (variable,) = site.service()["spec"]["predictor"]["model"]["env"]
    assert variable["value"] == site.serving.server_settings
    assert answers.versions() == [version]
    assert not {pod["metadata"]["uid"] for pod in pods} & {pod["metadata"]["uid"] for pod in site.pods()}
    assert not site.deploy(version).restarted


def test_from_a_machine_that_does_not_reach_services(site, monkeypatch):
    """The same through a forwarded port."""
    before = site.answering()
    monkeypatch.setattr(cluster_proof, "is_reachable", lambda url: False)
    assert not site.deploy(before).restarted
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeployError, match="cannot be reached from this machine, and there is no kubectl on PATH"):
        site.deploy(before)


def test_a_version_takes_over_while_clients_ask(site):
    before, version = site.answering(), site.add(2)
    with asking(site) as answers:
        wait_for(lambda: len(answers.seen) > 100)
        deployed = site.deploy(version)
        time.sleep(7)  # the version before leaves only now
    took = sorted(answers.seconds)
    print(
        f"{len(answers.seen)} requests, {Counter(answers.seen)}; deployed in {deployed.seconds} s, ready after "
        f"{deployed.ready_seconds} s; p50 {took[len(took) // 2] * 1e3:.1f} ms, p99 {took[-len(took) // 100] * 1e3:.1f} "
        f"ms, longest {took[-1] * 1e3:.0f} ms"
    )
    assert (deployed.replaced, deployed.rollout) == (before, "rolling")
    assert answers.versions() == [before, version]
    assert (site.answering(), site.champion()) == (version, version)


@pytest.mark.parametrize("broken", [GOLDEN, "model.onnx"])
def test_a_broken_version_leaves_the_one_before_serving(site, broken):
    before, spec = site.answering(), site.service()["spec"]
    version = site.add(3, broken=broken)
    with asking(site) as answers, pytest.raises(DeployError) as caught:
        site.deploy(version)
    print(caught.value)
    assert "the container kserve-container ended with exit code 1" in str(caught.value)
    assert ("golden requests wrongly" if broken == GOLDEN else "cannot be loaded as an ONNX model") in str(caught.value)
    assert f"Version {before} serves on." in str(caught.value)
    assert answers.versions() == [before]
    assert (site.service()["spec"], site.champion()) == (spec, before)


def test_a_version_that_answers_wrongly_is_taken_back(site, monkeypatch):
    """The server proves its golden requests itself: here only the client's replay disagrees."""
    before, spec, version = site.answering(), site.service()["spec"], site.add(4)
    monkeypatch.setattr(cluster_proof, "differences", lambda *_: ["request 0: expected 1, got 2"])
    with asking(site) as answers, pytest.raises(DeployError, match="answers 1 of 5 golden requests wrongly: request 0"):
        site.deploy(version)
    assert set(answers.seen) == {before, version}
    assert (site.answering(), site.service()["spec"], site.champion()) == (before, spec, before)


def test_a_server_without_enough_memory(site):
    before = site.answering()
    serving = site.serving.model_copy(update={"resources": ResourcesConfig(memory="16Mi", memory_limit="24Mi")})
    with asking(site) as answers, pytest.raises(DeployError) as caught:
        site.deploy(site.add(5), serving)
    print(caught.value)
    assert "OOMKilled" in str(caught.value) or "memory" in str(caught.value)
    assert answers.versions() == [before]
    assert site.champion() == before


def test_a_server_that_no_node_can_take(site):
    before = site.answering()
    serving = site.serving.model_copy(
        update={"resources": ResourcesConfig(cpu=1000, cpu_limit=1000), "start_seconds": 3, "pull_seconds": 0}
    )
    with asking(site) as answers, pytest.raises(DeployError, match=r"(?s)not ready within 3 s.*Insufficient cpu"):
        site.deploy(site.add(5), serving)
    assert answers.versions() == [before]
    assert site.champion() == before


def test_a_namespace_that_takes_no_more_pods(site):
    """There is no pod then that could say why."""
    before = site.answering()
    site.namespace("create", "quota", "full", f"--hard=pods={len(site.namespace.json('get', 'pods')['items'])}")
    try:
        with asking(site) as answers, pytest.raises(DeployError) as caught:
            site.deploy(site.add(5))
    finally:
        site.namespace("delete", "quota", "full")
    print(caught.value)
    assert "there is no pod of this version" in str(caught.value)
    assert "exceeded quota: full" in str(caught.value)
    assert answers.versions() == [before]


def test_an_image_that_is_missing(site):
    before, spec = site.answering(), site.service()["spec"]
    runtime = site.namespace.json("get", "servingruntime", "fullcircle")
    image = runtime["spec"]["containers"][0]["image"]
    patch = [{"op": "replace", "path": "/spec/containers/0/image", "value": "localhost/fullcircle/predictor:none"}]
    site.namespace("patch", "servingruntime", "fullcircle", "--type=json", "--patch", json.dumps(patch))
    try:
        with asking(site) as answers, pytest.raises(DeployError) as caught:
            site.deploy(site.add(6))
    finally:
        patch[0]["value"] = image
        site.namespace("patch", "servingruntime", "fullcircle", "--type=json", "--patch", json.dumps(patch))
    print(caught.value)
    assert "container kserve-container" in str(caught.value)
    assert "localhost/fullcircle/predictor:none" in str(caught.value)
    assert f"Version {before} still answers" in str(caught.value)
    assert answers.versions() == [before]
    assert (site.answering(), site.service()["spec"], site.champion()) == (before, spec, before)


def test_a_stopped_deployment_leaves_the_one_before_serving(site):
    before, spec = site.answering(), site.service()["spec"]
    version = site.add(7)
    with asking(site) as answers, deploying(site, version) as program:
        wait_for(lambda: site.service()["metadata"]["annotations"][MODEL_VERSION] == version)
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) == 128 + signal.SIGTERM
        wait_for(lambda: len(site.pods()) == 1)
    assert before in answers.versions()
    assert set(answers.versions()) <= {before, version}
    wait_for(lambda: site.answering() == before)
    assert (site.service()["spec"], site.champion()) == (spec, before)


@contextmanager
def deploying(site: Site, version: str) -> Iterator[subprocess.Popen[bytes]]:
    """The stage as a process of its own."""
    code = (
        "from components.deploy.deploy import deploy_version; from components.shared.config import ServingConfig; "
        f"serving = ServingConfig.model_validate_json({site.serving.model_dump_json()!r}); "
        f"from pathlib import Path; deploy_version({NAME!r}, {version!r}, serving, "
        f"verdict=Path({str(site.verdict(version))!r}), namespace={NAMESPACE!r})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code], env=environment) as program:
        try:
            yield program
        finally:
            program.kill()


def test_a_package_altered_in_the_store_is_refused(site):
    before, version = site.answering(), site.add(8)
    site.store.put_bytes(version_prefix(NAME, version) + "model.onnx", b"other")
    with pytest.raises(PackageError, match=r"model\.onnx is not the file the manifest lists"):
        site.deploy(version)
    assert (site.answering(), site.champion()) == (before, before)


def test_a_server_that_is_killed_is_replaced(site):
    """With two of them, one after the other, nobody notices."""
    before = site.answering()
    site.deploy(before, site.serving.model_copy(update={"replicas": ReplicasConfig(minimum=2)}))
    pods = site.pods()
    assert len(pods) == 2
    with asking(site) as answers:
        for pod in pods:
            site.namespace("delete", "pod", pod["metadata"]["name"], "--wait")
            wait_for(lambda: sum(is_ready(pod) for pod in site.pods()) == 2)
    assert answers.versions() == [before]
    assert not {pod["metadata"]["uid"] for pod in pods} & {pod["metadata"]["uid"] for pod in site.pods()}


def is_ready(pod: Any) -> bool:
    return any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))


def candidates(site: Site) -> list[str]:
    names = site.namespace("get", "inferenceservices", "-o", "name").split()
    return [name for name in names if name != f"inferenceservice.serving.kserve.io/{NAME}"]


def test_a_dark_launch_needs_to_read_the_log(site):
    """A stage's own keys may not; and what failed leaves no candidate."""
    before = site.answering()
    with pytest.raises(DeployError, match=r"failed its dark launch(?s:.*)FULLCIRCLE_LOG_ACCESS_KEY_ID") as caught:
        site.deploy(site.add(10), ServingConfig())
    print(caught.value)
    assert str(caught.value).endswith(f"Version {before} serves on.")
    assert (site.answering(), site.champion(), candidates(site)) == (before, before, [])


@pytest.fixture
def log_keys(monkeypatch) -> None:
    monkeypatch.setenv(ACCESS_KEY, "development-monitoring")
    monkeypatch.setenv(SECRET_KEY, "development-monitoring-secret")


def test_a_candidate_that_is_too_slow(site, log_keys):
    before = site.answering()
    wait_for(lambda: site.namespace.store("monitoring").list(f"inference/{NAME}/"))
    settings = DarkLaunchConfig(requests=50, latency_ms=0.001)
    with asking(site) as answers, pytest.raises(DeployError, match=r"ms or longer; serving\.dark_launch\.latency_ms"):
        site.deploy(site.add(10), ServingConfig(dark_launch=settings))
    assert answers.versions() == [before]
    assert (site.champion(), candidates(site)) == (before, [])


def test_a_candidate_that_fails_its_golden_requests_is_never_asked(site, log_keys):
    before, pods = site.answering(), {pod["metadata"]["uid"] for pod in site.pods()}
    with asking(site) as answers, pytest.raises(DeployError, match="failed its dark launch, before anybody asked it"):
        site.deploy(site.add(11, broken=GOLDEN), ServingConfig())
    assert answers.versions() == [before]
    assert pods <= {pod["metadata"]["uid"] for pod in site.pods()}
    assert (site.champion(), candidates(site)) == (before, [])


def test_a_dark_launch_answers_what_the_endpoint_was_asked(site, log_keys):
    before, version = site.answering(), site.add(12, other=True)
    left_over = candidate_service(Release(NAME, version, site.store.uri("models/none")), ServingConfig(), namespace="")
    left_over["metadata"]["namespace"] = NAMESPACE
    site.namespace("apply", "-f", "-", stdin=json.dumps(left_over))
    with asking(site) as answers:
        deployed = site.deploy(version, ServingConfig())
        time.sleep(7)
    print(deployed.model_dump_json(indent=1))
    found = deployed.dark_launch
    assert found is not None
    assert (found.ran, found.candidate, found.requests) == (True, f"{NAME}-candidate", 1000)
    assert 0 < found.latency_ms["p50"] <= found.latency_ms["p99"] <= found.latency_ms["longest"]
    assert found.comparison is not None
    assert (found.comparison.before, found.comparison.now, found.comparison.rows) == (before, version, 1000)
    assert found.comparison.mean_difference > 0
    assert found.compared == "1,000 rows of the latest 1,000 logged requests"
    assert answers.versions() == [before, version]
    assert (site.answering(), site.champion(), candidates(site)) == (version, version, [])
    assert not site.namespace.store("monitoring").list(f"inference/{NAME}-candidate/")


def test_a_canary_where_the_cluster_has_no_gateway_api(site, log_keys):
    if "gateway.networking.k8s.io" in site.namespace.kubectl("api-versions"):
        pytest.skip("this cluster has the Gateway API")
    before, version = site.answering(), site.add(13)
    serving = ServingConfig(canary=CanaryConfig(percent=10), dark_launch=DarkLaunchConfig(requests=20))
    with asking(site) as answers:
        deployed = site.deploy(version, serving)
    assert deployed.canary is None
    assert deployed.rollout == "rolling"
    assert "no canary: KServe shares requests by the Gateway API" in deployed.remarks[0]
    assert answers.versions() == [before, version]


def test_the_api_server_takes_a_canary(site):
    """KServe's own API types; that requests are shared needs a gateway."""
    before = site.service()
    release = Release(NAME, "abc", "s3://bucket/models/abc")
    wanted = inference_service(release, site.serving, namespace=NAMESPACE)
    taken = ServingNamespace.connect(NAMESPACE).apply(
        canary_service(before, wanted, CanaryConfig(percent=10)), dry_run=True
    )
    (canary,) = taken["spec"]["canary"]
    assert canary["predictor"]["model"]["storageUri"] == "s3://bucket/models/abc/"
    assert taken["metadata"]["generation"] == before["metadata"]["generation"] + 1
    assert site.service()["metadata"]["generation"] == before["metadata"]["generation"]


def test_back_to_the_version_before(site, log_keys):
    version = site.answering()
    target = rollback_target(Registry(site.store, NAME).history(), NAME)
    spec = site.service()["spec"]["predictor"]
    with asking(site) as answers:
        deployed = roll_back(site.store, NAME, namespace=NAMESPACE, dark_launch=False)
    assert (deployed.version, deployed.replaced) == (target, version)
    now = Registry(site.store, NAME).champion()
    assert now is not None
    assert (now.version, now.replaced, now.action) == (target, version, "rolled back")
    assert answers.versions() == [version, target]
    after = site.service()["spec"]["predictor"]
    assert {**after, "model": {**after["model"], "storageUri": spec["model"]["storageUri"]}} == spec


def test_a_roll_back_that_fails_changes_nothing(site):
    before = Registry(site.store, NAME).history()
    with pytest.raises(DeployError, match="FULLCIRCLE_LOG_ACCESS_KEY_ID"):
        roll_back(site.store, NAME, namespace=NAMESPACE)
    assert Registry(site.store, NAME).history() == before
    assert site.answering() == before[-1].version


def test_a_deployment_that_was_killed_before_its_last_act(site):
    """Its version serves and is no champion: one that fails afterwards leaves the champion, and so does a roll-back."""
    before, version = site.answering(), site.add(14)
    for mend in ("a failing deployment", "a roll-back"):
        with deploying(site, version) as program:
            wait_for(lambda: site.service()["metadata"]["annotations"][MODEL_VERSION] == version)
            program.kill()
        assert site.champion() == before
        if mend == "a roll-back":
            assert roll_back(site.store, NAME, namespace=NAMESPACE, dark_launch=False).version == before
        else:
            with pytest.raises(DeployError, match=f"Version {before} serves on"):
                site.deploy(site.add(15, broken=GOLDEN))
        assert (site.answering(), site.champion()) == (before, before)


def test_what_others_made_is_left_alone(site):
    site.namespace("label", "inferenceservice", NAME, "app.kubernetes.io/managed-by=somebody", "--overwrite")
    before = site.service()
    with pytest.raises(DeployError, match=r"was not made by Fullcircle .*; it is not changed"):
        site.deploy(site.add(9))
    after = site.service()
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    site.namespace("label", "inferenceservice", NAME, "app.kubernetes.io/managed-by=fullcircle", "--overwrite")


def test_an_endpoint_is_ended(site, capsys):
    site.namespace("label", "inferenceservice", NAME, "app.kubernetes.io/managed-by=somebody", "--overwrite")
    assert pipelines(["undeploy", NAME, "--namespace", NAMESPACE]) == 1
    assert "was not made by Fullcircle" in capsys.readouterr().err
    site.namespace("label", "inferenceservice", NAME, "app.kubernetes.io/managed-by=fullcircle", "--overwrite")
    version = site.champion()
    assert pipelines(["undeploy", NAME, "--namespace", NAMESPACE]) == 0
    assert f"version {version} is still in the store" in capsys.readouterr().out
    assert site.namespace("get", "inferenceservices").strip() == ""
    assert site.champion() == version
    assert pipelines(["undeploy", NAME, "--namespace", NAMESPACE]) == 1
    assert f"There is no InferenceService {NAME} in namespace {NAMESPACE}" in capsys.readouterr().err
