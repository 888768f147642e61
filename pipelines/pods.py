"""Why a pod does not run, or ended as it should not: in a sentence, with what mends it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.shared.progress import MARK

Object = dict[str, Any]

_IMAGE_REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_CONFIG_REASONS = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_NODE_NAME = "workflows.argoproj.io/node-name"
_ARGO = ("wait", "init")
_SIGNALLED = 128
_KILLED = 137
_TIMED_OUT = "DeadlineExceeded"
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a pod.

    Attributes:
        what: What it is, in a sentence.
        mend: What to do.
        container: The container that ended wrongly, whose log tells more; empty when none ran.
        final: Whether it ended, rather than waits.
    """

    what: str
    mend: str
    container: str = ""
    final: bool = False


def task_path(pod: Object) -> list[str]:
    """The tasks that a pod of a run belongs to, from the outermost: what Argo calls its node, without ends of ours."""
    name = pod["metadata"].get("annotations", {}).get(_NODE_NAME, "")
    return [part for part in name.split(".")[1:] if part]


def find_trouble(pod: Object, events: Sequence[Object] = ()) -> Trouble | None:
    """What is wrong with a pod; None when nothing is, or when it is too early to say.

    Args:
        pod: The pod, as the API server gives it.
        events: What was reported about it, the oldest first.
    """
    for look in (_evicted, _timed_out, _unschedulable, _waiting, _ended_wrongly, _not_mounted, _not_admitted):
        if found := look(pod, events):
            return found
    return None


def say_last_lines(log: str, count: int = _LOG_LINES) -> list[str]:
    """The last lines of a log that say something."""
    return [line.rstrip() for line in log.splitlines() if line.strip()][-count:]


def announced(log: str) -> str:
    """A stage's own one-line summary in its log; empty when it did not come so far."""
    lines = (line for line in reversed(log.splitlines()) if line.startswith(MARK))
    return next(lines, "").removeprefix(MARK)


def own_message(log: str) -> str:
    """A stage's own error in its log: the text of the last exception with the lines that follow it; empty when none."""
    lines = log.splitlines()
    starts = [
        index for index, line in enumerate(lines) if re.match(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b", _bare(line))
    ]
    if not starts:
        return ""
    message = [_bare(lines[starts[-1]])]
    for line in lines[starts[-1] + 1 :]:
        if _is_of_the_launcher(line):
            break
        message.append(_bare(line))
    return "\n".join(message).partition(": ")[2].strip() or message[0]


def _bare(line: str) -> str:
    """A line without what KFP's executor puts before each."""
    return re.sub(r"^\[KFP Executor [^\]]*\]:? ?", "", line)


def _is_of_the_launcher(line: str) -> bool:
    return bool(re.match(r"([IWEF]\d{4} \d\d:|time=|\d{4}[/-]\d\d[/-]\d\d[ T]|Error: exit status)", line))


def _evicted(pod: Object, events: Sequence[Object]) -> Trouble | None:
    del events
    status = pod["status"]
    if status.get("reason") != "Evicted":
        return None
    return Trouble(
        f"it was evicted from its node: {_text(status.get('message'))}",
        "Give the task more memory or disk (cluster.tasks.<stage>.memory in the configuration), or the node more room.",
        final=True,
    )


def _timed_out(pod: Object, events: Sequence[Object]) -> Trouble | None:
    del events
    if pod["status"].get("reason") != _TIMED_OUT:
        return None
    return Trouble(
        "it took longer than its time-out", "Raise cluster.tasks.<stage>.seconds in the configuration.", final=True
    )


def _unschedulable(pod: Object, events: Sequence[Object]) -> Trouble | None:
    del events
    for condition in pod["status"].get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            said = _text(condition.get("message"))
            return Trouble(f"no node takes it: {said}", _room(said))
    return None


def _room(said: str) -> str:
    if "Insufficient" in said:
        return "Lower its requests (cluster.tasks.<stage>.cpu and memory in the configuration), or add a larger node."
    if "persistentvolumeclaim" in said.lower() or "volume" in said.lower():
        return "Its volume is not there: look at `kubectl get pvc`, and at the storage class."
    return "Look at the taints and labels of the nodes: `kubectl describe nodes`."


def _waiting(pod: Object, events: Sequence[Object]) -> Trouble | None:
    for name, state in _states(pod, "waiting"):
        reason, said = state.get("reason", ""), _text(state.get("message"))
        if reason in _IMAGE_REASONS:
            image = next(item["image"] for item in _containers(pod) if item["name"] == name)
            return Trouble(
                f"its image {image} cannot be had ({reason}: {_pull_message(events) or said})",
                "Push the image (make images, then push), name it right (REGISTRY, TAG), or give the account a pull "
                "secret.",
            )
        if reason in _CONFIG_REASONS:
            return Trouble(f"its container cannot be made ({reason}: {said})", _missing(said))
    return None


def _pull_message(events: Sequence[Object]) -> str:
    said = [_text(event.get("message")) for event in events if event.get("reason") in ("Failed", "ErrImageNeverPull")]
    return next((text for text in reversed(said) if "Error:" not in text[:7]), "")


def _missing(said: str) -> str:
    if match := re.search(r'(secret|configmap) "([^"]+)" not found', said):
        return f"Make the {match[1]} {match[2]} in this namespace (manifests/make-secrets, or the overlay)."
    if match := re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (\S+)", said):
        return f"The {match[2].lower()} {match[3]} lacks the key {match[1]}: add it."
    return "`kubectl describe` the pod: what it names is not there or does not fit."


def _ended_wrongly(pod: Object, events: Sequence[Object]) -> Trouble | None:
    del events
    ended = [*_states(pod, "terminated"), *_states(pod, "terminated", "lastState")]
    # Argo's own containers go last: they often fail only because the stage did.
    ended.sort(key=lambda item: item[0] in _ARGO)
    for name, state in ended:
        code = state.get("exitCode", 0)
        if state.get("reason") == "OOMKilled":
            return Trouble(
                f"the container {name} ran out of memory ({_limit(pod, name)})",
                "Raise cluster.tasks.<stage>.memory_limit in the configuration, or take a shorter data window.",
                name,
                final=True,
            )
        if code:
            return Trouble(
                f"the container {name} ended with {_exit(code)}", "Its own message says why.", name, final=True
            )
    return None


def _limit(pod: Object, name: str) -> str:
    limits: Object = (
        next(item for item in _containers(pod) if item["name"] == name).get("resources", {}).get("limits", {})
    )
    return f"its limit is {limits['memory']}" if "memory" in limits else "the node had none left"


def _exit(code: int) -> str:
    if code == _KILLED:
        return "exit code 137: it was killed"
    return f"signal {code - _SIGNALLED}" if code > _SIGNALLED else f"exit code {code}"


def _not_mounted(pod: Object, events: Sequence[Object]) -> Trouble | None:
    if pod["status"].get("phase") != "Pending":
        return None
    for event in reversed(events):
        if event.get("reason") in ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox"):
            said = _text(event.get("message"))
            return Trouble(f"it cannot be started ({event['reason']}: {said})", _missing(said))
    return None


def _not_admitted(pod: Object, events: Sequence[Object]) -> Trouble | None:
    del events
    status = pod["status"]
    if status.get("phase") != "Failed":
        return None
    said = _text(status.get("message")) or status.get("reason") or "without a reason"
    return Trouble(f"it failed: {said}", "`kubectl describe` the pod.", final=True)


def _states(pod: Object, kind: str, field: str = "state") -> Iterator[tuple[str, Object]]:
    status = pod["status"]
    for found in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        if kind in (found.get(field) or {}):
            yield found["name"], found[field][kind]


def _containers(pod: Object) -> list[Object]:
    return [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]


def _text(said: Any) -> str:
    return " ".join(str(said or "").split())
