"""Removing InferenceServices of ours that stand beside a model's endpoint, by their role."""

import time

from components.deploy.inference_service import MANAGED_BY, MANAGER, MODEL, ROLE
from components.deploy.readiness import pause
from components.deploy.serving_namespace import ServingNamespace
from components.shared.errors import DeployError

_LEAVE_SECONDS = 60.0


def remove_all(namespace: ServingNamespace, model: str, role: str) -> None:
    """Remove all of a model's InferenceServices that have a role, and wait until they are gone.

    This includes those that a killed deployment has left.

    Raises:
        DeployError: One is still there after the time-out.
    """
    selector = f"{MANAGED_BY}={MANAGER},{MODEL}={model},{ROLE}={role}"
    deadline = time.monotonic() + _LEAVE_SECONDS
    announced: set[str] = set()
    while found := namespace.find(selector):
        for service in found:
            if service["metadata"]["uid"] not in announced:
                namespace.delete(service)
                announced.add(service["metadata"]["uid"])
        if time.monotonic() > deadline:
            names = ", ".join(service["metadata"]["name"] for service in found)
            raise DeployError(f"{names} was asked to end and is still there: see its finalizers, or KServe's log.")
        pause()
