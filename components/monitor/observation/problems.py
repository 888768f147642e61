"""What is wrong with the rows of a window, besides their values: no rows, old ones, damaged files, clocks.

A drift test looks at values, and says nothing where rows are missing, old or there twice; worse, such rows give drift
that no training cures. `observation.report` puts these beside the problems with values (`statistics.problems`); a
severe one keeps decisions from trusting the window.
"""

from collections.abc import Iterator

from components.monitor.observation.counts import Counts
from components.monitor.observation.due import DueWindow
from components.shared.decisions.evidence import Problem
from components.shared.formatting import format_share

_SEVERE = 0.2  # share of bad rows from which the whole window cannot be trusted
_LATE = 0.5  # share of a window, at its end, without any row: from here on its rows are stale


def problems_of(window: DueWindow, counts: Counts) -> Iterator[Problem]:
    """What is wrong with a window's rows.

    Args:
        window: The window.
        counts: What was counted of the rows of its version.
    """
    if not window.total:
        yield Problem(kind="empty", value=0.0, severe=True, message="No request came in this window.")
    yield from _damaged(window)
    if counts.rows:
        yield from _records(counts)
        yield from _times(window, counts)


def _damaged(window: DueWindow) -> Iterator[Problem]:
    if window.damaged:
        share = window.lost / max(1, window.lost + window.total)
        lost = f", with {window.lost:,} rows by their names ({format_share(share)})" if window.lost else ""
        yield Problem(
            kind="damaged",
            value=share,
            severe=share >= _SEVERE or not window.total,
            message=f"{window.damaged:,} of {window.files:,} files of the log cannot be read{lost}.",
        )


def _records(counts: Counts) -> Iterator[Problem]:
    if counts.copies:
        share = counts.copies / (counts.copies + counts.rows)
        message = (
            f"{counts.copies:,} records were there twice, such as of a file that was stored again; they count once."
        )
        yield Problem(kind="duplicates", value=share, message=message)
    if counts.repeated:
        share = counts.repeated / counts.rows
        message = (
            f"{counts.repeated:,} rows share the id of another request ({format_share(share)}): a label with that id "
            "has no single answer."
        )
        yield Problem(kind="duplicates", value=share, message=message)


# Example: a window of a day whose newest row is of 10:00 has been without a row for 14 of 24 hours, 0.58 of it: too
# long.
def _times(window: DueWindow, counts: Counts) -> Iterator[Problem]:
    if counts.moved:
        share = counts.moved / counts.rows
        yield Problem(
            kind="clock",
            value=share,
            severe=share >= _SEVERE,
            message=f"{counts.moved:,} rows have no time or one that cannot be ({format_share(share)}); they go by the "
            "hour of the log that they are in.",
        )
    length = (window.span.end - window.span.start).total_seconds()
    if counts.newest and window.total == counts.rows:
        gap = (window.span.end - counts.newest).total_seconds() / length
        if gap >= _LATE:
            message = f"The newest row is of {counts.newest:%Y-%m-%d %H:%M} UTC: then no more came."
            yield Problem(kind="freshness", value=min(1.0, gap), message=message)
