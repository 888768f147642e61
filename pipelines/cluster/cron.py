"""Cron expressions as Kubeflow Pipelines reads them: six fields, of which the first is the second.

KFP's scheduler uses robfig/cron, version 1: Sunday is 0 only, and where both the day of the month and that of the week
are restricted, either is enough. People write five fields; those begin at second 0. Times are UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from components.shared.errors import FullcircleError

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_NAMED = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_HORIZON = timedelta(days=366 * 8 + 1)  # leap days are at most eight years apart
_EXPECTED = "Expected five fields (minute hour day month weekday), as in CRON='0 3 * * mon'"


class CronError(FullcircleError):
    """An expression that is no schedule."""


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule.

    Attributes:
        text: Its six fields, as KFP takes them.
        values: What each field allows.
        starred: Whether the day of the month, and that of the week, is left open.
    """

    text: str
    values: tuple[frozenset[int], ...]
    starred: tuple[bool, bool]

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Read five or six fields, or a name such as `@daily`.

        Raises:
            CronError: It is no schedule, or one that never comes.
        """
        fields = _NAMED.get(text.strip().lower(), text).split()
        if len(fields) == len(_FIELDS) - 1:
            fields = ["0", *fields]
        if len(fields) != len(_FIELDS):
            raise CronError(f"CRON: {text!r} has {len(fields)} fields. {_EXPECTED}.")
        values = tuple(_field(given, number) for number, given in enumerate(fields))
        found = cls(" ".join(fields), values, (_is_open(fields[3]), _is_open(fields[5])))
        if next(found.times(datetime(2024, 1, 1, tzinfo=UTC)), None) is None:
            raise CronError(f"CRON: {text!r} never comes: no such day is in the calendar.")
        return found

    def times(self, after: datetime) -> Iterator[datetime]:
        """The moments of the schedule after another moment, in order; none where it never comes."""
        day = after.replace(hour=0, minute=0, second=0, microsecond=0)
        end = after + _HORIZON
        while day < end:
            if self._has_day(day):
                yield from (moment for moment in self._moments(day) if moment > after)
            day += timedelta(days=1)

    # Example: `0 3 * * mon` comes on Mondays; `0 3 1 * mon` on Mondays and on the first of each month, as both are
    # restricted.
    def _has_day(self, day: datetime) -> bool:
        if day.month not in self.values[4]:
            return False
        in_month, in_week = day.day in self.values[3], day.isoweekday() % 7 in self.values[5]
        return (in_month and in_week) if any(self.starred) else (in_month or in_week)

    def _moments(self, day: datetime) -> Iterator[datetime]:
        for hour in sorted(self.values[2]):
            for minute in sorted(self.values[1]):
                for second in sorted(self.values[0]):
                    yield day.replace(hour=hour, minute=minute, second=second)


def _is_open(given: str) -> bool:
    return any(part.partition("/")[0] in ("*", "?") for part in given.split(","))


def _field(given: str, number: int) -> frozenset[int]:
    values: set[int] = set()
    for part in given.split(","):
        values |= _range(part, number, given)
    return frozenset(values)


def _range(part: str, number: int, given: str) -> set[int]:
    name, lowest, highest, _ = _FIELDS[number]
    span, slash, step = part.partition("/")
    first, dash, last = span.partition("-")
    if slash and not (step.isdigit() and int(step) > 0):
        raise CronError(f"CRON: the {name} is {given!r}; expected a whole number after the /. {_EXPECTED}.")
    if span in ("*", "?"):
        start, end = lowest, highest
    else:
        start = _number(first, number, given)
        end = _number(last, number, given) if dash else (highest if slash else start)
    if start > end:
        raise CronError(f"CRON: the {name} is {given!r}, which ends before it begins. {_EXPECTED}.")
    return set(range(start, end + 1, int(step) if slash else 1))


def _number(text: str, number: int, given: str) -> int:
    name, lowest, highest, names = _FIELDS[number]
    value = names.get(text.lower(), int(text) if text.isdigit() else -1)
    if not lowest <= value <= highest:
        sunday = " (Sunday is 0)" if names.get("sun") == 0 else ""
        raise CronError(f"CRON: the {name} is {given!r}; expected {lowest} to {highest}{sunday}. {_EXPECTED}.")
    return value
