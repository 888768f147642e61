"""Pods of runs: which task each is of, what its log says, what is wrong with it and what mends that."""

import re
from collections.abc import Sequence
from typing import Any

from components.shared.kubernetes.pods import Kind, Trouble, find_troubles
from components.shared.progress import MARK

Object = dict[str, Any]

_NODE_NAME = "workflows.argoproj.io/node-name"
_ARGO = ("wait", "init")
_LOG_LINES = 15
_MENDS: dict[Kind, str] = {
    "evicted": "Give the task more memory or disk (cluster.tasks.<stage>.memory in the configuration), or the node "
    "more room.",
    "deadline": "Raise cluster.tasks.<stage>.seconds in the configuration.",
    "image": "Push the image (make images, then push), name it right (REGISTRY, TAG), or give the account a pull "
    "secret.",
    "memory": "Raise cluster.tasks.<stage>.memory_limit in the configuration, or take a shorter data window.",
}


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
    # Argo's own containers go last: they often fail only because the stage did.
    return min(find_troubles(pod, events), key=lambda trouble: trouble.container in _ARGO, default=None)


def mend(trouble: Trouble) -> str:
    """What to do."""
    if trouble.kind == "unschedulable":
        return _room(trouble.message)
    if trouble.kind in ("configuration", "volume"):
        return _missing(trouble.message)
    if trouble.kind == "crash" and not trouble.message:
        return "Its own message says why."
    return _MENDS.get(trouble.kind, "`kubectl describe` the pod.")


def _room(said: str) -> str:
    if "Insufficient" in said:
        return "Lower its requests (cluster.tasks.<stage>.cpu and memory in the configuration), or add a larger node."
    if "persistentvolumeclaim" in said.lower() or "volume" in said.lower():
        return "Its volume is not there: look at `kubectl get pvc`, and at the storage class."
    return "Look at the taints and labels of the nodes: `kubectl describe nodes`."


def _missing(said: str) -> str:
    if match := re.search(r'(secret|configmap) "([^"]+)" not found', said):
        return f"Make the {match[1]} {match[2]} in this namespace (manifests/make-secrets, or the overlay)."
    if match := re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (\S+)", said):
        return f"The {match[2].lower()} {match[3]} lacks the key {match[1]}: add it."
    return "`kubectl describe` the pod: what it names is not there or does not fit."


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
