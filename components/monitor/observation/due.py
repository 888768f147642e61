"""Which windows are over, and what is kept of their rows.

Reports are made from counts that were kept by hour and version, so a window that is over costs no reading of the log. A
log can still grow after that, by files that come late: the fingerprint of a window's counts tells whether its report is
still of these rows. A window of which nobody asked anything gets a report too, since silence is news.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from components.monitor.observation.calendar import Calendar, Span
from components.monitor.observation.keeping import GroupKey, KeptPiece

_EARLIER = 14  # earlier windows whose numbers of rows a window's number of rows is compared with


@dataclass(frozen=True, slots=True)
class DueWindow:
    """The rows of a window that one version answered.

    Attributes:
        span: The window.
        version: The version; where the window has no rows, the one that answered last.
        groups: Where its statistics are; none where it has no rows.
        files: How many files the hours of the window had.
        damaged: How many of these could not be read.
        lost: How many rows these have, by their names.
        total: How many rows the window has, of all versions.
        earlier: How many rows the windows before it had, the oldest first.
    """

    span: Span
    version: str
    groups: tuple[GroupKey, ...]
    files: int
    damaged: int
    lost: int
    total: int
    earlier: tuple[int, ...]

    @property
    def rows(self) -> int:
        """How many rows the version answered."""
        return sum(group.rows for group in self.groups)

    @property
    def is_superseded(self) -> bool:
        """Whether only other versions answered rows of the window, so that this version's report no longer counts."""
        return bool(self.total) and not self.groups

    @property
    def content(self) -> str:
        """A fingerprint of the window's rows: it changes when rows were added or counted differently.

        An hour that grew was read again. By event time, only the windows that got rows of that hour change; the
        counts of all others, and so their fingerprints, stay the same.
        """
        parts = [f"{group.piece}/{group.step.name}/{group.rows}/{group.digest}" for group in sorted(self.groups)]
        about = f"{self.damaged} {self.lost} {self.is_superseded}"
        return hashlib.sha256("\n".join([*parts, about]).encode()).hexdigest()[:16]


def due_windows(
    kept: Mapping[str, KeptPiece],
    calendar: Calendar,
    *,
    since: datetime,
    now: datetime,
    before: Mapping[str, frozenset[str]],
) -> Iterator[DueWindow]:
    """The windows that are over, the oldest first, from the one that begins with the first step that was read.

    Args:
        kept: The pieces that were read, by name.
        calendar: The steps.
        since: Windows that begin before it are left out.
        now: This moment.
        before: Versions that there are reports on, by the name of the window. A version that is said to have answered
            no row of a window, as the whole window had none, gets another report when another version answered some.
    """
    groups: dict[int, list[GroupKey]] = defaultdict(list)
    received: dict[int, list[KeptPiece]] = defaultdict(list)
    for piece in kept.values():
        for group in piece.groups:
            groups[calendar.number(group.step.start)].append(group)
        if piece.damaged:
            received[calendar.number(piece.received)].append(piece)
    known = [number for number in (*groups, *received) if calendar.start(number) >= since]
    if not known:
        return
    first = min(known) + len(calendar.steps_of(0)) - 1
    rows: list[int] = []
    answered: tuple[str, ...] = ()
    for last in calendar.due(first, now):
        inside = [group for number in calendar.steps_of(last) for group in groups.get(number, ())]
        pieces = [piece for number in calendar.steps_of(last) for piece in received.get(number, ())]
        answered = tuple(sorted({group.version for group in inside if group.rows})) or answered[-1:]
        total = sum(group.rows for group in inside)
        span = calendar.window(last)
        for version in sorted({*answered, *before.get(span.name, ())}):
            yield DueWindow(
                span,
                version,
                tuple(group for group in inside if group.version == version and group.rows),
                sum(piece.files for piece in pieces),
                sum(piece.damaged for piece in pieces),
                sum(piece.lost for piece in pieces),
                total,
                tuple(rows[-_EARLIER:]),
            )
        rows.append(total)
