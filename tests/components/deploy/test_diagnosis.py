import json

import pytest

from components.deploy.address import endpoint_url, pod_addresses, proof_url
from components.deploy.deploy import FOLDER_VARIABLE, deploy_version
from components.deploy.diagnosis import conditions_text, crashes, pod_problems, problem_text
from components.deploy.inference_service import REVISION
from components.deploy.rollout import canary_progress, progress
from components.deploy.serving_namespace import ServingNamespace, _explanation, _NoSuchObjectError, has_kubeconfig
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.kubernetes.api import ClusterError
from components.shared.kubernetes.pods import short
from tests.deployments import write_verdict


def pod(name="one", *, revision="new", ready=True, leaving=False, template="a", containers=(), **status):
    conditions = [{"type": "Ready", "status": str(ready)}, *status.pop("conditions", [])]
    metadata = {"name": name, "labels": {REVISION: revision, "pod-template-hash": template}}
    if leaving:
        metadata["deletionTimestamp"] = "2024-01-01T00:00:00Z"
    return {
        "metadata": metadata,
        "status": {
            "conditions": conditions,
            "containerStatuses": list(containers),
            "podIP": f"10.0.0.{len(name)}",
            **status,
        },
    }


def container(*, waiting=None, ended=None, last=None, restarts=0, name="kserve-container", message=""):
    state = {"waiting": {"reason": waiting, "message": message}} if waiting else {"running": {}}
    if ended:
        state = {"terminated": ended}
    return {"name": name, "state": state, "lastState": {"terminated": last} if last else {}, "restartCount": restarts}


def service(*, observed=2, generation=2, ready="True", replicas=1, **status):
    return {
        "metadata": {"name": "demo", "generation": generation, "labels": {REVISION: "new"}},
        "spec": {"predictor": {"minReplicas": replicas}},
        "status": {"observedGeneration": observed, "conditions": [{"type": "Ready", "status": ready}], **status},
    }


@pytest.mark.parametrize(
    ("given", "pods", "waiting_for"),
    [
        (service(), [pod()], ""),
        (service(), [pod(), pod("old", revision="old", leaving=True)], ""),
        # In Standard mode KServe tells the Deployment's generation, which may be less or more.
        (service(observed=1), [pod()], ""),
        # An old Ready is no news.
        (service(), [pod("old", revision="old")], "there is no pod of this version"),
        (service(), [], "there is no pod of this version"),
        (service(), [pod(ready=False), pod("old", revision="old")], "0 of 1 servers are ready"),
        (service(replicas=2), [pod()], "1 of 2 servers are ready"),
        (service(), [pod(), pod("old", revision="old")], "other servers are still there"),
        (service(), [pod(), pod("two", template="b")], "other servers are still there"),
        (service(ready="False"), [pod()], "KServe does not say that it is ready"),
        (service(ready="Unknown"), [pod()], "KServe does not say that it is ready"),
    ],
)
def test_how_far_it_has_come(given, pods, waiting_for):
    found = progress(given, pods)
    assert (found.waiting_for, found.done) == (waiting_for, not waiting_for)


def test_it_is_settled_once_nothing_else_runs():
    assert progress(service(), [pod()]).settled
    assert not progress(service(), [pod(), pod("old", revision="old", leaving=True)]).settled


def test_how_far_a_canary_has_come():
    canary = {"canaryStatuses": [{"name": "canary", "ready": True, "trafficPercent": 10}]}
    old = pod("old", revision="old")
    assert canary_progress(service(**canary), [old, pod()], revision="new").done
    assert not canary_progress(service(), [old, pod()], revision="new").done
    assert canary_progress(service(**canary), [old], revision="new").waiting_for == "there is no pod of the canary"
    waiting = canary_progress(service(**canary), [old, pod(ready=False)], revision="new")
    assert waiting.waiting_for == "the canary is not ready"


CRASH = {"exitCode": 1, "reason": "Error"}


@pytest.mark.parametrize(
    ("given", "text", "hopeless", "crashed"),
    [
        (container(waiting="ImagePullBackOff", message="no"), "(ImagePullBackOff): no; push the image", True, False),
        (container(waiting="CreateContainerConfigError", message='secret "x" not found'), 'secret "x"', True, False),
        (container(ended=CRASH), "the container kserve-container ended with exit code 1", False, False),
        (container(last=CRASH, restarts=1), "the container kserve-container ended with exit code 1", False, False),
        (container(waiting="CrashLoopBackOff", last=CRASH, restarts=1), "exit code 1", True, True),
        (container(waiting="CrashLoopBackOff", last=CRASH, restarts=0), "exit code 1", False, False),
        (
            container(waiting="CrashLoopBackOff", last={"exitCode": 137, "reason": "OOMKilled"}, restarts=2),
            "(OOMKilled, the node had none left); raise serving.resources.memory_limit", True, True,
        ),
        (
            container(waiting="CrashLoopBackOff", last=CRASH, restarts=2, name="storage-initializer"),
            "the container storage-initializer ended with exit code 1; the model could not be fetched", True, False,
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_container(given, text, hopeless, crashed):
    (found,) = pod_problems([pod(ready=False, containers=[given])])
    assert problem_text(found).startswith("pod one: the container ")
    assert text in problem_text(found)
    assert (found.hopeless, crashes(found)) == (hopeless, crashed)


@pytest.mark.parametrize(
    "given", [container(), container(waiting="ContainerCreating"), container(ended={"exitCode": 0})]
)
def test_what_only_takes_its_time(given):
    assert pod_problems([pod(ready=False, containers=[given])]) == []


def test_a_pod_that_no_node_takes():
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "Insufficient cpu"}
    (found,) = pod_problems([pod(ready=False, conditions=[condition])])
    assert (problem_text(found), found.hopeless) == ("pod one: no node takes it: Insufficient cpu", False)
    (found,) = pod_problems([pod(ready=False, phase="Failed", reason="Evicted", message="The node was low on memory.")])
    assert problem_text(found) == "pod one: it was evicted from its node: The node was low on memory"


def test_what_kserve_says():
    failure = {"lastFailureInfo": {"reason": "NoSupportingRuntime", "message": "no runtime supports it"}}
    conditions = [
        {"type": "PredictorReady", "status": "False", "message": "waiting"},
        {"type": "Ready", "status": "False", "message": "waiting"},
        {"type": "IngressReady", "status": "True", "message": "fine"},
    ]
    text = conditions_text({"status": {"conditions": conditions, "modelStatus": failure}})
    assert text == "waiting; NoSupportingRuntime: no runtime supports it"
    assert conditions_text({}) == ""
    assert short("a " * 400) == ("a " * 400)[:299] + "…"


def cluster_service(address="10.96.0.7", target=8080):
    return {"spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80, "targetPort": target}]}}


def test_where_it_answers():
    of = {"model": "demo", "service_name": "demo-predictor"}
    assert proof_url(cluster_service(), [], **of) == "http://10.96.0.7:80/v1/models/demo:predict"
    assert proof_url(cluster_service("fd00::7"), [], **of) == "http://[fd00::7]:80/v1/models/demo:predict"
    host = "http://demo-predictor.place.svc.cluster.local"
    assert endpoint_url(cluster_service(), "place", model="demo") == f"{host}/v1/models/demo:predict"


def test_where_a_service_without_an_address_answers():
    """KServe can be told to make them so: then the name leads to the pods, at their own port."""
    of = {"model": "demo", "service_name": "demo-predictor"}
    pods = [pod("leaving", leaving=True), pod("no", ready=False), pod("yes")]
    assert proof_url(cluster_service("None"), pods, **of) == "http://10.0.0.3:8080/v1/models/demo:predict"
    assert pod_addresses(pods) == ["http://10.0.0.3:8080"]
    url = endpoint_url(cluster_service("None"), "place", model="demo")
    assert url == "http://demo-predictor.place.svc.cluster.local:8080/v1/models/demo:predict"
    with pytest.raises(DeployError, match="No server is ready behind the Service demo-predictor"):
        proof_url(cluster_service("None"), [], **of)
    with pytest.raises(DeployError, match="KServe has made no Service demo-predictor"):
        proof_url(None, [], **of)


def refusal(status: int, message: str = "Reason", **details: str) -> ClusterError:
    return ClusterError("", status, said=message, details=details)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (refusal(404, message='isvc "x" not found', name="x"), _NoSuchObjectError, "not found"),
        (refusal(404), DeployError, "the cluster knows no serving.kserve.io/v1beta1. Install KServe"),
        (
            refusal(404, message="gone", kind="namespaces", name="place"), DeployError,
            "the namespace place does not exist",
        ),
        (
            refusal(403, message='User "x" cannot patch resource'), DeployError,
            "may not patch inferenceservices. Apply the Role fullcircle-deploy",
        ),
        (refusal(403, message="exceeded quota: pods"), DeployError, "403 exceeded quota: pods."),
        (refusal(401), DeployError, "does not accept the credentials"),
        (refusal(503, message="starting"), DeployError, "503 starting."),
        (refusal(0, message="refused"), DeployError, "The API server does not answer (apply it): refused."),
        (refusal(422, message="spec.predictor is wrong."), DeployError, "422 spec.predictor is wrong."),
    ],
)  # fmt: skip
def test_refusals_in_words(error, kind, text):
    found = _explanation(error, "apply it", "patch inferenceservices", "place")
    assert type(found) is kind
    assert text in str(found)


def test_without_a_cluster_it_says_so(store, monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert not has_kubeconfig()
    verdict = write_verdict(tmp_path / "verdict.json", "abc", champion=None)
    with pytest.raises(
        DeployError, match="There is no cluster to deploy on: .*Set KUBECONFIG, or FULLCIRCLE_SERVING_F"
    ):
        deploy_version("demo", "abc", ServingConfig(), verdict=verdict)


@pytest.fixture
def kubeconfig(monkeypatch, tmp_path) -> None:
    """One that names a cluster which is not there."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "clusters": [{"name": "here", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {}}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))


def test_a_cluster_that_does_not_answer(kubeconfig, monkeypatch):
    monkeypatch.setattr("components.deploy.serving_namespace._PATIENCE_SECONDS", 0)
    place = ServingNamespace.connect("place")
    with pytest.raises(DeployError, match=r"The API server does not answer \(read the InferenceService demo\)"):
        place.get("demo")
    assert place.warnings_about("demo") == []
    assert place.log("pod", "container", previous=False) == ""


def test_a_kubeconfig_that_is_none(monkeypatch, tmp_path):
    (tmp_path / "config").write_text("{}")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    for namespace in ("", "place"):
        with pytest.raises(DeployError, match="cannot be used: Invalid kube-config file"):
            ServingNamespace.connect(namespace)


def test_a_kubeconfig_without_a_namespace(kubeconfig):
    with pytest.raises(DeployError, match="context here names no namespace. Set cluster.namespace"):
        ServingNamespace.connect()
