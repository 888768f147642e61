"""What `versions` prints: a table of the versions of a model, and one of the moves of its champion."""

from datetime import datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.shared.registry.history import Entry
from components.shared.registry.registry import Registry, Version
from pipelines.cli.consoles import plain_table

_STYLES = {
    "champion": "bold green",
    "served": "",
    "stored, never served": "dim",
    "waits for approval": "bold yellow",
    "rejected": "dim",
    "expired": "dim",
}


def print_versions(registry: Registry, console: Console) -> None:
    """Print each version with its state, then the history, both with the newest first.

    Args:
        registry: Of the model.
        console: Where to.

    Raises:
        PackageError: The history is damaged.
        StoreError: The object store cannot be reached.
    """
    versions, history = registry.versions(), registry.history()
    if not versions:
        console.print(f"No version of {registry.name!r} is stored in {registry.store.uri('')}: make run stores one.")
        return
    console.print(Text.assemble("\n ", (registry.name, "bold"), f" · {_summary(versions)}\n"), soft_wrap=True)
    console.print(_versions_table(versions))
    if history:
        console.print("\n History, the newest first\n")
        console.print(_history_table(history))


def _summary(versions: list[Version]) -> str:
    served = sum(found.entry is not None for found in versions)
    champion = next((found.version for found in versions if found.state == "champion"), "")
    count = f"{len(versions)} version{'s' if len(versions) > 1 else ''}, {served} of them served"
    return f"{count}; the champion is {champion}" if champion else f"{count}; there is no champion"


def _versions_table(versions: list[Version]) -> Table:
    table = plain_table("VERSION", "STATE", "STORED (UTC)", "LAST PROMOTED (UTC)", "RUN", "WHY")
    for found in reversed(versions):
        entry, style = found.entry, _STYLES[found.state]
        cells: list[Text | str] = [
            Text(found.version, style),
            Text(found.state if found.stored else f"{found.state}, package gone", style),
            _moment(found.stored),
            _moment(entry.when) if entry else "–",
            (entry.run if entry else "") or "–",
            _why(found),
        ]
        table.add_row(*cells)
    return table


def _why(found: Version) -> str:
    """Why a version serves or served; of one that never did, what came of its approval."""
    if found.entry is None and found.pending is not None:
        return found.pending.in_words
    return (found.entry.why if found.entry else "") or "–"


def _history_table(history: list[Entry]) -> Table:
    table = plain_table("WHEN (UTC)", "WHAT", "VERSION", "INSTEAD OF", "RUN", "WHY")
    for entry in reversed(history):
        what = [
            _moment(entry.when),
            entry.action,
            entry.version,
            entry.replaced or "–",
            entry.run or "–",
            entry.why or "–",
        ]
        table.add_row(*what)
    return table


def _moment(text: str) -> str:
    """A moment to the second; as it stands where it is none, as earlier releases' could be."""
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S}"
    except ValueError:
        return text or "–"
