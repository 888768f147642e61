"""Why a run is stuck or failed: what Kubeflow Pipelines, Argo and the pods themselves say, put in a few lines.

The pod knows best, the Workflow knows why there is no pod, and KFP knows that something failed; each may be unreachable
or cleaned up. So they are asked in this order, and a later one only speaks when those before found nothing. What could
not be looked at is said, so that "nothing wrong is seen" is not taken for "nothing is wrong".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from components.shared.kubernetes.api import Cluster, ClusterError
from components.shared.runs.findings import Finding, find, in_a_line
from components.shared.runs.task_names import label_of
from pipelines.cluster.remote_run import steps_of_records, tasks_of

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run


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
        seen = find(cluster, namespace, found.run_id, families)
    except ClusterError as error:
        found.notes.append(f"The pods could not be looked at: {error}")
        return
    found.findings += seen.all
    found.state = found.state or seen.state
    if not seen.pods and not seen.all:
        found.notes.append(
            f"The namespace {namespace} has no pod of this run: it has not begun, is cleaned up, or runs elsewhere "
            "(NAMESPACE=…)."
        )


def _add_kfp_findings(found: Diagnosis, run: "V2beta1Run", families: Sequence[str]) -> None:
    steps = [step for step in steps_of_records(run) if step.state == "FAILED"]
    failed = [(view.label, view.error) for view in tasks_of(steps, families)]
    failed = failed or [(label_of(step.path, families), step.error) for step in steps]
    for label, said in dict(failed).items():
        found.findings.append(Finding(label, said or "it failed; its pod tells no more"))
    if not failed and run.error and run.error.message:
        found.findings.append(Finding("the run", in_a_line(run.error.message)))


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
