"""Why a run is stuck or failed: what Kubeflow Pipelines, Argo and the pods themselves say, put in a few lines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.shared.kubernetes.api import Cluster, ClusterError, Object
from components.shared.kubernetes.pods import PodProblem
from components.shared.progress import divide
from pipelines.cluster.pods import find_problem, last_lines, own_message, remedy, task_path
from pipelines.cluster.remote_run import steps_of_records, tasks_of
from pipelines.cluster.workflow import RUN_LABEL, nodes_of, workflows_of
from pipelines.task_names import label_of, path_of, stages_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

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


@dataclass(slots=True)
class Diagnosis:
    """What is known about a run.

    Attributes:
        run_id: The run.
        state: What Kubeflow Pipelines or Argo says of it; empty when neither was asked.
        findings: What is wrong, the cause first.
        notes: What could not be looked at, and why; or that nothing seems wrong.
    """

    run_id: str
    state: str = ""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def diagnose(
    run_id: str,
    cluster: Cluster | None,
    *,
    namespace: str,
    run: "V2beta1Run | None" = None,
    families: Sequence[str] = (),
) -> Diagnosis:
    """Find out why a run is stuck or failed.

    Args:
        run_id: The run.
        cluster: Where its pods are; None when there is no way to them.
        namespace: Of its pods.
        run: The run as KFP's API describes it; None when it could not be asked.
        families: The items of the loop over model families, in order.
    """
    found = Diagnosis(run_id, state=str(run.state) if run is not None else "")
    if cluster is not None:
        _look(found, cluster, namespace, families)
    if run is not None and not found.findings:
        _add_kfp_findings(found, run, families)
    if not found.findings and not found.notes:
        found.notes.append("Nothing wrong is seen.")
    return found


def _look(found: Diagnosis, cluster: Cluster, namespace: str, families: Sequence[str]) -> None:
    try:
        pods = cluster.list(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"{RUN_LABEL}={found.run_id}")
        found.findings += examine(cluster, namespace, pods, families)
        if not found.findings:
            _look_at_workflow(found, cluster, namespace, families)
        if not pods and not found.findings:
            found.notes.append(
                f"The namespace {namespace} has no pod of this run: it has not begun, is cleaned up, or runs elsewhere "
                "(NAMESPACE=…)."
            )
    except ClusterError as error:
        found.notes.append(f"The pods could not be looked at: {error}")


def examine(cluster: Cluster, namespace: str, pods: Iterable[Object], families: Sequence[str] = ()) -> list[Finding]:
    """What is wrong with pods of a run, what ended before what waits, and stages before what serves them."""
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
    """The stage that was at work, of a task that runs several, by its log; empty where that does not say it."""
    begun = divide(log) if stages_of(parts)[1:] else []
    return begun[-1].stage if begun else ""


def _look_at_workflow(found: Diagnosis, cluster: Cluster, namespace: str, families: Sequence[str]) -> None:
    """What Argo says, where no pod tells: one that could not be made has left none."""
    for workflow in workflows_of(cluster, namespace, found.run_id):
        status = workflow.get("status", {})
        found.state = found.state or str(status.get("phase", ""))
        nodes = [node for node in nodes_of(workflow) if node.get("message")]
        broken = [node for node in nodes if node.get("phase") in (*_BROKEN, "Pending") and not node.get("children")]
        for node in broken:
            found.findings.append(Finding(label_of(path_of(node["name"]), families), _sentence(node["message"])))
        if not broken and status.get("message") and status.get("phase") in _BROKEN:
            found.findings.append(Finding("the run", _sentence(status["message"])))


def _add_kfp_findings(found: Diagnosis, run: "V2beta1Run", families: Sequence[str]) -> None:
    steps = [step for step in steps_of_records(run) if step.state == "FAILED"]
    failed = [(view.label, view.error) for view in tasks_of(steps, families)]
    failed = failed or [(label_of(step.path, families), step.error) for step in steps]
    for label, said in dict(failed).items():
        found.findings.append(Finding(label, said or "it failed; its pod tells no more"))
    if not failed and run.error and run.error.message:
        found.findings.append(Finding("the run", _sentence(run.error.message)))


def _sentence(text: str) -> str:
    return " ".join(text.split())


def print_diagnosis(found: Diagnosis, console: Console) -> None:
    """Write a diagnosis for a person."""
    console.print(
        Text.assemble((f"\n Run {found.run_id}", "bold"), f"  {found.state.lower()}".rstrip()), soft_wrap=True
    )
    for finding in found.findings:
        first, *more = finding.message.splitlines() or [finding.what]
        console.print(Text.assemble((" ✗ ", "red"), (finding.task, "bold"), f": {first}"), soft_wrap=True)
        for line in more:
            console.print(Text(f"   {line}", "red"), soft_wrap=True)
        if finding.message:
            console.print(Text(f"   ({finding.what})", "dim"), soft_wrap=True)
        if finding.remedy:
            console.print(Text.assemble(("   Remedy: ", "bold"), finding.remedy), soft_wrap=True)
        if finding.pod:
            ending = ", the last that it wrote:" if finding.log else ""
            console.print(Text(f"   Pod {finding.pod}{ending}", "dim"), soft_wrap=True)
        for line in finding.log:
            console.print(Text(f"     {line}", "dim"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f" · {note}"), soft_wrap=True)
