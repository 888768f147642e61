"""Faults at the source: frozen sensors, missing values, and rows that are lacking or repeated."""

import numpy as np

from tests.benchmarks.alarms.changes.kind import Change, Kind
from tests.benchmarks.alarms.rows import Indices, Rows, Scene


def _last(scene: Scene, share: float) -> Indices:
    """Places of the last rows."""
    return np.arange(len(scene.rows) - round(share * len(scene.rows)), len(scene.rows))


def frozen(*which: str) -> Change:
    """From some row on, columns keep the value that they had."""

    def change(scene: Scene) -> Rows:
        places, rows = _last(scene, scene.amount), scene.rows
        for name in _names(scene, which):
            values = rows.frame[name].to_numpy().copy()
            values[places] = rows.frame[name].dropna().iloc[0]
            rows = rows.put(name, values)
        return rows

    return change


def _names(scene: Scene, which: tuple[str, ...]) -> list[str]:
    found = [getattr(scene.columns, name) for name in which]
    return [name for one in found for name in ([one] if isinstance(one, str) else one)]


def constant(value: float) -> Change:
    """A share of the first column's values are one that stands for none."""

    def change(scene: Scene) -> Rows:
        return scene.changed(scene.columns.first, np.full(len(scene.rows), value), scene.share(scene.amount))

    return change


def missing(*which: str) -> Change:
    """A share of the values of columns are missing."""

    def change(scene: Scene) -> Rows:
        return _without(scene, _names(scene, which), scene.share(scene.amount))

    return change


def missing_block(scene: Scene) -> Rows:
    """The second number is missing in the last rows."""
    return _without(scene, [scene.columns.second], _last(scene, scene.amount))


def missing_high(scene: Scene) -> Rows:
    """A share of the higher half of the second number's values are missing."""
    values = scene.numbers(scene.columns.second)
    high = np.flatnonzero(values > float(np.nanmedian(scene.pool.frame[scene.columns.second])))
    places = scene.random.choice(high, round(scene.amount * len(high)), replace=False)
    return _without(scene, [scene.columns.second], places)


def _without(scene: Scene, names: list[str], places: Indices) -> Rows:
    rows = scene.rows
    for name in names:
        values = rows.frame[name].to_numpy().copy()
        values[places] = None if values.dtype == object else np.nan
        rows = rows.put(name, values)
    return rows


def fewer(scene: Scene) -> Rows:
    """Only so many rows come."""
    return scene.rows.take(np.arange(round(scene.amount * len(scene.rows))))


def repeated(scene: Scene) -> Rows:
    """A share of the rows are copies of one tenth of the others."""
    places, whole = scene.share(scene.amount), np.arange(len(scene.rows))
    others = np.setdiff1d(whole, places)
    few = others if len(others) < 10 else others[: len(others) // 10]
    whole[places] = scene.random.choice(few, len(places))
    return scene.rows.take(whole)


_SHARES = (0.1, 0.3, 0.8)

KINDS = (
    Kind("first number frozen, share of rows", "frozen", frozen("first"), (0.2, 0.5, 1.0)),
    Kind("second number frozen, share of rows", "frozen", frozen("second"), (0.2, 0.5, 1.0)),
    Kind("category frozen, share of rows", "frozen", frozen("category"), (0.2, 0.5, 1.0)),
    Kind("all numbers frozen, share of rows", "frozen", frozen("numbers"), (0.2, 0.5, 1.0)),
    Kind("first number missing, share of rows", "missing", missing("first"), _SHARES),
    Kind("category missing, share of rows", "missing", missing("category"), _SHARES),
    Kind("everything missing, share of rows", "missing", missing("numbers", "category", "other"), _SHARES),
    Kind("second number missing in a block, share of rows", "missing", missing_block, _SHARES),
    Kind("high second numbers missing, share of them", "missing", missing_high, (0.2, 0.5, 1.0)),
    Kind("0 for the first number, share of rows", "missing", constant(0.0), _SHARES),
    Kind("-999 for the first number, share of rows", "missing", constant(-999.0), _SHARES),
    Kind("rows lacking, share that comes", "rows", fewer, (0.5, 0.19, 0.1)),
    Kind("rows repeated, share of rows", "rows", repeated, (0.5, 0.8, 0.95)),
)
