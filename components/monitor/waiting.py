"""How the versions that wait fare as shadows, for the history page of a model."""

from datetime import datetime

from components.monitor.shadow import keep_comparison
from components.shared.registry.pending import PendingVersions
from components.shared.shadow.comparison import ShadowComparison
from components.shared.shadow.known import Look, look_at_shadow
from components.shared.store import Store


def compare_waiting(store: Store, model: str, champion: str, *, now: datetime) -> list[ShadowComparison]:
    """Compare each version that waits and is sent copies of requests with the champion, and keep what was found.

    Args:
        store: The object store.
        model: Name of the model.
        champion: The version that serves.
        now: Up to when.

    Raises:
        InputError: The versions predict different things.
        PackageError: A version's package is incomplete, or what is kept of one that waits is damaged.
        StoreError: The object store cannot be reached or refuses.
    """
    found = []
    for pending in PendingVersions(store, model).all_waiting():
        if pending.is_shadowed and pending.version != champion:
            look = Look.at(pending)
            found.append(look_at_shadow(store, model, pending.version, look, champion=champion, now=now))
            keep_comparison(store, found[-1])
    return found
