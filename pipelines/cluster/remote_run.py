"""Following a run on a cluster: what ends is written as it is for a local run, with what the stage says of itself.

Following is only watching: a run goes on when the laptop is closed, and can be followed again. What a task is called
and when it began is put together from Argo's Workflow where there is a way to it, and from KFP's records otherwise,
which come later and differ by version. A pod that waits for long is told of, since neither shows that it waits.
"""

import contextlib
import re
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from components.shared.kubernetes.api import Cluster, ClusterError, Object
from components.shared.runs.pods import find_problem, input_places, own_message, remedy, task_path
from components.shared.runs.task_names import attempt_of, label_of, path_of, stages_of, without_attempt
from components.shared.runs.workflow import ENDED, RUN_LABEL, Step, moment, steps_of_run
from pipelines.cluster.kfp_api import Kfp, KfpError
from pipelines.display import Progress
from pipelines.task_records import TaskRecord, announced, divide_record

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineTaskDetail, V2beta1Run

    Details = dict[str, V2beta1PipelineTaskDetail]  # by the hash that ends both a task's id and its pod's name

_PATIENCE_SECONDS = 120.0
_LONG_SECONDS = 20.0
_MAIN = "main"


@dataclass(frozen=True, slots=True)
class TaskView:
    """A stage's task: all its attempts together.

    Attributes:
        key: Its nested tasks; the same at each look, whoever is asked.
        label: Its name for people.
        state: `RUNNING`, `SUCCEEDED`, `FAILED` and so on.
        started: When it began; None before.
        ended: When it ended; None before.
        cached: Whether the outputs of an earlier run were taken.
        error: What is said to have gone wrong; empty when nothing.
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


def tasks_of(steps: Sequence[Step], families: Sequence[str] = ()) -> list[TaskView]:
    """The stages of a run that have begun; drivers, loops and conditions are left out.

    Args:
        steps: The steps of the run.
        families: The items of the loop over model families, in order.
    """
    by_path: dict[tuple[str, ...], list[Step]] = defaultdict(list)
    for step in steps:
        by_path[step.path].append(step)
    nested = {path[-1] for path in by_path if len(path) > 1}
    views = [
        _view(path, by_path, families)
        for path in by_path
        # Where other records give a task's full path, one that gives its name alone is a duplicate.
        if stages_of(path[-1:]) and not (len(path) == 1 and path[0] in nested)
    ]
    return sorted(views, key=lambda view: view.started or datetime.max.replace(tzinfo=UTC))


def _view(
    path: tuple[str, ...], by_path: Mapping[tuple[str, ...], Sequence[Step]], families: Sequence[str]
) -> TaskView:
    own = _latest(by_path[path])
    executors = by_path.get((*path, "executor"), ())
    return TaskView(
        key=".".join(path),
        label=label_of(path, families),
        state=own.state,
        started=min((step.started for step in by_path[path] if step.started), default=None),
        ended=own.ended,
        cached=bool(executors) and own.state == "SUCCEEDED" and all(step.state == "SKIPPED" for step in executors),
        error=own.error,
    )


def _latest(steps: Sequence[Step]) -> Step:
    """What stands for all attempts of a task, or else its last attempt."""
    return next((step for step in steps if step.attempt < 0), max(steps, key=lambda step: step.attempt))


def steps_of_records(run: "V2beta1Run") -> list[Step]:
    """The steps of a run from Kubeflow Pipelines' records of tasks.

    Since 2.17 a record's name is that of Argo's node with everything around it; before, the task's alone, and what is
    around it follows from the children's ids, which share their last part, a hash, with the pods' names.
    """
    details = (run.run_details.task_details if run.run_details else None) or []
    parents = _parents(details)
    return [
        Step(
            _path(detail, parents),
            attempt_of(detail.display_name or ""),
            str(detail.state or "PENDING"),
            moment(detail.start_time),
            moment(detail.end_time),
            (detail.error.message or "") if detail.error else "",
        )
        for detail in details
    ]


def _path(detail: "V2beta1PipelineTaskDetail", parents: "Details") -> tuple[str, ...]:
    name = detail.display_name or ""
    if "." in name:
        return tuple(path_of(name))
    around = [item.display_name or "" for item in reversed(_ancestors(detail, parents))]
    return tuple(without_attempt(part) for part in [*around, name])


def _parents(details: Sequence["V2beta1PipelineTaskDetail"]) -> "Details":
    return {
        _hash(child.task_id or child.pod_name or ""): detail for detail in details for child in detail.child_tasks or []
    }


def _hash(name: str) -> str:
    return name.rpartition("-")[2]


def _ancestors(detail: "V2beta1PipelineTaskDetail", parents: "Details") -> "list[V2beta1PipelineTaskDetail]":
    found: list[V2beta1PipelineTaskDetail] = []
    for _ in range(len(parents) + 1):  # bounded, should the records form a cycle
        names = [name for name in (detail.pod_name, detail.task_id) if name]
        parent = next((parents[_hash(name)] for name in names if _hash(name) in parents), None)
        if parent is None or parent in found:
            break
        found.append(parent)
        detail = parent
    return found


@dataclass(slots=True)
class Follower:
    """Shows a run's tasks as they start and end.

    Attributes:
        kfp: Where the run is.
        run_id: The run.
        progress: Called at starts and ends.
        cluster: Where the pods are, for what stages say of themselves; None for not.
        namespace: Of the pods.
        families: The items of the loop over model families, in order.
        logs: Folder for the logs of stages.
        seconds: Between two looks.
        records: What was shown, in order, one record a task.
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
    _waiting: set[str] = field(default_factory=set)

    def follow(self) -> "V2beta1Run":
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
                self._show(tasks_of(self._steps(run), self.families))
                self._report_waiting_tasks()
                if str(run.state) in ENDED:
                    return run
            time.sleep(self.seconds)

    @property
    def unfinished(self) -> list[str]:
        """The tasks that were seen to begin and not to end."""
        return [record.label for key, record in self.records.items() if key not in self._told]

    def _steps(self, run: "V2beta1Run") -> list[Step]:
        """What Argo knows of the run, and where there is no way to that, what Kubeflow Pipelines has recorded of it."""
        if self.cluster is not None:
            with contextlib.suppress(ClusterError):
                if steps := steps_of_run(self.cluster, self.namespace, self.run_id):
                    return steps
        return steps_of_records(run)

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

    def _report_waiting_tasks(self) -> None:
        """Report each pod that has been pending for long once, and why; nothing else would show that it waits."""
        for pod in self._pods():
            name = pod["metadata"]["name"]
            waited = self._age(pod)
            if pod["status"].get("phase") != "Pending" or name in self._waiting or waited < _LONG_SECONDS:
                continue
            self._waiting.add(name)
            problem = find_problem(pod)
            why = (
                f"{problem.what} {remedy(problem)}" if problem else "its pod is there, and its containers are not yet."
            )
            label = label_of(task_path(pod), self.families)
            self.progress.console.print(Text(f" · {label} has waited {waited:.0f} s: {why}"), soft_wrap=True)

    def _age(self, pod: Object) -> float:
        created = moment(pod["metadata"]["creationTimestamp"])
        ahead = self.cluster.clock_difference if self.cluster else 0.0
        return time.time() - ahead - created.timestamp() if created else 0.0

    def _pods(self) -> list[Object]:
        """The pods of the run; none where there is no way to them."""
        if self.cluster is not None:
            with contextlib.suppress(ClusterError):
                path = f"/api/v1/namespaces/{self.namespace}/pods"
                return self.cluster.list(path, labelSelector=f"{RUN_LABEL}={self.run_id}")
        return []

    def _record(self, view: TaskView) -> TaskRecord:
        if view.key in self.records:
            return self.records[view.key]
        log = self.logs / f"{re.sub('[ ,()]+', '-', view.label).strip('-')}.log"
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
        record.parts = divide_record(record, view.key.rpartition(".")[2], log)

    @property
    def stages(self) -> list[TaskRecord]:
        """What was shown, one record a stage."""
        return [part for record in self.records.values() for part in record.parts or [record]]

    def input_places(self, stage: str) -> dict[str, str]:
        """Where the input artifacts of a stage are, by name; none where there is no way to its pod."""
        pod = _latest_pod([pod for pod in self._pods() if stage in stages_of(task_path(pod))])
        return input_places(pod) if pod else {}

    def _log(self, label: str) -> str:
        """What the stage's container wrote at its last attempt; empty where there is no way to it."""
        pod = _latest_pod([pod for pod in self._pods() if self._is_of(pod, label)])
        with contextlib.suppress(ClusterError):
            if pod and self.cluster is not None:
                return self.cluster.log(self.namespace, pod["metadata"]["name"], _MAIN, lines=100_000)
        return ""

    def _is_of(self, pod: Object, label: str) -> bool:
        path = task_path(pod)
        return bool(stages_of(path)) and label_of(path, self.families) == label


def _latest_pod(pods: Sequence[Object]) -> Object | None:
    return max(pods, key=lambda pod: str(pod["metadata"]["creationTimestamp"]), default=None)
