"""Timestamps as numbers: the moment itself, what lies between two of them, and their parts in the calendar.

The calendar is the proleptic Gregorian one from 0000-03-01 on, as which anything earlier counts; the arithmetic on
days is H. Hinnant's "chrono-compatible low-level date algorithms", which ONNX has the operations for.
"""

from functools import cached_property
from itertools import combinations
from typing import Literal, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from components.shared.config import DatePart
from components.shared.package.scoring import MISSING_TIME

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds
EPOCH_DAY = 719_468  # days from 0000-03-01, where the calendar arithmetic begins, to 1970-01-01
FIRST_SECOND = -EPOCH_DAY * DAY  # 0000-03-01 in seconds since 1970
ERA = 146_097  # days of 400 years, after which the calendar repeats
JANUARY = 306  # days from March 1 to January 1
PAIRED = 10  # timestamps whose differences are taken: the first ones, 45 pairs
CYCLES: dict[DatePart, tuple[int, int]] = {  # first value and length
    "month": (1, 12),
    "day": (1, 31),
    "weekday": (0, 7),
    "hour": (0, 24),
    "minute": (0, 60),
    "week": (1, 53),
    "quarter": (1, 4),
    "day_of_year": (1, 366),
}

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


class DateOutput(NamedTuple):
    """What an output of `DateParts` is, and the position of the timestamp (of a difference: the first) behind it."""

    kind: Literal["elapsed", "difference", "calendar"]
    column: int


def date_outputs(parts: tuple[DatePart, ...], columns: int, *, cyclic: bool) -> list[DateOutput]:
    """The outputs of `DateParts` in their order: moments, differences, then the calendar parts by timestamp."""
    moments = [DateOutput("elapsed", column) for column in range(columns)] if "elapsed" in parts else []
    differences = [DateOutput("difference", earlier) for earlier, _ in date_pairs(parts, columns)]
    width = len(calendar_parts(parts)) + 2 * len(cyclic_parts(parts)) * cyclic
    return moments + differences + [DateOutput("calendar", column) for column in range(columns) for _ in range(width)]


def date_pairs(parts: tuple[DatePart, ...], columns: int) -> list[tuple[int, int]]:
    """Positions of the timestamps whose differences are taken; without `elapsed` there are none."""
    return list(combinations(range(min(columns, PAIRED)), 2)) if "elapsed" in parts else []


def calendar_parts(parts: tuple[DatePart, ...]) -> list[DatePart]:
    """The parts that are whole numbers."""
    return [part for part in parts if part != "elapsed"]


def cyclic_parts(parts: tuple[DatePart, ...]) -> list[DatePart]:
    """The parts that begin again after their last value."""
    return [part for part in parts if part in CYCLES]


class Cycles(NamedTuple):
    """How calendar parts become sines, then cosines: `table[parts[…, chosen] + offsets]`."""

    chosen: Integers
    offsets: Integers
    table: Floats


def cycles(parts: tuple[DatePart, ...]) -> Cycles:
    """A look-up for whole numbers, so that scikit-learn and ONNX have the same float32 values to the last bit."""
    within, known = calendar_parts(parts), cyclic_parts(parts)
    angles = [2 * np.pi * np.arange(CYCLES[part][1]) / CYCLES[part][1] for part in known]
    starts = np.cumsum([0, *(len(angle) for angle in angles)])
    offsets = np.array([start - CYCLES[part][0] for start, part in zip(starts, known, strict=False)], dtype=np.int64)
    flat = np.concatenate([*angles, []])
    return Cycles(
        np.array([within.index(part) for part in known] * 2, dtype=np.int64),
        np.concatenate([offsets, offsets + starts[-1]]),
        np.concatenate([np.sin(flat), np.cos(flat)]).astype(np.float32),
    )


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Timestamps as float32 numbers.

    `elapsed` is days since the median moment of the fitted rows (and, of each two timestamps, the days from one to
    the other): counted in whole seconds and divided in float64, so that float32 keeps minutes for 22 years each way.
    The others are `year`, `quarter` (1-4), `month` (1-12), `week` (ISO 8601, 1-53), `day` (1-31), `day_of_year`
    (1-366), `weekday` (0 is Monday), `hour` and `minute`.

    Args:
        parts: Which. The outputs are the moments, the differences, and all other parts of the first timestamp in the
            order given, then of the second.
        cyclic: Whether each timestamp's parts are followed by the sines, then the cosines, of those that begin again
            after their last value: a linear model cannot know that hour 23 lies next to hour 0.
    """

    def __init__(
        self, parts: tuple[DatePart, ...] = ("elapsed", "month", "day", "weekday", "hour"), cyclic: bool = False
    ) -> None:
        self.parts = parts
        self.cyclic = cyclic

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:  # noqa: ARG002, scikit-learn's signature
        """Learn `origin_`, int64 seconds since 1970 of shape (columns,)."""
        seconds = np.asarray(X, dtype=np.int64)
        self.n_features_in_ = seconds.shape[1]
        self.origin_ = np.array([_middle(column[column != MISSING_TIME]) for column in seconds.T], dtype=np.int64)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """Seconds since 1970, int64 of shape (rows, columns), to float32 of shape (rows, `date_outputs`).

        `MISSING_TIME` becomes NaN, and so does a difference to it.
        """
        check_is_fitted(self)
        seconds = np.asarray(X, dtype=np.int64)
        blocks = [self._elapsed(seconds)] if "elapsed" in self.parts else []
        if calendar_parts(self.parts):
            blocks.append(self._calendar(seconds))
        return np.concatenate(blocks, axis=1)

    def _elapsed(self, seconds: Integers) -> Floats:
        known = np.maximum(seconds, FIRST_SECOND).astype(np.float64)
        known[seconds == MISSING_TIME] = np.nan
        spans = [known - self.origin_]
        if pairs := date_pairs(self.parts, self.n_features_in_):
            earlier, later = map(list, zip(*pairs, strict=True))
            spans.append(known[:, later] - known[:, earlier])
        return (np.concatenate(spans, axis=1) / DAY).astype(np.float32)

    def _calendar(self, seconds: Integers) -> Floats:
        moments = Moments(np.maximum(seconds, FIRST_SECOND) - FIRST_SECOND)
        whole = np.stack([getattr(moments, part) for part in calendar_parts(self.parts)], axis=2)
        values = whole.astype(np.float32)
        if self.cyclic:
            around = cycles(self.parts)
            values = np.concatenate([values, around.table[whole[:, :, around.chosen] + around.offsets]], axis=2)
        values[seconds == MISSING_TIME] = np.nan
        return values.reshape(len(seconds), -1)


def _middle(known: Integers) -> int:
    return int(np.partition(known, known.size // 2)[known.size // 2]) if known.size else 0


class Days:
    """Parts of days since 0000-03-01, none before it; a year begins in March here and so ends with its leap day.

    Example, 2024-02-29, day 739,250:

    - `ERA` fits 5 times, for 2,000 years, and day 8,765 of the 400 years remains.
    - 8,765 less its 8,765 // 1,460 = 6 leap days is 8,759, and 8,759 // 365 = 23 years are over.
    - Those 23 years have 23 // 4 = 5 leap days; the day within the year is 8,765 - (23 · 365 + 5) = 365, the last one.
    - (5 · 365 + 2) // 153 = 11, the month February: five months from March on, or from August on, have 153 days.
    - (153 · 11 + 2) // 5 = 337 days lie before February, so it is its day 365 - 337 + 1 = 29.
    - January and February belong to the next calendar year: 5 · 400 + 23 + 1 = 2024.
    """

    def __init__(self, days: Integers) -> None:
        self.days = days

    @cached_property
    def year_of_era(self) -> Integers:
        """The year within 400, which begins in March."""
        day = self.days % ERA
        return (day - day // 1460 + day // 36_524 - day // 146_096) // 365

    @cached_property
    def march_day(self) -> Integers:
        """The day of the year that begins in March, from 0."""
        year = self.year_of_era
        return self.days % ERA - (365 * year + year // 4 - year // 100)

    @cached_property
    def march_month(self) -> Integers:
        """The month from March, 0, to February, 11."""
        return (5 * self.march_day + 2) // 153

    @cached_property
    def month(self) -> Integers:
        """From 1 to 12."""
        return (self.march_month + 2) % 12 + 1

    @property
    def day(self) -> Integers:
        """Of the month, from 1."""
        return self.march_day - (153 * self.march_month + 2) // 5 + 1

    @cached_property
    def year(self) -> Integers:
        """Of the calendar, which begins in January."""
        return self.year_of_era + self.days // ERA * 400 + (self.march_month >= 10)

    @property
    def quarter(self) -> Integers:
        """From 1 to 4."""
        return (self.month + 2) // 3

    @property
    def day_of_year(self) -> Integers:
        """From 1 on January 1."""
        march = self.year + 399  # of the year before, and 400 years on: never negative
        return self.days - (365 * march + march // 4 - march // 100 + march // 400 + JANUARY - ERA) + 1


class Moments(Days):
    """Parts of whole seconds since 0000-03-01, none before it."""

    def __init__(self, seconds: Integers) -> None:
        super().__init__(seconds // DAY)
        self.seconds = seconds

    @cached_property
    def weekday(self) -> Integers:
        """From Monday, 0."""
        return (self.days + 2) % 7  # 0000-03-01 was a Wednesday

    @property
    def week(self) -> Integers:
        """The ISO week belongs to the year of its Thursday."""
        return (Days(self.days - self.weekday + 3).day_of_year + 6) // 7

    @property
    def hour(self) -> Integers:
        """From 0 to 23."""
        return self.seconds // HOUR % 24

    @property
    def minute(self) -> Integers:
        """From 0 to 59."""
        return self.seconds // MINUTE % 60
