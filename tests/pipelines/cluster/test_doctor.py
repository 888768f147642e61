"""Which checks `make doctor` makes and what it says; on a table of objects (`tests/cluster` asks a real cluster)."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.shared.store_admin import GRANTS
from pipelines.__main__ import main
from pipelines.cluster import rights
from pipelines.cluster.store_rights import PREFIXES
from tests.pipelines.api_server import ApiServer, Object, answering
from tests.pipelines.command_line import ROOT

NAMESPACE = "fullcircle"
API = f"/api/v1/namespaces/{NAMESPACE}"
APIS = (
    ("argoproj.io/v1alpha1", "workflows"), ("kubeflow.org/v1beta1", "scheduledworkflows"),
    ("serving.kserve.io/v1beta1", "inferenceservices"), ("serving.kserve.io/v1alpha1", "servingruntimes"),
)  # fmt: skip
KEYS = {
    "fullcircle-stages": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "fullcircle-serving": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "fullcircle-monitoring": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "mlpipeline-minio-artifact": ("accesskey", "secretkey"),
    "minio-root": ("access_key", "secret_key"),
}
ARGO = "workflow-controller-configmap"
S3 = {"serving.kserve.io/s3-endpoint": "minio-service.fullcircle:9000", "serving.kserve.io/s3-usehttps": "0"}


def a(kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **content}


def deployment(name: str, version: str, ready: int = 1) -> Object:
    template = {"spec": {"containers": [{"image": f"ghcr.io/x/{name}:{version}"}]}}
    return {
        **a("Deployment", name),
        "apiVersion": "apps/v1",
        "spec": {"template": template},
        "status": {"readyReplicas": ready},
    }


def probe(pod: Object) -> tuple[Object, str]:
    """What the pods of the checks say where all is well."""
    arguments = pod["spec"]["containers"][0]["args"]
    if arguments[:1] != ["store-rights"]:
        return {"phase": "Succeeded"}, ""
    grant = GRANTS[arguments[1]]
    found = []
    for action, granted in (("read", grant.read), ("write", grant.write), ("remove", grant.remove)):
        for place in PREFIXES:
            holds = any(place.startswith(prefix) for prefix in granted)
            found.append({"action": action, "place": place, "expected": holds, "allowed": holds})
    return {"phase": "Succeeded"}, "starting\n" + json.dumps({"rights": found, "bucket": "b", "clock": time.time()})


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster with the base's objects and all that they need."""
    with answering(tmp_path) as (server, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        for path in sorted((ROOT / "manifests" / "base").glob("*.yaml")):
            for item in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader):
                if item["kind"] not in ("Kustomization", "Namespace"):
                    server.add(item, NAMESPACE)
        server.add(a("Namespace", NAMESPACE))
        server.objects[f"/api/v1/namespaces/{NAMESPACE}"]["metadata"]["labels"] = {
            "pod-security.kubernetes.io/enforce": "restricted"
        }
        server.add(a("ServiceAccount", rights.RUNS), NAMESPACE)
        for name, keys in KEYS.items():
            server.add(a("Secret", name, data={key: base64.b64encode(b"value").decode() for key in keys}), NAMESPACE)
        server.objects[f"{API}/secrets/fullcircle-serving"]["metadata"]["annotations"] = dict(S3)
        for version, resource in APIS:
            server.objects[f"/apis/{version}"] = {"resources": [{"name": resource}]}
        server.add(deployment("ml-pipeline", "2.17.0"), "kubeflow")
        server.add(deployment("kserve-controller-manager", "v0.21.0"), "kserve")
        config = yaml.safe_load((ROOT / "manifests/components/argo-retries" / f"{ARGO}.yaml").read_text("utf-8"))
        server.add(config, "kubeflow")
        server.objects[f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/minio"]["status"] = {"readyReplicas": 1}
        claim = a("PersistentVolumeClaim", "data-minio-0", status={"phase": "Bound", "capacity": {"storage": "20Gi"}})
        server.add(claim, NAMESPACE)
        context = {"spec": {"container": {"securityContext": {"runAsNonRoot": True}}}}
        server.objects["/apis/serving.kserve.io/v1alpha1/clusterstoragecontainers/default"] = context
        server.run = probe
        yield server


def checked(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Object]]:
    code = main(["doctor", "--namespace", NAMESPACE, "--json", *options])
    return code, {item["name"]: item for item in json.loads(capsys.readouterr().out)}


def statuses(found: dict[str, Object]) -> dict[str, str]:
    return {name: item["status"] for name, item in found.items() if item["status"] != "ok"}


def test_all_is_well(api, capsys):
    code, found = checked(capsys)

    assert statuses(found) == {}
    assert code == 0
    assert len(found) > 25
    assert len(api.created) == 6
    assert not [path for path in api.objects if "fullcircle-doctor" in path]


def test_the_table_for_people(api, capsys):
    api.objects.pop(f"{API}/configmaps/kfp-launcher")

    assert main(["doctor", "--namespace", NAMESPACE]) == 1

    shown = capsys.readouterr().out
    assert "\n secrets\n" in shown
    assert "  ✗ ConfigMap kfp-launcher" in shown
    assert "    Remedy: kubectl apply -k manifests/overlays/<overlay>" in shown
    assert shown.endswith(" ok, 0 to look at, 1 to fix\n")


REMOVED = {
    f"{API}/configmaps/fullcircle-store": f"ConfigMap fullcircle-store in {NAMESPACE}",
    f"{API}/secrets/fullcircle-stages": f"fullcircle-stages in {NAMESPACE}",
    f"{API}/secrets/minio-root": f"minio-root in {NAMESPACE}",
    f"{API}/serviceaccounts/fullcircle-monitoring": "fullcircle-monitoring",
    f"/apis/serving.kserve.io/v1alpha1/namespaces/{NAMESPACE}/servingruntimes/fullcircle": "ServingRuntime fullcircle",
    f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/fullcircle-monitoring": "CronJob fullcircle-monitoring",
    f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings/fullcircle-monitor": rights.RUNS,
    f"{API}/persistentvolumeclaims/data-minio-0": "volume of MinIO",
    "/apis/argoproj.io/v1alpha1": "Argo Workflows",
    f"/api/v1/namespaces/{NAMESPACE}": NAMESPACE,
}


@pytest.mark.parametrize("path", REMOVED)
def test_what_is_missing_is_named_with_its_remedy(api, path, capsys):
    api.objects.pop(path)

    code, found = checked(capsys)

    assert code == 1
    assert found[REMOVED[path]]["status"] == "fail"
    assert found[REMOVED[path]]["remedy"]


def change(api: ApiServer, path: str, *keys: str, to: Any) -> None:
    found = api.objects[path]
    for key in keys[:-1]:
        found = found.setdefault(key, {})
    found[keys[-1]] = to


SERVING = "/apis/serving.kserve.io/v1alpha1"
RUNTIME = f"{SERVING}/namespaces/{NAMESPACE}/servingruntimes/fullcircle"
CONTAINER = f"{SERVING}/clusterstoragecontainers/default"
CRON_JOB = f"/apis/batch/v1/namespaces/{NAMESPACE}/cronjobs/fullcircle-monitoring"
STORE = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/minio"
KFP = "/apis/apps/v1/namespaces/kubeflow/deployments/ml-pipeline"


@pytest.mark.parametrize(
    ("path", "keys", "value", "name", "status"),
    [
        (f"{API}/secrets/fullcircle-stages", ("data",), {}, f"fullcircle-stages in {NAMESPACE}", "fail"),
        (f"{API}/secrets/fullcircle-serving", ("metadata", "annotations"), {}, "fullcircle-serving for KServe", "fail"),
        (f"{API}/serviceaccounts/fullcircle-serving", ("secrets",), [], "fullcircle-serving", "fail"),
        (f"{API}/configmaps/kfp-launcher", ("data", "providers"), "x", "ConfigMap kfp-launcher", "fail"),
        (f"/api/v1/namespaces/{NAMESPACE}", ("metadata", "labels"), {}, NAMESPACE, "warn"),
        (STORE, ("status",), {}, "MinIO", "fail"),
        (KFP, ("status",), {}, "Kubeflow Pipelines running", "fail"),
        (CRON_JOB, ("spec", "suspend"), True, "CronJob fullcircle-monitoring", "warn"),
        (RUNTIME, ("spec", "disabled"), True, "ServingRuntime fullcircle", "fail"),
        (CONTAINER, ("spec", "container"), {}, "KServe's storage-initializer", "fail"),
    ],
)
def test_what_is_wrong_is_named(api, path, keys, value, name, status, capsys):
    change(api, path, *keys, to=value)

    code, found = checked(capsys)

    assert found[name]["status"] == status
    assert found[name]["remedy"]
    assert code == (1 if status == "fail" else 0)


def controller_defaults(**retry: str) -> str:
    return str(yaml.safe_dump({"spec": {"templateDefaults": {"retryStrategy": retry}}}))


@pytest.mark.parametrize(
    ("text", "status", "words"),
    [
        (
            controller_defaults(limit="2", retryPolicy="OnError"),
            "warn",
            "never started again: the policy of all is OnError",
        ),
        (controller_defaults(limit="2", retryPolicy="OnTransientError"), "warn", "OnTransientError"),
        (controller_defaults(limit="0", retryPolicy="Always"), "ok", "as often as they say (Always)"),
        ("", "ok", "as often as they say (OnFailure)"),
        ("spec: {}", "ok", "OnFailure"),
        ("[", "warn", "no YAML of a Workflow"),
        ("text", "warn", "no YAML of a Workflow"),
    ],
)
def test_whether_argo_repeats_what_failed_is_said(api, text, status, words, capsys):
    change(api, f"/api/v1/namespaces/kubeflow/configmaps/{ARGO}", "data", "workflowDefaults", to=text)

    code, found = checked(capsys)

    assert code == 0
    assert found["failed tasks"]["status"] == status
    assert words in found["failed tasks"]["found"]
    if "never" in words:
        assert "argo-retries/workflow-controller-configmap.yaml" in found["failed tasks"]["remedy"]


def test_an_older_version_is_warned_of(api, capsys):
    api.add(deployment("kserve-controller-manager", "v0.15.2"), "kserve")

    code, found = checked(capsys)

    assert (code, statuses(found)) == (0, {"KServe running": "warn"})
    assert "0.21.0" in found["KServe running"]["remedy"]


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        ({"error": "Could not list: the secret key does not belong to the access key 'k'"}, "fail", "prepare-store"),
        ({"error": "the bucket 'b' does not exist"}, "fail", "makes the buckets"),
        ({"error": "nothing answers there"}, "fail", "AWS_ENDPOINT_URL"),
        (
            {"rights": [{"action": "read", "place": "data/", "expected": True, "allowed": False}]},
            "fail",
            "FULLCIRCLE_BUCKET",
        ),
        (
            {"rights": [{"action": "read", "place": "data/", "expected": False, "allowed": True}]},
            "warn",
            "sets the rights",
        ),
        (
            {
                "rights": [
                    {"action": "read", "place": "data/", "expected": True, "allowed": True},
                    {"action": "write", "place": "models/", "expected": True, "allowed": False},
                ]
            },
            "fail",
            "sets the rights",
        ),
    ],
)
def test_what_keys_may_do_is_judged(api, answer, status, words, capsys):
    api.run = lambda pod: ({"phase": "Succeeded"}, json.dumps({"bucket": "b", "clock": time.time(), **answer}))

    _, found = checked(capsys)

    check = found["store with the keys of stages"]
    assert check["status"] == status
    assert words in check["remedy"]


def test_pods_that_do_not_run_are_told_apart(api, capsys):
    def run(pod: Object) -> tuple[Object, str]:
        if pod["spec"]["containers"][0]["args"] == ["--version"]:
            waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
            return {"phase": "Pending", "containerStatuses": [{"name": "main", "state": waiting}]}, ""
        ended = {"terminated": {"exitCode": 1, "reason": "Error"}}
        return {"phase": "Failed", "containerStatuses": [{"name": "main", "state": ended}]}, "the last words\n"

    api.run = run

    _, found = checked(capsys)

    assert "cannot be had (ErrImagePull): not found" in found["image minio"]["found"]
    assert found["image predictor"]["found"].endswith("ended with exit code 1: the last words")


def test_an_image_of_another_version_and_another_clock_are_seen(api, capsys):
    api.run = lambda pod: ({"phase": "Succeeded"}, "usage: python -m pipelines")
    _, found = checked(capsys)
    assert "does not try rights" in found["store with the keys of stages"]["found"]

    api.run = lambda pod: (
        {"phase": "Succeeded"},
        json.dumps({"rights": [], "bucket": "b", "clock": time.time() - 3600}),
    )
    _, found = checked(capsys)
    assert any(name.startswith("clock of") and item["status"] == "warn" for name, item in found.items())


def test_the_image_of_runs_is_tried_too(api, capsys):
    _, found = checked(capsys, "--image", "registry.example/stage:v9")

    assert found["image of runs"]["found"] == "registry.example/stage:v9 starts"


def test_what_may_not_be_looked_at_is_said(api, capsys):
    api.forbidden = (f"{API}/secrets",)

    code, found = checked(capsys)

    assert found["could not be looked at"]["status"] == "warn"
    assert "Ask with a user" in found["could not be looked at"]["remedy"]
    assert code == 0


def test_no_cluster_at_all(monkeypatch, capsys):
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")

    assert main(["doctor"]) == 1

    assert "KUBECONFIG" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(tmp_path, monkeypatch, capsys):
    with answering(tmp_path) as (_, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    assert main(["doctor"]) == 1

    assert "cannot be reached: Connection refused" in capsys.readouterr().err


class TestDiagnose:
    """The same table, for runs."""

    def pod(self, name: str, **status: Any) -> Object:
        node = f"wine-x7.root.{name}.executor"
        metadata = {
            "name": f"wine-{name}", "uid": name, "creationTimestamp": "2026-03-01T12:00:00Z",
            "labels": {"pipeline/runid": "r1"}, "annotations": {"workflows.argoproj.io/node-name": node},
        }  # fmt: skip
        spec = {"containers": [{"name": "main", "image": "r/stage:1"}]}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}

    def said(self, capsys: pytest.CaptureFixture[str], run: str = "r1") -> str:
        assert main(["diagnose", run, "--namespace", NAMESPACE, "--host", "http://127.0.0.1:1"]) == 0
        return capsys.readouterr().out

    def test_a_pods_reason_its_message_and_its_log(self, api, capsys):
        state = {"terminated": {"exitCode": 1}}
        api.add(self.pod("train", phase="Failed", containerStatuses=[{"name": "main", "state": state}]), NAMESPACE)
        api.logs["wine-train"] = "fitting\nDataError: One class only.\n"

        said = self.said(capsys)

        assert " ✗ train: One class only.\n   (the container main ended with exit code 1)\n" in said
        assert "Pod wine-train, the last that it wrote:\n     fitting\n" in said
        assert "Kubeflow Pipelines was not asked" in said

    def test_what_argo_says_where_no_pod_could_be_made(self, api, capsys):
        nodes = {
            "n": {"name": "wine-x7.root.train.executor", "phase": "Error", "message": "pods forbidden: exceeded quota"}
        }
        workflow = {
            "metadata": {"name": "wine-x7", "labels": {"pipeline/runid": "r1"}},
            "status": {"phase": "Error", "nodes": nodes},
        }
        api.objects[f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows/wine-x7"] = workflow

        assert " ✗ train: pods forbidden: exceeded quota\n" in self.said(capsys)

    def test_a_workflow_that_failed_as_a_whole(self, api, capsys):
        status = {"phase": "Failed", "message": "invalid spec"}
        workflow = {"metadata": {"name": "wine-x7", "labels": {"pipeline/runid": "r1"}}, "status": status}
        api.objects[f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/workflows/wine-x7"] = workflow

        said = self.said(capsys)

        assert "Run r1  failed" in said
        assert " ✗ the run: invalid spec\n" in said

    def test_pods_that_may_not_be_looked_at(self, api, capsys):
        api.forbidden = (f"{API}/pods",)

        assert "The pods could not be looked at" in self.said(capsys)
