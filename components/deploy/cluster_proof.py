"""Proof that an InferenceService answers rightly: its golden requests, asked through its Service.

A ready pod says that a server is up, not that it answers rightly; the golden requests of the package say what is right.
They are asked through the Service, as clients ask. There an answer of another version, or none, may only mean that the
cluster is not done yet, so it is tried again; once no other server is left, a wrong answer is final.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.deploy.address import proof_url, service_port
from components.deploy.readiness import pause, unchanged
from components.deploy.replay import golden_answers
from components.deploy.rollout import progress
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import ServingConfig
from components.shared.errors import UnreachableError, WrongAnswerError
from components.shared.kubernetes.api import Object, in_pod
from components.shared.kubernetes.forwarding import forwarded, is_reachable
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden
from components.shared.package.proof import proof_token

SETTLE_SECONDS = 30.0  # a server that is shutting down still gets requests until the Service drops it


def prove(namespace: ServingNamespace, service: Object, package: Path, *, version: str, serving: ServingConfig) -> int:
    """Replay the golden requests through the Service.

    A Service that does not answer is asked again: its pods can be ready a moment before the Service is set up on the
    asking node. A wrong answer is asked again only while servers of another version may still have given it.

    Returns:
        Number of golden requests that were answered.

    Raises:
        UnreachableError: Nobody answers.
        WrongAnswerError: An answer is wrong, or another version answers.
        DeployError: Somebody else has changed the InferenceService.
    """
    name, deadline, golden = service["metadata"]["name"], time.monotonic() + SETTLE_SECONDS, read_golden(package)
    proof = proof_token(package)
    while True:
        try:
            with reachable_url(namespace, name) as url:
                answers = golden_answers(url, golden, version=version, rows=serving.rows, proof=proof)
            break
        except (UnreachableError, WrongAnswerError) as error:
            now, pods = unchanged(service, namespace.get(name)), namespace.pods(name)
            hopeless = isinstance(error, WrongAnswerError) and progress(now, pods).settled
            if hopeless or time.monotonic() > deadline:
                raise
            pause()
    if wrong := differences(golden, answers):
        raise WrongAnswerError(f"It answers {len(wrong)} of {len(golden)} golden requests wrongly: {wrong[0]}.")
    return len(golden)


@contextmanager
def reachable_url(namespace: ServingNamespace, name: str) -> Iterator[str]:
    """The V1 prediction URL of an InferenceService, as this process reaches it.

    Raises:
        UnreachableError: It cannot be reached.
        DeployError: It never can from here.
    """
    service = f"{name}-predictor"
    found = namespace.service(service)
    url = proof_url(found, namespace.pods(name), model=name, service_name=service)
    if in_pod() or is_reachable(url):
        yield url
        return
    with forwarded(namespace.name, service, service_port(found)) as address:
        yield f"{address}/v1/models/{name}:predict"


def retry_unreachable(ask: Callable[[], list[Any]], deadline: float) -> list[Any]:
    """Ask until something answers, whatever it answers.

    Raises:
        UnreachableError: Nothing has by the deadline, on the monotonic clock.
    """
    while True:
        try:
            return ask()
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
        pause()
