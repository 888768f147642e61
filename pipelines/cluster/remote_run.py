"""Following a run on a cluster: what ends is written as it is for a local run, with what the stage says of itself."""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.shared.kubernetes.api import Cluster, ClusterError, Object
from pipelines.cluster.kfp_api import Kfp, KfpError
from pipelines.cluster.pods import announced, own_message, task_path
from pipelines.display import Progress
from pipelines.local.task_runner import TaskRecord
from pipelines.task_names import label_of, stage_of

ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")

_EPOCH = datetime(1971, 1, 1, tzinfo=UTC)
_PATIENCE_SECONDS = 120.0
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class TaskView:
    """A stage's task, as KFP's API shows it.

    Attributes:
        key: Its id.
        label: Its name for people.
        state: `RUNNING`, `SUCCEEDED`, `FAILED` and so on.
        started: When it began; None before.
        ended: When it ended; None before.
        cached: Whether the outputs of an earlier run were taken.
        error: What the API says went wrong; empty when nothing.
    """

    key: str
    label: str
    state: str
    started: datetime | None
    ended: datetime | None
    cached: bool = False
    error: str = ""

    @property
    def seconds(self) -> float:
        """Wall time so far, in seconds; 0 before it began."""
        if self.started is None:
            return 0.0
        return max(0.0, ((self.ended or datetime.now(UTC)) - self.started).total_seconds())


def tasks_of(run: Any, families: Sequence[str] = ()) -> list[TaskView]:
    """The stages of a run that have begun; drivers, loops and conditions are left out.

    Args:
        run: The run, as KFP's API describes it.
        families: The items of the loop over model families, in order.
    """
    details = (run.run_details.task_details if run.run_details else None) or []
    parents = _parents(details)
    views = []
    for detail in details:
        path = _path(detail, parents)
        if stage_of(path[-1:]):
            views.append(_view(detail, label_of(path, families), details=details, parents=parents))
    return sorted(views, key=lambda view: view.started or datetime.max.replace(tzinfo=UTC))


def _view(detail: Any, label: str, *, details: Sequence[Any], parents: dict[str, Any]) -> TaskView:
    inside = [item for item in details if detail in _ancestors(item, parents)]
    executors = [item for item in inside if (item.display_name or "").startswith("executor")]
    return TaskView(
        key=detail.task_id or label,
        label=label,
        state=str(detail.state or "PENDING"),
        started=_moment(detail.start_time),
        ended=_moment(detail.end_time),
        cached=bool(executors) and all(str(item.state) == "SKIPPED" for item in executors),
        error=detail.error.message if detail.error else "",
    )


def _parents(details: Sequence[Any]) -> dict[str, Any]:
    """By a node's id, its parent. Argo's ids and pods' names share their last part, a hash of the node's name."""
    return {
        _hash(child.task_id or child.pod_name or ""): detail for detail in details for child in detail.child_tasks or []
    }


def _hash(name: str) -> str:
    return name.rpartition("-")[2]


def _ancestors(detail: Any, parents: dict[str, Any]) -> list[Any]:
    found: list[Any] = []
    for _ in range(len(parents) + 1):  # never round in circles
        names = [name for name in (detail.pod_name, detail.task_id) if name]
        parent = next((parents[_hash(name)] for name in names if _hash(name) in parents), None)
        if parent is None or parent in found:
            break
        found.append(parent)
        detail = parent
    return found


def _path(detail: Any, parents: dict[str, Any]) -> list[str]:
    return [item.display_name or "" for item in reversed([detail, *_ancestors(detail, parents)])]


def _moment(value: datetime | None) -> datetime | None:
    """A time of the API's, in which the year 1 and 1970 mean never."""
    if value is None:
        return None
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return value if value > _EPOCH else None


@dataclass(slots=True)
class Follower:
    """Shows a run's tasks as they start and end.

    Attributes:
        kfp: Where the run is.
        run_id: The run.
        progress: Told of starts and ends.
        cluster: Where the pods are, for what stages say of themselves; None for not.
        namespace: Of the pods.
        families: The items of the loop over model families, in order.
        logs: Folder for the logs of stages.
        seconds: Between two looks.
        records: What was shown, in order.
    """

    kfp: Kfp
    run_id: str
    progress: Progress
    cluster: Cluster | None
    namespace: str
    families: Sequence[str]
    logs: Path
    seconds: float = 3.0
    records: dict[str, TaskRecord] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def follow(self) -> Any:
        """Look until the run has ended.

        Returns:
            The run, as KFP's API describes it.

        Raises:
            KfpError: The API has not answered for two minutes; the run goes on.
        """
        answered = time.monotonic()
        while True:
            try:
                run = self.kfp.get_run(self.run_id)
            except KfpError as error:
                if time.monotonic() - answered > _PATIENCE_SECONDS or not self._told:
                    raise KfpError(f"{error} The run itself goes on.") from error
            else:
                answered = time.monotonic()
                self._show(tasks_of(run, self.families))
                if str(run.state) in ENDED:
                    return run
            time.sleep(self.seconds)

    def _show(self, views: Sequence[TaskView]) -> None:
        self._told.add("")  # it answered once: from now on a broken connection is waited for
        for view in views:
            if view.key in self._told or view.started is None or view.state == "SKIPPED":
                continue
            record = self._record(view)
            if view.state in ENDED:
                self._told.add(view.key)
                self._complete(record, view)
                self.progress.ended(record)

    def _record(self, view: TaskView) -> TaskRecord:
        if view.key in self.records:
            return self.records[view.key]
        log = self.logs / f"{view.label.replace(' ', '-').replace('(', '').replace(')', '')}.log"
        record = TaskRecord(view.label, log=log, artifacts={}, started=time.monotonic() - view.seconds)
        self.records[view.key] = record
        self.progress.started(record)
        return record

    def _complete(self, record: TaskRecord, view: TaskView) -> None:
        record.seconds = view.seconds
        log = "" if view.cached else self._log(view.label)
        if log:
            record.log.parent.mkdir(parents=True, exist_ok=True)
            record.log.write_text(log, encoding="utf-8")
        record.message = "the same as in an earlier run (cached)" if view.cached else announced(log)
        if view.state != "SUCCEEDED":
            record.cause = own_message(log) or view.error or view.state.lower()

    def _log(self, label: str) -> str:
        """What the stage's container wrote; empty where there is no way to it."""
        if self.cluster is None:
            return ""
        with contextlib.suppress(ClusterError):
            path = f"/api/v1/namespaces/{self.namespace}/pods"
            pods = self.cluster.list(path, labelSelector=f"pipeline/runid={self.run_id}")
            own = [pod for pod in pods if self._is_of(pod, label)]
            own.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]))
            if own:
                return self.cluster.log(self.namespace, own[-1]["metadata"]["name"], _MAIN, lines=100_000)
        return ""

    def _is_of(self, pod: Object, label: str) -> bool:
        path = task_path(pod)
        return bool(stage_of(path)) and label_of(path, self.families) == label
