"""A deployment that fails or is interrupted puts back the champion, or says what it had to leave.

It may fail for the very reason that keeps the champion from being put back, and another deployment may have changed
the endpoint meanwhile: then that is said, and nothing of others is undone.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from components.deploy.diagnosis import is_leaving, is_ready
from components.deploy.inference_service import (
    MODEL_VERSION,
    REVISION,
    Release,
    annotation,
    applicable,
    inference_service,
    label,
    serving_of,
)
from components.deploy.readiness import wait_until_ready
from components.deploy.serving_namespace import ServingNamespace
from components.shared.errors import DeployError, FullcircleError, PackageError, StoreError
from components.shared.kubernetes.api import Object

_RESTORE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a deployment is to come to in the registry, which the endpoint knows nothing else of.

    Attributes:
        check: Raises when another run has moved the champion meanwhile.
        complete: Makes the version the champion; called once it serves, and what it raises undoes the deployment.
        champion: What the champion is now, to be put back when the deployment fails; None when there is none.
    """

    check: Callable[[], None]
    complete: Callable[[], None]
    champion: Callable[[], Release | None]


@dataclass(slots=True)
class Attempt:
    """How far a deployment has come, for the message of one that fails."""

    what: str


@contextmanager
def restore_on_failure(
    namespace: ServingNamespace, name: str, before: Object | None, wanted: Object, version: str, outcome: Outcome
) -> Iterator[Attempt]:
    """Put back the champion when the rest fails or is interrupted."""
    attempt = Attempt("failed its dark launch, before anybody asked it")
    try:
        yield attempt
    except BaseException as error:
        left = _put_back(namespace, name, before, wanted, outcome, interrupted=not isinstance(error, Exception))
        if isinstance(error, FullcircleError):
            raise _failure(f"Version {version} of {name!r} {attempt.what}", error, left) from error
        raise


def _put_back(
    namespace: ServingNamespace,
    name: str,
    before: Object | None,
    wanted: Object,
    outcome: Outcome,
    *,
    interrupted: bool,
) -> str:
    """Put back the champion, or remove the endpoint that was made.

    Returns:
        What came of it, in a sentence.
    """
    try:
        now = namespace.get(name)
        if now is None and before is None:
            return "No version serves."
        ours = {label(service, REVISION) for service in (wanted, before) if service}
        if now is None or label(now, REVISION) not in ours:
            return "Somebody else has changed the endpoint meanwhile; it is left as it is."
        if before is None:
            namespace.delete(now)
            return "There was no version before it; the endpoint is removed."
        back = _champions(namespace, before, wanted, outcome)
        if label(now, REVISION) != label(back, REVISION) or now["spec"].get("canary"):
            service = namespace.apply(applicable(back))
            if interrupted:
                return ""
            wait_until_ready(namespace, service, seconds=_RESTORE_SECONDS)
    except DeployError as error:
        return f"{_what_is_left(namespace, name, before)} What was there before cannot be put back: {error}"
    return f"Version {annotation(back, MODEL_VERSION)} serves on."


def _champions(namespace: ServingNamespace, before: Object, wanted: Object, outcome: Outcome) -> Object:
    """The InferenceService to put back: `before`, or one made for the champion if `before` serves another version.

    `before` serves another version than the champion when an earlier deployment was killed before its last act, or
    when another run has moved the champion meanwhile. That version must not be put back: it may not have passed its
    proof. Without a champion, or when the champion cannot be read, `before` is put back all the same.
    """
    try:
        champion = outcome.champion()
    except (StoreError, PackageError):
        return before
    if champion is None:
        return before
    for service in (before, wanted):  # `wanted`: the champion was moved, but the store's answer was lost
        if champion.version == annotation(service, MODEL_VERSION):
            return service
    return inference_service(champion, serving_of(before), namespace=namespace.name)


def _what_is_left(namespace: ServingNamespace, name: str, before: Object | None) -> str:
    """A sentence that says that servers of the previous version still answer; empty when none does."""
    if before is None:
        return ""
    revision = label(before, REVISION)
    with suppress(DeployError):
        for pod in namespace.pods(name):
            if label(pod, REVISION) == revision and is_ready(pod) and not is_leaving(pod):
                return f"Version {annotation(before, MODEL_VERSION)} still answers."
    return ""


def _failure(what: str, why: FullcircleError, outcome: str) -> DeployError:
    """What happened, why, and what is left; the lines of a log, if there are any, come last."""
    head, line_end, log = str(why).partition("\n")
    return DeployError(f"{what}: {head.rstrip('. ')}. {outcome}{line_end}{log}")
