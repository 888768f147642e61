"""Why a pod does not run, or ended badly: the facts, and a sentence; pure, so that a pod may come from any client.

A pod is what the Kubernetes API answers as JSON (`kubectl get pod -o json`), and so are its events.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Any, Literal

from components.shared.kubernetes.api import Object

Kind = Literal[
    "evicted", "deadline", "unschedulable", "image", "configuration", "memory", "crash", "volume", "failed"
]  # fmt: skip

_EVICTED = ("Evicted", "NodeLost", "Preempting")
_UNREACHABLE = "RegistryUnavailable"
_IMAGE = (
    "ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", _UNREACHABLE,
)  # fmt: skip
_CONFIGURATION = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_VOLUME = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")
_SLOW_NODE = "cache: timed out waiting for the condition"  # after "failed to sync configmap" or "… secret"
_NO_MEMORY = "OOMKilled"
_PLAIN = ("", "Error", _NO_MEMORY)  # with these reasons the container itself wrote the message, not the kubelet
_STATED_REASONS = (*_PLAIN, "Evicted", "DeadlineExceeded", "Unschedulable")  # the sentence says these already
_SIGNALLED, _KILLED = 128, 137
_LINES = 12


@dataclass(frozen=True, slots=True)
class PodProblem:
    """What is wrong with a pod.

    Attributes:
        kind: Of which kind it is.
        pod: The pod's name.
        container: The container that it is about; empty when it is about the whole pod.
        reason: Kubernetes' word for it; may be empty.
        message: What Kubernetes says besides, in one line; may be empty.
        image: The container's image; empty without a container.
        exit_code: Of a container that ended; None of others.
        memory_limit: The container's limit of memory, such as `2Gi`; empty when it has none.
        log_end: The end of what a container that ended left, as far as the kubelet kept it; may have lines.
        ended: Whether the pod or the container has ended for good, rather than waits or runs again.
        hopeless: Whether waiting longer is of no use: nothing changes until a person changes something.
        repeated: Whether the container ends again and again.
        previous: Whether the log that explains more is that of the container before: it runs again.
    """

    kind: Kind
    pod: str
    container: str = ""
    reason: str = ""
    message: str = ""
    image: str = ""
    exit_code: int | None = None
    memory_limit: str = ""
    log_end: str = ""
    ended: bool = False
    hopeless: bool = False
    repeated: bool = False
    previous: bool = False

    @property
    def has_run(self) -> bool:
        """Whether a container ran, so that there may be a log."""
        return self.exit_code is not None

    @property
    def what(self) -> str:
        """What is wrong, in a sentence that leaves the pod's name to others."""
        container = f"the container {self.container}"
        limit = f"its limit is {self.memory_limit}" if self.memory_limit else "the node had none left"
        facts = {
            "evicted": "it was evicted from its node",
            "deadline": "it took longer than its time-out",
            "unschedulable": "no node takes it",
            "image": f"{container}'s image {self.image} cannot be had",
            "configuration": f"{container} cannot be started",
            "memory": f"{container} ran out of memory ({self.reason}, {limit})",
            "crash": f"{container} ended with {_exit(self.exit_code)}",
            "volume": "it cannot be started",
            "failed": "it failed",
        }
        again = ", and runs again" if self.previous else ""
        because = f" ({self.reason})" if self.reason and self.reason not in _STATED_REASONS else ""
        said = f": {self.message}" if self.message else ""
        return f"{facts[self.kind]}{again}{because}{said}"

    @property
    def text(self) -> str:
        """What is wrong with which pod."""
        return f"pod {self.pod}: {self.what}"


def find_problem(pod: Object, events: Sequence[Object] = ()) -> PodProblem | None:
    """The first of `find_problems`; None when nothing is wrong, or when it is too early to say."""
    return next(iter(find_problems(pod, events)), None)


def find_problems(pod: Object, events: Sequence[Object] = ()) -> list[PodProblem]:
    """What keeps a pod from running, or made it fail.

    Args:
        pod: The pod.
        events: What was reported about it, the oldest first. Only there stands which volume is missing, and often why
            an image cannot be had.

    Returns:
        First what is wrong with the whole pod, then with containers that cannot be started, with those that ended,
        and with those that run again; empty when nothing is wrong, or when it is too early to say.
    """
    found = [
        *_of_pod(pod),
        *_waiting(pod, events),
        *_ended(pod),
        *_ended_before(pod),
        *_without_volume(pod, events),
    ]
    return found or list(_failed(pod))


def log_end(log: str) -> str:
    """The end of a log that says why: its last paragraph, at most a dozen lines."""
    paragraph = log.strip().rpartition("\n\n")[2]
    return "\n".join(paragraph.splitlines()[-_LINES:])


def _of_pod(pod: Object) -> Iterator[PodProblem]:
    """Evicted, ended for its time, or taken by no node."""
    status, name = _status(pod), _name(pod)
    reason, message = status.get("reason") or "", one_line(status.get("message"))
    if reason in _EVICTED:
        yield PodProblem("evicted", name, reason=reason, message=message, ended=True)
    if reason == "DeadlineExceeded":
        yield PodProblem("deadline", name, reason=reason, message=message, ended=True)
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason, message = condition.get("reason") or "", one_line(condition.get("message"))
            yield PodProblem("unschedulable", name, reason=reason, message=message)


def _waiting(pod: Object, events: Sequence[Object]) -> Iterator[PodProblem]:
    """Containers that cannot be started."""
    for container in _containers(pod):
        state = (container.get("state") or {}).get("waiting") or {}
        reason, message = state.get("reason") or "", one_line(state.get("message"))
        if reason in _IMAGE:
            message, hopeless = _pull_message(events) or message, reason != _UNREACHABLE
            yield _container_problem("image", pod, container, reason=reason, message=message, hopeless=hopeless)
        if reason in _CONFIGURATION:
            yield _container_problem("configuration", pod, container, reason=reason, message=message, hopeless=True)


def _pull_message(events: Sequence[Object]) -> str:
    """What the registry answered, which the container's state repeats only at the first attempt; empty when unknown."""
    said = [one_line(one.get("message")) for one in events if one.get("reason") in ("Failed", "ErrImageNeverPull")]
    return next((text for text in reversed(said) if not text.startswith("Error:")), "")


def _ended(pod: Object) -> Iterator[PodProblem]:
    """Containers that have ended badly."""
    for container in _containers(pod):
        if ended := (container.get("state") or {}).get("terminated"):
            yield from _end(pod, container, ended, for_good=True)


def _ended_before(pod: Object) -> Iterator[PodProblem]:
    """Containers that ended badly and run again, or wait to."""
    for container in _containers(pod):
        state, restarts = container.get("state") or {}, container.get("restartCount", 0)
        ended = (container.get("lastState") or {}).get("terminated")
        if not ended or "terminated" in state or (container.get("ready") and not restarts):
            continue
        waiting = state.get("waiting") or {}
        # Once may be bad luck; the second time in a row it waits to be started again.
        again = waiting.get("reason") == "CrashLoopBackOff" and bool(restarts)
        yield from _end(pod, container, ended, repeated=again, hopeless=again, previous="running" in state)


def _end(
    pod: Object, container: Object, ended: Object, *, for_good: bool = False, **more: bool
) -> Iterator[PodProblem]:
    code, reason = ended.get("exitCode", 0), ended.get("reason") or ""
    if not code:
        return
    said = ended.get("message") or ""
    yield _container_problem(
        "memory" if reason == _NO_MEMORY else "crash",
        pod,
        container,
        reason=reason,
        # For a container that never ran or was lost, the message is the kubelet's; otherwise the container's own.
        message="" if reason in _PLAIN else one_line(said),
        log_end=log_end(said),
        exit_code=code,
        ended=for_good,
        **more,
    )


def _without_volume(pod: Object, events: Sequence[Object]) -> Iterator[PodProblem]:
    if _status(pod).get("phase") == "Pending":
        for event in [event for event in events if event.get("reason") in _VOLUME and not _is_passing(event)][-1:]:
            yield PodProblem("volume", _name(pod), reason=event["reason"], message=one_line(event.get("message")))


def _is_passing(event: Object) -> bool:
    """Whether the node is only slow to learn of ConfigMaps and Secrets, which it does by itself in a moment."""
    return _SLOW_NODE in one_line(event.get("message"))


def _failed(pod: Object) -> Iterator[PodProblem]:
    """A pod that failed without a container that did: its node did not admit it."""
    status = _status(pod)
    if status.get("phase") == "Failed":
        reason, message = status.get("reason") or "", one_line(status.get("message"))
        yield PodProblem("failed", _name(pod), reason=reason, message=message, ended=True)


def _container_problem(kind: Kind, pod: Object, container: Object, **facts: Any) -> PodProblem:
    """The problem of a container, with what the pod's specification says of it."""
    specification = pod.get("spec") or {}
    every = [*(specification.get("initContainers") or []), *(specification.get("containers") or [])]
    wanted: Object = next((one for one in every if one["name"] == container["name"]), {})
    limits = (wanted.get("resources") or {}).get("limits") or {}
    return PodProblem(
        kind,
        _name(pod),
        container["name"],
        image=wanted.get("image") or container.get("image") or "",
        memory_limit=limits.get("memory", ""),
        **facts,
    )


def _containers(pod: Object) -> Iterator[Object]:
    status = _status(pod)
    yield from status.get("initContainerStatuses") or []
    yield from status.get("containerStatuses") or []


def _status(pod: Object) -> Object:
    return pod.get("status") or {}


def _name(pod: Object) -> str:
    return str(pod["metadata"].get("name", ""))


def _exit(code: int | None) -> str:
    if code == _KILLED:
        return f"exit code {code}: it was killed"
    if code and code > _SIGNALLED and code - _SIGNALLED in list(Signals):
        return f"exit code {code}: {Signals(code - _SIGNALLED).name}"
    return f"exit code {code}"


def one_line(said: object) -> str:
    """A message in one line; empty for None."""
    return " ".join(str(said or "").split())


def short(message: str | None, length: int = 300) -> str:
    """A message in one line, cut."""
    text = one_line(message)
    return text if len(text) <= length else f"{text[: length - 1]}…"
