"""Scatter plots: single points, or the density of many.

Thousands of points hide one another and weigh much. Above 2,000 their density is drawn instead, on a logarithmic scale,
so that a single point remains visible beside a crowd.
"""

from collections.abc import Sequence

import numpy as np

from components.shared.formatting import format_count
from components.shared.pages.blocks import Chart, LegendEntry
from components.shared.pages.charts.canvas import Plot, Size, box_outline, canvas_with_axes, draw_dots, no_data
from components.shared.pages.charts.scales import Places
from components.shared.pages.charts.svg import SERIES
from components.shared.pages.charts.values import MOST_POINTS, Floats, Values, check_length

_SCATTER_CELLS = (72, 44)


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
    x_places, y_places = Places.of(x), Places.of(y)
    names = np.array([""] * len(x) if groups is None else [str(name) for name in groups], dtype=object)
    check_length("y", y_places.values, len(x))
    check_length("groups", names, len(x))
    kept = np.isfinite(x_places.values) & np.isfinite(y_places.values)
    if not kept.any():
        return no_data(title, size=size)
    x_scale, y_scale = x_places.scale(pad=0.03), y_places.scale(pad=0.03)
    across, up, names = x_scale.unit(x_places.values[kept]), y_scale.unit(y_places.values[kept]), names[kept]
    distinct = list(dict.fromkeys(names))
    with canvas_with_axes(size, x=x_scale, y=y_scale, x_label=x_label, y_label=y_label) as plot:
        # Large groups first, or they would hide the small ones.
        for number, name in sorted(enumerate(distinct), key=lambda pair: -int((names == pair[1]).sum())):
            chosen = names == name
            _draw_points(plot, across[chosen], up[chosen], color=SERIES[number % 6], dense=len(names) > MOST_POINTS)
        alt = alt or f"Scatter plot {title!r} of {format_count(len(names))} points" + _in_groups(distinct, groups)
        legend = [] if groups is None else [LegendEntry(name, 1 + i % 6) for i, name in enumerate(distinct)]
        return plot.chart(title, alt=alt, legend=legend, note=_left_out_note(len(kept) - len(names)))


def _draw_points(plot: Plot, x: Floats, y: Floats, *, color: str, dense: bool) -> None:
    if not dense:
        draw_dots(plot, x, y, color=color, width=4.0)
        return
    counts, _, _ = np.histogram2d(x, y, bins=_SCATTER_CELLS, range=((0, 1), (0, 1)))
    # Logarithmic, so that single points stay visible beside a crowd.
    levels = np.ceil(np.log1p(counts) / np.log1p(counts.max()) * 8).astype(int)
    for level in range(1, 9):
        cells = np.argwhere(levels == level) / _SCATTER_CELLS
        step = 1 / np.array(_SCATTER_CELLS)
        if len(cells):
            outline = box_outline([(a, b, a + step[0], b + step[1]) for a, b in cells])
            plot.shape(outline, facecolor=color, alpha=0.12 + 0.58 * level / 8, lw=0)


def _left_out_note(count: int) -> str:
    points = "point" if count == 1 else "points"
    return f"{format_count(count)} {points} without a finite place left out." if count else ""


def _in_groups(distinct: Sequence[str], groups: Sequence[str] | None) -> str:
    return "." if groups is None else f" in {len(distinct)} groups: {', '.join(distinct[:10])}."
