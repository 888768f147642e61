"""Why a version does not become ready, from what Kubernetes says of its pods and KServe of itself.

Kubernetes says `ImagePullBackOff`, and a person wants to know what to do. `runs.pods` finds the problems of any pod;
here are the hints for a server's, and the difference between a server that crashes, which it will again, and a download
of the package that failed, which may yet succeed. `readiness` gives up or waits by it.
"""

from collections.abc import Sequence

from components.shared.kubernetes.api import Object
from components.shared.kubernetes.pods import PodProblem, find_problems, short

_HINTS = {
    "ErrImagePull": "push the image, or set imagePullSecrets",
    "ImagePullBackOff": "push the image, or set imagePullSecrets",
    "InvalidImageName": "correct the image's name in the ServingRuntime fullcircle",
    "ErrImageNeverPull": "load the image into the node, or allow it to be pulled",
    "CreateContainerConfigError": "apply the manifests, and make the secrets they name",
    "OOMKilled": "raise serving.resources.memory_limit",
}
_INITIALIZER = "storage-initializer"


def is_ready(pod: Object) -> bool:
    """Whether a pod gets requests."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in _status(pod).get("conditions") or [])


def is_leaving(pod: Object) -> bool:
    """Whether a pod is being deleted, or has ended."""
    return bool(pod["metadata"].get("deletionTimestamp")) or _status(pod).get("phase") in ("Succeeded", "Failed")


def pod_problems(pods: Sequence[Object]) -> list[PodProblem]:
    """What keeps pods from being ready; empty when they only take their time."""
    return [problem for pod in pods for problem in find_problems(pod)]


def crashes(problem: PodProblem) -> bool:
    """Whether the server itself crashes repeatedly; a failing download of the package, in contrast, may yet succeed."""
    return problem.repeated and problem.container != _INITIALIZER


def problem_text(problem: PodProblem) -> str:
    """What is wrong with a pod, and what to do, in one line for people."""
    parts = [problem.text]
    if problem.kind == "crash" and problem.container == _INITIALIZER:
        parts.append("the model could not be fetched")
    if problem.reason in _HINTS:
        parts.append(_HINTS[problem.reason])
    return "; ".join(part.rstrip(".") for part in parts)


def _status(pod: Object) -> Object:
    return pod.get("status") or {}


def conditions_text(service: Object) -> str:
    """What KServe says of an InferenceService that is not ready, in a line; empty when it says nothing."""
    status = service.get("status") or {}
    parts = [
        short(one.get("message") or one.get("reason"))
        for one in status.get("conditions") or []
        if one.get("status") != "True" and (one.get("message") or one.get("reason"))
    ]
    failure = (status.get("modelStatus") or {}).get("lastFailureInfo") or {}
    if failure.get("message"):
        parts.append(f"{failure.get('reason', '')}: {short(failure['message'])}".lstrip(": "))
    return "; ".join(dict.fromkeys(parts))
