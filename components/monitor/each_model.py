"""What the programs of the scheduled jobs have in common: acts for each model, whatever comes of the others."""

from collections.abc import Callable, Sequence

from components.shared.errors import FullcircleError
from components.shared.progress import announce, tell_failure
from components.shared.store import Store


def for_each_model(
    named: Sequence[str], known: Callable[[Store], list[str]], *acts: Callable[[Store, str], str], none: str
) -> int:
    """Act on each model that is named, or else on all that are known, and say what came of each.

    Args:
        named: Names of models; none for all.
        known: Lists all models that there is something to do for.
        acts: Each acts on one of them; returns what came of it, in words.
        none: What to say when there is no model at all.

    Returns:
        The exit code: 0, or 1 when something could not be done; the other acts and models had their turn all the same.
    """
    try:
        store = Store.connect()
        names = named or known(store)
    except FullcircleError as error:
        tell_failure(error)
        return 1
    if not names:
        announce(none)
    return max((_done(store, name, act) for name in names for act in acts), default=0)


def _done(store: Store, name: str, act: Callable[[Store, str], str]) -> int:
    try:
        announce(f"{name}: {act(store, name)}")
    except Exception as error:  # noqa: BLE001, a defect that one model's rows bring to light is no other model's affair
        tell_failure(error, model=name)
        return 1
    return 0
