"""Axes: what they span, what their numbers mean (numbers, dates or names), and where their ticks stand.

Matplotlib's locators choose the places. Its axes are not used: they cost more than all the rest of a small chart.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import matplotlib.dates
import numpy as np
from matplotlib.ticker import MaxNLocator

from components.shared.formatting import format_number, format_value
from components.shared.pages.charts.values import SMALLEST, Floats, Values, drawable, numbers

_DATES: Any = matplotlib.dates  # Published without types.


@dataclass(frozen=True, slots=True)
class Scale:
    """One axis: what it spans, and what its numbers mean."""

    low: float
    high: float
    dates: bool = False
    names: tuple[str, ...] = ()
    whole: bool = False

    @classmethod
    def over(cls, parts: Iterable[Floats], *, pad: float = 0.0, reach: tuple[float, ...] = ()) -> "Scale":
        """Span all finite values of the parts and of `reach`, widened at both ends by a share `pad`."""
        values = np.concatenate([*parts, np.array(reach, dtype=np.float64)])
        values = drawable(values[np.isfinite(values)])
        low, high = float(values.min()), float(values.max())
        size = max(abs(low), abs(high), SMALLEST)
        if high - low <= size * 1e-12:
            middle, widen = low / 2 + high / 2, 0.5 if size == SMALLEST else size / 2
            return cls(middle - widen, middle + widen)
        extra = (high - low) * pad
        return cls(low - extra, high + extra)

    def unit(self, values: Floats) -> Floats:
        """Map values to 0..1."""
        return (drawable(values) - self.low) / (self.high - self.low)

    def ticks(self, count: int) -> tuple[list[tuple[float, str]], str]:
        """Return at most about `count` places in 0..1 with their labels, and what all labels have in common."""
        if self.names:
            step = math.ceil(len(self.names) / count)
            return self._placed([float(i) for i in range(0, len(self.names), step)], self.names[::step]), ""
        if self.dates:
            return self._date_ticks(count)
        places = self._number_places(count)
        return self._placed(places, _distinct_labels(places)), ""

    def _number_places(self, count: int) -> list[float]:
        # Scaled to about 1, since the locator overflows near the largest floats and rounds away the smallest.
        magnitude = max(abs(self.low), abs(self.high))
        factor = 1.0 if 1e-100 < magnitude < 1e100 else 10.0 ** max(-300, math.floor(math.log10(magnitude)))
        low, high = self.low / factor, self.high / factor
        found = MaxNLocator(nbins=max(1, count - 1), steps=[1, 2, 2.5, 5, 10], integer=self.whole).tick_values(
            low, high
        )
        slack = (high - low) * 1e-9
        places = [float(place) for place in found if low - slack <= place <= high + slack]
        return [place * factor for place in places] or [self.low, self.high]

    def _date_ticks(self, count: int) -> tuple[list[tuple[float, str]], str]:
        locator = _DATES.AutoDateLocator(minticks=2, maxticks=count)
        places = [float(p) for p in locator.tick_values(_DATES.num2date(self.low), _DATES.num2date(self.high))]
        places = [place for place in places if self.low <= place <= self.high]
        formatter = _DATES.ConciseDateFormatter(locator)
        labels = formatter.format_ticks(places) if places else []
        return self._placed(places, labels), formatter.get_offset() if places else ""

    def _placed(self, places: Sequence[float], labels: Sequence[str]) -> list[tuple[float, str]]:
        return list(zip(self.unit(np.array(places, dtype=np.float64)).tolist(), labels, strict=True))


def _distinct_labels(places: Sequence[float]) -> list[str]:
    """Write ticks with as few digits as tell them apart."""
    for digits in range(3, 17):
        labels = [format_number(place, digits) for place in places]
        if len(set(labels)) == len(labels):
            break
    return labels


@dataclass(frozen=True, slots=True)
class Places:
    """Values along one axis as floats, and what they stand for."""

    values: Floats
    dates: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Values) -> "Places":
        """Read numbers, dates or times (as days since 1970), or names (as 0, 1, 2, ...)."""
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return cls(np.asarray(_DATES.date2num(values), dtype=np.float64), dates=True)
        first = next((value for value in values if value is not None), 0.0)
        if isinstance(first, date | np.datetime64):
            days = [math.nan if value is None else float(_DATES.date2num(value)) for value in values]
            return cls(np.array(days, dtype=np.float64), dates=True)
        if isinstance(first, str):
            return cls(np.arange(len(values), dtype=np.float64), names=tuple(str(value) for value in values))
        return cls(numbers(values))

    @classmethod
    def joined(cls, parts: Sequence["Places"]) -> "Places":
        """Put the places of several series on one axis."""
        values = np.concatenate([part.values for part in parts])
        return cls(values, dates=parts[0].dates, names=max((part.names for part in parts), key=len))

    def scale(self, *, pad: float = 0.0, reach: tuple[float, ...] = ()) -> Scale:
        """Return an axis that spans the values; dates are not widened, which could leave the calendar."""
        if self.names:
            return Scale(-0.5, len(self.names) - 0.5, names=self.names)
        if not self.dates:
            return Scale.over([self.values], pad=pad, reach=reach)
        finite = self.values[np.isfinite(self.values)]
        low, high = float(finite.min()), float(finite.max())
        return Scale(low, high if high > low else low + timedelta(days=1).days, dates=True)


def place_text(place: float, *, dates: bool) -> str:
    """Write a place on an axis as a reader of the data would."""
    return format_value(_DATES.num2date(place).replace(tzinfo=None)) if dates else format_number(place)
