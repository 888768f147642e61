"""How far an InferenceService has come, judged by its pods.

KServe's own `Ready` may still be that of the revision before, so the pods are counted by the revision on their label.
`readiness` waits until it is done, `cluster_proof` needs to know when it is settled.
"""

from dataclasses import dataclass

from components.deploy.canary import canary_ready
from components.deploy.diagnosis import is_leaving, is_ready, pod_problems
from components.deploy.inference_service import REVISION, label, minimum_replicas
from components.shared.kubernetes.api import Object
from components.shared.kubernetes.pods import PodProblem


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an InferenceService has come.

    Attributes:
        done: Whether all that is asked for serves, and nothing else does. Of a canary: whether its pods are ready.
        settled: Whether, besides, no other pod is left, not even one that is shutting down. Of a canary: as `done`.
        waiting_for: What is missing, in words.
        pod_problems: What is wrong with pods of this revision.
        pods: Number of pods of this revision.
    """

    done: bool
    settled: bool
    waiting_for: str
    pod_problems: list[PodProblem]
    pods: int


# Example, two servers are asked for. One new pod ready, two old: "1 of 2 servers are ready". Two new, one old: "other
# servers are still there". The old one is shutting down: done, but not settled, since it may still answer. It is gone:
# settled.
def progress(service: Object, pods: list[Object]) -> Progress:
    """Judge how far an InferenceService has come, by its pods.

    Its condition `Ready` is not enough, because it may still be that of the revision before. Nor does
    `status.observedGeneration` tell: in Standard mode KServe copies the Deployment's there.

    Args:
        service: The InferenceService, just read.
        pods: Its predictor's pods, read after it.
    """
    status, revision = service.get("status") or {}, label(service, REVISION)
    live = [pod for pod in pods if not is_leaving(pod)]
    new = [pod for pod in live if label(pod, REVISION) == revision]
    templates = {label(pod, "pod-template-hash") for pod in new}
    ready = [pod for pod in new if is_ready(pod)]
    wanted = max(1, minimum_replicas(service))
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or []}
    waiting_for = ""
    if not new:
        waiting_for = "there is no pod of this version"
    elif len(ready) < wanted:
        waiting_for = f"{len(ready)} of {wanted} servers are ready"
    elif len(new) < len(live) or len(templates) > 1:
        waiting_for = "other servers are still there"
    elif conditions.get("Ready") != "True":
        waiting_for = "KServe does not say that it is ready"
    return Progress(
        not waiting_for, not waiting_for and len(pods) == len(new), waiting_for, pod_problems(new), len(new)
    )


def canary_progress(service: Object, pods: list[Object], *, revision: str) -> Progress:
    """Judge how far the canary of an InferenceService has come.

    Args:
        service: The InferenceService, just read.
        pods: Its predictor's pods, the canary's among them.
        revision: That of the canary's pods.
    """
    mine = [pod for pod in pods if label(pod, REVISION) == revision and not is_leaving(pod)]
    waiting_for = ""
    if not mine:
        waiting_for = "there is no pod of the canary"
    elif not all(map(is_ready, mine)):
        waiting_for = "the canary is not ready"
    elif not canary_ready(service):
        waiting_for = "KServe does not say that the canary is ready"
    return Progress(not waiting_for, not waiting_for, waiting_for, pod_problems(mine), len(mine))
