"""The Job of a drift report, against a cluster of one's own making; tests/cluster/ does it on a real one."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.monitor import cluster_job, task
from components.monitor.__main__ import main
from components.monitor.cluster_job import REPORT_ANNOTATION, follow, job_from, report_by_job, start
from components.monitor.monitor import ReportFiles
from components.shared.agreed_names import MONITORING, MONITORING_SETTINGS
from components.shared.config import ColumnDrift, MonitoringConfig
from components.shared.errors import MonitorError
from components.shared.frames import part_path
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.schema import Schema
from tests.helpers import make_splits, put_folder
from tests.manifests.rendering import MANIFESTS

SETTINGS = MonitoringConfig(rows=200, minimum_rows=50, numeric=ColumnDrift(method="wasserstein", threshold=0.3))
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}
FAILED = {
    "conditions": [
        {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "too many retries"}
    ]
}


class Cluster:
    """Keeps Jobs, and runs those that it is told to run, here."""

    namespace = "team"

    def __init__(self, *, runs: bool = False) -> None:
        self.jobs: dict[str, Any] = {}
        self.shown: list[Any] = []
        self.runs = runs

    def cron_job(self, name: str) -> Any:
        import yaml

        every = yaml.safe_load_all((MANIFESTS / "base" / "cron-job.yaml").read_text())
        (found,) = [one for one in every if one["metadata"]["name"] == name]
        found["metadata"]["uid"] = "the-uid"
        return found

    def find(self, name: str) -> Any:
        return self.jobs.get(name)

    def create(self, job: Any) -> bool:
        name = job["metadata"]["name"]
        if name in self.jobs:
            return False
        self.jobs[name] = deepcopy(job)
        if self.runs:
            container = job["spec"]["template"]["spec"]["containers"][0]
            (settings,) = [item["value"] for item in container["env"] if item["name"] == MONITORING_SETTINGS]
            code = main([*container["args"], "--settings", settings])
            self.jobs[name]["status"] = FAILED if code else COMPLETE
        return True

    def pods(self, name: str) -> list[Any]:
        return self.shown


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> Path:
    return make_splits(tmp_path_factory.mktemp("splits") / "binary", task="binary", rows=1000)


@pytest.fixture
def version(store, packages, monkeypatch) -> str:
    found = verify(packages()).version
    put_folder(store, version_prefix("demo", found), packages())
    monkeypatch.setenv("KFP_RUN_ID", "run-1")
    return found


def waiting(reason: str, message: str = "") -> Any:
    state = {"waiting": {"reason": reason, "message": message}}
    return {
        "metadata": {"name": "p", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"containers": [{"name": "monitor"}]},
        "status": {"containerStatuses": [{"name": "monitor", "image": "stage:1", "state": state}]},
    }


def a_job(**status: Any) -> Any:
    return {"metadata": {"name": "report"}, "spec": {"activeDeadlineSeconds": 900}, "status": status}


def test_the_job_reports_and_its_report_is_brought_back(store, version, splits, tmp_path, capsys):
    cluster = Cluster(runs=True)
    files = ReportFiles(*(tmp_path / name for name in ("drift", "page", "evidently")))

    done = report_by_job(cluster, store, "demo", version, settings=SETTINGS, splits=splits, files=files)

    assert done.message.startswith("no drift report yet (the endpoint has logged 0 rows")
    assert "the newest 200 rows of the test part differ from the training part in " in done.message
    assert done.kind == "newest_rows"
    for path, name in ((files.drift, "drift.json"), (files.page, "drift.html"), (files.evidently, "evidently.html")):
        assert path.read_bytes() == store.get_bytes(done.prefix + name)
    for part in ("train", "test"):
        laid = tmp_path / f"{part}.parquet"
        store.get_file(f"{done.prefix}{part}.parquet", laid)
        assert pq.read_table(laid).column_names == Schema.read(splits).columns
    assert "is made from CronJob fullcircle-monitoring in namespace team" in capsys.readouterr().out


def test_the_newest_rows_of_the_test_part_are_laid_down(store, version, splits):
    cluster = Cluster()
    job = start(cluster, store, "demo", version, settings=SETTINGS.model_copy(update={"rows": 100}), splits=splits)
    path = splits.parent / "laid.parquet"
    store.get_file(job["metadata"]["annotations"][REPORT_ANNOTATION] + "test.parquet", path)

    every = pq.read_table(part_path(splits, "test"), columns=Schema.read(splits).columns)
    assert pq.read_table(path).equals(every.slice(every.num_rows - 100))


def test_a_task_that_is_started_again_follows_the_job_it_had_made(store, version, splits, monkeypatch):
    cluster = Cluster()
    first = start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)
    second = start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)

    assert second == first
    assert len(cluster.jobs) == 1
    assert len(store.list("monitoring/")) == 2

    monkeypatch.setenv("KFP_RUN_ID", "run-2")
    start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)
    assert len(cluster.jobs) == 2


def test_after_a_job_that_failed_another_is_made(store, version, splits):
    cluster = Cluster()
    first = start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)["metadata"]["name"]
    cluster.jobs[first]["status"] = FAILED
    second = start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)["metadata"]["name"]

    assert (first.removesuffix("-1"), second.removesuffix("-2")) == (first[:-2], first[:-2])


def test_a_job_that_another_attempt_makes_at_the_same_moment_is_followed(store, version, splits, monkeypatch):
    cluster = Cluster()
    create = cluster.create

    def late(job: Any) -> bool:
        create(job)
        return False

    monkeypatch.setattr(cluster, "create", late)
    job = start(cluster, store, "demo", version, settings=SETTINGS, splits=splits)
    assert cluster.jobs == {job["metadata"]["name"]: job}


def test_the_job_is_the_template_with_what_is_this_runs():
    cron_job = Cluster().cron_job(MONITORING)
    job = job_from(cron_job, "report", "a" * 40, "v1", settings=SETTINGS, prefix="monitoring/a/now/")

    assert job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"] == "manual"
    assert job["metadata"]["labels"] == {"app.kubernetes.io/name": "fullcircle-monitoring"}
    (owner,) = job["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1", "kind": "CronJob", "controller": True,
        "name": "fullcircle-monitoring", "uid": "the-uid",
    }  # fmt: skip
    template = cron_job["spec"]["jobTemplate"]["spec"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (before,) = template["template"]["spec"]["containers"]
    assert container["command"] == before["command"]
    assert "args" not in before
    settings = [item["value"] for item in container["env"] if item["name"] == MONITORING_SETTINGS]
    assert [MonitoringConfig.model_validate_json(value) for value in settings] == [SETTINGS]
    assert {item["name"] for item in container["env"]} == {item["name"] for item in before["env"]}
    assert job["spec"] | {"template": None} == template | {"template": None}


def test_the_names_of_jobs_are_names_that_pods_can_have():
    assert len(cluster_job._stem("a" * 40, "run", "v", "{}")) + len("-99") <= 63


@pytest.mark.parametrize(
    ("pods", "seconds", "text"),
    [
        ([waiting("ErrImageNeverPull", "not present")], 100, "cannot be had (ErrImageNeverPull): not present"),
        ([waiting("CreateContainerConfigError", 'secret "k" not found')], 70, 'secret "k" not found'),
        ([], 1000, "has not ended within 900 s"),
    ],
)
def test_what_does_not_run_is_given_up_with_the_reason(pods, seconds, text, capsys):
    cluster, clock = Cluster(), Clock()
    cluster.jobs["report"], cluster.shown = a_job(), pods

    with pytest.raises(MonitorError) as error:
        follow(cluster, a_job(), clock=clock, sleep=clock.sleep)

    assert text in str(error.value)
    assert "kubectl -n team describe job report" in str(error.value)
    assert seconds - 40 < clock.now <= seconds
    assert "▸ job report" in capsys.readouterr().out


def test_of_a_job_that_failed_the_reason_stays_when_its_pods_are_gone():
    cluster, clock = Cluster(), Clock()
    cluster.jobs["report"], cluster.shown = a_job(), [waiting("ImagePullBackOff", "no such image")]

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        cluster.jobs["report"], cluster.shown = a_job(**FAILED), []

    with pytest.raises(MonitorError, match=r"(?s)failed \(BackoffLimitExceeded: too many retries\): .*no such image"):
        follow(cluster, a_job(), clock=clock, sleep=sleep)


def test_a_program_that_ended_badly_is_heard():
    """The task may read pods, not their logs."""
    cluster, clock, pod = Cluster(), Clock(), waiting("")
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": "▸ began\n\nThe store is full.\nFree some."}}
    pod["status"]["containerStatuses"][0]["state"] = ended
    cluster.jobs["report"], cluster.shown = a_job(**FAILED), [pod]

    with pytest.raises(MonitorError) as error:
        follow(cluster, a_job(), clock=clock, sleep=clock.sleep)

    text = "too many retries): pod p: the container monitor ended with exit code 1: The store is full.\nFree some.\nSee"
    assert text in str(error.value)


def test_a_job_that_somebody_deletes_is_named():
    clock = Clock()
    with pytest.raises(MonitorError, match="report is gone"):
        follow(Cluster(), a_job(), clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("silence", [20, 200])
def test_an_api_server_that_is_away_for_a_moment_is_waited_for(silence, monkeypatch):
    cluster, clock = Cluster(), Clock()

    def find(name: str) -> Any:
        if clock() < silence:
            raise ConnectionError("the API server does not answer")
        return a_job(**COMPLETE)

    monkeypatch.setattr(cluster, "find", find)
    if silence < 60:
        follow(cluster, a_job(), clock=clock, sleep=clock.sleep)
        assert clock.now >= silence
    else:
        with pytest.raises(MonitorError, match="cannot be followed: the API server does not answer"):
            follow(cluster, a_job(), clock=clock, sleep=clock.sleep)


def test_a_machine_of_ones_own_is_no_cluster(monkeypatch):
    for pod, folder, expected in (("", "", False), ("10.0.0.1", "", True), ("10.0.0.1", "/serving", False)):
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", pod)
        monkeypatch.setenv("FULLCIRCLE_SERVING_FOLDER", folder)
        assert task.on_cluster() is expected
