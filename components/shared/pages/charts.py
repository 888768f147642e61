"""Charts for the pages of `components.shared.pages.reports`: small inline SVG drawings that follow the page's colours.

Matplotlib's figures draw them, never pyplot, whose state is shared by the whole process. A chart gets data that was
already counted or summarised: tables stay in the database. Text never reaches Matplotlib, which would read `$` as
mathematics and warn of letters its font lacks: it sees a token, and the text replaces that in the finished SVG.
Colours become the page's CSS variables there, which is how one drawing serves light and dark.
"""

import io
import math
import re
import threading
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, cast
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.dates
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, StepPatch
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D
from numpy.typing import ArrayLike, NDArray

from components.shared.pages.reports import Chart, LegendEntry, format_count, format_number, format_value

Size = Literal["small", "medium", "wide"]
Floats = NDArray[np.float64]
Values = Sequence[Any] | NDArray[Any]

# Width and height in CSS pixels, and the size of the letters.
_SIZES: Mapping[Size, tuple[int, int, int]] = {
    "small": (216, 130, 11),
    "medium": (440, 260, 12),
    "wide": (720, 300, 12),
}
# Colours as Matplotlib writes them, and what they become; the fallback serves a drawing outside a page.
_INK, _MUTED, _RULE, _HIGH, _LOW = "#010101", "#020202", "#030303", "#040404", "#050505"
_SERIES = ("#110000", "#220000", "#330000", "#440000", "#550000", "#660000")
_CSS = {_INK: "currentColor", _MUTED: "var(--muted, #78828d)", _RULE: "var(--rule, #a0a8b066)"} | {
    _HIGH: "var(--heat-high, #2f6fb0)",
    _LOW: "var(--heat-low, #c2571a)",
}
_CSS |= {token: f"var(--series-{number}, #5b8fc7)" for number, token in enumerate(_SERIES, 1)}
_DASHES: tuple[tuple[Any, str], ...] = (("solid", ""), ((0, (2.5, 1.2)), "6 3"), ((0, (0.9, 1.1)), "2 3"))
_LETTER = 0.58  # Mean width of a letter, in units of its size.
_CAPITAL = 0.3  # How much wider capital letters are.
_LONGEST_LABEL = 26
_LONGEST_CELL_NAME = 22
_LARGEST, _SMALLEST = 1e300, 1e-280  # Beyond them, the arithmetic of drawing overflows or divides by zero.
_MOST_POINTS = 2000
_MOST_CELLS = 60
_MOST_NUMBERED = 24
_HEAT_LEVELS = 20
_HEAT_OPACITY = 0.75  # Above it, the numbers inside the cells lose their contrast.
_SCATTER_CELLS = (72, 44)
_LOCK = threading.RLock()
_DATES: Any = matplotlib.dates  # Published without types.


# The charts


def histogram(
    counts: Values,
    edges: Values,
    *,
    title: str,
    x_label: str = "",
    y_label: str = "rows",
    alt: str = "",
    size: Size = "medium",
) -> Chart:
    """Draw a histogram of data that was binned elsewhere.

    Args:
        counts: Rows in each bin, shape (n,); n may be 0, which draws "No data".
        edges: Finite, strictly rising bin edges, shape (n + 1,); numbers, dates or times.
        title: Caption; may be empty under a card's heading.
        x_label: Name of the axis of the values.
        y_label: Name of the axis of the counts.
        alt: Description in words; otherwise made from the data.
        size: One of `small` (216 pixels wide, for grids), `medium` and `wide`.

    Raises:
        ValueError: Lengths do not match, a count is negative or not finite, or the edges do not rise.
    """
    if len(counts) == 0:
        return _no_data(title, size=size)
    heights, places = _numbers(counts), _Places.of(edges)
    _check_bins(heights, places.values)
    top = float(heights.max())
    x, y = places.scale(), _Scale(0.0, min(top, _LARGEST) * 1.04 if top > _SMALLEST else 1.0, whole=True)
    with _drawing(size, x=x, y=y, x_label=x_label, y_label=y_label) as plot:
        outline = StepPatch(y.unit(heights), x.unit(places.values), fill=True, color=_SERIES[0], alpha=0.85, lw=0)
        plot.add(outline)
        return plot.chart(title, alt=alt or _describe_histogram(title, heights, x=x, edges=places.values))


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
    lengths, spread = _numbers(values), _spread(errors, len(values))
    _check_length("values", lengths, len(labels))
    if not len(labels):
        return _no_data(title, size=size)
    left_out = max(0, len(labels) - limit)
    names, lengths, spread = list(labels[:limit]), lengths[:limit], spread[:limit]
    shape = _BarShape(names, lengths, spread, horizontal)
    with shape.drawing(size, x_label=x_label, y_label=y_label) as plot:
        shape.draw(plot)
        note = f"{format_count(left_out)} more not shown." if left_out else ""
        return plot.chart(title, alt=alt or _describe_bars(title, names, lengths), note=note)


def lines(  # noqa: PLR0913 - every one is a part of one drawing
    x: Values | Mapping[str, Values],
    series: Mapping[str, Values],
    *,
    title: str,
    band: Mapping[str, tuple[Values, Values]] | None = None,
    diagonal: bool = False,
    x_label: str = "",
    y_label: str = "",
    alt: str = "",
    size: Size = "medium",
) -> Chart:
    """Draw one line for each named series.

    Args:
        x: Places, shape (n,), shared by all, or one sequence for each name; numbers, dates, times, or names in order.
        series: Values by name, shape (n,) each; None and not-finite values leave a gap.
        title: Caption.
        band: Lower and upper bound by name, shape (n,) each, drawn as a shade, such as a confidence interval.
        diagonal: Draw y = x for reference, as for ROC and calibration curves.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        alt: Description in words; otherwise made from the data.
        size: One of `small`, `medium` and `wide`.

    Raises:
        ValueError: Lengths do not match, or `band` or `x` lack or add a name.
    """
    curves = _curves(x, series, band or {})
    if not any((np.isfinite(curve.places.values) & np.isfinite(curve.y)).any() for curve in curves):
        return _no_data(title, size=size)
    x_scale = _Places.joined([curve.places for curve in curves]).scale(reach=_unit_interval(diagonal))
    y_label = y_label or (curves[0].name if len(curves) == 1 else "")
    everything = [part for curve in curves for part in (curve.y, curve.low, curve.high)]
    y_scale = _Scale.over(everything, pad=0.04, reach=_unit_interval(diagonal))
    with _drawing(size, x=x_scale, y=y_scale, x_label=x_label, y_label=y_label) as plot:
        if diagonal:
            ends = np.array([max(x_scale.low, y_scale.low), min(x_scale.high, y_scale.high)])
            plot.line(x_scale.unit(ends), y_scale.unit(ends), color=_MUTED, dash=_DASHES[1][0], width=1.0)
        for number, curve in enumerate(curves):
            _draw_curve(plot, curve, number=number, scales=(x_scale, y_scale))
        several = curves if len(curves) > 1 else []
        legend = [_legend_entry(curve.name, number) for number, curve in enumerate(several)]
        return plot.chart(title, alt=alt or _describe_lines(title, curves), legend=legend)


def heatmap(  # noqa: PLR0913 - every one is a part of one drawing
    matrix: ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str,
    annotate: bool = True,
    top: float | None = None,
    x_label: str = "",
    y_label: str = "",
    alt: str = "",
) -> Chart:
    """Draw a matrix as coloured cells: one colour above zero, another below, stronger the further away.

    Args:
        matrix: Numbers, shape (rows, columns); cells not finite stay empty.
        row_labels: Names, shape (rows,).
        column_labels: Names, shape (columns,).
        title: Caption.
        annotate: Write the number in each cell, where cells are wide enough to hold it.
        top: Distance from zero that gets the full colour, such as 1 for correlations; otherwise the largest one.
        x_label: What the columns are.
        y_label: What the rows are.
        alt: Description in words; otherwise made from the data.

    Raises:
        ValueError: The shape does not match the labels, or `top` is not above zero.
    """
    cells = np.asarray(matrix, dtype=np.float64)
    if cells.size == 0 and (len(row_labels) == 0 or len(column_labels) == 0):
        return _no_data(title, size="medium")
    if cells.shape != (len(row_labels), len(column_labels)):
        raise ValueError(f"matrix: expected shape {(len(row_labels), len(column_labels))}, found {cells.shape}")
    if top is not None and not top > 0:
        raise ValueError(f"top: expected a number above 0, found {top}")
    shown = cells[:_MOST_CELLS, :_MOST_CELLS]
    grid = _HeatGrid(
        shown,
        list(row_labels[:_MOST_CELLS]),
        list(column_labels[:_MOST_CELLS]),
        annotate and max(shown.shape) <= _MOST_NUMBERED,
    )
    with grid.drawing(x_label=x_label, y_label=y_label) as plot:
        grid.draw(plot, top=top)
        note = "" if shown.size == cells.size else f"First {shown.shape[0]} rows and {shown.shape[1]} columns shown."
        return plot.chart(title, alt=alt or _describe_heatmap(title, grid), note=note)


def scatter(
    x: Values,
    y: Values,
    *,
    groups: Sequence[str] | None = None,
    title: str,
    x_label: str = "",
    y_label: str = "",
    alt: str = "",
    size: Size = "medium",
) -> Chart:
    """Draw points; above 2,000 of them as cells that grow darker with the number of points in them.

    Args:
        x: Places, shape (n,); numbers, dates or times. Points with a place that is not finite are left out and counted.
        y: Places, shape (n,), as x.
        groups: Name of the group of each point, shape (n,); coloured in order of first appearance.
        title: Caption.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        alt: Description in words; otherwise made from the data.
        size: One of `small`, `medium` and `wide`.

    Raises:
        ValueError: Lengths do not match.
    """
    x_places, y_places = _Places.of(x), _Places.of(y)
    names = np.array([""] * len(x) if groups is None else [str(name) for name in groups], dtype=object)
    _check_length("y", y_places.values, len(x))
    _check_length("groups", names, len(x))
    kept = np.isfinite(x_places.values) & np.isfinite(y_places.values)
    if not kept.any():
        return _no_data(title, size=size)
    x_scale, y_scale = x_places.scale(pad=0.03), y_places.scale(pad=0.03)
    across, up, names = x_scale.unit(x_places.values[kept]), y_scale.unit(y_places.values[kept]), names[kept]
    distinct = list(dict.fromkeys(names))
    with _drawing(size, x=x_scale, y=y_scale, x_label=x_label, y_label=y_label) as plot:
        # Large groups first, or they would hide the small ones.
        for number, name in sorted(enumerate(distinct), key=lambda pair: -int((names == pair[1]).sum())):
            chosen = names == name
            _draw_points(plot, across[chosen], up[chosen], color=_SERIES[number % 6], dense=len(names) > _MOST_POINTS)
        alt = alt or f"Scatter plot {title!r} of {format_count(len(names))} points" + _in_groups(distinct, groups)
        legend = [] if groups is None else [LegendEntry(name, 1 + i % 6) for i, name in enumerate(distinct)]
        return plot.chart(title, alt=alt, legend=legend, note=_left_out_note(len(kept) - len(names)))


# Values and scales


def _numbers(values: Values) -> Floats:
    """Return values as floats, None as NaN."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values.astype(np.float64)
    return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)


def _drawable(values: Floats) -> Floats:
    """Return values with the finite ones held within what can be drawn; their texts still show the true ones."""
    return np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)


def _check_length(what: str, values: Sequence[object] | NDArray[Any], expected: int) -> None:
    if len(values) != expected:
        raise ValueError(f"{what}: expected {expected} of them, as many as the other data, found {len(values)}")


def _check_bins(counts: Floats, edges: Floats) -> None:
    _check_length("edges", edges, len(counts) + 1)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts: expected finite numbers from 0, found {counts.tolist()[:10]}")
    if not np.isfinite(edges).all() or not (edges[1:] > edges[:-1]).all():
        raise ValueError(f"edges: expected finite, strictly rising numbers, found {edges.tolist()[:10]}")


@dataclass(frozen=True, slots=True)
class _Scale:
    """One axis: what it spans, and what its numbers mean."""

    low: float
    high: float
    dates: bool = False
    names: tuple[str, ...] = ()
    whole: bool = False

    @classmethod
    def over(cls, parts: Iterable[Floats], *, pad: float = 0.0, reach: tuple[float, ...] = ()) -> "_Scale":
        """Span all finite values of the parts and of `reach`, widened at both ends by a share `pad`."""
        values = np.concatenate([*parts, np.array(reach, dtype=np.float64)])
        values = _drawable(values[np.isfinite(values)])
        low, high = float(values.min()), float(values.max())
        size = max(abs(low), abs(high), _SMALLEST)
        if high - low <= size * 1e-12:
            middle, widen = low / 2 + high / 2, 0.5 if size == _SMALLEST else size / 2
            return cls(middle - widen, middle + widen)
        extra = (high - low) * pad
        return cls(low - extra, high + extra)

    def unit(self, values: Floats) -> Floats:
        """Map values to 0..1."""
        return (_drawable(values) - self.low) / (self.high - self.low)

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
class _Places:
    """Values along one axis as floats, and what they stand for."""

    values: Floats
    dates: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, values: Values) -> "_Places":
        """Read numbers, dates or times (as days since 1970), or names (as 0, 1, 2, ...)."""
        if isinstance(values, np.ndarray) and values.dtype.kind == "M":
            return cls(np.asarray(_DATES.date2num(values), dtype=np.float64), dates=True)
        first = next((value for value in values if value is not None), 0.0)
        if isinstance(first, date | np.datetime64):
            days = [math.nan if value is None else float(_DATES.date2num(value)) for value in values]
            return cls(np.array(days, dtype=np.float64), dates=True)
        if isinstance(first, str):
            return cls(np.arange(len(values), dtype=np.float64), names=tuple(str(value) for value in values))
        return cls(_numbers(values))

    @classmethod
    def joined(cls, parts: Sequence["_Places"]) -> "_Places":
        """Put the places of several series on one axis."""
        values = np.concatenate([part.values for part in parts])
        return cls(values, dates=parts[0].dates, names=max((part.names for part in parts), key=len))

    def scale(self, *, pad: float = 0.0, reach: tuple[float, ...] = ()) -> _Scale:
        """Return an axis that spans the values; dates are not widened, which could leave the calendar."""
        if self.names:
            return _Scale(-0.5, len(self.names) - 0.5, names=self.names)
        if not self.dates:
            return _Scale.over([self.values], pad=pad, reach=reach)
        finite = self.values[np.isfinite(self.values)]
        low, high = float(finite.min()), float(finite.max())
        return _Scale(low, high if high > low else low + timedelta(days=1).days, dates=True)


# The drawing


@dataclass(slots=True)
class _Plot:
    """One figure being drawn; inside its margins, places run from 0 to 1 both ways.

    Artists stand in the figure itself: Matplotlib's axes cost more than all the rest of a small chart.
    """

    figure: Figure
    inner: tuple[float, float, float, float]
    width: int
    height: int
    letters: int
    texts: dict[str, tuple[str, str]]

    def token(self, text: str, *, limit: int) -> str:
        """Return what stands for a text until the SVG is finished."""
        token = f"~{len(self.texts)}~"
        self.texts[token] = (_shorten(text, limit), text)
        return token

    @property
    def inner_size(self) -> tuple[float, float]:
        """Width and height inside the margins, in pixels."""
        return self.inner[2], self.inner[3]

    def add(self, artist: Artist) -> None:
        """Put an artist into the drawing."""
        left, bottom, width, height = self.inner
        artist.set_transform(Affine2D().scale(width, height).translate(left, bottom))
        artist.set_zorder(len(self.figure.artists))  # Later ones lie above, whatever their kind.
        self.figure.add_artist(artist)

    def write(self, x: float, y: float, text: str, *, limit: int = _LONGEST_LABEL, **style: Any) -> None:
        """Write text on a baseline, shortened to `limit` letters."""
        settings: dict[str, Any] = {"color": _INK, "size": self.letters, "va": "baseline", "rotation_mode": "anchor"}
        self.add(Text(x, y, self.token(text, limit=limit), **(settings | style)))

    def line(self, x: Floats, y: Floats, *, color: str, dash: Any = "solid", width: float = 1.8) -> None:
        """Draw a line, broken where a value is not finite."""
        self.add(Line2D(x, y, color=color, linestyle=dash, linewidth=width, solid_capstyle="round"))

    def shape(self, outline: Outline, **style: Any) -> None:
        """Draw an outline."""
        self.add(PathPatch(outline, **style))

    def chart(self, title: str, *, alt: str, legend: Sequence[LegendEntry] = (), note: str = "") -> Chart:
        """Finish the drawing."""
        buffer = io.StringIO()
        canvas: Any = FigureCanvasSVG(self.figure)
        canvas.print_svg(buffer, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
        svg = _tidy(buffer.getvalue(), self.texts)
        return Chart(svg, self.width, self.height, title, alt, legend=tuple(legend), note=note)


@contextmanager
def _canvas(width: int, height: int, *, margins: tuple[float, float, float, float], letters: int) -> Iterator[_Plot]:
    """Yield an empty drawing with margins (left, right, top, bottom) in pixels.

    The lock and the defaults are there because Matplotlib's settings belong to the whole process.
    """
    left, right, top, bottom = margins
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
    with _LOCK, mpl.rc_context(defaults | {"svg.fonttype": "none", "svg.hashsalt": "chart"}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, frameon=False)
        inner = (left, bottom, width - left - right, height - top - bottom)
        yield _Plot(figure, inner, width, height, letters, {})


@contextmanager
def _drawing(size: Size, *, x: _Scale, y: _Scale, x_label: str, y_label: str) -> Iterator[_Plot]:
    """Yield a drawing with two axes, ready for the data."""
    width, height, letters = _SIZES[size]
    small = size == "small"
    x_ticks, common = x.ticks(3 if small else 6 if size == "medium" else 9)
    y_ticks, _ = y.ticks(3 if small else 5)
    x_label = " · ".join(part for part in (x_label, common) if part)
    left = max([_text_width(label, letters) for _, label in y_ticks], default=0) + 8
    top = letters * 1.9 if y_label else letters * 0.8
    bottom = letters * (3.4 if x_label else 1.9)
    with _canvas(width, height, margins=(left, letters, top, bottom), letters=letters) as plot:
        _draw_x_ticks(plot, x_ticks)
        _draw_y_ticks(plot, y_ticks)
        _name_axes(plot, x_label, y_label, margins=(left, top, bottom))
        yield plot


def _draw_x_ticks(plot: _Plot, ticks: Sequence[tuple[float, str]]) -> None:
    _, inner_height = plot.inner_size
    for place, label in ticks:
        # The outermost labels stay inside the drawing.
        anchor = "left" if place < 0.02 else "right" if place > 0.98 else "center"
        limit = max(6, int(plot.inner_size[0] / len(ticks) / plot.letters / _LETTER) - 1)
        below = -plot.letters * 1.4 / inner_height
        plot.write(place, below, label, limit=limit, ha=anchor, color=_MUTED)


def _draw_y_ticks(plot: _Plot, ticks: Sequence[tuple[float, str]]) -> None:
    inner_width, inner_height = plot.inner_size
    for place, label in ticks:
        plot.line(np.array([0.0, 1.0]), np.array([place, place]), color=_RULE, width=1.0)
        drop = plot.letters * 0.35 / inner_height
        plot.write(-6 / inner_width, place - drop, label, ha="right", color=_MUTED)


def _name_axes(plot: _Plot, x_label: str, y_label: str, *, margins: tuple[float, float, float]) -> None:
    """Write the vertical axis' name level above it, where it is easier to read than on its side."""
    left, top, bottom = margins
    width, height = plot.inner_size
    letters = int(plot.width / plot.letters / _LETTER)
    if x_label:
        low = -(bottom - plot.letters * 0.4) / height
        plot.write(1, low, x_label, limit=letters, ha="right", color=_MUTED)
    if y_label:
        high = 1 + (top - plot.letters) / height
        plot.write(-left / width, high, y_label, limit=letters, ha="left", color=_MUTED)


def _no_data(title: str, *, size: Size) -> Chart:
    width, height, letters = _SIZES[size]
    with _canvas(width, height // 2, margins=(0, 0, 0, 0), letters=letters) as plot:
        plot.write(0.5, 0.5, "No data", ha="center", color=_MUTED)
        return plot.chart(title, alt=f"{title}: no data")


# Text


def _columns(text: str) -> int:
    """Return the width of a text in letters; East Asian letters and pictures take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _text_width(text: str, letters: int) -> float:
    """Return the width of a text in pixels, roughly."""
    return (_columns(text) + _CAPITAL * sum(letter.isupper() for letter in text)) * letters * _LETTER


def _shorten(text: str, limit: int) -> str:
    """Cut the middle out of a long text: what tells two long names apart is often at their ends."""
    text = " ".join(text.split())
    if _columns(text) <= limit:
        return text
    half = max(1, (limit - 1) // 2)
    return f"{_cut(text, half)}…{_cut(text[::-1], half)[::-1]}"


def _cut(text: str, limit: int) -> str:
    while _columns(text) > limit:
        text = text[: max(limit, 1)] if len(text) > max(limit, 1) else text[:-1]
    return text


# Bars


@dataclass(slots=True)
class _BarShape:
    """Where bars, their names and their values go."""

    names: list[str]
    lengths: Floats
    spread: Floats
    horizontal: bool
    room: int = _LONGEST_LABEL

    def drawing(self, size: Size, *, x_label: str, y_label: str) -> AbstractContextManager[_Plot]:
        """Return a drawing sized for the bars."""
        width, height, letters = _SIZES[size]
        self.room = min(_LONGEST_LABEL, int(width * 0.5 / letters / _LETTER / (1 + _CAPITAL)))
        names = max(_text_width(_shorten(name, self._limit()), letters) for name in self.names)
        values = max(_text_width(format_number(value), letters) for value in self.lengths)
        top, bottom = (letters * 1.9 if y_label else 4.0), (letters * 1.9 if x_label else 4.0)
        if self.horizontal:
            height = round(len(self.names) * letters * 1.9 + top + bottom)
            margins = (min(names + 10, width * 0.5), values + 10, top, bottom)
        else:
            margins = (4.0, 4.0, top + letters * 1.6, bottom + letters * 1.9)
        return self._labelled(width, height, margins=margins, letters=letters, axes=(x_label, y_label))

    @contextmanager
    def _labelled(
        self,
        width: int,
        height: int,
        *,
        margins: tuple[float, float, float, float],
        letters: int,
        axes: tuple[str, str],
    ) -> Iterator[_Plot]:
        with _canvas(width, height, margins=margins, letters=letters) as plot:
            _name_axes(plot, *axes, margins=(margins[0], margins[2], margins[3]))
            yield plot

    def draw(self, plot: _Plot) -> None:
        """Draw all bars, the line they stand on, their error bars, names and values."""
        scale = self._scale()
        count = len(self.names)
        zero = float(scale.unit(np.array([0.0]))[0])
        middles = 1 - (np.arange(count) + 0.5) / count if self.horizontal else (np.arange(count) + 0.5) / count
        lengths = _drawable(self.lengths)
        ends = scale.unit(np.where(np.isfinite(lengths), lengths, 0.0))
        boxes = [
            (zero, middle - 0.31 / count, end, middle + 0.31 / count) for end, middle in zip(ends, middles, strict=True)
        ]
        plot.shape(self._turned(_boxes(boxes)), facecolor=_SERIES[0], alpha=0.85, lw=0)
        base = np.array([[zero, 0.0], [zero, 1.0]])
        plot.shape(self._turned(Outline(base)), fill=False, edgecolor=_MUTED, lw=1)
        low, high = (scale.unit(bound) for bound in self._bounds())
        self._draw_errors(plot, middles, low=low, high=high)
        self._draw_texts(plot, middles, ends=np.fmax(np.fmax(ends, np.where(np.isfinite(high), high, zero)), zero))

    def _limit(self) -> int:
        return self.room if self.horizontal else 14

    def _scale(self) -> _Scale:
        return _Scale.over([_drawable(self.lengths), *self._bounds()], reach=(0.0,))

    def _bounds(self) -> tuple[Floats, Floats]:
        """Return the lower and upper ends of the error bars."""
        lengths, spread = _drawable(self.lengths), _drawable(self.spread)
        return _drawable(lengths - spread[:, 0]), _drawable(lengths + spread[:, 1])

    def _draw_errors(self, plot: _Plot, middles: Floats, *, low: Floats, high: Floats) -> None:
        shown = np.isfinite(low) & np.isfinite(high) & (self.spread > 0).any(axis=1)
        pairs = [((a, m), (b, m)) for a, b, m in zip(low[shown], high[shown], middles[shown], strict=True)]
        if pairs:
            outline = self._turned(_segments(pairs))
            plot.shape(outline, fill=False, edgecolor=_INK, lw=1.6, capstyle="round")

    def _draw_texts(self, plot: _Plot, middles: Floats, *, ends: Floats) -> None:
        width, height = plot.inner_size
        drop, gap = plot.letters * 0.35 / height, 6 / width
        room = int(width / len(self.names) / plot.letters / _LETTER)
        for name, value, middle, end in zip(self.names, self.lengths, middles, ends, strict=True):
            number = format_number(value if np.isfinite(value) else None)
            if self.horizontal:
                plot.write(-gap * 1.3, middle - drop, name, limit=self._limit(), ha="right")
                plot.write(end + gap, middle - drop, number, ha="left", color=_MUTED)
                continue
            below = -plot.letters * 1.4 / height
            plot.write(middle, below, name, limit=max(2, min(room, self._limit())), ha="center")
            if _columns(number) <= room:
                plot.write(middle, end + 5 / height, number, ha="center", color=_MUTED)

    def _turned(self, outline: Outline) -> Outline:
        """Swap the two directions of an outline for standing bars."""
        return outline if self.horizontal else Outline(np.asarray(outline.vertices)[:, ::-1], outline.codes)


def _spread(errors: Values | None, count: int) -> Floats:
    """Return error distances as shape (count, 2), zero where there is none."""
    if errors is None:
        return np.zeros((count, 2))
    _check_length("errors", errors, count)
    pairs = [error if np.ndim(error) else (error, error) for error in errors]
    spread = np.array([_numbers(list(cast(Sequence[Any], pair))) for pair in pairs]).reshape(count, -1)
    if count and spread.shape[1] != 2:
        raise ValueError(f"errors: expected one distance or a pair for each value, found {spread.shape[1]}")
    spread = np.where(np.isfinite(spread).all(axis=1, keepdims=True), spread.reshape(count, 2), 0.0)
    if (spread < 0).any():
        raise ValueError("errors: expected distances from the value, from 0; found a negative one")
    return spread


def _boxes(boxes: Sequence[tuple[float, float, float, float]]) -> Outline:
    """Return one outline of many boxes (left, bottom, right, top): one element in the SVG instead of many."""
    corners = [((a, b), (c, b), (c, d), (a, d), (a, b)) for a, b, c, d in boxes]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(boxes)
    return Outline(np.array(corners, dtype=np.float64).reshape(-1, 2), codes)


def _segments(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Outline:
    """Return one outline of many separate lines."""
    points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    outline = Outline(points, [Outline.MOVETO, Outline.LINETO] * len(pairs))
    outline.should_simplify = False
    return outline


# Lines


@dataclass(frozen=True, slots=True)
class _Curve:
    """One series: places, values and the bounds of its band (not finite where there is none)."""

    name: str
    places: _Places
    y: Floats
    low: Floats
    high: Floats


def _curves(
    x: Values | Mapping[str, Values], series: Mapping[str, Values], band: Mapping[str, tuple[Values, Values]]
) -> list[_Curve]:
    if unknown := set(band) - set(series):
        raise ValueError(f"band: expected names among the series {list(series)}, found {sorted(unknown)}")
    if isinstance(x, Mapping) and set(x) != set(series):
        raise ValueError(f"x: expected the names of the series {list(series)}, found {list(x)}")
    shared = None if isinstance(x, Mapping) else _Places.of(x)
    found = []
    for name, values in series.items():
        places = shared or _Places.of(cast(Mapping[str, Values], x)[name])
        none = np.full(len(places.values), np.nan)
        low, high = (_numbers(bound) for bound in band.get(name, (none, none)))
        y = _numbers(values)
        for part in (y, low, high):
            _check_length(f"series {name!r}", part, len(places.values))
        found.append(_Curve(name, places, y, low, high))
    return found


def _unit_interval(diagonal: bool) -> tuple[float, ...]:
    return (0.0, 1.0) if diagonal else ()


def _legend_entry(name: str, number: int) -> LegendEntry:
    return LegendEntry(name, 1 + number % 6, _DASHES[number // 6 % 3][1])


def _draw_curve(plot: _Plot, curve: _Curve, *, number: int, scales: tuple[_Scale, _Scale]) -> None:
    x, color = scales[0].unit(curve.places.values), _SERIES[number % 6]
    low, high = scales[1].unit(curve.low), scales[1].unit(curve.high)
    banded = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    if banded.sum() > 1:
        kept = _thin(x[banded], (high + low)[banded])
        there, back = np.c_[x[banded], high[banded]][kept], np.c_[x[banded], low[banded]][kept]
        plot.shape(Outline(np.r_[there, back[::-1]]), facecolor=color, alpha=0.18, lw=0)
    y = scales[1].unit(curve.y)
    kept = _thin(x, y)
    plot.line(x[kept], y[kept], color=color, dash=_DASHES[number // 6 % 3][0])
    alone = _lonely(np.isfinite(x[kept]) & np.isfinite(y[kept]))
    if alone.any():
        _draw_dots(plot, x[kept][alone], y[kept][alone], color=color, width=5.0)


def _thin(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Choose points of a long line so that it looks the same: the lowest and highest of each of 500 stretches."""
    if len(x) <= _MOST_POINTS:
        return np.arange(len(x))
    chosen = {0, len(x) - 1}
    for stretch in np.array_split(np.arange(len(x)), 500):
        finite = stretch[np.isfinite(y[stretch])]
        chosen.update(stretch[~np.isfinite(y[stretch])][:1].tolist())
        if len(finite):
            chosen.update((int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])))
    return np.array(sorted(chosen))


def _lonely(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark known values with gaps on both sides: a line through them would have no length."""
    padded = np.r_[False, known, False]
    return cast(NDArray[np.bool_], known & ~padded[:-2] & ~padded[2:])


# Points


def _draw_dots(plot: _Plot, x: Floats, y: Floats, *, color: str, width: float) -> None:
    """Draw dots as lines without length and with round ends, by far the shortest SVG for them."""
    pairs = [((a, b), (a, b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    plot.shape(_segments(pairs), fill=False, edgecolor=color, lw=width, capstyle="round", alpha=0.75)


def _draw_points(plot: _Plot, x: Floats, y: Floats, *, color: str, dense: bool) -> None:
    if not dense:
        _draw_dots(plot, x, y, color=color, width=4.0)
        return
    counts, _, _ = np.histogram2d(x, y, bins=_SCATTER_CELLS, range=((0, 1), (0, 1)))
    # Logarithmic, so that single points stay visible beside a crowd.
    levels = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * 8).astype(int)
    for level in range(1, 9):
        cells = np.argwhere(levels == level) / _SCATTER_CELLS
        step = 1 / np.array(_SCATTER_CELLS)
        if len(cells):
            outline = _boxes([(a, b, a + step[0], b + step[1]) for a, b in cells])
            plot.shape(outline, facecolor=color, alpha=0.12 + 0.58 * level / 8, lw=0)


def _left_out_note(count: int) -> str:
    points = "point" if count == 1 else "points"
    return f"{format_count(count)} {points} without a finite place left out." if count else ""


# Heat maps


@dataclass(slots=True)
class _HeatGrid:
    """Cells of a heat map, row 0 at the top."""

    cells: Floats
    row_labels: list[str]
    column_labels: list[str]
    annotate: bool

    def drawing(self, *, x_label: str, y_label: str) -> AbstractContextManager[_Plot]:
        """Return a drawing sized for the cells."""
        rows, columns = self.cells.shape
        letters = 12
        step = self._step(letters)
        left = max(_text_width(_shorten(name, _LONGEST_CELL_NAME), letters) for name in self.row_labels) + 10
        bottom = self._slanted_height(step, letters) + (letters * 2.0 if x_label else 4)
        top = letters * 1.9 if y_label else 4
        # Slanted names of the first columns reach to the left of the cells.
        left = max(left, bottom * 0.75 - step if self._slanted(step, letters) else 0)
        width, height = (
            columns * step + left + 6,
            rows * min(step, 52.0 if max(rows, columns) <= 4 else 34.0) + top + bottom,
        )
        return self._labelled(width, height, margins=(left, 6.0, top, bottom), axes=(x_label, y_label))

    @contextmanager
    def _labelled(
        self, width: float, height: float, *, margins: tuple[float, float, float, float], axes: tuple[str, str]
    ) -> Iterator[_Plot]:
        with _canvas(math.ceil(width), math.ceil(height), margins=margins, letters=12) as plot:
            _name_axes(plot, *axes, margins=(margins[0], margins[2], margins[3]))
            yield plot

    def draw(self, plot: _Plot, *, top: float | None) -> None:
        """Draw the cells, their numbers and the names of rows and columns."""
        finite = np.abs(self.cells[np.isfinite(self.cells)])
        limit = top or (float(finite.max()) if finite.size else 0.0) or 1.0
        shares = np.nan_to_num(np.clip(self.cells, -limit, limit) / limit)
        levels = np.round(shares * _HEAT_LEVELS).astype(int)
        for level in sorted(set(levels.ravel().tolist()) - {0}):
            color, opacity = (_HIGH if level > 0 else _LOW), abs(level) / _HEAT_LEVELS * _HEAT_OPACITY
            plot.shape(self._outline(levels == level), facecolor=color, alpha=opacity, lw=0)
        frame = _boxes([(0.0, 0.0, 1.0, 1.0)])
        plot.shape(frame, fill=False, edgecolor=_RULE, lw=1)
        if self.annotate:
            self._write_numbers(plot)
        self._write_names(plot)

    def _outline(self, chosen: NDArray[np.bool_]) -> Outline:
        rows, columns = self.cells.shape
        places = np.argwhere(chosen).tolist()
        return _boxes([(j / columns, 1 - (i + 1) / rows, (j + 1) / columns, 1 - i / rows) for i, j in places])

    def _number_texts(self) -> list[list[str]]:
        finite = np.abs(self.cells[np.isfinite(self.cells)])
        # Shares and correlations read best with the same two decimals everywhere.
        fixed = finite.size > 0 and finite.max() <= 1 and bool((finite % 1).any())
        return [[self._number_text(float(value), fixed=fixed) for value in row] for row in self.cells]

    def _number_text(self, value: float, *, fixed: bool) -> str:
        if not math.isfinite(value):
            return format_number(None)
        return f"{round(value, 2) + 0.0:.2f}" if fixed else format_number(value, 3)

    def _step(self, letters: int) -> float:
        """Return the width of a cell in pixels: wide enough for its number, while the map stays on a page."""
        texts = self._number_texts() if self.annotate else [[""]]
        widest = max(_text_width(text, letters) for row in texts for text in row)
        roomy = 88.0 if self.cells.shape[1] <= 4 else 44.0 if self.annotate else 22.0
        return float(max(14.0, min(max(widest + 12, roomy), 700 / self.cells.shape[1])))

    def _slanted(self, step: float, letters: int) -> bool:
        return max(_text_width(_shorten(name, _LONGEST_CELL_NAME), letters) for name in self.column_labels) > step - 4

    def _slanted_height(self, step: float, letters: int) -> float:
        longest = max(_text_width(_shorten(name, _LONGEST_CELL_NAME), letters) for name in self.column_labels)
        return float(longest * 0.72 + letters * 1.3 if self._slanted(step, letters) else letters * 1.7)

    def _write_numbers(self, plot: _Plot) -> None:
        texts = self._number_texts()
        rows, columns = self.cells.shape
        width, height = plot.inner_size
        letters = 11 if max(_text_width(text, 11) for row in texts for text in row) <= width / columns - 3 else 0
        if not letters or height / rows < 13:
            return
        for i, j in np.ndindex(rows, columns):
            y = 1 - (i + 0.5) / rows - letters * 0.35 / height
            plot.write((j + 0.5) / columns, y, texts[i][j], ha="center", size=letters)

    def _write_names(self, plot: _Plot) -> None:
        rows, columns = self.cells.shape
        width, height = plot.inner_size
        slanted = self._slanted(width / columns, plot.letters)
        for i, name in enumerate(self.row_labels):
            y = 1 - (i + 0.5) / rows - plot.letters * 0.35 / height
            plot.write(-6 / width, y, name, limit=_LONGEST_CELL_NAME, ha="right")
        for j, name in enumerate(self.column_labels):
            place = ((j + 0.5) / columns, -plot.letters * (1.1 if slanted else 1.4) / height)
            turned: dict[str, Any] = {"ha": "right", "rotation": 45} if slanted else {"ha": "center"}
            plot.write(*place, name, limit=_LONGEST_CELL_NAME, **turned)


# Descriptions for those who do not see the chart


def _describe_histogram(title: str, counts: Floats, *, x: _Scale, edges: Floats) -> str:
    fullest = int(counts.argmax())
    ends = [_place_text(place, dates=x.dates) for place in (edges[0], edges[-1], edges[fullest], edges[fullest + 1])]
    return (
        f"Histogram {title!r} of {format_count(float(counts.sum()))} rows from {ends[0]} to {ends[1]}; "
        f"most, {format_count(float(counts[fullest]))}, lie from {ends[2]} to {ends[3]}."
    )


def _describe_bars(title: str, names: Sequence[str], values: Floats) -> str:
    pairs = [f"{name} {format_number(value)}" for name, value in zip(names, values, strict=True)]
    more = f" and {len(pairs) - 10} more" if len(pairs) > 10 else ""
    return f"Bars {title!r}: {', '.join(pairs[:10])}{more}."


def _describe_lines(title: str, curves: Sequence[_Curve]) -> str:
    spans = []
    for curve in curves[:10]:
        known = curve.y[np.isfinite(curve.y)]
        spans.append(
            f"{curve.name} from {format_number(known[0])} to {format_number(known[-1])}, lowest "
            f"{format_number(known.min())}, highest {format_number(known.max())}"
            if len(known)
            else f"{curve.name} without values"
        )
    return f"Lines {title!r}: {'; '.join(spans)}."


def _describe_heatmap(title: str, grid: _HeatGrid) -> str:
    rows, columns = grid.cells.shape
    text = f"Heat map {title!r} of {rows} rows and {columns} columns"
    if not np.isfinite(grid.cells).any():
        return f"{text} without values."
    i, j = np.unravel_index(int(np.nanargmax(np.where(np.isfinite(grid.cells), grid.cells, np.nan))), (rows, columns))
    return f"{text}; highest {format_number(grid.cells[i, j])} at {grid.row_labels[i]}, {grid.column_labels[j]}."


def _in_groups(distinct: Sequence[str], groups: Sequence[str] | None) -> str:
    return "." if groups is None else f" in {len(distinct)} groups: {', '.join(distinct[:10])}."


def _place_text(place: float, *, dates: bool) -> str:
    return format_value(_DATES.num2date(place).replace(tzinfo=None)) if dates else format_number(place)


# From Matplotlib's SVG to the page's


def _tidy(svg: str, texts: Mapping[str, tuple[str, str]]) -> str:
    """Return the drawing's elements alone, with the page's colours, the real texts, and nothing that names an id."""
    root = ElementTree.fromstring(svg.split("?>", 1)[1])  # noqa: S314 - Matplotlib wrote it
    drawn = [_clean(element, texts) for element in root.iter() if element.tag.endswith(("}path", "}text"))]
    return "".join(ElementTree.tostring(element, encoding="unicode") for element in drawn if element.get("d") != "")


def _clean(element: ElementTree.Element, texts: Mapping[str, tuple[str, str]]) -> ElementTree.Element:
    kept = ElementTree.Element(element.tag.split("}")[1])
    for name in ("d", "x", "y", "transform"):
        value = element.get(name, "")
        if value and not value.startswith("rotate(-0 "):
            kept.set(name, re.sub(r"-?\d+\.\d+", _rounded, " ".join(value.split())))
    kept.set("style", _clean_style(element.get("style", "")))
    if element.text and element.text.strip():
        _fill_text(kept, *texts[element.text.strip()])
    return kept


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _clean_style(style: str) -> str:
    rules = dict(rule.strip().split(": ", 1) for rule in style.split(";") if rule.strip())
    rules.pop("font-family", None)
    rules.pop("stroke-linejoin", None)
    return "; ".join(f"{name}: {_CSS.get(value, value)}" for name, value in rules.items())


def _fill_text(element: ElementTree.Element, short: str, full: str) -> None:
    """Set the text, and the whole of a shortened one as its tooltip."""
    element.text = _printable(short)
    if short != full:
        ElementTree.SubElement(element, "title").text = _printable(full)


def _printable(text: str) -> str:
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)
