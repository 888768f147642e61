"""The drift report as a Job of the cluster, made from the template of the scheduled one and followed to its end.

The Job alone reads the inference log: a task's keys may not. What it compares where the endpoint has logged too few
rows, some of the training part and the newest of the test part, the task lays beside the place of the report.
"""

import hashlib
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import pyarrow.parquet as pq

from components.monitor.monitor import DriftReport, ReportFiles, fetch_report, new_prefix
from components.monitor.windows import part_rows
from components.shared.agreed_names import MONITORING, MONITORING_SETTINGS
from components.shared.config import MonitoringConfig
from components.shared.errors import MonitorError
from components.shared.frames import part_path
from components.shared.kubernetes.api import Object
from components.shared.kubernetes.pods import PodProblem, find_problem
from components.shared.package.schema import Schema
from components.shared.progress import announce
from components.shared.store import Store

CONTAINER = "monitor"
REPORT_ANNOTATION = "fullcircle/report"

_RUN_VARIABLE = "KFP_RUN_ID"
_POLL_SECONDS = 2.0
_HEARTBEAT_SECONDS = 30.0
_LONGEST_SECONDS = 1800.0
# How long to wait for what may resolve itself: an image that is being pushed, a node that is being added.
_PATIENCE: dict[str, float] = {"image": 90.0, "configuration": 60.0, "unschedulable": 600.0}
_SILENCE_SECONDS = 60.0


class JobsApi(Protocol):
    """What is asked of the cluster; `jobs.Jobs` asks it."""

    namespace: str

    def cron_job(self, name: str) -> Object:
        """The CronJob of a name."""

    def find(self, name: str) -> Object | None:
        """The Job of a name."""

    def create(self, job: Object) -> bool:
        """Make a Job; False when there is one of its name."""

    def pods(self, name: str) -> list[Object]:
        """Pods of a Job, the newest last."""


def report_by_job(
    api: JobsApi,
    store: Store,
    name: str,
    version: str,
    *,
    settings: MonitoringConfig,
    splits: Path,
    files: ReportFiles,
) -> DriftReport:
    """Let a Job of the cluster make the report, and bring it here.

    Args:
        api: The cluster.
        store: The object store.
        name: Name of the model.
        version: The version that serves.
        settings: The configuration's `monitoring` section, which the Job gets instead of the CronJob's.
        splits: Folder that prepare wrote.
        files: Where the report goes.

    Raises:
        MonitorError: The Job cannot be made, cannot run, or failed; the message says why.
        StoreError: The object store cannot be reached, or the Job has left no report there.
    """
    job = start(api, store, name, version, settings=settings, splits=splits)
    follow(api, job)
    return fetch_report(store, job["metadata"]["annotations"][REPORT_ANNOTATION], files)


def start(api: JobsApi, store: Store, name: str, version: str, *, settings: MonitoringConfig, splits: Path) -> Object:
    """Make the Job, or find the one that an attempt before this one of the same run made, unless that one failed.

    Returns:
        The Job.
    """
    template = api.cron_job(MONITORING)
    run = os.environ.get(_RUN_VARIABLE) or uuid.uuid4().hex
    stem = _stem(name, run, version, settings.model_dump_json())
    attempt = 1
    while True:
        job_name = f"{stem}-{attempt}"
        job = api.find(job_name)
        if job is None:
            prefix = new_prefix(name)
            _lay_parts(store, prefix, splits, rows=settings.rows)
            made = job_from(template, job_name, name, version, settings=settings, prefix=prefix)
            if api.create(made):
                announce(f"job {job_name} is made from CronJob {MONITORING} in namespace {api.namespace}")
                return made
        elif _condition(job, "Failed"):
            attempt += 1
        else:
            announce(f"job {job_name} of this run is there already")
            return job


def _stem(name: str, run: str, version: str, settings: str) -> str:
    """The name of the Jobs of a run's task, the same in all its attempts; at most 60 characters."""
    digest = hashlib.sha256("\n".join((run, name, version, settings)).encode()).hexdigest()
    return f"monitor-{name}-{digest[:10]}"


def _lay_parts(store: Store, prefix: str, splits: Path, *, rows: int) -> None:
    """Upload rows of the training and the test part, with the columns that a model may use."""
    schema = Schema.read(splits)
    parts: tuple[Literal["train", "test"], ...] = ("train", "test")
    with tempfile.TemporaryDirectory(prefix="fullcircle-parts-") as folder:
        for part in parts:
            path = part_path(Path(folder), part)
            pq.write_table(part_rows(splits, part, schema, rows=rows), path, compression="zstd")
            store.put_file(prefix + path.name, path)


def job_from(
    cron_job: Object, job_name: str, name: str, version: str, *, settings: MonitoringConfig, prefix: str
) -> Object:
    """A Job from a CronJob's template, as `kubectl create job --from` makes it, for one model and version."""
    template = cron_job["spec"]["jobTemplate"]
    about = template.get("metadata") or {}
    spec = deepcopy(template["spec"])
    containers = spec["template"]["spec"]["containers"]
    container = next((one for one in containers if one["name"] == CONTAINER), containers[0])
    container["args"] = [name, "--version", version, "--destination", prefix, "--parts", prefix]
    others = [item for item in container.get("env") or [] if item["name"] != MONITORING_SETTINGS]
    container["env"] = [*others, {"name": MONITORING_SETTINGS, "value": settings.model_dump_json()}]
    # No blockOwnerDeletion: it takes the right to change the CronJob's finalizers.
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "controller": True}
    owner |= {key: cron_job["metadata"][key] for key in ("name", "uid")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name,
            "labels": about.get("labels") or {},
            "annotations": {
                **(about.get("annotations") or {}),
                "cronjob.kubernetes.io/instantiate": "manual",
                REPORT_ANNOTATION: prefix,
            },
            "ownerReferences": [owner],
        },
        "spec": spec,
    }


@dataclass
class _Watch:
    """What was seen of a Job so far: moments of the clock, and the newest problem, which began at `since`."""

    started: float
    spoke: float
    heard: float
    since: float = 0.0
    last: PodProblem | None = None


def follow(
    api: JobsApi,
    job: Object,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until a Job has ended well, and say every half minute how it goes.

    Raises:
        MonitorError: It failed, cannot run, takes longer than it may, or is gone.
    """
    name, longest = job["metadata"]["name"], float(job["spec"].get("activeDeadlineSeconds") or _LONGEST_SECONDS)
    now = clock()
    watch = _Watch(started=now, spoke=now, heard=now)
    while True:
        try:
            found, pods = api.find(name), api.pods(name)
        except ConnectionError as error:
            if clock() - watch.heard > _SILENCE_SECONDS:
                raise MonitorError(f"The drift report's job {name} cannot be followed: {error}.") from error
        else:
            watch.heard = clock()
            if _ended(api, name, found, pods, watch=watch):
                return
            _stop_hopeless_job(api, name, watch)
        if clock() - watch.started > longest + _SILENCE_SECONDS:
            raise MonitorError(_failure(api, name, f"has not ended within {longest:g} s", watch.last))
        sleep(_POLL_SECONDS)
        if clock() - watch.spoke >= _HEARTBEAT_SECONDS:
            watch.spoke = clock()
            state = _failure_text(watch.last) if watch.last else "runs"
            announce(f"job {name}, {clock() - watch.started:.0f} s: {state}")


def _ended(api: JobsApi, name: str, job: Object | None, pods: list[Object], *, watch: _Watch) -> bool:
    """Whether a Job has ended well; keeps in `watch` what is wrong with its newest pod, because pods may vanish."""
    if job is None:
        raise MonitorError(_failure(api, name, "is gone: somebody deleted it", watch.last))
    if _condition(job, "Complete"):
        return True
    found = find_problem(pods[-1]) if pods else None
    if found is None or watch.last is None or found.kind != watch.last.kind:
        watch.since = watch.heard
    failed = _condition(job, "Failed")
    # Of a Job that failed, what was seen last stays true when its pods are gone.
    if found and found != watch.last:
        announce(f"job {name}: {_failure_text(found)}")
    watch.last = found or (watch.last if failed or not pods else None)
    if failed:
        raise MonitorError(_failure(api, name, f"failed ({failed['reason']}: {failed.get('message', '')})", watch.last))
    return False


def _stop_hopeless_job(api: JobsApi, name: str, watch: _Watch) -> None:
    if watch.last and watch.heard - watch.since > _PATIENCE.get(watch.last.kind, float("inf")):
        raise MonitorError(_failure(api, name, f"does not run for {watch.heard - watch.since:.0f} s", watch.last))


def _failure(api: JobsApi, name: str, what: str, why: PodProblem | None) -> str:
    reason = f": {_failure_text(why)}" if why else ""
    kubectl = f"kubectl -n {api.namespace}"
    return (
        f"The drift report's job {name} {what}{reason}\n"
        f"See it with `{kubectl} describe job {name}` and `{kubectl} logs job/{name}`."
    )


def _failure_text(problem: PodProblem) -> str:
    """What is wrong with a pod, with the last words of its program: this task may not read logs."""
    words = "" if problem.message else problem.log_end
    return f"{problem.text}: {words}" if words else problem.text


def _condition(job: Object, kind: str) -> Object | None:
    """The condition of a kind that holds; None when it does not."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((one for one in conditions if one["type"] == kind and one["status"] == "True"), None)
