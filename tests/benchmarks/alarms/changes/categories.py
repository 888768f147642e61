"""Categories that are new, are spelled otherwise, or are of other rows; and columns that are swapped."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.alarms.changes.kind import Change, Kind
from tests.benchmarks.alarms.rows import Rows, Scene


def replaced(values: Callable[[Scene], Any]) -> Change:
    """A share of the first category's values are others."""

    def change(scene: Scene) -> Rows:
        return _put(scene, scene.columns.category, values(scene))

    return change


def _put(scene: Scene, name: str, values: Any) -> Rows:
    """Other values in a share of the rows."""
    places, texts = scene.share(scene.amount), scene.rows.frame[name].to_numpy(object).copy()
    texts[places] = np.broadcast_to(np.asarray(values, dtype=object), len(texts))[places]
    return scene.rows.put(name, texts)


def spelled(how: Callable[[str], str]) -> Change:
    """A share of the first category's values are spelled otherwise."""

    def values(scene: Scene) -> Any:
        texts = scene.rows.frame[scene.columns.category]
        return [how(text) if isinstance(text, str) else None for text in texts]

    return replaced(values)


def ranked(scene: Scene) -> list[str]:
    """The first category's values, the most frequent first."""
    return [str(name) for name in scene.pool.frame[scene.columns.category].value_counts().index]


def other_codes(scene: Scene) -> Any:
    """Each value becomes the one that is next in rank."""
    names = ranked(scene)
    following = dict(zip(names, [*names[1:], names[0]], strict=True))
    return [following.get(text) for text in scene.rows.frame[scene.columns.category]]


def gone(scene: Scene) -> Rows:
    """A share of the rows of the most frequent value are rows of others instead."""
    name, most = scene.columns.category, ranked(scene)[0]
    places = np.flatnonzero((scene.rows.frame[name] == most).to_numpy())
    places = scene.random.choice(places, round(scene.amount * len(places)), replace=False)
    others = np.flatnonzero((scene.pool.frame[name] != most).to_numpy())
    return _mixed(scene, places, scene.random.choice(others, len(places)))


def _mixed(scene: Scene, places: Any, drawn: Any) -> Rows:
    """Rows of the pool in place of some of the window."""
    frame, target = scene.rows.frame.copy(), scene.rows.target.copy()
    frame.iloc[places] = scene.pool.frame.iloc[drawn].to_numpy(object)
    target[places] = scene.pool.target[drawn]
    return Rows(frame.astype(scene.rows.frame.dtypes), target)


def shuffled(which: str) -> Change:
    """A share of a column's values are those of other rows: the column looks as before, the rows do not."""

    def change(scene: Scene) -> Rows:
        name, places = getattr(scene.columns, which), scene.share(scene.amount)
        values = scene.rows.frame[name].to_numpy().copy()
        values[places] = values[scene.random.permutation(places)]
        return scene.rows.put(name, values)

    return change


def swapped(one: str, other: str) -> Change:
    """Two columns are swapped in a share of the rows."""

    def change(scene: Scene) -> Rows:
        names, places = [getattr(scene.columns, which) for which in (one, other)], scene.share(scene.amount)
        before, after = (scene.rows.frame[name].to_numpy().copy() for name in names)
        before[places], after[places] = after[places], before[places].copy()
        return scene.rows.put(names[0], before).put(names[1], after)

    return change


def copied(scene: Scene) -> Rows:
    """A share of the first column's values are the second's."""
    return scene.changed(scene.columns.first, scene.numbers(scene.columns.second), scene.share(scene.amount))


_SHARES = (0.1, 0.3, 0.8)
_SWAPPED = (0.1, 0.5, 1.0)

KINDS = (
    Kind("one new category, share of rows", "category", replaced(lambda _: "brand new"), _SHARES),
    Kind(
        "many new categories, share of rows", "category",
        replaced(lambda scene: [f"new {row}" for row in range(len(scene.rows))]), _SHARES,
    ),
    Kind("most frequent category for others, share of rows", "category", replaced(lambda s: ranked(s)[0]), _SHARES),
    Kind("rarest category for others, share of rows", "category", replaced(lambda s: ranked(s)[-1]), _SHARES),
    Kind("other codes for categories, share of rows", "category", replaced(other_codes), _SHARES),
    Kind("most frequent category gone, share of its rows", "category", gone, (0.5, 0.8, 1.0)),
    Kind("categories in other letters, share of rows", "category", spelled(str.swapcase), _SHARES),
    Kind("categories with a blank, share of rows", "category", spelled(lambda text: f"{text} "), _SHARES),
    Kind("categories of other rows, share of rows", "swap", shuffled("category"), _SWAPPED),
    Kind("first number of other rows, share of rows", "swap", shuffled("first"), _SWAPPED),
    Kind("first and second number swapped, share of rows", "swap", swapped("first", "second"), _SWAPPED),
    Kind("categories swapped, share of rows", "swap", swapped("category", "other"), _SWAPPED),
    Kind("second number copied to the first, share of rows", "swap", copied, _SWAPPED),
)  # fmt: skip
