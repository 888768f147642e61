"""Why a pod does not run, or did not end well, in a sentence; pure, so that a pod may come from any client.

A pod is what the Kubernetes API answers as JSON (`kubectl get pod -o json`).
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Kind = Literal["unschedulable", "image", "configuration", "memory", "evicted", "deadline", "failed"]

_IMAGE = ("ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
_CONFIGURATION = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_LINES = 12


class Trouble(NamedTuple):
    """What is wrong with a pod: of which kind, and in words."""

    kind: Kind
    text: str


def trouble(pod: dict[str, Any], log: str = "") -> Trouble | None:
    """What keeps a pod from running, or made it fail.

    Args:
        pod: The pod, as JSON.
        log: The end of its log; without it, what the kubelet kept of it is taken.

    Returns:
        None when nothing is wrong.
    """
    name, status = pod["metadata"]["name"], pod.get("status", {})
    if status.get("reason") in ("Evicted", "NodeLost", "Preempting"):
        return Trouble("evicted", f"pod {name} was evicted: {status.get('message') or status['reason']}")
    if status.get("reason") == "DeadlineExceeded":
        return Trouble("deadline", f"pod {name} ran longer than it may: {status.get('message') or 'deadline exceeded'}")
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Trouble(
                "unschedulable", f"no node takes pod {name}: {condition.get('message') or 'no reason given'}"
            )
    found = (_of_container(pod, container, log) for container in _containers(status))
    return next((one for one in found if one), None)


def last_words(log: str) -> str:
    """The end of a log that says why: its last paragraph, at most a dozen lines."""
    paragraph = log.strip().rpartition("\n\n")[2]
    return "\n".join(paragraph.splitlines()[-_LINES:])


def _containers(status: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _of_container(pod: dict[str, Any], container: dict[str, Any], log: str) -> Trouble | None:
    where = f"container {container['name']} of pod {pod['metadata']['name']}"
    state = container.get("state", {})
    waiting = state.get("waiting") or {}
    reason, message = waiting.get("reason", ""), waiting.get("message") or "no reason given"
    if reason in _IMAGE:
        return Trouble("image", f"the image {container['image']} of {where} cannot be had ({reason}): {message}")
    if reason in _CONFIGURATION:
        return Trouble("configuration", f"{where} cannot be started ({reason}): {message}")
    ended = state.get("terminated") or ((container.get("lastState") or {}).get("terminated") if waiting else None)
    if not ended or ended.get("exitCode") == 0:
        return None
    if ended.get("reason") == "OOMKilled":
        return Trouble("memory", f"{where} needed more memory than its limit{_limit(pod, container['name'])}")
    words = last_words(log or ended.get("message") or "")
    return Trouble("failed", f"{where} ended with exit code {ended.get('exitCode')}{': ' + words if words else ''}")


def _limit(pod: dict[str, Any], name: str) -> str:
    """The container's limit of memory, such as ` of 2Gi`; empty when it has none."""
    every = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    limits = next(((one.get("resources") or {}).get("limits") or {} for one in every if one["name"] == name), {})
    return f" of {limits['memory']}" if "memory" in limits else ""
