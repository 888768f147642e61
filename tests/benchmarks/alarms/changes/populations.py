"""Other rows, other labels, and another relation of the two."""

from collections.abc import Callable

import numpy as np

from tests.benchmarks.alarms.changes.kind import Change, Kind
from tests.benchmarks.alarms.rows import Floats, Indices, Rows, Scene

Wanted = Callable[[Scene, Rows], Floats]


def drawn(standard: Wanted) -> Change:
    """Rows of the pool whose odds to come grow with something: so many times e for a standard deviation."""

    def change(scene: Scene) -> Rows:
        odds = np.exp(scene.amount * np.clip(standard(scene, scene.pool), -2.5, 2.5))
        return scene.pool.take(
            scene.random.choice(len(scene.pool), len(scene.rows), replace=False, p=odds / odds.sum())
        )

    return change


def by_number(which: str) -> Wanted:
    """The value of a number."""
    return lambda scene, rows: _standard(rows.frame[getattr(scene.columns, which)].to_numpy(np.float64))


def by_category(scene: Scene, rows: Rows) -> Floats:
    """Whether a row is of the second most frequent category."""
    texts = rows.frame[scene.columns.category]
    return _standard((texts == texts.value_counts().index[1]).to_numpy(np.float64))


def by_target(scene: Scene, rows: Rows) -> Floats:
    """What becomes true of the row."""
    return _standard(rows.target.astype(np.float64))


def _standard(values: Floats) -> Floats:
    values = np.where(np.isfinite(values), values, np.nanmean(values))
    return np.asarray((values - values.mean()) / values.std())


def cut_off(scene: Scene) -> Rows:
    """Rows with the highest values of the first number do not come; others come instead."""
    values = scene.pool.frame[scene.columns.first].to_numpy(np.float64)
    rest = np.flatnonzero(~(values > np.nanquantile(values, 1 - scene.amount)))
    return scene.pool.take(scene.random.choice(rest, len(scene.rows), replace=False))


# Labels


def relabelled(scene: Scene, places: Indices) -> Rows:
    """The same rows with the opposite labels at some places: the other class, or as far beyond the mean."""
    target = scene.rows.target.copy()
    target[places] = 2 * _middle(scene.pool) - target[places]
    return scene.rows.labelled(target)


def _middle(pool: Rows) -> float:
    """What a label's opposite is as far from as the label."""
    return 0.5 if pool.target.dtype.kind in "iu" and pool.target.max() == 1 else float(pool.target.mean())


def flipped(scene: Scene) -> Rows:
    """A share of the labels are the opposite."""
    return relabelled(scene, scene.share(scene.amount))


def flipped_one_way(scene: Scene) -> Rows:
    """A share of the labels above the middle are the opposite."""
    high = np.flatnonzero(scene.rows.target > _middle(scene.pool))
    return relabelled(scene, scene.random.choice(high, round(scene.amount * len(high)), replace=False))


def labels_of_others(scene: Scene) -> Rows:
    """A share of the labels are those of other rows."""
    places, target = scene.share(scene.amount), scene.rows.target.copy()
    target[places] = target[scene.random.permutation(places)]
    return scene.rows.labelled(target)


# Concepts


def flipped_where(standard: Wanted, *, least: float) -> Change:
    """The relation is the opposite for a share of the rows of one part of the population."""

    def change(scene: Scene) -> Rows:
        places = np.flatnonzero(standard(scene, scene.rows) > least)
        return relabelled(scene, scene.random.choice(places, round(scene.amount * len(places)), replace=False))

    return change


def more_positive(scene: Scene) -> Rows:
    """The same rows come to more: a share of the lower labels become high ones, or numbers grow by that share."""
    target = scene.rows.target.copy()
    if _middle(scene.pool) != 0.5:
        return scene.rows.labelled(target * (1 + scene.amount))
    low = np.flatnonzero(target == 0)
    target[scene.random.choice(low, round(scene.amount * len(low)), replace=False)] = 1
    return scene.rows.labelled(target)


def by_another_column(scene: Scene) -> Rows:
    """In a share of the rows the label follows the number of no use."""
    places, target = scene.share(scene.amount), scene.rows.target.copy()
    values = scene.numbers(scene.columns.unused)[places]
    order = np.argsort(np.argsort(np.where(np.isfinite(values), values, np.nanmean(values)), kind="stable"))
    target[places] = np.sort(target[places])[order]
    return scene.rows.labelled(target)


_ODDS, _SHARES = (0.4, 0.8, 1.6), (0.1, 0.25, 0.5)

KINDS = (
    Kind("rows by the first number, log odds", "population", drawn(by_number("first")), _ODDS),
    Kind("rows by the second number, log odds", "population", drawn(by_number("second")), _ODDS),
    Kind("rows by a category, log odds", "population", drawn(by_category), _ODDS),
    Kind("rows by what becomes true, log odds", "population", drawn(by_target), _ODDS),
    Kind("rows without the highest first number, share", "population", cut_off, (0.1, 0.2, 0.4)),
    Kind("labels flipped, share of rows", "labels", flipped, _SHARES),
    Kind("high labels flipped, share of them", "labels", flipped_one_way, (0.2, 0.4, 0.8)),
    Kind("labels of other rows, share of rows", "labels", labels_of_others, (0.25, 0.5, 1.0)),
    Kind(
        "opposite relation above the mean of the first number, share of rows", "concept",
        flipped_where(by_number("first"), least=0.0), _SHARES,
    ),
    Kind(
        "opposite relation above the mean of the second number, share of rows", "concept",
        flipped_where(by_number("second"), least=0.0), _SHARES,
    ),
    Kind(
        "opposite relation for one category, share of its rows", "concept", flipped_where(by_category, least=0.0),
        (0.25, 0.5, 1.0),
    ),
    Kind("more comes of the same rows, share", "concept", more_positive, _SHARES),
    Kind("label by the number of no use, share of rows", "concept", by_another_column, (0.25, 0.5, 1.0)),
)  # fmt: skip
