"""The answer to a version that waits: deployed with the same proofs as by a run, or rejected.

A person's yes is no way around the proofs: it goes through the same deployment as a run's, and is written down only
once the version serves, so that one which does not come up waits on. A version whose shadow has answered too few copies
of requests is held back, unless somebody says why it cannot wait. A no is written before the shadow is ended, so that
it stands even if that fails.
"""

from pathlib import Path

from components.deploy.deploy import deploy_on
from components.deploy.deployed import Deployed
from components.deploy.promotion import of_verdict
from components.deploy.shadow import end_shadow
from components.shared.errors import DeployError
from components.shared.inference_log.access import log_store
from components.shared.registry.history import this_person
from components.shared.registry.pending import Pending, PendingVersions
from components.shared.shadow.known import Look, look_at_shadow
from components.shared.store import Store


def approve(
    store: Store,
    name: str,
    version: str,
    *,
    folder: Path | None = None,
    namespace: str = "",
    by: str = "",
    why: str = "",
    force: bool = False,
) -> Deployed:
    """Deploy a version that waits, as the run would have that made it, and make it the champion.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version.
        folder: Folder of this machine's endpoints, to serve it here; None for the cluster.
        namespace: Of the endpoint on a cluster; empty for the one that the configuration names.
        by: Who approves it; by default this person.
        why: For the history.
        force: Deploy it although it has answered too few copies of requests; `why` has to say why.

    Raises:
        DeployError: It has answered too few copies of requests, or does not serve; it waits on, and the champion is
            what it was.
        PackageError: It does not wait, or the champion is no longer the one that the gate compared it with.
        StoreError: The object store cannot be reached.
    """
    waiting = PendingVersions(store, name)
    pending = waiting.waiting(version)
    early = _early(store, name, pending)
    if early and not (force and why):
        raise DeployError(
            f"{early} Wait until it has answered more, or say `--force` and why with `--why` (make approve … FORCE=1 "
            'WHY="…").'
        )
    person = by or this_person() or "somebody"
    reason = f"approved by {person}{f' ({why})' if why else ''}; {pending.judgement.why}"
    begin = of_verdict(version, pending.judgement, why=f"{reason}; {early}" if early else reason, run=pending.run)
    place = namespace or pending.namespace
    deployed = deploy_on(store, name, pending.serving, begin=begin, folder=folder, namespace=place)
    waiting.answer(version, "approved", by=person, why=why)
    return deployed


def reject(
    store: Store,
    name: str,
    version: str,
    *,
    why: str,
    folder: Path | None = None,
    namespace: str = "",
    by: str = "",
) -> Pending:
    """Write down that a version that waits is not to serve, and end its shadow; the champion stays what it is.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version.
        why: For the record.
        folder: Folder of this machine's endpoints, where the model is served here; None for the cluster.
        namespace: Of the endpoint on a cluster; empty for the one that the configuration names.
        by: Who rejects it; by default this person.

    Raises:
        DeployError: It was rejected, and its shadow does not end.
        PackageError: It does not wait.
        StoreError: The object store cannot be reached.
    """
    answered = PendingVersions(store, name).answer(version, "rejected", by=by or this_person() or "somebody", why=why)
    if answered.is_shadowed:
        end_shadow(name, version=version, folder=folder, namespace=namespace or answered.namespace)
    return answered


def _early(store: Store, name: str, pending: Pending) -> str:
    """How many rows the version's shadow still has to answer, in a sentence; empty when it needs no more."""
    champion = pending.judgement.champion
    if not pending.is_shadowed or not champion:
        return ""
    found = look_at_shadow(log_store(store), name, pending.version, Look.at(pending), champion=champion)
    if found.enough:
        return ""
    return (
        f"Version {pending.version} has answered {found.rows:,} of the {found.needed:,} rows that serving.shadow.rows "
        f"asks for, beside version {champion}."
    )
