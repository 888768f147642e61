"""What a window comes to, and which version's rows the newest window is judged by.

Several versions may have answered in a window, as on the day of a promotion or where requests are shared out. A reader
has to know first what is worst; which version it is about is said beside it.
"""

from collections.abc import Sequence
from datetime import datetime

from components.monitor.history.record import History, WindowEntry
from components.shared.pages.blocks import Status as Colour

# The worst first. `info`, as of too few rows, comes last, so that it hides no other version's verdict.
_WORST_FIRST: tuple[Colour, ...] = ("failed", "warning", "passed", "info")


def state(window: WindowEntry) -> tuple[Colour, str]:
    """What a window comes to, in a colour and a word."""
    if any(problem.severe for problem in window.problems):
        return "failed", "No rows" if window.status == "no rows" else "Broken rows"
    if window.quality and window.quality.relation_changed:
        return "warning", "Relation changed"
    if window.drifted or (window.prediction and window.prediction.drifted):
        return "warning", "Drift"
    if window.problems:
        return "warning", "Problems"
    return ("passed", "No drift") if window.status == "compared" else ("info", window.status.capitalize())


def newest_windows(history: History) -> Sequence[WindowEntry]:
    """The newest window, once for each version that answered in it.

    The worst comes first; of those alike the champion's, then that of most rows.
    """
    newest = max(((window.end, window.start) for window in history.windows), default=None)

    def rank(window: WindowEntry) -> tuple[int, bool, int]:
        return _WORST_FIRST.index(state(window)[0]), window.version != history.champion, -window.rows

    return sorted((window for window in history.windows if (window.end, window.start) == newest), key=rank)


def verdict(history: History) -> tuple[Colour, str]:
    """What the newest window comes to, and of which version where several answered."""
    newest = newest_windows(history)
    if not newest:
        return "info", "No window yet"
    colour, word = state(newest[0])
    return colour, f"{word} (version {newest[0].version})" if len(newest) > 1 else word


def busiest_windows(windows: Sequence[WindowEntry]) -> Sequence[WindowEntry]:
    """Each window whose quality is known once, of the version that answered most rows; in the order of the windows."""
    found: dict[tuple[datetime, datetime], WindowEntry] = {}
    for window in windows:
        known = found.get((window.start, window.end))
        if window.quality and (known is None or known.rows < window.rows):
            found[window.start, window.end] = window
    return list(found.values())
