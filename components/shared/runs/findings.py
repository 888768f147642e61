"""What is wrong with a run on a cluster, as its pods and Argo's workflow say it.

The cause stands first: what ended before what still waits, and stages before what serves them. Where no pod tells, as
one that could not be made has left none, the workflow may.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.shared.kubernetes.api import Cluster, Object
from components.shared.kubernetes.pods import PodProblem
from components.shared.progress import divide
from components.shared.runs.pods import find_problem, last_lines, own_message, remedy, task_path
from components.shared.runs.task_names import label_of, path_of, stages_of
from components.shared.runs.workflow import RUN_LABEL, nodes_of, workflows_of

_LOG_LINES = 400
_BROKEN = ("Failed", "Error")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with a task.

    Attributes:
        task: Its name for people.
        what: What is wrong, in a sentence.
        message: The stage's own message; empty when it has none.
        remedy: What to do.
        pod: The pod; empty when there is none.
        log: The last lines that the stage wrote; one where it was ended for its memory.
    """

    task: str
    what: str
    message: str = ""
    remedy: str = ""
    pod: str = ""
    log: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """What a look at a run found.

    Attributes:
        all: What is wrong, the cause first.
        pods: How many pods of the run there are.
        state: What Argo says of the run, where it had to be asked; else empty.
    """

    all: Sequence[Finding]
    pods: int
    state: str = ""


def find(cluster: Cluster, namespace: str, run_id: str, families: Sequence[str] = ()) -> Findings:
    """Look at a run.

    Args:
        cluster: Where its pods are.
        namespace: Of its pods.
        run_id: The run.
        families: The items of the loop over model families, in order.

    Raises:
        ClusterError: The API server cannot be reached or refuses.
    """
    pods = cluster.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{RUN_LABEL}={run_id}")
    if found := examine(cluster, namespace, pods, families):
        return Findings(found, len(pods))
    return _of_workflow(cluster, namespace, run_id, families=families, pods=len(pods))


def examine(cluster: Cluster, namespace: str, pods: Iterable[Object], families: Sequence[str] = ()) -> list[Finding]:
    """What is wrong with pods of a run: ended pods first, then waiting ones; stages before KFP's drivers."""
    with_problems = []
    for pod in _last_attempts(pods):
        if problem := find_problem(pod, _events(cluster, namespace, pod)):
            with_problems.append((not problem.ended, not stages_of(task_path(pod)), _created(pod), pod, problem))
    with_problems.sort(key=lambda item: item[:3])
    return [_finding(cluster, namespace, pod, problem=problem, families=families) for *_, pod, problem in with_problems]


def _last_attempts(pods: Iterable[Object]) -> list[Object]:
    latest: dict[str, Object] = {}
    for pod in sorted(pods, key=_created):
        latest[".".join(task_path(pod)) or pod["metadata"]["name"]] = pod
    return list(latest.values())


def _created(pod: Object) -> str:
    return str(pod["metadata"]["creationTimestamp"])


def _events(cluster: Cluster, namespace: str, pod: Object) -> list[Object]:
    selector = f"involvedObject.uid={pod['metadata']['uid']}"
    found = cluster.list(f"/api/v1/namespaces/{namespace}/events", fieldSelector=selector)
    return sorted(found, key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))


def _finding(cluster: Cluster, namespace: str, pod: Object, *, problem: PodProblem, families: Sequence[str]) -> Finding:
    name = pod["metadata"]["name"]
    log = ""
    if problem.has_run:
        log = cluster.log(namespace, name, problem.container, lines=_LOG_LINES, previous=problem.previous)
        log = log or cluster.log(namespace, name, problem.container, lines=_LOG_LINES, previous=True)
    parts = task_path(pod)
    last = last_lines(log)
    # What is ended from outside leaves no exception of its own.
    is_own = problem.kind == "crash" and bool(message := own_message(log))
    return Finding(
        task=_at_work(parts, log) or (label_of(parts, families) if parts else name),
        what=problem.what,
        message=message if is_own else "",
        remedy="" if is_own else remedy(problem),
        pod=name,
        log=last[-1:] if problem.kind == "memory" else last,
    )


def _at_work(parts: Sequence[str], log: str) -> str:
    """The stage that a task of several stages was running, by its log; empty for other tasks and unclear logs."""
    begun = divide(log) if stages_of(parts)[1:] else []
    return begun[-1].stage if begun else ""


def _of_workflow(cluster: Cluster, namespace: str, run_id: str, *, families: Sequence[str], pods: int) -> Findings:
    """What Argo's Workflow says is wrong; needed where a pod could not even be created."""
    found, state = [], ""
    for workflow in workflows_of(cluster, namespace, run_id):
        status = workflow.get("status", {})
        state = state or str(status.get("phase", ""))
        nodes = [node for node in nodes_of(workflow) if node.get("message")]
        broken = [node for node in nodes if node.get("phase") in (*_BROKEN, "Pending") and not node.get("children")]
        found += [Finding(label_of(path_of(node["name"]), families), in_a_line(node["message"])) for node in broken]
        if not broken and status.get("message") and status.get("phase") in _BROKEN:
            found.append(Finding("the run", in_a_line(status["message"])))
    return Findings(found, pods, state)


def in_a_line(text: str) -> str:
    """A text without line breaks and runs of blanks."""
    return " ".join(text.split())
