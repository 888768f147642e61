"""One drawing: a figure with margins, text, lines and shapes, and the axes that charts of numbers share.

Matplotlib's figures draw it, never pyplot, whose state is shared by the whole process.
"""

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from components.shared.pages.blocks import Chart, LegendEntry
from components.shared.pages.charts.scales import Scale
from components.shared.pages.charts.svg import INK, MUTED, RULE, clean_svg
from components.shared.pages.charts.text import LETTER, LONGEST_LABEL, shorten, text_width
from components.shared.pages.charts.values import Floats

Size = Literal["small", "medium", "wide"]
# Width and height in CSS pixels, and the size of the letters.
SIZES: Mapping[Size, tuple[int, int, int]] = {
    "small": (216, 130, 11),
    "medium": (440, 260, 12),
    "wide": (720, 300, 12),
}
Dash = Literal["solid"] | tuple[float, tuple[float, ...]]
DASHES: tuple[tuple[Dash, str], ...] = (("solid", ""), ((0, (2.5, 1.2)), "6 3"), ((0, (0.9, 1.1)), "2 3"))
_LOCK = threading.RLock()


@dataclass(slots=True)
class Plot:
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
        self.texts[token] = (shorten(text, limit), text)
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

    def write(self, x: float, y: float, text: str, *, limit: int = LONGEST_LABEL, **style: Any) -> None:
        """Write text on a baseline, shortened to `limit` letters."""
        settings: dict[str, Any] = {"color": INK, "size": self.letters, "va": "baseline", "rotation_mode": "anchor"}
        self.add(Text(x, y, self.token(text, limit=limit), **(settings | style)))

    def line(self, x: Floats, y: Floats, *, color: str, dash: Dash = "solid", width: float = 1.8) -> None:
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
        svg = clean_svg(buffer.getvalue(), self.texts)
        return Chart(svg, self.width, self.height, title, alt, legend=tuple(legend), note=note)


@contextmanager
def canvas(width: int, height: int, *, margins: tuple[float, float, float, float], letters: int) -> Iterator[Plot]:
    """Yield an empty drawing with margins (left, right, top, bottom) in pixels.

    The lock and the defaults are there because Matplotlib's settings belong to the whole process.
    """
    left, right, top, bottom = margins
    defaults = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
    with _LOCK, mpl.rc_context(defaults | {"svg.fonttype": "none", "svg.hashsalt": "chart"}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, frameon=False)
        inner = (left, bottom, width - left - right, height - top - bottom)
        yield Plot(figure, inner, width, height, letters, {})


@contextmanager
def labelled_canvas(
    width: int, height: int, *, margins: tuple[float, float, float, float], letters: int, axes: tuple[str, str]
) -> Iterator[Plot]:
    """Yield an empty drawing with the names of its two axes (horizontal, vertical) in its margins."""
    with canvas(width, height, margins=margins, letters=letters) as plot:
        name_axes(plot, *axes, margins=(margins[0], margins[2], margins[3]))
        yield plot


@contextmanager
def canvas_with_axes(size: Size, *, x: Scale, y: Scale, x_label: str, y_label: str) -> Iterator[Plot]:
    """Yield a drawing with two axes, ready for the data."""
    width, height, letters = SIZES[size]
    small = size == "small"
    x_ticks, common = x.ticks(3 if small else 6 if size == "medium" else 9)
    y_ticks, _ = y.ticks(3 if small else 5)
    x_label = " · ".join(part for part in (x_label, common) if part)
    left = max([text_width(label, letters) for _, label in y_ticks], default=0) + 8
    top = letters * 1.9 if y_label else letters * 0.8
    bottom = letters * (3.4 if x_label else 1.9)
    with canvas(width, height, margins=(left, letters, top, bottom), letters=letters) as plot:
        _draw_x_ticks(plot, x_ticks)
        _draw_y_ticks(plot, y_ticks)
        name_axes(plot, x_label, y_label, margins=(left, top, bottom))
        yield plot


def _draw_x_ticks(plot: Plot, ticks: Sequence[tuple[float, str]]) -> None:
    _, inner_height = plot.inner_size
    for place, label in ticks:
        # The outermost labels stay inside the drawing.
        anchor = "left" if place < 0.02 else "right" if place > 0.98 else "center"
        limit = max(6, int(plot.inner_size[0] / len(ticks) / plot.letters / LETTER) - 1)
        below = -plot.letters * 1.4 / inner_height
        plot.write(place, below, label, limit=limit, ha=anchor, color=MUTED)


def _draw_y_ticks(plot: Plot, ticks: Sequence[tuple[float, str]]) -> None:
    inner_width, inner_height = plot.inner_size
    for place, label in ticks:
        plot.line(np.array([0.0, 1.0]), np.array([place, place]), color=RULE, width=1.0)
        drop = plot.letters * 0.35 / inner_height
        plot.write(-6 / inner_width, place - drop, label, ha="right", color=MUTED)


def name_axes(plot: Plot, x_label: str, y_label: str, *, margins: tuple[float, float, float]) -> None:
    """Write the vertical axis' name level above it, where it is easier to read than on its side."""
    left, top, bottom = margins
    width, height = plot.inner_size
    letters = int(plot.width / plot.letters / LETTER)
    if x_label:
        low = -(bottom - plot.letters * 0.4) / height
        plot.write(1, low, x_label, limit=letters, ha="right", color=MUTED)
    if y_label:
        high = 1 + (top - plot.letters) / height
        plot.write(-left / width, high, y_label, limit=letters, ha="left", color=MUTED)


def no_data(title: str, *, size: Size) -> Chart:
    """Draw the words that there is nothing to draw, half as high as a chart."""
    width, height, letters = SIZES[size]
    with canvas(width, height // 2, margins=(0, 0, 0, 0), letters=letters) as plot:
        plot.write(0.5, 0.5, "No data", ha="center", color=MUTED)
        return plot.chart(title, alt=f"{title}: no data")


def box_outline(boxes: Sequence[tuple[float, float, float, float]]) -> Outline:
    """Return one outline of many boxes (left, bottom, right, top): one element in the SVG instead of many."""
    corners = [((a, b), (c, b), (c, d), (a, d), (a, b)) for a, b, c, d in boxes]
    codes = [Outline.MOVETO, Outline.LINETO, Outline.LINETO, Outline.LINETO, Outline.CLOSEPOLY] * len(boxes)
    return Outline(np.array(corners, dtype=np.float64).reshape(-1, 2), codes)


def segment_outline(pairs: Sequence[tuple[tuple[float, float], tuple[float, float]]]) -> Outline:
    """Return one outline of many separate lines."""
    points = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    outline = Outline(points, [Outline.MOVETO, Outline.LINETO] * len(pairs))
    outline.should_simplify = False
    return outline


def draw_hatching(plot: Plot, low: float, high: float, *, spacing: float = 7.0) -> None:
    """Draw diagonal strokes over the whole height, between two places of the horizontal axis.

    Args:
        plot: The drawing.
        low: Left end, 0 to 1.
        high: Right end, 0 to 1.
        spacing: Between two strokes, in pixels.
    """
    width, height = plot.inner_size
    left, right = low * width, high * width
    pairs = []
    for start in np.arange(left - height, right, spacing):
        first, last = max(start, left), min(start + height, right)
        if first < last:
            ends = ((first, first - start), (last, last - start))
            pairs.append(tuple((x / width, y / height) for x, y in ends))
    if pairs:
        plot.shape(segment_outline(pairs), fill=False, edgecolor=MUTED, lw=0.8, alpha=0.45)  # type: ignore[arg-type]


def draw_dots(plot: Plot, x: Floats, y: Floats, *, color: str, width: float) -> None:
    """Draw dots as lines without length and with round ends, by far the shortest SVG for them."""
    pairs = [((a, b), (a, b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    plot.shape(segment_outline(pairs), fill=False, edgecolor=color, lw=width, capstyle="round", alpha=0.75)
