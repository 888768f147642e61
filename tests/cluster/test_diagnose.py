"""What `make diagnose` says of pods that are really broken, as those of a run are: by label and Argo's annotation."""

import json
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from components.shared.kubernetes.api import Cluster
from pipelines.cluster.diagnose import Diagnosis, diagnose
from tests.cluster import needs
from tests.cluster.containers import name_of
from tests.cluster.kubectl import Kubectl
from tests.cluster.needs import NODE
from tests.components.receivers import receiving
from tests.pipelines.command_line import call

NAMESPACE = os.environ.get("FULLCIRCLE_TEST_NAMESPACE", "fullcircle-use")
SECURITY = {
    "allowPrivilegeEscalation": False,
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
# All on one stream: of two, the container runtime keeps no order.
CRASH = (
    "import sys\n"
    "from components.shared.errors import SourceError\n"
    "print('reading', file=sys.stderr)\n"
    "raise SourceError('The table wine has no rows.\\nGive it some.')"
)


@pytest.fixture(scope="module")
def kubectl(cluster: Kubectl) -> Iterator[Kubectl]:
    """The cluster with the namespace, and the images on its node."""
    needs.images(cluster, "stage")
    was_there = not cluster.run("get", "namespace", NAMESPACE).returncode
    if not was_there:
        cluster("create", "namespace", NAMESPACE)
    yield cluster
    if not was_there:
        cluster("delete", "namespace", NAMESPACE, "--timeout=120s")


@pytest.fixture
def run(kubectl: Kubectl) -> Iterator["Run"]:
    """A run without pods; those that it gets are removed."""
    made = Run(kubectl)
    yield made
    kubectl("-n", NAMESPACE, "delete", "pods", "-l", f"pipeline/runid={made.run_id}", "--force", "--grace-period=0")


class Run:
    """Pods that look like those of one run."""

    def __init__(self, kubectl: Kubectl) -> None:
        self.kubectl = kubectl
        self.run_id = str(uuid.uuid4())

    def add(self, node: str, *command: str, memory: str = "256Mi", cpu: str = "10m", **container: Any) -> None:
        """A pod of the stage image for one of Argo's nodes."""
        main = {
            "name": "main",
            "image": name_of("stage"),
            "imagePullPolicy": "IfNotPresent",
            "command": list(command) or ["python", "-c", "print('done')"],
            "resources": {"requests": {"cpu": cpu, "memory": "16Mi"}, "limits": {"memory": memory}},
            "securityContext": SECURITY,
            **container,
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": "wine-x7k2p-",
                "labels": {"pipeline/runid": self.run_id},
                "annotations": {"workflows.argoproj.io/node-name": f"wine-x7k2p.root.{node}"},
            },
            "spec": {"restartPolicy": "Never", "containers": [main]},
        }
        self.kubectl("-n", NAMESPACE, "create", "-f", "-", stdin=json.dumps(pod))

    def diagnosed(self, seconds: float = 60) -> Diagnosis:
        """The diagnosis, once there is a finding."""
        end = time.monotonic() + seconds
        while True:
            found = diagnose(self.run_id, Cluster.connect(), namespace=NAMESPACE, families=["linear", "dummy"])
            if found.findings or time.monotonic() > end:
                return found
            time.sleep(0.5)

    def settled(self) -> None:
        """Wait until no pod is on its way."""
        for _ in range(120):
            pods = self.kubectl.json("-n", NAMESPACE, "get", "pods", "-l", f"pipeline/runid={self.run_id}")["items"]
            if all(pod["status"]["phase"] in ("Succeeded", "Failed") for pod in pods):
                return
            time.sleep(0.5)
        raise AssertionError("the pods have not ended")


def test_a_missing_image(run):
    run.add("ingest.executor", image="localhost/fullcircle/stage:absent")

    (found,) = run.diagnosed().findings

    assert found.task == "ingest"
    assert "localhost/fullcircle/stage:absent cannot be had" in found.what
    assert "TAG" in found.remedy


def test_a_node_that_is_too_small(run):
    run.add("for-loop-1.iteration-item(1:1).tune.executor(0)", cpu="640")

    (found,) = run.diagnosed().findings

    assert found.task == "tune (dummy)"
    assert "Insufficient cpu" in found.what
    assert "cluster.tasks" in found.remedy


def test_out_of_memory(run):
    run.add("train.executor", "python", "-c", "print('fitting', flush=True); x = bytearray(10**9)", memory="48Mi")

    (found,) = run.diagnosed().findings

    assert found.task == "train"
    assert found.what == "the container main ran out of memory (OOMKilled, its limit is 48Mi)"
    assert "memory_limit" in found.remedy
    assert found.log == ["fitting"]


def test_a_missing_secret(run):
    run.add("publish.executor", envFrom=[{"secretRef": {"name": "fullcircle-absent"}}])

    (found,) = run.diagnosed().findings

    assert 'secret "fullcircle-absent" not found' in found.what
    assert "Make the secret fullcircle-absent" in found.remedy


def test_a_stages_own_error(run, tmp_path):
    run.add("ingest.executor", "python", "-c", CRASH)

    (found,) = run.diagnosed().findings

    assert found.message == "The table wine has no rows.\nGive it some."
    assert found.log[0] == "reading"
    code, output = call(
        "diagnose", run.run_id, "--namespace", NAMESPACE, folder=tmp_path, KUBECONFIG=os.environ["KUBECONFIG"]
    )
    assert code == 0, output
    assert (
        "ingest: The table wine has no rows.\n   Give it some.\n   (the container main ended with exit code 1)\n"
        in output
    )
    assert "Kubeflow Pipelines was not asked" in output
    assert "Traceback" in output  # the stage's own log, not ours
    assert "components.shared.errors.SourceError" in output


def test_what_failed_is_told_before_what_waits(run):
    run.add("profile.executor", cpu="640")
    run.add("ingest.executor", "python", "-c", "raise SystemExit(3)")
    for _ in range(60):
        found = run.diagnosed().findings
        if len(found) == 2:
            break
        time.sleep(0.5)

    assert [item.task for item in found] == ["ingest", "profile"]
    assert "exit code 3" in found[0].what


def test_an_attempt_that_was_repeated_well_is_no_trouble(run):
    run.add("ingest.executor(0)", "python", "-c", "raise SystemExit(1)")
    run.settled()
    time.sleep(1.1)  # creation is known by the second
    run.add("ingest.executor(1)")
    run.settled()

    found = run.diagnosed(seconds=0)

    assert found.findings == []
    assert found.notes == ["Nothing wrong is seen."]


def test_a_run_without_pods(run):
    (note,) = diagnose(run.run_id, Cluster.connect(), namespace=NAMESPACE).notes

    assert f"The namespace {NAMESPACE} has no pod of this run" in note


def test_the_exit_task_tells_what_the_pods_of_its_run_say(kubectl, run, tmp_path):
    """With the rights of an account that may look, and with those of one that may not."""
    needs.this_machine()
    run.add("exit-handler-1.ingest.executor", "python", "-c", CRASH)
    run.settled()
    with receiving(NODE) as receiver:
        _notify(kubectl, run, receiver.url)
        binding = ["-n", NAMESPACE, "rolebinding", "may-look"]
        kubectl("create", *binding, "--clusterrole=view", f"--serviceaccount={NAMESPACE}:default")
        try:
            _notify(kubectl, run, receiver.url)
        finally:
            kubectl("delete", *binding)
    refused, told = receiver.bodies()
    assert "the run: its pods in" in refused["text"]
    assert "could not be looked at" in refused["text"]
    assert told["text"] == f"run {run.run_id} failed: ingest: The table wine has no rows."
    (finding,) = told["findings"]
    assert finding["message"] == "The table wine has no rows.\nGive it some."


def _notify(kubectl: Kubectl, run: "Run", url: str) -> None:
    """A pod of the run does what the exit task does of a run that failed."""
    call_of_stage = (
        "from components.notify.notify import notify_of_run\n"
        "from components.shared.config.notifications import NotificationsConfig\n"
        "receivers = [{'kind': 'webhook', 'url_variable': 'HOOK_URL'}]\n"
        "settings = NotificationsConfig.model_validate({'receivers': receivers})\n"
        "print(notify_of_run('wine', state='FAILED', error='', settings=settings))"
    )
    environment = {"HOOK_URL": url, "KFP_RUN_ID": run.run_id, "HOME": "/tmp"}
    run.add(
        "notify.executor",
        "python",
        "-c",
        call_of_stage,
        memory="512Mi",
        env=[{"name": name, "value": value} for name, value in environment.items()],
    )
    run.settled()
