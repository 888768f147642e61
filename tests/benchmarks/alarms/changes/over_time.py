"""Changes that come slowly or come and go, and rows that come otherwise and are the same."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from tests.benchmarks.alarms.changes.faults import missing
from tests.benchmarks.alarms.changes.kind import Change, Kind
from tests.benchmarks.alarms.changes.numbers import shift, shift_all
from tests.benchmarks.alarms.changes.populations import by_number, drawn, flipped
from tests.benchmarks.alarms.rows import Rows, Scene

_FULL_AFTER = 4  # windows
_SEASON = 4  # windows from one high to the next


def slowly(change: Change) -> Change:
    """The change grows by equal steps, to all of it in the fourth window."""
    return _by(change, lambda place: min(1.0, (place + 1) / _FULL_AFTER))


def in_seasons(change: Change) -> Change:
    """The change comes and goes: all of it, none, its opposite, none, and so on."""
    return _by(change, lambda place: math.cos(2 * math.pi * place / _SEASON))


def _by(change: Change, share: Callable[[int], float]) -> Change:
    return lambda scene: change(replace(scene, amount=scene.amount * share(scene.place)))


# The same rows


def in_other_order(scene: Scene) -> Rows:
    """A share of the rows come in another order."""
    places, whole = scene.share(scene.amount), np.arange(len(scene.rows))
    whole[places] = scene.random.permutation(places)
    return scene.rows.take(whole)


def in_order_of(which: str) -> Change:
    """A share of the rows come in the order of a column."""

    def change(scene: Scene) -> Rows:
        places, whole = scene.share(scene.amount), np.arange(len(scene.rows))
        values = scene.rows.frame[getattr(scene.columns, which)].iloc[places]
        whole[places] = places[values.reset_index(drop=True).sort_values(kind="stable").index.to_numpy()]
        return scene.rows.take(whole)

    return change


def columns_in_other_order(scene: Scene) -> Rows:
    """Columns come in another order."""
    names = scene.random.permutation(list(scene.rows.frame))
    return Rows(scene.rows.frame[list(names)], scene.rows.target)


def in_fewer_digits(scene: Scene) -> Rows:
    """Numbers are written with so many significant digits."""
    rows = scene.rows
    for name in scene.columns.numbers:
        written = [float(f"{value:.{int(scene.amount)}g}") for value in scene.numbers(name)]
        rows = rows.put(name, np.array(written))
    return rows


def other_rows_alike(scene: Scene) -> Rows:
    """A share of the rows are others of the same distribution."""
    places = scene.share(scene.amount)
    fresh = scene.pool.take(scene.random.choice(len(scene.pool), len(places), replace=False).astype(np.int64))
    kept = scene.rows.take(np.setdiff1d(np.arange(len(scene.rows)), places))
    frame = pd.concat([kept.frame, fresh.frame], ignore_index=True)
    return Rows(frame, np.concatenate([kept.target, fresh.target]))


_DEVIATIONS, _SHARES = (0.25, 0.5, 1.0), (0.2, 0.5, 1.0)

KINDS = (
    Kind("first number higher step by step, standard deviations", "slow", slowly(shift("first")), _DEVIATIONS),
    Kind("all numbers higher step by step, standard deviations", "slow", slowly(shift_all), _DEVIATIONS),
    Kind("first number in seasons, standard deviations", "slow", in_seasons(shift("first")), _DEVIATIONS),
    Kind("rows by the first number step by step, log odds", "slow", slowly(drawn(by_number("first"))), (0.4, 0.8, 1.6)),
    Kind("labels flipped step by step, share of rows", "slow", slowly(flipped), (0.1, 0.25, 0.5)),
    Kind("first number missing step by step, share of rows", "slow", slowly(missing("first")), (0.1, 0.3, 0.8)),
    Kind("rows in another order, share", "harmless", in_other_order, _SHARES),
    Kind("rows in the order of the first number, share", "harmless", in_order_of("first"), _SHARES),
    Kind("rows in the order of the category, share", "harmless", in_order_of("category"), _SHARES),
    Kind("columns in another order", "harmless", columns_in_other_order, _SHARES),
    Kind("numbers in fewer digits", "harmless", in_fewer_digits, (6, 5, 4)),
    Kind("other rows of the same distribution, share", "harmless", other_rows_alike, _SHARES),
)
