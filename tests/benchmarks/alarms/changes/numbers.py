"""Numbers that move: shifts, scales, and errors of units."""

from typing import Literal

import numpy as np

from tests.benchmarks.alarms.changes.kind import Change, Kind
from tests.benchmarks.alarms.rows import Floats, Rows, Scene

Which = Literal["first", "second", "unused"]
_FIVE_NINTHS = 5 / 9


def shift(which: Which, sign: int = 1) -> Change:
    """Add so many standard deviations to a column."""

    def change(scene: Scene) -> Rows:
        name = getattr(scene.columns, which)
        return scene.changed(name, scene.numbers(name) + sign * scene.amount * scene.spread(name))

    return change


def shift_all(scene: Scene) -> Rows:
    """Add so many standard deviations to every number."""
    rows = scene.rows
    for name in scene.columns.numbers:
        rows = rows.put(name, scene.numbers(name) + scene.amount * scene.spread(name))
    return rows


def shift_some(scene: Scene) -> Rows:
    """Add one standard deviation to the first column, in a share of the rows."""
    name = scene.columns.first
    return scene.changed(name, scene.numbers(name) + scene.spread(name), scene.share(scene.amount))


def spread(which: Which) -> Change:
    """Multiply a column's distance to its mean."""

    def change(scene: Scene) -> Rows:
        name = getattr(scene.columns, which)
        return scene.changed(name, _spread(scene, name))

    return change


def spread_all(scene: Scene) -> Rows:
    """Multiply every number's distance to its mean."""
    rows = scene.rows
    for name in scene.columns.numbers:
        rows = rows.put(name, _spread(scene, name))
    return rows


def _spread(scene: Scene, name: str) -> Floats:
    mean = float(np.nanmean(scene.pool.frame[name]))
    return mean + scene.amount * (scene.numbers(name) - mean)


def noise(scene: Scene) -> Rows:
    """Add normal noise of so many standard deviations to the first column."""
    name = scene.columns.first
    added = scene.random.normal(0, scene.amount * scene.spread(name), len(scene.rows))
    return scene.changed(name, scene.numbers(name) + added)


def coarse(scene: Scene) -> Rows:
    """Round the first column to steps of so many standard deviations."""
    name = scene.columns.first
    step = scene.amount * scene.spread(name)
    return scene.changed(name, np.round(scene.numbers(name) / step) * step)


def saturated(scene: Scene) -> Rows:
    """A sensor that shows nothing above a quantile: the largest share of the values are that quantile."""
    name = scene.columns.first
    most = float(np.nanquantile(scene.pool.frame[name], 1 - scene.amount))
    return scene.changed(name, np.minimum(scene.numbers(name), most))


def outliers(scene: Scene) -> Rows:
    """A share of the first column's values are five times the largest that there is."""
    name = scene.columns.first
    far = np.full(len(scene.rows), 5 * float(np.nanmax(scene.pool.frame[name])))
    return scene.changed(name, far, scene.share(scene.amount))


def bent(scene: Scene) -> Rows:
    """The place of the second column's values between minimum and maximum, raised to a power."""
    name = scene.columns.second
    low, high = float(np.nanmin(scene.pool.frame[name])), float(np.nanmax(scene.pool.frame[name]))
    place = np.clip((scene.numbers(name) - low) / (high - low), 0, 1)
    return scene.changed(name, low + (high - low) * place**scene.amount)


def unit(which: Which, factor: float) -> Change:
    """A share of a column's values are in another unit."""

    def change(scene: Scene) -> Rows:
        name = getattr(scene.columns, which)
        return scene.changed(name, scene.numbers(name) * factor, scene.share(scene.amount))

    return change


def celsius(scene: Scene) -> Rows:
    """A share of the second column's values are converted as degrees Fahrenheit to degrees Celsius."""
    name = scene.columns.second
    return scene.changed(name, (scene.numbers(name) - 32) * _FIVE_NINTHS, scene.share(scene.amount))


def every_unit(scene: Scene) -> Rows:
    """All numbers of a share of the rows are a thousandth."""
    rows, places = scene.rows, scene.share(scene.amount)
    for name in scene.columns.numbers:
        rows = rows.put(name, scene.changed(name, scene.numbers(name) / 1000, places).frame[name])
    return rows


_DEVIATIONS, _SHARES = (0.25, 0.5, 1.0), (0.1, 0.5, 1.0)

KINDS = (
    Kind("first number higher, standard deviations", "shift", shift("first"), _DEVIATIONS),
    Kind("first number lower, standard deviations", "shift", shift("first", -1), _DEVIATIONS),
    Kind("second number higher, standard deviations", "shift", shift("second"), _DEVIATIONS),
    Kind("second number lower, standard deviations", "shift", shift("second", -1), _DEVIATIONS),
    Kind("all numbers higher, standard deviations", "shift", shift_all, _DEVIATIONS),
    Kind("first number higher by one, share of rows", "shift", shift_some, (0.2, 0.4, 0.8)),
    Kind("first number spread, times", "scale", spread("first"), (1.25, 1.5, 2.0)),
    Kind("first number drawn together, times", "scale", spread("first"), (0.8, 0.6, 0.3)),
    Kind("second number spread, times", "scale", spread("second"), (1.25, 1.5, 2.0)),
    Kind("all numbers spread, times", "scale", spread_all, (1.25, 1.5, 2.0)),
    Kind("first number noisy, standard deviations", "scale", noise, (0.5, 1.0, 2.0)),
    Kind("first number rounded, standard deviations", "scale", coarse, (0.5, 1.0, 2.0)),
    Kind("first number saturated, share of values", "scale", saturated, (0.2, 0.4, 0.6)),
    Kind("first number with outliers, share of rows", "scale", outliers, (0.01, 0.05, 0.2)),
    Kind("second number bent, power", "scale", bent, (1.25, 1.5, 2.0)),
    Kind("first number times 1,000, share of rows", "unit", unit("first", 1000.0), _SHARES),
    Kind("first number by 60, share of rows", "unit", unit("first", 1 / 60), _SHARES),
    Kind("second number times 10, share of rows", "unit", unit("second", 10.0), _SHARES),
    Kind("second number negative, share of rows", "unit", unit("second", -1.0), _SHARES),
    Kind("second number in degrees Celsius, share of rows", "unit", celsius, _SHARES),
    Kind("all numbers by 1,000, share of rows", "unit", every_unit, _SHARES),
    Kind("number of no use higher, standard deviations", "harmless", shift("unused"), _DEVIATIONS),
)
