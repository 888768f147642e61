"""Who is told that a run failed, and of what: the diagnosis that `make diagnose` makes of the run's pods.

It is the exit task that looks: it runs whatever became of the others, under the account of the run, which may read the
run's pods. Where it may not, or where there are none, what Kubeflow Pipelines itself says has to do. On one machine the
runner of the tasks says what failed.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from components.shared.config.notifications import NotificationsConfig
from components.shared.kubernetes.api import Cluster, ClusterError, in_pod, pod_namespace
from components.shared.notifications.sending import Event, send_to_all
from components.shared.registry.history import this_run
from components.shared.runs import CAUSE_VARIABLE
from components.shared.runs.findings import Finding, find


def notify_of_run(
    model: str, *, state: str, error: str, settings: NotificationsConfig, families: Sequence[str] = ()
) -> str:
    """Tell every receiver that wants to know of a run that failed.

    Args:
        model: Name of the model.
        state: How the run's other tasks ended: `SUCCEEDED`, `FAILED` or `CANCELLED`.
        error: What Kubeflow Pipelines says of it; may be empty.
        settings: The receivers.
        families: The items of the loop over model families, in order.

    Returns:
        What was done, in a line.
    """
    if state != "FAILED":
        return f"the run {state.lower()}: nobody has to be told"
    run = this_run()
    findings = _findings(run, families)
    why = "; ".join(map(_in_words, findings)) or os.environ.get(CAUSE_VARIABLE) or error or "its logs say why"
    data = {"run": run, "findings": [asdict(finding) for finding in findings]}
    event = Event("failed_run", f"run-{run}", model, datetime.now(UTC), f"run {run} failed: {why}", data)
    send_to_all(event, settings)
    return f"told that the run failed: {why}"


def _findings(run: str, families: Sequence[str]) -> Sequence[Finding]:
    if not in_pod():
        return []
    namespace = pod_namespace()
    try:
        return find(Cluster.of_this_pod(), namespace, run, families).all
    except ClusterError as error:
        return [Finding("the run", f"its pods in {namespace} could not be looked at: {error}")]


def _in_words(finding: Finding) -> str:
    first, *_ = finding.message.splitlines() or [finding.what]
    return f"{finding.task}: {first}{f' ({finding.remedy})' if finding.remedy else ''}"
