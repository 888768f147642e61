"""Bar charts: lying or standing bars, with error bars, each with its value written at its end.

Drawn by hand on Matplotlib's canvas: lengths of names decide the margins, since a bar whose name is cut says nothing,
and the value stands at its end, so that no axis has to be read. Values that Matplotlib cannot compute with are clipped
for drawing and written as they are.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from matplotlib.path import Path as Outline

from components.shared.formatting import format_count, format_number
from components.shared.pages.blocks import Chart
from components.shared.pages.charts.canvas import (
    SIZES,
    Plot,
    Size,
    box_outline,
    labelled_canvas,
    no_data,
    segment_outline,
)
from components.shared.pages.charts.scales import Scale
from components.shared.pages.charts.svg import INK, MUTED, SERIES
from components.shared.pages.charts.text import CAPITAL, LETTER, LONGEST_LABEL, shorten, text_width, width_in_letters
from components.shared.pages.charts.values import Floats, Values, check_length, drawable, numbers


def bars(  # noqa: PLR0913 - every one is a part of one drawing
    labels: Sequence[str],
    values: Values,
    *,
    errors: Values | None = None,
    horizontal: bool = True,
    title: str,
    x_label: str = "",
    y_label: str = "",
    alt: str = "",
    size: Size = "medium",
    limit: int = 40,
) -> Chart:
    """Draw one bar for each label, with its value written at the end.

    Args:
        labels: Names, shape (n,).
        values: Lengths, shape (n,); None and not-finite values draw no bar and read `–`.
        errors: Error bars as distances from the value: shape (n,), or (n, 2) for (below, above); not finite is none.
        horizontal: Bars lie, in the order given from the top; the height of the chart follows their number.
        title: Caption.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        alt: Description in words; otherwise made from the data.
        size: One of `small`, `medium` and `wide`.
        limit: Most bars drawn, the first ones; the chart says how many were left out.

    Raises:
        ValueError: Lengths do not match, or an error is negative.
    """
    lengths, spread = numbers(values), _spread(errors, len(values))
    check_length("values", lengths, len(labels))
    if not len(labels):
        return no_data(title, size=size)
    left_out = max(0, len(labels) - limit)
    names, lengths, spread = list(labels[:limit]), lengths[:limit], spread[:limit]
    shape = _BarShape(names, lengths, spread, horizontal)
    with shape.drawing(size, x_label=x_label, y_label=y_label) as plot:
        shape.draw(plot)
        note = f"{format_count(left_out)} more not shown." if left_out else ""
        return plot.chart(title, alt=alt or _describe_bars(title, names, lengths), note=note)


@dataclass(slots=True)
class _BarShape:
    """Where bars, their names and their values go."""

    names: list[str]
    lengths: Floats
    spread: Floats
    horizontal: bool
    room: int = LONGEST_LABEL

    def drawing(self, size: Size, *, x_label: str, y_label: str) -> AbstractContextManager[Plot]:
        """Return a drawing sized for the bars."""
        width, height, letters = SIZES[size]
        self.room = min(LONGEST_LABEL, int(width * 0.5 / letters / LETTER / (1 + CAPITAL)))
        names = max(text_width(shorten(name, self._limit()), letters) for name in self.names)
        values = max(text_width(format_number(value), letters) for value in self.lengths)
        top, bottom = (letters * 1.9 if y_label else 4.0), (letters * 1.9 if x_label else 4.0)
        if self.horizontal:
            height = round(len(self.names) * letters * 1.9 + top + bottom)
            margins = (min(names + 10, width * 0.5), values + 10, top, bottom)
        else:
            margins = (4.0, 4.0, top + letters * 1.6, bottom + letters * 1.9)
        return labelled_canvas(width, height, margins=margins, letters=letters, axes=(x_label, y_label))

    def draw(self, plot: Plot) -> None:
        """Draw all bars, the line they stand on, their error bars, names and values."""
        scale = self._scale()
        count = len(self.names)
        zero = float(scale.unit(np.array([0.0]))[0])
        middles = 1 - (np.arange(count) + 0.5) / count if self.horizontal else (np.arange(count) + 0.5) / count
        lengths = drawable(self.lengths)
        ends = scale.unit(np.where(np.isfinite(lengths), lengths, 0.0))
        boxes = [
            (zero, middle - 0.31 / count, end, middle + 0.31 / count) for end, middle in zip(ends, middles, strict=True)
        ]
        plot.shape(self._turned(box_outline(boxes)), facecolor=SERIES[0], alpha=0.85, lw=0)
        base = np.array([[zero, 0.0], [zero, 1.0]])
        plot.shape(self._turned(Outline(base)), fill=False, edgecolor=MUTED, lw=1)
        low, high = (scale.unit(bound) for bound in self._bounds())
        self._draw_errors(plot, middles, low=low, high=high)
        self._draw_texts(plot, middles, ends=np.fmax(np.fmax(ends, np.where(np.isfinite(high), high, zero)), zero))

    def _limit(self) -> int:
        return self.room if self.horizontal else 14

    def _scale(self) -> Scale:
        return Scale.over([drawable(self.lengths), *self._bounds()], reach=(0.0,))

    def _bounds(self) -> tuple[Floats, Floats]:
        """Return the lower and upper ends of the error bars."""
        lengths, spread = drawable(self.lengths), drawable(self.spread)
        return drawable(lengths - spread[:, 0]), drawable(lengths + spread[:, 1])

    def _draw_errors(self, plot: Plot, middles: Floats, *, low: Floats, high: Floats) -> None:
        shown = np.isfinite(low) & np.isfinite(high) & (self.spread > 0).any(axis=1)
        pairs = [((a, m), (b, m)) for a, b, m in zip(low[shown], high[shown], middles[shown], strict=True)]
        if pairs:
            outline = self._turned(segment_outline(pairs))
            plot.shape(outline, fill=False, edgecolor=INK, lw=1.6, capstyle="round")

    def _draw_texts(self, plot: Plot, middles: Floats, *, ends: Floats) -> None:
        width, height = plot.inner_size
        drop, gap = plot.letters * 0.35 / height, 6 / width
        room = int(width / len(self.names) / plot.letters / LETTER)
        for name, value, middle, end in zip(self.names, self.lengths, middles, ends, strict=True):
            number = format_number(value if np.isfinite(value) else None)
            if self.horizontal:
                plot.write(-gap * 1.3, middle - drop, name, limit=self._limit(), ha="right")
                plot.write(end + gap, middle - drop, number, ha="left", color=MUTED)
                continue
            below = -plot.letters * 1.4 / height
            plot.write(middle, below, name, limit=max(2, min(room, self._limit())), ha="center")
            if width_in_letters(number) <= room:
                plot.write(middle, end + 5 / height, number, ha="center", color=MUTED)

    def _turned(self, outline: Outline) -> Outline:
        """Swap the two directions of an outline for standing bars."""
        return outline if self.horizontal else Outline(np.asarray(outline.vertices)[:, ::-1], outline.codes)


def _spread(errors: Values | None, count: int) -> Floats:
    """Return error distances as shape (count, 2), zero where there is none."""
    if errors is None:
        return np.zeros((count, 2))
    check_length("errors", errors, count)
    pairs = [error if np.ndim(error) else (error, error) for error in errors]
    spread = np.array([numbers(list(cast(Sequence[Any], pair))) for pair in pairs]).reshape(count, -1)
    if count and spread.shape[1] != 2:
        raise ValueError(f"errors: expected one distance or a pair for each value, found {spread.shape[1]}")
    spread = np.where(np.isfinite(spread).all(axis=1, keepdims=True), spread.reshape(count, 2), 0.0)
    if (spread < 0).any():
        raise ValueError("errors: expected distances from the value, from 0; found a negative one")
    return spread


def _describe_bars(title: str, names: Sequence[str], values: Floats) -> str:
    pairs = [f"{name} {format_number(value)}" for name, value in zip(names, values, strict=True)]
    more = f" and {len(pairs) - 10} more" if len(pairs) > 10 else ""
    return f"Bars {title!r}: {', '.join(pairs[:10])}{more}."
