"""Why a version does not become ready, from what Kubernetes says of its pods."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

# Waiting for these has no end: nothing changes until a person changes something.
_STUCK = frozenset(
    {
        "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError",
        "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
    }
)  # fmt: skip
_HINTS = {
    "ErrImagePull": "push the image, or set imagePullSecrets",
    "ImagePullBackOff": "push the image, or set imagePullSecrets",
    "InvalidImageName": "mend the image's name in the ServingRuntime fullcircle",
    "ErrImageNeverPull": "load the image into the node, or allow it to be pulled",
    "CreateContainerConfigError": "apply the manifests, and make the secrets they name",
    "OOMKilled": "raise serving.resources.memory_limit",
}
_INITIALIZER = "storage-initializer"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a container.

    Attributes:
        pod: Name of its pod.
        container: Its name.
        reason: Kubernetes' word for it.
        message: What Kubernetes says besides.
        hopeless: Whether waiting longer is of no use.
        crashed: Whether it is the server that ends again and again, which no patience mends.
        previous: Whether its log is that of the run before.
    """

    pod: str
    container: str
    reason: str
    message: str
    hopeless: bool
    crashed: bool = False
    previous: bool = False

    @property
    def text(self) -> str:
        """One line for people."""
        where = f"pod {self.pod}" + (f", container {self.container}" if self.container else "")
        said = f": {self.message}" if self.message else ""
        hint = f" ({_HINTS[self.reason]})" if self.reason in _HINTS else ""
        return f"{where}: {self.reason}{hint}{said}"


def is_ready(pod: Object) -> bool:
    """Whether a pod gets requests."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in _status(pod).get("conditions") or [])


def is_leaving(pod: Object) -> bool:
    """Whether a pod is told to end, or has ended."""
    return bool(pod["metadata"].get("deletionTimestamp")) or _status(pod).get("phase") in ("Succeeded", "Failed")


def troubles(pods: Sequence[Object]) -> list[Trouble]:
    """What keeps pods from being ready; empty when they only take their time."""
    found: list[Trouble] = []
    for pod in pods:
        found += _refused(pod)
        status = _status(pod)
        for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            if trouble := _of_container(pod["metadata"]["name"], container):
                found.append(trouble)
    return found


def _status(pod: Object) -> Object:
    return pod.get("status") or {}


def _refused(pod: Object) -> list[Trouble]:
    """A pod that no node takes, or that its node has put out."""
    name, status = pod["metadata"]["name"], _status(pod)
    if status.get("reason") in ("Evicted", "NodeLost", "UnexpectedAdmissionError"):
        return [Trouble(name, "", status["reason"], short(status.get("message")), hopeless=False)]
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            message = short(condition.get("message"))
            return [Trouble(name, "", condition.get("reason") or "Unschedulable", message, hopeless=False)]
    return []


def _of_container(pod: str, status: Object) -> Trouble | None:
    state, last = status.get("state") or {}, (status.get("lastState") or {}).get("terminated")
    waiting, ended = state.get("waiting"), state.get("terminated")
    name, restarts = status["name"], status.get("restartCount", 0)
    if waiting and waiting.get("reason") in _STUCK:
        return Trouble(pod, name, waiting["reason"], short(waiting.get("message")), hopeless=True)
    if ended and ended.get("exitCode"):
        return _ended(pod, name, ended, hopeless=False, previous=False)
    if last and last.get("exitCode") and not (status.get("ready") and not restarts):
        # Once may be bad luck; the second time in a row it waits to be started again.
        again = bool(waiting and waiting.get("reason") == "CrashLoopBackOff" and restarts)
        return _ended(pod, name, last, hopeless=again, previous=not waiting)
    return None


def _ended(pod: str, name: str, ended: Object, *, hopeless: bool, previous: bool) -> Trouble:
    reason = ended.get("reason") or "Error"
    if reason == "Error":
        what = "the model could not be fetched" if name == _INITIALIZER else "the server ended"
        reason = f"{what} with exit code {ended.get('exitCode')}"
    crashed = hopeless and name != _INITIALIZER
    return Trouble(pod, name, reason, "", hopeless=hopeless, crashed=crashed, previous=previous)


def conditions_text(service: Object) -> str:
    """What KServe says of an InferenceService that is not ready, in a line; empty when it says nothing."""
    status = service.get("status") or {}
    said = [
        short(one.get("message") or one.get("reason"))
        for one in status.get("conditions") or []
        if one.get("status") != "True" and (one.get("message") or one.get("reason"))
    ]
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("message"):
        said.append(f"{failure.get('reason', '')}: {short(failure['message'])}".lstrip(": "))
    return "; ".join(dict.fromkeys(said))


def short(message: str | None, length: int = 300) -> str:
    """A message in one line, cut."""
    text = " ".join((message or "").split())
    return text if len(text) <= length else f"{text[: length - 1]}…"
