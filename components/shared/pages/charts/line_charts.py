"""Line charts: one line for each series, with gaps where values are missing and a shade for its interval.

A missing value is a gap and never a straight line to the next one, and a value between two gaps a dot, as it would not
be seen otherwise. Long series are thinned to what a screen can show without losing their extremes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from components.shared.formatting import format_number
from components.shared.pages.blocks import Chart, LegendEntry
from components.shared.pages.charts.canvas import (
    DASHES,
    Plot,
    Size,
    canvas_with_axes,
    draw_dots,
    draw_hatching,
    no_data,
)
from components.shared.pages.charts.scales import Places, Scale
from components.shared.pages.charts.svg import MUTED, SERIES
from components.shared.pages.charts.values import MOST_POINTS, Floats, Values, check_length, numbers


def lines(  # noqa: PLR0913 - every one is a part of one drawing
    x: Values | Mapping[str, Values],
    series: Mapping[str, Values],
    *,
    title: str,
    band: Mapping[str, tuple[Values, Values]] | None = None,
    diagonal: bool = False,
    hatched: Sequence[tuple[object, object]] = (),
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
        hatched: From where to where along the horizontal axis values are not final yet; hatched.
        x_label: Name of the horizontal axis.
        y_label: Name of the vertical axis.
        alt: Description in words; otherwise made from the data.
        size: One of `small`, `medium` and `wide`.

    Raises:
        ValueError: Lengths do not match, or `band` or `x` lack or add a name.
    """
    curves = _curves(x, series, band or {})
    if not any((np.isfinite(curve.places.values) & np.isfinite(curve.y)).any() for curve in curves):
        return no_data(title, size=size)
    x_scale = Places.joined([curve.places for curve in curves]).scale(reach=_unit_interval(diagonal))
    y_label = y_label or (curves[0].name if len(curves) == 1 else "")
    everything = [part for curve in curves for part in (curve.y, curve.low, curve.high)]
    y_scale = Scale.over(everything, pad=0.04, reach=_unit_interval(diagonal))
    with canvas_with_axes(size, x=x_scale, y=y_scale, x_label=x_label, y_label=y_label) as plot:
        if diagonal:
            ends = np.array([max(x_scale.low, y_scale.low), min(x_scale.high, y_scale.high)])
            plot.line(x_scale.unit(ends), y_scale.unit(ends), color=MUTED, dash=DASHES[1][0], width=1.0)
        for low, high in hatched:
            draw_hatching(plot, *np.clip(x_scale.unit(Places.of([low, high]).values), 0, 1).tolist())
        for number, curve in enumerate(curves):
            _draw_curve(plot, curve, number=number, scales=(x_scale, y_scale))
        several = curves if len(curves) > 1 else []
        legend = [_legend_entry(curve.name, number) for number, curve in enumerate(several)]
        return plot.chart(title, alt=alt or _describe_lines(title, curves), legend=legend)


@dataclass(frozen=True, slots=True)
class _Curve:
    """One series: places, values and the bounds of its band (not finite where there is none)."""

    name: str
    places: Places
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
    shared = None if isinstance(x, Mapping) else Places.of(x)
    found = []
    for name, values in series.items():
        places = shared or Places.of(cast(Mapping[str, Values], x)[name])
        none = np.full(len(places.values), np.nan)
        low, high = (numbers(bound) for bound in band.get(name, (none, none)))
        y = numbers(values)
        for part in (y, low, high):
            check_length(f"series {name!r}", part, len(places.values))
        found.append(_Curve(name, places, y, low, high))
    return found


def _unit_interval(diagonal: bool) -> tuple[float, ...]:
    return (0.0, 1.0) if diagonal else ()


def _legend_entry(name: str, number: int) -> LegendEntry:
    return LegendEntry(name, 1 + number % 6, DASHES[number // 6 % 3][1])


def _draw_curve(plot: Plot, curve: _Curve, *, number: int, scales: tuple[Scale, Scale]) -> None:
    x, color = scales[0].unit(curve.places.values), SERIES[number % 6]
    low, high = scales[1].unit(curve.low), scales[1].unit(curve.high)
    banded = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    if banded.sum() > 1:
        kept = _thin(x[banded], (high + low)[banded])
        there, back = np.c_[x[banded], high[banded]][kept], np.c_[x[banded], low[banded]][kept]
        plot.shape(Outline(np.r_[there, back[::-1]]), facecolor=color, alpha=0.18, lw=0)
    y = scales[1].unit(curve.y)
    kept = _thin(x, y)
    plot.line(x[kept], y[kept], color=color, dash=DASHES[number // 6 % 3][0])
    alone = _lonely(np.isfinite(x[kept]) & np.isfinite(y[kept]))
    if alone.any():
        draw_dots(plot, x[kept][alone], y[kept][alone], color=color, width=5.0)


def _thin(x: Floats, y: Floats) -> NDArray[np.intp]:
    """Choose points of a long line so that it looks the same: the lowest and highest of each of 500 stretches."""
    if len(x) <= MOST_POINTS:
        return np.arange(len(x))
    chosen = {0, len(x) - 1}
    for stretch in np.array_split(np.arange(len(x)), 500):
        finite = stretch[np.isfinite(y[stretch])]
        chosen.update(stretch[~np.isfinite(y[stretch])][:1].tolist())
        if len(finite):
            chosen.update((int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])))
    return np.array(sorted(chosen))


# Example: of known, missing, known, known only the first is alone; the last two are a line.
def _lonely(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark known values with gaps on both sides: a line through them would have no length."""
    padded = np.r_[False, known, False]
    return cast(NDArray[np.bool_], known & ~padded[:-2] & ~padded[2:])


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
