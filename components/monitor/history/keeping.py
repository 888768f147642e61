"""The history in the object store: `monitoring/<model>/history.json` and `history.html`, made of records alone.

The history is made anew from the windows' reports and the audit log each time, never continued from its last state: it
can be lost or damaged without harm. `observation.observe` keeps it; the monitor stage of a run shows the page as it is.
"""

from collections.abc import Sequence
from pathlib import Path

from components.monitor.history.page import history_page
from components.monitor.history.record import DecisionEntry, History, WindowEntry
from components.shared.decisions.audit import AuditLog
from components.shared.files import write_bytes
from components.shared.shadow.comparison import ShadowComparison
from components.shared.store import Store

JSON, PAGE = "history.json", "history.html"


def fetch_history(store: Store, model: str, path: Path) -> None:
    """Bring the history page here; one that says so where there is none yet.

    Args:
        store: The object store.
        model: Name of the model.
        path: Where the page goes.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    found = store.read_with_etag(f"monitoring/{model}/{PAGE}")
    if found:
        write_bytes(path, found[0])
    else:
        history_page(History(model=model)).write(path)


def keep_history(
    store: Store,
    model: str,
    champion: str,
    windows: Sequence[WindowEntry],
    remarks: Sequence[str] = (),
    *,
    shadows: Sequence[ShadowComparison] = (),
) -> History:
    """Make the history and keep it.

    Args:
        store: The object store.
        model: Name of the model.
        champion: The version that serves.
        windows: What is known of the windows.
        remarks: What else there is to know, in sentences.
        shadows: How the versions that wait fare beside the champion.

    Returns:
        The history.

    Raises:
        PackageError: A record of the audit log is damaged.
        StoreError: The object store cannot be reached or refuses.
    """
    decisions = [DecisionEntry.of(record) for record in AuditLog(store, model).records()]
    ordered = sorted(windows, key=lambda window: (window.end, window.start, window.version))
    history = History(
        model=model,
        champion=champion,
        windows=tuple(ordered),
        decisions=tuple(decisions),
        remarks=tuple(remarks),
        shadows=tuple(shadows),
    )
    content = history.model_dump_json(indent=2).encode()
    prefix = f"monitoring/{model}/"
    store.put_bytes(prefix + PAGE, history_page(history).render().encode(), "text/html")
    store.put_bytes(prefix + JSON, content, "application/json")
    return history
