"""Checks from inside the cluster: short pods of the project's images, as the pods of runs and endpoints are.

Each has the service account, the secret, the labels (network policies go by them) and the restricted profile of the
pods that it stands for. What they try changes nothing in the store, and they are removed.
"""

import json
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from components.shared.agreed_names import MONITORING
from components.shared.kubernetes.api import Cluster, ClusterError, Object
from components.shared.runs.pods import find_problem, last_lines, remedy
from pipelines.cluster import rights
from pipelines.cluster.checks import Check, Place

_SUBJECT = "from inside"
_STORE = "fullcircle-store"
_SECONDS = 90.0
_PAUSE_SECONDS = 1.0
_CLOCK_SECONDS = 30.0
_ENDED = ("Succeeded", "Failed")
_PREPARE = "kubectl -n {namespace} delete job prepare-store --ignore-not-found, then apply the overlay again"
_SECURITY = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
_RESOURCES = {
    "requests": {"cpu": "50m", "memory": "128Mi", "ephemeral-storage": "16Mi"},
    "limits": {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "128Mi"},
}
_PART = {"app.kubernetes.io/part-of": "fullcircle"}
# The labels by which the network policies know the pods that a purpose's keys are for.
_LABELS = {
    "stages": {"pipelines.kubeflow.org/v2_component": "true"},
    "artifacts": {"pipelines.kubeflow.org/v2_component": "true"},
    "serving": {
        "serving.kserve.io/inferenceservice": "fullcircle-doctor",
        "app.kubernetes.io/component": "predictor",
        **_PART,
    },
    "monitoring": {"app.kubernetes.io/component": "monitoring", **_PART},
}


@dataclass(slots=True)
class Probe:
    """A pod that tries something.

    Attributes:
        name: What it is called in the table.
        namespace: Where it runs.
        image: Its image.
        command: Its command; empty for the image's own.
        arguments: Its arguments.
        account: Its service account; empty for the namespace's default one.
        labels: Its labels.
        environment: Where its environment comes from, as `envFrom` and `env` of a container.
        purpose: Whose keys it tries; empty when it only has to start.
        pod: Its name, once made.
        begun: When it was made.
    """

    name: str
    namespace: str
    image: str
    command: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    account: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    environment: Object = field(default_factory=dict)
    purpose: str = ""
    pod: str = field(default_factory=lambda: f"fullcircle-doctor-{uuid.uuid4().hex[:10]}")
    begun: float = 0.0

    def body(self) -> Object:
        """The pod, under the restricted profile."""
        container = {
            "name": "main",
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "args": self.arguments,
            **self.environment,
            "resources": _RESOURCES,
            "securityContext": _SECURITY,
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108, in the pod
        } | ({"command": self.command} if self.command else {})
        spec = {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(_SECONDS * 2),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
        } | ({"serviceAccountName": self.account} if self.account else {})
        metadata = {"name": self.pod, "labels": {"app.kubernetes.io/name": "fullcircle-doctor", **self.labels}}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def check_inside(cluster: Cluster, place: Place) -> list[Check]:
    """Start the probes, all at once, and say what became of them."""
    checks: list[Check] = []
    probes: list[Probe] = []
    for planned in _probes(cluster, place):
        if isinstance(planned, Check):
            checks.append(planned)
        elif refused := _start(cluster, planned):
            checks.append(refused)
        else:
            probes.append(planned)
    try:
        for probe, pod, events in _await(cluster, probes):
            checks += _judge(cluster, probe, pod, events)
    finally:
        for probe in probes:
            cluster.delete(f"/api/v1/namespaces/{probe.namespace}/pods/{probe.pod}")
    return checks


def _start(cluster: Cluster, probe: Probe) -> Check | None:
    """Make a probe's pod; a check instead when it is refused."""
    probe.begun = time.time()
    try:
        cluster.create(f"/api/v1/namespaces/{probe.namespace}/pods", probe.body())
    except ClusterError as error:
        remedy = "Change what it names; a quota, a policy or a missing account refuses such pods."
        return Check(_SUBJECT, probe.name, "fail", f"its pod is refused: {error}", remedy)
    return None


def _probes(cluster: Cluster, place: Place) -> Iterator[Probe | Check]:
    """What to try; a check instead where something that it needs is missing."""
    cron_job = cluster.get(f"/apis/batch/v1/namespaces/{place.namespace}/cronjobs/{MONITORING}")
    stage = _image(cron_job, "jobTemplate", "spec", "template", "spec") or place.image
    if not stage:
        yield Check(_SUBJECT, "object store", "warn", "not tried: nothing names the stage image", "make doctor TAG=…")
    else:
        yield from _store_probes(cluster, place, stage)
    runtime = cluster.get(f"/apis/serving.kserve.io/v1alpha1/namespaces/{place.namespace}/servingruntimes/fullcircle")
    minio = cluster.get(f"/apis/apps/v1/namespaces/{place.namespace}/statefulsets/minio")
    if image := _image(runtime):
        yield Probe("image predictor", place.namespace, image, arguments=["--help"], account=rights.SERVING)
    if image := _image(minio, "template", "spec"):
        yield Probe("image minio", place.namespace, image, arguments=["--version"], account=rights.MINIO)
    if place.image and place.image != stage:
        yield Probe("image of runs", place.runs, place.image, ["python", "--version"], account=rights.RUNS)


def _image(found: Object | None, *path: str) -> str:
    spec: Any = (found or {}).get("spec", {})
    for key in path:
        spec = spec.get(key, {})
    containers = spec.get("containers") or [{}]
    return str(containers[0].get("image", ""))


def _store_probes(cluster: Cluster, place: Place, image: str) -> Iterator[Probe | Check]:
    secrets = (
        ("stages", place.runs, rights.RUNS, "fullcircle-stages"),
        ("artifacts", place.runs, rights.RUNS, "mlpipeline-minio-artifact"),
        ("serving", place.namespace, rights.SERVING, rights.SERVING),
        ("monitoring", place.namespace, MONITORING, MONITORING),
    )
    for purpose, namespace, account, secret in secrets:
        name = f"store with the keys of {purpose}"
        needed = (f"configmaps/{_STORE}", f"secrets/{secret}", f"serviceaccounts/{account}")
        missing = [path for path in needed if cluster.get(f"/api/v1/namespaces/{namespace}/{path}") is None]
        if missing:
            yield Check(
                _SUBJECT, name, "fail", f"not tried: {missing[0]} is missing in {namespace}", "Make it, as said above."
            )
            continue
        yield Probe(
            name,
            namespace,
            image,
            ["python", "-m", "pipelines"],
            ["store-rights", purpose],
            account=account,
            labels=_LABELS[purpose],
            environment=_environment(secret, purpose),
            purpose=purpose,
        )


def _environment(secret: str, purpose: str) -> Object:
    names = ("accesskey", "secretkey") if purpose == "artifacts" else ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    env: list[Object] = [
        {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for variable, key in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), names, strict=True)
    ]
    env.append({"name": "HOME", "value": "/tmp"})  # noqa: S108, in the pod
    if purpose == "artifacts":
        env.append({"name": "FULLCIRCLE_BUCKET", "value": "mlpipeline"})
    return {"envFrom": [{"configMapRef": {"name": _STORE}}], "env": env}


def _await(cluster: Cluster, probes: Iterable[Probe]) -> Iterator[tuple[Probe, Object, list[Object]]]:
    """Each probe's pod and events, as soon as it has ended or is seen never to."""
    waiting = list(probes)
    end = time.monotonic() + _SECONDS
    while waiting:
        for probe in list(waiting):
            path = f"/api/v1/namespaces/{probe.namespace}"
            pod = cluster.get(f"{path}/pods/{probe.pod}") or {"metadata": {}, "spec": {"containers": []}, "status": {}}
            events = cluster.list(f"{path}/events", fieldSelector=f"involvedObject.name={probe.pod}")
            over = time.monotonic() > end
            if pod["status"].get("phase") in _ENDED or find_problem(pod, events) or over:
                waiting.remove(probe)
                yield probe, pod, events
        time.sleep(_PAUSE_SECONDS if waiting else 0)


def _judge(cluster: Cluster, probe: Probe, pod: Object, events: list[Object]) -> Iterator[Check]:
    if pod["status"].get("phase") != "Succeeded":
        yield _not_run(cluster, probe, pod, events)
        return
    if not probe.purpose:
        yield Check(_SUBJECT, probe.name, "ok", f"{probe.image} starts")
        return
    log = cluster.log(probe.namespace, probe.pod, "main", lines=50)
    try:
        answer = json.loads(last_lines(log)[-1])
    except (ValueError, IndexError):
        found = f"{probe.image} does not try rights: {log[-200:]!r}"
        yield Check(_SUBJECT, probe.name, "fail", found, "Use a stage image of this version.")
        return
    yield _judge_rights(probe, answer)
    if not probe.begun - _CLOCK_SECONDS < answer["clock"] + cluster.clock_difference < time.time() + _CLOCK_SECONDS:
        remedy = "Set the clock of the node by NTP: the store refuses signatures of another time."
        yield Check(
            _SUBJECT, f"clock of {pod['spec'].get('nodeName')}", "warn", "differs from the API server's", remedy
        )


def _not_run(cluster: Cluster, probe: Probe, pod: Object, events: list[Object]) -> Check:
    problem = find_problem(pod, events)
    if problem is None:
        found = f"its pod has not ended within {_SECONDS:.0f} s ({pod['status'].get('phase', 'gone')})"
        return Check(_SUBJECT, probe.name, "fail", found, "Look at its node: kubectl describe nodes")
    log = cluster.log(probe.namespace, probe.pod, "main", lines=20) if problem.has_run else ""
    last = last_lines(log, 1)
    return Check(_SUBJECT, probe.name, "fail", f"{problem.what}{f': {last[0]}' if last else ''}", remedy(problem))


def _judge_rights(probe: Probe, answer: dict[str, Any]) -> Check:
    if "error" in answer:
        return Check(_SUBJECT, probe.name, "fail", answer["error"], _remedy(answer["error"], probe))
    found = answer["rights"]
    lacking = [f"{item['action']} {item['place']}" for item in found if item["expected"] and not item["allowed"]]
    beyond = [f"{item['action']} {item['place']}" for item in found if item["allowed"] and not item["expected"]]
    again = _PREPARE.format(namespace=probe.namespace)
    if not any(item["allowed"] for item in found):
        text = f"these keys may do nothing in the bucket {answer['bucket']!r}: another bucket's name, or no rights"
        remedy = f"Check FULLCIRCLE_BUCKET in the ConfigMap {_STORE}. {again}: it sets the rights."
        return Check(_SUBJECT, probe.name, "fail", text, remedy)
    if lacking:
        return Check(_SUBJECT, probe.name, "fail", f"may not {', '.join(lacking)}", f"{again}: it sets the rights.")
    if beyond:
        text = f"may {', '.join(beyond)}, which they are not for"
        return Check(_SUBJECT, probe.name, "warn", text, f"{again}: it sets the rights.")
    return Check(_SUBJECT, probe.name, "ok", f"reached; {len(found)} rights are as they should be")


def _remedy(error: str, probe: Probe) -> str:
    again = _PREPARE.format(namespace=probe.namespace)
    if "access key" in error or "secret key" in error:
        return f"The secret and the store's users differ. {again}: it makes the users of the secrets."
    if re.search(r"bucket .* does not exist", error):
        return f"{again}: it makes the buckets."
    return "Check AWS_ENDPOINT_URL in the ConfigMap fullcircle-store, the store's pods, and the network policies."
