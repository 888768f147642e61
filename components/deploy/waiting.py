"""What is done about versions that wait for approval: a shadow for the newest, a decision from the log, or expiry.

Every step can be repeated safely, and each look takes all of them. A version whose step fails goes on waiting.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from components.deploy.approval import approve, reject
from components.deploy.challenge import Challenge, challenge
from components.deploy.shadow import end_shadow, start_shadow
from components.shared.errors import FullcircleError
from components.shared.inference_log.access import log_store
from components.shared.registry.pending import Pending, PendingVersions
from components.shared.registry.registry import Registry
from components.shared.store import Store

WATCH = "watch"  # recorded as who decided where no person did


@dataclass(frozen=True, slots=True)
class Place:
    """Where the endpoint of a model is.

    Attributes:
        folder: Folder of this machine's endpoints; None for the cluster.
        namespace: Of the endpoint on a cluster, where the version does not say; empty for that of the pod, or of the
            kubeconfig's context.
    """

    folder: Path | None = None
    namespace: str = ""

    def of(self, pending: Pending) -> "Place":
        """Where a version is to be served."""
        return replace(self, namespace=pending.namespace or self.namespace)


def see_to_waiting(
    store: Store, name: str, place: Place, *, tell: Callable[[str], None], now: datetime | None = None
) -> None:
    """See to every version of a model that waits.

    Args:
        store: The object store.
        name: Name of the model.
        place: Where its endpoint is.
        tell: Called with a line for people on each version of which something became known.
        now: This moment, UTC.

    Raises:
        PackageError: What is kept of a version that waits, or of the champion, is damaged.
        StoreError: The object store cannot be reached or refuses.
    """
    begin_shadow(store, name, place, tell=tell)
    moment = now or datetime.now(UTC)
    for pending in PendingVersions(store, name).all_waiting():
        try:
            tell(f"version {pending.version} {_seen_to(store, name, pending, place.of(pending), moment)}")
        except FullcircleError as error:
            tell(f"version {pending.version} waits on: {error}")


def begin_shadow(store: Store, name: str, place: Place, *, tell: Callable[[str], None]) -> None:
    """Bring the version that began to wait last up as a shadow, where something serves and copies are configured."""
    waiting = PendingVersions(store, name).all_waiting()
    if waiting and waiting[-1].is_shadowed:
        try:
            tell(_shadowed(store, name, waiting[-1], place.of(waiting[-1])))
        except FullcircleError as error:
            tell(f"no requests are copied to version {waiting[-1].version}: {error}")


def _seen_to(store: Store, name: str, pending: Pending, place: Place, now: datetime) -> str:
    """Let a version expire, decide about it, or leave it waiting; returns in words what became of it."""
    champion = Registry(store, name).champion()
    serves = champion.version if champion else ""
    compared_with = pending.judgement.champion or ""
    if serves not in (compared_with, pending.version):
        return _expire(store, name, pending, place, f"version {serves} became champion meanwhile")
    if serves != pending.version and pending.expires and now >= pending.expires:
        return _expire(store, name, pending, place, f"not decided within {pending.gate.pending_days:g} days")
    return _decided(store, name, pending, place, serves) if pending.gate.approval == "live" else pending.in_words


def _expire(store: Store, name: str, pending: Pending, place: Place, why: str) -> str:
    answered = PendingVersions(store, name).answer(pending.version, "expired", by=WATCH, why=why)
    if pending.is_shadowed:
        end_shadow(name, version=pending.version, folder=place.folder, namespace=place.namespace)
    return answered.in_words


def _decided(store: Store, name: str, pending: Pending, place: Place, champion: str) -> str:
    """Approve or reject a version by the newest labelled requests; it goes on waiting while these are unclear."""
    found = _compared(store, name, pending, champion)
    if found.outcome == "unclear":
        return f"{pending.in_words}: {found.message}"
    act = reject if found.outcome == "worse" else approve
    answered = act(
        store, name, pending.version, folder=place.folder, namespace=place.namespace, by=WATCH, why=found.message
    )
    return answered.in_words if isinstance(answered, Pending) else answered.message


def _compared(store: Store, name: str, pending: Pending, champion: str) -> Challenge:
    if not champion:
        return Challenge(0, "no worse", "there is no champion to compare with")
    if champion == pending.version:  # its deployment was killed after it had moved the champion
        return Challenge(0, "no worse", "it serves already")
    return challenge(log_store(store), name, pending, champion)


def _shadowed(store: Store, name: str, pending: Pending, place: Place) -> str:
    """Bring a version up as a shadow; one that is up stays as it is."""
    return start_shadow(
        store, name, pending.version, pending.serving, folder=place.folder, namespace=place.namespace
    ).message
