"""`make bench-pods`: from submitting the wine to its endpoint on a cluster, with fused stages and without.

Needs a cluster that KUBECONFIG names, of one node, with the images of REGISTRY and TAG. Kubeflow Pipelines is not
there: this program starts the pods that it would, when it would. Each task has a driver pod and then an executor pod,
and so have the pipeline, its loop, each turn of it, and its condition a driver. What the pods run is the compiled
pipeline's. Of a driver, only its pod is real; `DRIVER_SECONDS` stands for the time that a driver takes on Kubeflow
Pipelines. What an executor pod costs there beyond its containers (the launcher's uploads, Argo's wait) is left out.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from components.shared.kubernetes.api import Cluster
from tests.benchmarks.report import Figure, at_most, report, show, told
from tests.cluster import containers
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import NAMESPACE, await_store, overlay, restrict_storage_container, write_overlay
from tests.cluster.stage_pods import Object, compiled, pod, program, stage
from tests.pipelines.command_line import ROOT, WINE

FUSE = [["ingest", "validate", "prepare"], ["train", "evaluate", "gate"], ["publish", "deploy"]]
# With the fingerprint in the first group, nothing of it is taken from an earlier run.
FUSE_ALL = [["fingerprint", *FUSE[0]], *FUSE[1:]]
VARIANTS: dict[str, list[list[str]]] = {"not-fused": [], "fused": FUSE, "fused-from-fingerprint": FUSE_ALL}
DRIVER_SECONDS = 7.5  # in the middle of 6 to 9, as measured on Kubeflow Pipelines 2.17 on two cores
LIMIT = 100.0
# What it took on Kubeflow Pipelines 2.17 on two cores, every stage a task of its own.
ON_KUBEFLOW = 254.0
PATIENCE = 900.0
_CLAIM = "benchmark"
_RUN_LABEL = "pipeline/runid"


class PodError(RuntimeError):
    """A pod failed, or did not end."""


@dataclass(slots=True)
class Pods:
    """Starts pods of one run and tells when they have ended.

    Attributes:
        cluster: Starts them.
        api: Is asked for all of them at once, so that waiting costs little.
        run: The run's id.
        phases: The phase of each pod at the last look.
        took: Seconds from the start of each pod to its end, by name.
    """

    cluster: Kubectl
    api: Cluster
    run: str
    phases: dict[str, str] = field(default_factory=dict)
    took: dict[str, float] = field(default_factory=dict)
    _look: threading.Lock = field(default_factory=threading.Lock)
    _looked: float = 0.0

    def complete(self, name: str, part: Object) -> None:
        """Start a pod of one container and wait for its end.

        Raises:
            PodError: It failed.
        """
        start = time.monotonic()
        body = pod(
            f"{self.run}-{name}",
            NAMESPACE,
            [part],
            run=self.run,
            work={"persistentVolumeClaim": {"claimName": _CLAIM}},
        )
        self.cluster("apply", "-f", "-", stdin=json.dumps(body))
        while (phase := self._phase(body["metadata"]["name"])) not in ("Succeeded", "Failed"):
            if time.monotonic() - start > PATIENCE:
                raise PodError(f"{name} has not ended in {PATIENCE:g} s")
            time.sleep(0.2)
        self.took[name] = time.monotonic() - start
        if phase == "Failed":
            raise PodError(f"{name} failed:\n{self.cluster.run('-n', NAMESPACE, 'logs', f'{self.run}-{name}').stdout}")

    def _phase(self, name: str) -> str:
        with self._look:
            if time.monotonic() - self._looked > 0.4:
                path = f"/api/v1/namespaces/{NAMESPACE}/pods"
                found = self.api.list(path, labelSelector=f"{_RUN_LABEL}={self.run}")
                self.phases = {each["metadata"]["name"]: each["status"].get("phase", "") for each in found}
                self._looked = time.monotonic()
            return self.phases.get(name, "")


@dataclass(slots=True)
class Run:
    """One run of a compiled pipeline, task by task as their inputs come to be.

    Attributes:
        definition: The compiled pipeline.
        pods: Its pods.
        ended: Seconds from the beginning to the end of each task, by name.
    """

    definition: tuple[Any, Any]
    pods: Pods
    ended: dict[str, float] = field(default_factory=dict)
    _start: float = field(default_factory=time.monotonic)

    def execute(self) -> None:
        """Run it to its end."""
        self._drive("pipeline")
        self._tasks(self.definition[0]["root"]["dag"]["tasks"])

    def _tasks(self, tasks: dict[str, Any], item: str = "") -> None:
        """Run the tasks of a graph, each as soon as those have ended that it depends on."""
        done = {name: threading.Event() for name in tasks}
        failed = threading.Event()

        def run(name: str) -> None:
            try:
                for before in tasks[name].get("dependentTasks", []):
                    done[before].wait()
                if not failed.is_set():
                    self._task(name, tasks[name], item)
            except BaseException:
                failed.set()
                raise
            finally:
                done[name].set()

        with ThreadPoolExecutor(len(tasks)) as threads:
            for future in [threads.submit(run, name) for name in tasks]:
                future.result()

    def _task(self, name: str, task: Any, item: str) -> None:
        label = f"{name}-{item}".replace("_", "-").strip("-")
        self._drive(label)
        inside = self.definition[0]["components"][task["componentRef"]["name"]].get("dag")
        if inside is None:
            self.pods.complete(label, self._container(name, item))
        else:
            self._turns(name, task, inside["tasks"])
        self.ended[label] = time.monotonic() - self._start

    def _turns(self, name: str, task: Any, tasks: dict[str, Any]) -> None:
        if "parameterIterator" not in task:
            self._tasks(tasks)
            return
        items = json.loads(task["parameterIterator"]["items"]["raw"])

        def turn(item: str) -> None:
            self._drive(f"{name}-{item}".replace("_", "-"))
            self._tasks(tasks, item)

        with ThreadPoolExecutor(len(items)) as threads:
            list(threads.map(turn, items))

    def _drive(self, label: str) -> None:
        start = time.monotonic()
        self.pods.complete(f"{label}-driver", program(["true"]))
        time.sleep(max(0.0, DRIVER_SECONDS - (time.monotonic() - start)))

    def _container(self, name: str, item: str) -> Object:
        """The container of a task; of the turns of a loop, the first one's output is what goes on."""
        part = stage(self.definition, name, **({"family": item} if item else {}))
        families = self.definition[0]["families"]
        if item and item != families[0]:
            part["command"] = [text.replace(f"/work/{name}/", f"/work/{name}-{item}/") for text in part["command"]]
        return part


@contextmanager
def shared_folder(cluster: Kubectl) -> Iterator[None]:
    """A claim on a folder of the node, where the pods of a run leave their outputs for one another."""
    size = {"storage": "1Gi"}
    common = {"accessModes": ["ReadWriteMany"], "storageClassName": "fullcircle-benchmark"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "fullcircle-benchmark"},
        "spec": {**common, "capacity": size, "hostPath": {"path": "/var/tmp", "type": "Directory"}},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": _CLAIM, "namespace": NAMESPACE},
        "spec": {**common, "resources": {"requests": size}, "volumeName": "fullcircle-benchmark"},
    }
    cluster("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [volume, claim]}))
    try:
        yield
    finally:
        cluster("delete", "pods", "-n", NAMESPACE, "-l", _RUN_LABEL, "--wait=true", "--grace-period=1")
        cluster("-n", NAMESPACE, "delete", "pvc", _CLAIM, "--wait=true")
        cluster("delete", "pv", "fullcircle-benchmark", "--wait=true")


def measure_run(cluster: Kubectl, name: str, fuse: list[list[str]], console: Console) -> float:
    """Run the wine from an empty registry.

    Returns:
        Seconds from the start to the endpoint that is ready and proven: the end of the task that deploys.
    """
    content = yaml.safe_load(WINE.read_text(encoding="utf-8"))
    content.setdefault("cluster", {})["fuse"] = fuse
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as text:
        folder = Path(text)
        config = folder / "wine.yaml"
        config.write_text(yaml.safe_dump(content), encoding="utf-8")
        definition = compiled(folder, config)
    definition[0]["families"] = content["search"]["families"]
    run = Run(definition, Pods(cluster, Cluster.connect(), f"{name}-{int(time.time())}"))
    run.execute()
    rows = [[task, seconds, run.pods.took.get(task, "")] for task, seconds in run.ended.items()]
    show(f"The wine, {name}", ["task", "ended after, s", "executor pod, s"], rows, console=console)
    (deployed,) = [seconds for task, seconds in run.ended.items() if "deploy" in task.split("-")]
    return deployed


def pods(cluster: Kubectl, console: Console) -> list[Figure]:
    """Measure both ways."""
    images = {image: containers.name_of(image) for image in ("stage", "predictor", "minio")}
    measured: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-", dir=ROOT / "build") as folder:
        manifests = write_overlay(Path(folder), images)
        for name, fuse in VARIANTS.items():
            with overlay(cluster, manifests), shared_folder(cluster):
                restrict_storage_container(cluster)
                await_store(cluster)
                measured[name] = measure_run(cluster, name, fuse, console)
                cluster("-n", NAMESPACE, "delete", "inferenceservice", "wine", "--wait")
    return [
        told("wine, from submit to endpoint, every stage a task", measured["not-fused"], unit="s"),
        told("wine, from submit to endpoint, fused from ingest on", measured["fused"], unit="s"),
        at_most(
            "wine, from submit to endpoint, fused from the fingerprint on",
            measured["fused-from-fingerprint"],
            LIMIT,
            unit="s",
            target=f"at most {LIMIT:g} s, where on Kubeflow Pipelines it takes {ON_KUBEFLOW:g} s not fused",
        ),
        told(
            "wine, fused, of the time not fused",
            measured["fused-from-fingerprint"] / measured["not-fused"],
            unit="ratio",
        ),
    ]


def main() -> None:
    """Measure, print, write."""
    console = Console(highlight=False)
    cluster = Kubectl()
    if cluster.run("get", "--raw", "/readyz").returncode:
        sys.exit("make bench-pods needs a cluster of one node that answers; name it by KUBECONFIG")
    if not cluster.run("get", "namespace", NAMESPACE).returncode:
        sys.exit(f"The namespace {NAMESPACE} is there already: this benchmark would delete it")
    (ROOT / "build").mkdir(exist_ok=True)
    report("pods", pods(cluster, console), console=console)


if __name__ == "__main__":
    main()
