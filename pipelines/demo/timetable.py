"""When things happen in the replay: weeks, looks, the arrival of labels, and what a retraining can learn from.

All times are those of the flights, which are taken for UTC.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
FIRST_DAY = date(2013, 4, 1)  # a Monday, as windows of a week begin on
_FIRST_FLIGHTS = datetime(2013, 1, 1, tzinfo=UTC)
# From the start of a day: its labels come in the morning two days later. Somebody looks an hour after that, on
# Tuesdays, when those of the whole week before are there.
_LABELS_AFTER = timedelta(days=2, hours=6)
_LOOK_AFTER = timedelta(days=1, hours=7)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Times of one replay.

    Attributes:
        weeks: How many weeks are replayed.
        learn_days: How many days a retraining learns from.
    """

    weeks: int
    learn_days: int

    @property
    def start(self) -> datetime:
        """When the first version begins to serve."""
        return datetime.combine(FIRST_DAY, time(), UTC)

    def week(self, number: int) -> datetime:
        """The start of a week, counted from 0."""
        return self.start + number * WEEK

    def span(self, number: int) -> tuple[datetime, datetime]:
        """A week from its first moment to that of the next one."""
        return self.week(number), self.week(number + 1)

    def looks(self) -> list[datetime]:
        """When somebody looks, once a week: the week before is over then, and its labels are there."""
        return [self.week(number) + _LOOK_AFTER for number in range(1, self.weeks + 1)]

    def arrivals(self, after: datetime, until: datetime) -> Iterator[tuple[datetime, tuple[datetime, datetime]]]:
        """The mornings on which labels come, after a moment and up to another one, each with the day that they are of.

        Yields:
            The moment, and from when to when the flights left.
        """
        day = self.start
        while (arrival := day + _LABELS_AFTER) <= until:
            if arrival > after:
                yield arrival, (day, day + DAY)
            day += DAY

    def learned(self, moment: datetime) -> tuple[datetime, datetime]:
        """The newest days of which labels are there, from the first to the one after the last."""
        end = _labelled_until(moment)
        return max(end - self.learn_days * DAY, _FIRST_FLIGHTS), end

    def learned_first(self) -> tuple[datetime, datetime]:
        """What the first version learns from: all days of which labels are there when it begins to serve."""
        return _FIRST_FLIGHTS, _labelled_until(self.start)


def _labelled_until(moment: datetime) -> datetime:
    return (moment - _LABELS_AFTER).replace(hour=0, minute=0, second=0, microsecond=0) + DAY
