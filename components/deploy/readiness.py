"""Waiting until an InferenceService serves, or until it is certain that it will not: then the reasons, in words.

To wait for the whole time-out on an image that does not exist wastes minutes; to give up at the first complaint fails
deployments whose secret comes a second late. So a server that crashes again and again ends the wait at once, other
problems only after some seconds, and mere slowness at the time-out. `rollout` judges what is there, `diagnosis` finds
the words.
"""

import time
from collections.abc import Callable

from components.deploy.diagnosis import conditions_text, crashes, problem_text
from components.deploy.inference_service import REVISION, label
from components.deploy.rollout import Progress, progress
from components.deploy.serving_namespace import ServingNamespace
from components.shared.errors import DeployError
from components.shared.kubernetes.api import Object

_POLL_SECONDS = 0.5
_HOPELESS_SECONDS = 15.0  # a problem counts as final only after this time: an image or a secret may arrive late
_PODLESS_SECONDS = 30.0


def pause() -> None:
    """Wait until it is worth looking at the cluster again."""
    time.sleep(_POLL_SECONDS)


# Example: an image cannot be pulled, seen first after 5 s. Between two attempts the pod looks well, which does not
# count, and from 20 s on the wait is given up. A server that crashes again and again ends it when that is seen.
def wait_until_ready(
    namespace: ServingNamespace,
    service: Object,
    *,
    seconds: float,
    judge: Callable[[Object, list[Object]], Progress] = progress,
) -> None:
    """Wait until an applied InferenceService serves.

    Raises:
        DeployError: It does not in time, never will, or somebody else changed it.
    """
    name, start = service["metadata"]["name"], time.monotonic()
    hopeless_since: float | None = None
    while True:
        now, pods = unchanged(service, namespace.get(name)), namespace.pods(name)
        found = judge(now, pods)
        if found.done:
            return
        moment = time.monotonic()
        hopeless = [problem for problem in found.pod_problems if problem.hopeless]
        if hopeless:
            hopeless_since = hopeless_since or moment  # not reset: between retries the pod looks healthy for a moment
            if any(map(crashes, hopeless)) or moment - hopeless_since > _HOPELESS_SECONDS:
                raise DeployError(_why(namespace, now, found))
        if not found.pods and moment - start > min(seconds, _PODLESS_SECONDS):
            raise DeployError(_why(namespace, now, found))
        if moment - start > seconds:
            raise DeployError(f"It was not ready within {seconds:g} s: {_why(namespace, now, found)}")
        pause()


def unchanged(service: Object, now: Object | None) -> Object:
    """Check that an InferenceService is still the one that was applied, and return it as it is now.

    Raises:
        DeployError: Another deployment has changed it, or it is gone.
    """
    name = service["metadata"]["name"]
    if now is None:
        raise DeployError(f"Somebody has removed the InferenceService {name} meanwhile.")
    if label(now, REVISION) != label(service, REVISION):
        raise DeployError(f"Another deployment has changed the InferenceService {name} meanwhile.")
    return now


def _why(namespace: ServingNamespace, service: Object, found: Progress) -> str:
    """Why it is not ready: the pods' reasons, what KServe and Kubernetes say, the last lines of a log."""
    parts = list(dict.fromkeys(map(problem_text, found.pod_problems)))
    if not parts:
        parts = [found.waiting_for, *filter(None, [conditions_text(service)])]
        parts += namespace.warnings_about(service["metadata"]["name"])[:3]
    text = "; ".join(part.rstrip(".") for part in dict.fromkeys(parts)) + "."
    for problem in found.pod_problems[:1]:
        lines = namespace.log(problem.pod, problem.container, previous=problem.previous) or problem.log_end
        if lines.strip():
            text += f"\nThe end of the log of pod {problem.pod}:\n{_indented(lines)}"
    return text


def _indented(lines: str) -> str:
    return "\n".join(f"  {line[:300]}" for line in lines.splitlines() if line.strip())
