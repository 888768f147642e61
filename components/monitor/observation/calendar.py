"""The calendar of windows: where steps begin, which step a moment is in, and which windows are over.

Steps are numbered, so that windows that overlap are runs of steps. Hours are counted in UTC. Days and weeks are those
of the configured time zone: a day that puts its clocks forward has 23 hours, one that puts them back has 25.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from components.shared.config import WindowsConfig
from components.shared.config.monitoring_windows import duration

Seconds = NDArray[np.int64]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Every time zone's clock, and so every boundary, is a whole number of quarters of an hour off UTC.
_QUARTER = 900
_FIRST, _LAST = -62_135_000_000, 253_402_000_000  # seconds of the years 1 and 9999, which Python's calendar knows


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From a moment to another one, which is outside; both in UTC."""

    start: datetime
    end: datetime

    @property
    def name(self) -> str:
        """As keys of the object store spell it: `20260310T0900Z--20260311T0900Z`."""
        return f"{moment_name(self.start)}--{moment_name(self.end)}"

    @classmethod
    def parse(cls, name: str) -> "Span":
        """The span of a name.

        Raises:
            ValueError: It is none.
        """
        start, _, end = name.partition("--")
        return cls(parse_moment(start), parse_moment(end))


def moment_name(moment: datetime) -> str:
    """A moment as keys of the object store spell it, to the minute."""
    return f"{moment.astimezone(UTC):%Y%m%dT%H%MZ}"


def parse_moment(name: str) -> datetime:
    """The moment of a name.

    Raises:
        ValueError: It is none.
    """
    return datetime.strptime(name, "%Y%m%dT%H%MZ").replace(tzinfo=UTC)


class Calendar:
    """Steps and windows of a configuration.

    Attributes:
        lateness: How long after its end a window may get rows.
        identity: What the steps depend on, in words: statistics kept by steps of another identity are none of these.
    """

    def __init__(self, settings: WindowsConfig) -> None:
        self.lateness = duration(settings.lateness)
        self.identity = f"{settings.time} {settings.advance} {settings.zone}"
        self._zone = ZoneInfo(settings.zone)
        step = duration(settings.advance)
        self._days = 0 if settings.advance.endswith("h") else step.days
        self._step = step
        self._steps = duration(settings.size) // step

    # Days are counted from 0001-01-01, which was a Monday: so steps of seven days begin on Mondays.
    def number(self, moment: datetime) -> int:
        """The step that a moment is in."""
        if not self._days:
            return (moment - EPOCH) // self._step
        return (moment.astimezone(self._zone).date().toordinal() - 1) // self._days

    def start(self, number: int) -> datetime:
        """When a step begins, UTC."""
        if not self._days:
            return EPOCH + number * self._step
        day = date.fromordinal(number * self._days + 1)
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)

    def step(self, number: int) -> Span:
        """A step."""
        return Span(self.start(number), self.start(number + 1))

    def window(self, last: int) -> Span:
        """The window that ends with a step."""
        return Span(self.start(last + 1 - self._steps), self.start(last + 1))

    # Example: windows of a day in steps of six hours. The window that ends with step 10 is the steps 7 to 10.
    def steps_of(self, last: int) -> range:
        """The steps of the window that ends with a step."""
        return range(last + 1 - self._steps, last + 1)

    # Example: a window that ends at midnight, with a lateness of 15 minutes, is over at a quarter past.
    def due(self, first: int, now: datetime) -> Iterator[int]:
        """The last steps of the windows that are over, from the one that ends with the step `first` on."""
        number = first
        while self.start(number + 1) + self.lateness <= now:
            yield number
            number += 1

    def numbers(self, seconds: Seconds) -> Seconds:
        """The steps of moments given as seconds since 1970 in UTC, shape (n,)."""
        return _by_quarter(seconds, lambda moment: self.number(moment.replace(tzinfo=UTC)))

    # Example, Europe/Berlin: 2013-10-27 02:30 is shown twice, and taken for 00:30 UTC. 2013-03-31 02:30 is never shown;
    # it is taken for 01:30 UTC, when the clock shows 03:30.
    def to_utc(self, seconds: Seconds) -> Seconds:
        """Seconds since 1970 by the clock of the time zone as seconds in UTC, shape (n,).

        An hour that the clock shows twice is taken for the first one. Times in an hour that it leaves out are moved on
        by that hour.
        """

        def shift(local: datetime) -> int:
            moment = local.replace(tzinfo=self._zone)
            return round((moment.astimezone(UTC).replace(tzinfo=None) - local) / timedelta(seconds=1))

        return seconds + _by_quarter(seconds, shift)


def in_calendar(seconds: Seconds) -> NDArray[np.bool_]:
    """Which moments are ones that a calendar has a date for."""
    return (seconds > _FIRST) & (seconds < _LAST)


def _by_quarter(seconds: Seconds, act: Callable[[datetime], int]) -> Seconds:
    """Call a function for each moment, once a quarter of an hour: within one its result has to be the same."""
    quarters, place = np.unique(seconds // _QUARTER, return_inverse=True)
    start = datetime(1970, 1, 1)
    made = [act(start + timedelta(seconds=int(quarter) * _QUARTER)) for quarter in quarters]
    return np.asarray(made, dtype=np.int64)[place]
