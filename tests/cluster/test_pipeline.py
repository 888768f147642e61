"""The training pipeline of the wine, in pods of the stage image: to an endpoint, its log and its drift report."""

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.shared.package.model_package import MANIFEST, verify, version_prefix
from components.shared.progress import divide
from components.shared.registry.registry import Registry
from components.shared.stages import TRAINING
from components.shared.store import Store, StoreSettings
from pipelines.task_records import announced
from tests.cluster.kubectl import Kubectl
from tests.cluster.one_node import KEYS, NAMESPACE, await_store
from tests.cluster.stage_pods import Object, compiled, pod, program, stage
from tests.pipelines.command_line import write_config

RUN = ("python", "-m", "pipelines", "run", "/opt/fullcircle/pipelines/configs/wine.yaml", "--on-cluster")
FUSE = [["ingest", "validate", "prepare"], ["train", "evaluate", "gate"], ["publish", "deploy"]]
SOURCES = ("configMapRef/fullcircle-store", "secretRef/fullcircle-stages")
# Asks for a prediction of each wine, three at a time, and says how many right answers came.
ASK = """
import json, os, urllib.request
from sklearn.datasets import load_wine
wine = load_wine(as_frame=True)
names = [name.replace('/', '_').replace('od280_od315_of_diluted_wines', 'od280_od315') for name in wine.data]
rows = [dict(zip(names, map(float, values))) for values in wine.data.to_numpy()]
answers = []
for start in range(0, len(rows), 3):
    body = json.dumps({'instances': rows[start:start + 3]}).encode()
    request = urllib.request.Request(os.environ['URL'], body, {'Content-Type': 'application/json'})
    answers += json.load(urllib.request.urlopen(request, timeout=10))['predictions']
print(json.dumps({'answers': len(answers), 'first': answers[0]}))
"""


def begin(cluster: Kubectl, body: Object) -> str:
    cluster("apply", "-f", "-", stdin=json.dumps(body))
    return str(body["metadata"]["name"])


def ended(cluster: Kubectl, name: str, *, seconds: float = 240) -> str:
    """How a pod ended: its phase, once it has."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        phase = cluster("-n", NAMESPACE, "get", "pod", name, "-o", "jsonpath={.status.phase}")
        if phase in ("Succeeded", "Failed"):
            return phase
        time.sleep(1)
    raise AssertionError(f"{name} goes on:\n{log(cluster, name)}")


def log(cluster: Kubectl, name: str, *arguments: str) -> str:
    done = cluster.run("-n", NAMESPACE, "logs", name, *(arguments or ("--all-containers",)))
    return done.stdout + done.stderr


def remove(cluster: Kubectl, name: str) -> None:
    cluster("-n", NAMESPACE, "delete", "pod", name, "--ignore-not-found", "--wait", "--grace-period=1")


@contextmanager
def store_of(cluster: Kubectl, user: str) -> Iterator[Store]:
    with cluster.forwarded(NAMESPACE, "minio-service", 9000) as address:
        yield Store(StoreSettings(address, *KEYS[user]))


def until_logged(cluster: Kubectl, name: str, text: str, *, seconds: float = 120) -> str:
    """The pod's log as soon as it holds a text."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if text in (found := log(cluster, name)):
            return found
        time.sleep(0.3)
    raise AssertionError(f"{text!r} never came:\n{found}")


def run_wine(cluster: Kubectl, name: str, **values: str) -> str:
    """A whole run in a pod of its own, begun."""
    remove(cluster, name)
    part = program(RUN, *SOURCES, **values)
    for key in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):  # of the log, for the deployment
        source = {"secretKeyRef": {"name": "fullcircle-monitoring", "key": f"AWS_{key}"}}
        part["env"].append({"name": f"FULLCIRCLE_LOG_{key}", "valueFrom": source})
    return begin(cluster, pod(name, NAMESPACE, [part], run=name))


def promoting(version: str) -> Any:
    """A container that leaves the gate's verdict for deploy: to promote a version, which was compared with itself."""
    verdict = json.dumps({"promoted": True, "candidate": version, "champion": version})
    write = f"from pathlib import Path; Path('/work/gate').mkdir(); Path('/work/gate/verdict').write_text({verdict!r})"
    return program(["python3", "-c", write])


def intact(cluster: Kubectl, folder: Path) -> list[str]:
    """Versions of the wine model in the store, each of which is verified; the champion is one of them."""
    with store_of(cluster, "monitoring") as store:
        versions = [item.key.split("/")[-2] for item in store.list("models/wine/") if item.key.endswith(MANIFEST)]
        for version in versions:
            package = folder / version
            store.get_folder(version_prefix("wine", version), package)
            verify(package, version=version)
        champion = Registry(store, "wine").champion()
    assert champion is None or champion.version in versions
    return versions


@pytest.fixture(scope="module")
def ready(cluster: Kubectl, applied: Path, storage_container: None) -> Path:
    """The overlay, its store set up."""
    await_store(cluster)
    return applied


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return compiled(tmp_path_factory.mktemp("compiled"))


def reports(cluster: Kubectl) -> set[str]:
    """The Jobs that make drift reports; others of the namespace come and go by their schedules."""
    label = "app.kubernetes.io/name=fullcircle-monitoring"
    return set(cluster("-n", NAMESPACE, "get", "jobs", "-l", label, "-o", "name").split())


class TestPipeline:
    """In this order."""

    def test_from_the_table_to_an_endpoint_that_is_ready(self, cluster, ready):
        start = time.monotonic()
        name = run_wine(cluster, "wine-run")
        phase = ended(cluster, name)
        print(f"the wine in a pod: {time.monotonic() - start:.0f} s\n{log(cluster, name)}")
        assert phase == "Succeeded", log(cluster, name)
        done = re.findall(r"✓ (\w+)", log(cluster, name))
        assert set(done) == set(TRAINING)
        cluster("-n", NAMESPACE, "wait", "--for=condition=Ready", "inferenceservice/wine", "--timeout=5s")
        (job,) = cluster.json("-n", NAMESPACE, "get", "jobs", "-l", "app.kubernetes.io/name=fullcircle-monitoring")[
            "items"
        ]
        (owner,) = job["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("CronJob", "fullcircle-monitoring")

    def test_the_endpoint_answers_another_pod_and_logs_what_it_was_asked(self, cluster, ready):
        url = f"http://wine-predictor.{NAMESPACE}/v1/models/wine:predict"
        asking = program(["python", "-c", ASK], URL=url)
        name = begin(cluster, pod("asks-the-wine", NAMESPACE, [asking], account="default"))
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        assert json.loads(log(cluster, name))["answers"] == 178
        with store_of(cluster, "monitoring") as store:
            end = time.monotonic() + 30
            rows = 0
            while rows < 178 and time.monotonic() < end:
                time.sleep(1)
                files = [item.key for item in store.list("inference/wine/") if item.key.endswith(".parquet")]
                rows = sum(pq.ParquetFile(io.BytesIO(store.get_bytes(key))).metadata.num_rows for key in files)
            assert rows >= 178

    def test_the_scheduled_report_compares_what_was_asked(self, cluster, ready):
        cluster("-n", NAMESPACE, "create", "job", "--from=cronjob/fullcircle-monitoring", "report-now")
        cluster("-n", NAMESPACE, "wait", "--for=condition=complete", "job/report-now", "--timeout=120s", timeout=130)
        said = cluster("-n", NAMESPACE, "logs", "job/report-now")
        assert "rows the endpoint was asked" in said
        (prefix,) = re.findall(r"s3://fullcircle/(monitoring/wine/\S+/)", said)
        with store_of(cluster, "monitoring") as store:
            assert b"<title>Drift of wine" in store.get_bytes(f"{prefix}drift.html")
            assert json.loads(store.get_bytes(f"{prefix}drift.json"))["name"] == "wine"

    def test_each_stages_own_command_runs_in_its_container(self, cluster, ready, pipeline):
        """As compiled: image, command, arguments, environment, limits. The same data are the same version."""
        remove(cluster, "stage-by-stage")
        body = pod("stage-by-stage", NAMESPACE, [stage(pipeline, name) for name in TRAINING], run="stage-by-stage")
        name = begin(cluster, body)
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        for each in TRAINING:
            assert "▸ " in log(cluster, name, "-c", each), each
        found = cluster.json("-n", NAMESPACE, "get", "pod", name)["status"]
        every = [*found["initContainerStatuses"], *found["containerStatuses"]]
        assert [one["name"] for one in every] == list(TRAINING)
        jobs = reports(cluster)
        assert len([job for job in jobs if "/monitor-wine-" in job]) == 2

    def test_a_task_that_is_started_again_leaves_one_job(self, cluster, ready, pipeline):
        """The same run's monitor once more: it finds its Job, and the report that is there."""
        before = reports(cluster)
        version = self.version(cluster)
        parts = [*(stage(pipeline, each) for each in ("fingerprint", "ingest", "validate", "prepare")),
                 stage(pipeline, "monitor", version=version)]  # fmt: skip
        remove(cluster, "again")
        name = begin(cluster, pod("again", NAMESPACE, parts, run="stage-by-stage"))
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        assert "of this run is there already" in log(cluster, name, "-c", "monitor")
        assert reports(cluster) == before

    def test_stages_that_share_a_task_run_in_its_container(self, cluster, ready, tmp_path):
        """As compiled with `cluster.fuse`: the same data are the same version, and each stage has its part of a log."""
        before = self.version(cluster)
        fused = compiled(tmp_path, write_config(tmp_path / "wine.yaml", cluster={"fuse": FUSE}))
        tasks = ("fingerprint", "ingest-validate-prepare", "profile", "tune", "train-evaluate-gate", "publish-deploy")
        remove(cluster, "fused")
        body = pod("fused", NAMESPACE, [stage(fused, name) for name in tasks], run="fused")
        name = begin(cluster, body)
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        for group in FUSE:
            parts = divide(log(cluster, name, "-c", "-".join(group)))
            assert [part.stage for part in parts] == group
            assert all(part.seconds is not None and announced(part.text) for part in parts)
        assert self.version(cluster) == before

    @staticmethod
    def version(cluster: Kubectl) -> str:
        with store_of(cluster, "monitoring") as store:
            champion = Registry(store, "wine").champion()
        assert champion is not None
        return champion.version


class TestKilled:
    """After the pipeline; each pod killed in turn, and the run repeated."""

    def repeated(self, cluster: Kubectl, folder: Path) -> None:
        """A run is done well, and every version in the store is whole."""
        name = run_wine(cluster, "wine-again")
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        assert intact(cluster, folder)

    def test_the_store(self, cluster, ready, tmp_path):
        name = run_wine(cluster, "wine-killed")
        until_logged(cluster, name, "✓ evaluate")
        cluster("-n", NAMESPACE, "delete", "pod", "minio-0", "--grace-period=0", "--force")
        phase = ended(cluster, name)
        said = log(cluster, name)
        print(said)
        assert phase == "Succeeded" or re.search(r"(gate|publish|deploy|monitor) failed", said), said
        assert phase == "Succeeded" or "http://minio-service" in said
        assert "Traceback" not in said
        cluster("-n", NAMESPACE, "rollout", "status", "statefulset/minio", "--timeout=120s", timeout=130)
        intact(cluster, tmp_path / "then")
        self.repeated(cluster, tmp_path / "now")

    @pytest.mark.parametrize("after", ["✓ train", "✓ gate", "✓ publish"])
    def test_the_stage_at_work(self, cluster, ready, tmp_path, after):
        name = run_wine(cluster, "wine-killed")
        until_logged(cluster, name, after)
        cluster("-n", NAMESPACE, "delete", "pod", name, "--grace-period=0", "--force")
        intact(cluster, tmp_path / "then")
        self.repeated(cluster, tmp_path / "now")

    def test_the_monitoring_jobs_pod(self, cluster, ready, tmp_path):
        before = reports(cluster)
        name = run_wine(cluster, "wine-killed")
        until_logged(cluster, name, "✓ deploy")
        end = time.monotonic() + 60
        while not (made := reports(cluster) - before):
            assert time.monotonic() < end
        (job,) = made
        selector = f"batch.kubernetes.io/job-name={job.removeprefix('job.batch/')}"
        while not cluster.json("-n", NAMESPACE, "get", "pods", "-l", selector)["items"]:
            assert time.monotonic() < end
        cluster("-n", NAMESPACE, "delete", "pod", "-l", selector, "--grace-period=0", "--force")
        assert ended(cluster, name) == "Succeeded", log(cluster, name)
        # Another pod of the same Job has done it.
        assert reports(cluster) - before == made
        assert cluster.json("-n", NAMESPACE, "get", job)["status"]["succeeded"] == 1


class TestWhatIsMissing:
    """The task's message names it."""

    def fails(
        self, cluster: Kubectl, pipeline: Any, name: str, *, account: str = "pipeline-runner", **values: str
    ) -> str:
        """What the container of deploy or monitor says, which fails, with other variables than its own."""
        version = TestPipeline.version(cluster)
        part = stage(pipeline, name, version=version)
        part["env"] = [item for item in part["env"] if item["name"] not in values]
        part["env"] += [{"name": key, "value": value} for key, value in values.items() if value]
        if name == "deploy":
            before = [promoting(version)]
        else:
            before = [stage(pipeline, each) for each in ("fingerprint", "ingest", "validate", "prepare")]
        remove(cluster, "fails")
        begun = begin(cluster, pod("fails", NAMESPACE, [*before, part], account=account, run=f"fails-{time.time()}"))
        assert ended(cluster, begun) == "Failed"
        return log(cluster, begun, "-c", name)

    def test_credentials_that_are_wrong(self, cluster, ready, pipeline):
        said = self.fails(cluster, pipeline, "deploy", AWS_SECRET_ACCESS_KEY="wrong-wrong")
        assert "the secret key does not belong to the access key 'development-stages'" in said

    def test_a_bucket_that_is_missing(self, cluster, ready, pipeline):
        said = self.fails(cluster, pipeline, "deploy", FULLCIRCLE_BUCKET="nowhere")
        assert "nowhere" in said
        assert "StoreError" in said

    def test_a_secret_that_is_missing(self, cluster, ready, pipeline):
        said = self.fails(cluster, pipeline, "deploy", AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
        assert "found no AWS_ACCESS_KEY_ID and no AWS_SECRET_ACCESS_KEY" in said
        assert "the secret (fullcircle-stages)" in said

    def test_a_secret_that_is_not_there_keeps_no_pod_from_starting(self, cluster, ready, tmp_path):
        """Optional, as compiled: the task itself says what it lacks."""
        pipeline, platform = compiled(tmp_path)
        text = json.dumps(platform).replace("fullcircle-stages", "forgotten").replace("fullcircle-store", "forgotten")
        said = self.fails(cluster, (pipeline, json.loads(text)), "deploy")
        assert "expected the environment variables AWS_ENDPOINT_URL" in said

    def test_a_role_that_is_missing(self, cluster, ready, pipeline):
        said = self.fails(cluster, pipeline, "monitor", account="fullcircle-monitoring")
        assert "its service account's token" in said or "fullcircle-monitor" in said
        who = f"system:serviceaccount:{NAMESPACE}:pipeline-runner"
        role = cluster("-n", NAMESPACE, "get", "rolebinding", "fullcircle-monitor", "-o", "json")
        cluster("-n", NAMESPACE, "delete", "rolebinding", "fullcircle-monitor")
        try:
            said = self.fails(cluster, pipeline, "monitor")
        finally:
            cluster("apply", "-f", "-", stdin=role)
        assert who in said
        assert "Apply the Role and RoleBinding fullcircle-monitor" in said

    def test_a_cron_job_that_is_missing(self, cluster, ready, pipeline):
        cluster("-n", NAMESPACE, "delete", "cronjob", "fullcircle-monitoring", "--cascade=orphan")
        try:
            said = self.fails(cluster, pipeline, "monitor")
        finally:
            cluster("apply", "-k", ready)
        assert "There is no CronJob fullcircle-monitoring in namespace fullcircle" in said

    def test_a_job_whose_secret_is_missing(self, cluster, ready, pipeline):
        secret = cluster("-n", NAMESPACE, "get", "secret", "fullcircle-monitoring", "-o", "json")
        cluster("-n", NAMESPACE, "delete", "secret", "fullcircle-monitoring")
        try:
            said = self.fails(cluster, pipeline, "monitor")
        finally:
            cluster("apply", "-f", "-", stdin=secret)
        assert 'secret "fullcircle-monitoring" not found' in said

    def test_a_runtime_that_is_missing(self, cluster, ready, pipeline):
        cluster("-n", NAMESPACE, "delete", "inferenceservice", "wine", "--wait")
        runtime = cluster("-n", NAMESPACE, "get", "servingruntime", "fullcircle", "-o", "json")
        cluster("-n", NAMESPACE, "delete", "servingruntime", "fullcircle")
        try:
            said = self.fails(cluster, pipeline, "deploy")
        finally:
            cluster("apply", "-f", "-", stdin=runtime)
        assert "no runtime" in said
