"""Folds for tables of few rows: every row is predicted by a model that did not learn from it.

The folds are made as the parts were: rolling where the split goes by time (a model learns from what came before),
whole groups where it keeps groups together, else a share of each class, else by chance. All but rolling ones are
repeated with other seeds, because one division of few rows says little (Kohavi, 1995; Kim, 2009).
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.frames import Part, features, labels, part_path, row_weights
from components.shared.package.schema import Schema

FEW_ROWS = 2_000  # training rows below which one validation part is too little to choose by
_FOLDS = 5
_REPEATS = 2
_SEEN = ("train", "validation")

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Positions of rows: those learned from, and those to be predicted."""

    train: Places
    unseen: Places


@dataclass(frozen=True, slots=True)
class Seen:
    """The training and the validation part, one after the other, and how the split was made.

    Attributes:
        part: The rows, in the order in which prepare wrote them.
        method: `chronological`, `random`, `stratified` or `grouped`.
        groups: A number for each row's group, shape (rows,); None unless the split keeps groups together.
    """

    part: Part
    method: str
    groups: Places | None


def load_seen(splits: Path, schema: Schema) -> Seen:
    """Read the two parts from which a final model learns."""
    extra = [name for name in (schema.weights, schema.group) if name]
    columns = list(dict.fromkeys([*schema.columns, schema.target, *extra]))
    table = pa.concat_tables(
        [pq.read_table(part_path(splits, part), columns=columns) for part in _SEEN], promote_options="permissive"
    )
    method = split_method(splits)
    groups = table.column(schema.group).to_pandas() if schema.group and method == "grouped" else None
    return Seen(
        part=Part(features(table, schema), labels(table, schema), row_weights(table, schema)),
        method=method,
        groups=None if groups is None else pd.factorize(groups, use_na_sentinel=False)[0].astype(np.int64),
    )


def split_method(splits: Path) -> str:
    """How the rows were divided: `chronological`, `random`, `stratified` or `grouped`."""
    found: str = json.loads((splits / "summary.json").read_bytes())["method"]
    return found


def take(part: Part, rows: Places) -> Part:
    """Some rows of a part."""
    weights = None if part.weights is None else part.weights[rows]
    return Part(part.frame.iloc[rows].reset_index(drop=True), part.target[rows], weights)


def make_folds(seen: Seen, *, classes: int, seed: int) -> list[list[Fold]]:
    """Divisions of the rows, each a list of folds.

    Args:
        seen: The rows.
        classes: How many classes there are; 0 for numbers.
        seed: Decides where chance does.

    Returns:
        One division when rolling, else two. A fold whose training rows lack a class, or
        have one value only, is left out: no model can learn from it.
    """
    rows = len(seen.part.target)
    if seen.method == "chronological":
        divisions = [list(_rolling(rows))]
    else:
        divisions = [list(_shuffled(seen, classes, np.random.default_rng([seed, turn]))) for turn in range(_REPEATS)]
    kept = [[fold for fold in division if _is_learnable(fold, seen, classes)] for division in divisions]
    return [division for division in kept if division]


# Example: of 100 rows, 50 to 59 are predicted from the first 50, 60 to 69 from the first 60, and so on to 90 to 99 from
# 90.
def _rolling(rows: int) -> Iterator[Fold]:
    """Rolling folds: the second half of the rows in blocks, each predicted from all rows before it."""
    bounds = np.linspace(rows // 2, rows, _FOLDS + 1).astype(np.int64)
    for start, end in itertools.pairwise(bounds):
        yield Fold(np.arange(start), np.arange(start, end))


def _shuffled(seen: Seen, classes: int, random: np.random.Generator) -> Iterator[Fold]:
    rows = len(seen.part.target)
    if seen.groups is not None:
        fold = _fold_of_group(seen.groups, random)[seen.groups]
    else:
        order = random.permutation(rows)
        if classes:  # dealt out class by class, each fold gets its share to within one row
            order = order[np.argsort(seen.part.target[order], kind="stable")]
        fold = np.empty(rows, dtype=np.int64)
        fold[order] = np.arange(rows) % _FOLDS
    for number in range(_FOLDS):
        if (fold == number).any():
            yield Fold(np.flatnonzero(fold != number), np.flatnonzero(fold == number))


# Example: groups of 6, 3, 2, 2, 1 and 1 rows. The first five go to folds of their own, the last one to that of a single
# row.
def _fold_of_group(groups: Places, random: np.random.Generator) -> Places:
    """The fold of each group: the largest groups first, each to the fold that has fewest rows so far."""
    sizes = np.bincount(groups)
    order = random.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(_FOLDS, dtype=np.int64)
    fold = np.empty(len(sizes), dtype=np.int64)
    for group in order:
        fold[group] = filled.argmin()
        filled[fold[group]] += sizes[group]
    return fold


def _is_learnable(fold: Fold, seen: Seen, classes: int) -> bool:
    target = seen.part.target[fold.train]
    return len(fold.unseen) > 0 and len(np.unique(target)) >= max(2, classes)
