"""What Argo knows of a run, from its Workflow: the steps of the run, also where the Workflow has them compressed.

Kubeflow Pipelines copies them into records of tasks of its own, which stand still once the Workflow is so large that
Argo compresses them; Argo's are always right.
"""

import base64
import gzip
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from components.shared.kubernetes.api import Cluster, Object
from components.shared.runs.task_names import attempt_of, path_of

RUN_LABEL = "pipeline/runid"
ENDED = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")

_WORKFLOWS = "/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
_STATES = {"Error": "FAILED", "Omitted": "SKIPPED"}  # the others are Kubeflow Pipelines' in capitals
_NEVER = datetime(1971, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Step:
    """One of Argo's nodes: a task, one attempt of it, or what is around it.

    Attributes:
        path: The nested tasks that it is, from the outermost, without attempts.
        attempt: Which attempt it is, from 0; -1 where it stands for all.
        state: `RUNNING`, `SUCCEEDED`, `FAILED`, `SKIPPED` and so on.
        started: When it began; None before.
        ended: When it ended; None before.
        error: What went wrong; empty when nothing.
    """

    path: tuple[str, ...]
    attempt: int
    state: str
    started: datetime | None
    ended: datetime | None
    error: str = ""


def workflows_of(cluster: Cluster, namespace: str, run_id: str) -> list[Object]:
    """The Workflows of a run: one, or none when it has not begun or is cleaned up.

    Raises:
        ClusterError: They cannot be looked at.
    """
    return cluster.list(_WORKFLOWS.format(namespace=namespace), labelSelector=f"{RUN_LABEL}={run_id}")


def nodes_of(workflow: Object) -> list[Object]:
    """The nodes of a Workflow, unpacked where Argo keeps them as base64 of gzip; none when they are elsewhere."""
    status = workflow.get("status") or {}
    nodes: dict[str, Object] = status.get("nodes") or {}
    if not nodes and status.get("compressedNodes"):
        nodes = json.loads(gzip.decompress(base64.b64decode(status["compressedNodes"])))
    return list(nodes.values())


def steps_of_run(cluster: Cluster, namespace: str, run_id: str) -> list[Step]:
    """Every step of a run, as Argo knows it; none when its Workflow is not there.

    Raises:
        ClusterError: It cannot be looked at.
    """
    return [_step(node) for workflow in workflows_of(cluster, namespace, run_id) for node in nodes_of(workflow)]


def _step(node: Object) -> Step:
    phase = str(node.get("phase") or "Pending")
    return Step(
        tuple(path_of(node["name"])),
        attempt_of(node["name"]),
        _STATES.get(phase, phase.upper()),
        moment(node.get("startedAt")),
        moment(node.get("finishedAt")),
        str(node.get("message") or "") if phase in ("Failed", "Error") else "",
    )


def moment(value: Any) -> datetime | None:
    """A time, in which none, the year 1 and 1970 mean never; without a zone it is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return None
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return value if value > _NEVER else None
