"""Pods of runs: which task each is of, what its log says, what is wrong with it and how to fix that.

A failed stage ends as "exit status 1" in the UI; why, stands somewhere among what KFP's launcher, its executor and Argo
wrote, or in no log at all, when the pod never began. Here a pod's state and log become one sentence and what to do
about it, for `diagnose`, for the run that is followed, and for whoever is notified.
"""

import itertools
import json
import re
from collections.abc import Sequence
from typing import Any

from components.shared.kubernetes.pods import Kind, PodProblem, find_problems
from components.shared.runs.task_names import path_of

Object = dict[str, Any]

_NODE_NAME = "workflows.argoproj.io/node-name"
_ARGO = ("wait", "init")
_LOG_LINES = 15
_EXCEPTION = re.compile(r"(\w+\.)*\w*(Error|Exception|Interrupt)\b")
_OURS = "components."
_CHAINED = re.compile("(The above exception was the direct cause|During handling of the above exception)")
# KFP's launcher logs as klog does, its executor in sentences of its own, Argo as key=value.
_OF_OTHERS = re.compile(
    r"[IWEF]\d{4} \d\d:|time=|level=|\d{4}[/-]\d\d[/-]\d\d[ T]|Error: exit status|.* argo=true\b"
    r"|(--component_module_path|Looking for component|Loading KFP component)\b"
)
_REMEDIES: dict[Kind, str] = {
    "evicted": "Give the task more memory or disk (cluster.tasks.<stage>.memory in the configuration), or the node "
    "more room.",
    "deadline": "Raise cluster.tasks.<stage>.seconds in the configuration.",
    "image": "Push the image (make images, then push), name it right (REGISTRY, TAG), or give the account a pull "
    "secret.",
    "memory": "Raise cluster.tasks.<stage>.memory_limit in the configuration, or take a shorter data window.",
}


def task_path(pod: Object) -> list[str]:
    """The tasks that a pod of a run belongs to, from the outermost; none when it is no pod of Argo's."""
    return path_of(pod["metadata"].get("annotations", {}).get(_NODE_NAME, ""))


def input_places(pod: Object) -> dict[str, str]:
    """Where the input artifacts of a stage's pod are, by name, as KFP's driver has given it to its launcher."""
    command: list[str] = [
        text
        for container in pod["spec"]["containers"]
        for text in [*(container.get("command") or []), *(container.get("args") or [])]
    ]
    if "--executor_input" not in command:
        return {}
    given = json.loads(command[command.index("--executor_input") + 1]).get("inputs", {}).get("artifacts", {})
    return {name: found["artifacts"][0]["uri"] for name, found in given.items() if found.get("artifacts")}


def find_problem(pod: Object, events: Sequence[Object] = ()) -> PodProblem | None:
    """What is wrong with a pod; None when nothing is, or when it is too early to say.

    Args:
        pod: The pod, as the API server gives it.
        events: What was reported about it, the oldest first.
    """
    # Argo's own containers go last: they often fail only because the stage did.
    return min(find_problems(pod, events), key=lambda problem: problem.container in _ARGO, default=None)


def remedy(problem: PodProblem) -> str:
    """What to do."""
    if problem.kind == "unschedulable":
        return _room(problem.message)
    if problem.kind in ("configuration", "volume"):
        return _missing(problem.message)
    if problem.kind == "crash" and not problem.message:
        return "Its own message says why."
    return _REMEDIES.get(problem.kind, "`kubectl describe` the pod.")


def _room(message: str) -> str:
    if "Insufficient" in message:
        return "Lower its requests (cluster.tasks.<stage>.cpu and memory in the configuration), or add a larger node."
    if "persistentvolumeclaim" in message.lower() or "volume" in message.lower():
        return "Its volume is not there: look at `kubectl get pvc`, and at the storage class."
    return "Look at the taints and labels of the nodes: `kubectl describe nodes`."


def _missing(message: str) -> str:
    if match := re.search(r'(secret|configmap) "([^"]+)" not found', message):
        return f"Make the {match[1]} {match[2]} in this namespace (manifests/make-secrets, or the overlay)."
    if match := re.search(r"couldn't find key (\S+) in (Secret|ConfigMap) (\S+)", message):
        return f"The {match[2].lower()} {match[3]} lacks the key {match[1]}: add it."
    return "`kubectl describe` the pod: what it names is not there or does not fit."


def own_lines(log: str) -> list[str]:
    """The lines of a log that the stage itself wrote: without those of KFP's launcher and executor, and Argo's."""
    lines, is_input = [], False
    for line in map(_bare, log.splitlines()):
        if is_input:  # the executor shows its input as JSON of many lines, the last of which is a brace alone
            is_input = line.rstrip() != "}"
        elif line.startswith("Got executor_input"):
            is_input = not line.rstrip().endswith("}")
        elif line.strip() and not _OF_OTHERS.match(line):
            lines.append(line.rstrip())
    return lines


def last_lines(log: str, count: int = _LOG_LINES) -> list[str]:
    """The last lines that the stage itself wrote."""
    return own_lines(log)[-count:]


def own_message(log: str) -> str:
    """A stage's own error in its log: the exception that ended it, with all lines of its message; empty when none.

    One of the project's own comes before others: its message may hold what a server or a pod said, with exceptions of
    theirs, and is followed by others only where those say that it was their cause.
    """
    lines = own_lines(log)
    starts = [index for index, line in enumerate(lines) if _EXCEPTION.match(line)]
    ours = [index for index in starts if lines[index].startswith(_OURS)]
    if not starts:
        return ""
    begin = starts[-1]
    if ours:
        begin = ours[0]
        for before, after in itertools.pairwise(ours):
            if not any(_CHAINED.match(line) for line in lines[before:after]):
                break
            begin = after
    message = lines[begin:]
    return "\n".join(message).partition(": ")[2].strip() or message[0]


def _bare(line: str) -> str:
    """A line without what KFP's executor puts before each."""
    return re.sub(r"^\[KFP Executor [^\]]*\]:? ?", "", line)
