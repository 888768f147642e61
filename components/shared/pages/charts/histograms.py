"""Histograms of data that was binned elsewhere: tables stay in the database."""

import numpy as np
from matplotlib.patches import StepPatch

from components.shared.formatting import format_count
from components.shared.pages.blocks import Chart
from components.shared.pages.charts.canvas import Size, canvas_with_axes, no_data
from components.shared.pages.charts.scales import Places, Scale, place_text
from components.shared.pages.charts.svg import SERIES
from components.shared.pages.charts.values import LARGEST, SMALLEST, Floats, Values, check_length, numbers


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
        return no_data(title, size=size)
    heights, places = numbers(counts), Places.of(edges)
    _check_bins(heights, places.values)
    top = float(heights.max())
    x, y = places.scale(), Scale(0.0, min(top, LARGEST) * 1.04 if top > SMALLEST else 1.0, whole=True)
    with canvas_with_axes(size, x=x, y=y, x_label=x_label, y_label=y_label) as plot:
        outline = StepPatch(y.unit(heights), x.unit(places.values), fill=True, color=SERIES[0], alpha=0.85, lw=0)
        plot.add(outline)
        return plot.chart(title, alt=alt or _describe_histogram(title, heights, x=x, edges=places.values))


def _check_bins(counts: Floats, edges: Floats) -> None:
    check_length("edges", edges, len(counts) + 1)
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError(f"counts: expected finite numbers from 0, found {counts.tolist()[:10]}")
    if not np.isfinite(edges).all() or not (edges[1:] > edges[:-1]).all():
        raise ValueError(f"edges: expected finite, strictly rising numbers, found {edges.tolist()[:10]}")


def _describe_histogram(title: str, counts: Floats, *, x: Scale, edges: Floats) -> str:
    fullest = int(counts.argmax())
    ends = [place_text(place, dates=x.dates) for place in (edges[0], edges[-1], edges[fullest], edges[fullest + 1])]
    return (
        f"Histogram {title!r} of {format_count(float(counts.sum()))} rows from {ends[0]} to {ends[1]}; "
        f"most, {format_count(float(counts[fullest]))}, lie from {ends[2]} to {ends[3]}."
    )
