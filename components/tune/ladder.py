"""What trials are scored on, in rungs that grow: a trial climbs from one to the next, and falls off where it is behind.

Tables of many rows: each rung is a larger share of the training rows, scored on the validation part. Whatever its
learning rate, a trial is fitted to its end on each rung, so that trials are compared at what they can do with equal
rows (successive halving, Jamieson and Talwalkar, 2016; asynchronous as in Li et al., 2020). Tables of few rows: each
rung adds folds of a repeated cross-validation over training and validation part, and scores are means over folds.

Example: of 20,000 rows the rungs are 2,222, 6,666 and 20,000. Of nine trials about three go on to the second rung and
one to the third, so that each rung costs about as much as the one below it. Were there 15 folds, the rungs would be the
first 2, the next 3 and the last 10: a trial that climbs all of them has the mean of 15 scores.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.shared.config import FamilyName, FittingConfig, SearchConfig
from components.shared.families import FAMILIES, Rows
from components.shared.folds import FEW_ROWS, Fold, Seen, load_seen, make_folds, take
from components.shared.frames import Part, check_learnable, features, labels, part_path, row_weights
from components.shared.package.schema import Schema
from components.shared.preprocessing import make_preprocessor
from components.shared.tasks import TASKS

FACTOR = 3  # how much more a rung costs than the one below it, and of how many trials one goes on
_RUNGS = 3
_FEWEST_ROWS = 1_000  # on the lowest rung
_FIRST_FOLDS = (2, 5)  # folds of the first rung, and of the first two


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows to learn from, and rows to be scored on."""

    train: Rows
    unseen: Rows


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs, lowest first.

    Attributes:
        rungs: What each rung is scored on.
        folded: Whether the rungs are folds whose scores add up; else each rung replaces the one below it.
        rows: Rows from which a model learns on the highest rung; of folds, on average.
        sampled: Rows that there are in all for learning.
    """

    rungs: tuple[tuple[Scored, ...], ...]
    folded: bool
    rows: int
    sampled: int


def make_ladder(
    family: FamilyName, splits: Path, schema: Schema, *, search: SearchConfig, training: FittingConfig
) -> Ladder:
    """Read the rows, preprocess them for a family, and divide them into rungs.

    Args:
        family: Decides on the preprocessing.
        splits: The folder that prepare writes.
        schema: Its columns.
        search: Rows, seed, and whether there is more than one rung.
        training: The preprocessing.

    Raises:
        DataError: No model can learn from the training rows.
    """
    if pq.read_metadata(part_path(splits, "train")).num_rows < FEW_ROWS:
        seen = _limited(load_seen(splits, schema), search)
        divisions = make_folds(seen, classes=len(schema.classes), seed=search.seed)
        if divisions:
            check_learnable(seen.part, schema)
            folds = [fold for division in divisions for fold in division]
            return _of_folds(family, seen.part, folds, schema=schema, search=search, training=training)
    return _of_shares(family, splits, schema, search=search, training=training)


# Many rows


def _of_shares(
    family: FamilyName, splits: Path, schema: Schema, *, search: SearchConfig, training: FittingConfig
) -> Ladder:
    seen = sample(splits, "train", schema, rows=search.rows, seed=search.seed)
    unseen = sample(splits, "validation", schema, rows=search.rows, seed=search.seed)
    check_learnable(seen, schema)
    whole = _preprocessed(family, seen, unseen, schema=schema, search=search, training=training)
    rows = len(seen.target)
    rungs = [
        (Scored(whole.train.head(count), whole.unseen.head(max(count, _FEWEST_ROWS))),)
        for count in shares(rows, most=_RUNGS if search.pruning else 1)
    ]
    return Ladder(tuple(rungs), folded=False, rows=rows, sampled=rows)


def shares(rows: int, *, most: int) -> list[int]:
    """Rows of each rung, lowest first."""
    counts = [rows]
    while len(counts) < most and counts[0] // FACTOR >= _FEWEST_ROWS:
        counts.insert(0, counts[0] // FACTOR)
    return counts


def sample(splits: Path, part: str, schema: Schema, *, rows: int, seed: int) -> Part:
    """At most `rows` rows of a part in random order; for classes, the first ones are one of each class there is."""
    extra = [schema.weights] if schema.weights else []
    table = pq.read_table(part_path(splits, part), columns=[*schema.columns, schema.target, *extra])
    order = np.random.default_rng(seed).permutation(table.num_rows)
    if TASKS[schema.task].has_classes:
        firsts = np.unique(labels(table, schema)[order], return_index=True)[1]
        order = np.concatenate([order[firsts], np.delete(order, firsts)])
    chosen = table.take(order[:rows])
    return Part(features(chosen, schema), labels(chosen, schema), row_weights(chosen, schema))


# Few rows


def _limited(seen: Seen, search: SearchConfig) -> Seen:
    """At most as many rows as the search may take, in their order."""
    rows = len(seen.part.target)
    if rows <= search.rows:
        return seen
    kept = np.sort(np.random.default_rng(search.seed).permutation(rows)[: search.rows])
    return Seen(take(seen.part, kept), seen.method, None if seen.groups is None else seen.groups[kept])


def _of_folds(
    family: FamilyName, part: Part, folds: list[Fold], *, schema: Schema, search: SearchConfig, training: FittingConfig
) -> Ladder:
    pairs = [
        _preprocessed(
            family, take(part, fold.train), take(part, fold.unseen), schema=schema, search=search, training=training
        )
        for fold in folds
    ]
    bounds = sorted({0, *(count for count in _FIRST_FOLDS if search.pruning and count < len(pairs)), len(pairs)})
    rungs = [tuple(pairs[start:end]) for start, end in itertools.pairwise(bounds)]
    rows = round(float(np.mean([len(fold.train) for fold in folds])))
    return Ladder(tuple(rungs), folded=True, rows=rows, sampled=len(part.target))


def _preprocessed(
    family: FamilyName, seen: Part, unseen: Part, *, schema: Schema, search: SearchConfig, training: FittingConfig
) -> Scored:
    """Fit the preprocessing on the one and apply it to both: no searched parameter touches it."""
    preprocessor = make_preprocessor(schema, training, linear=FAMILIES[family].linear, seed=search.seed)
    return Scored(
        Rows(preprocessor.fit_transform(seen.frame, seen.target), seen.target, seen.weights),
        Rows(preprocessor.transform(unseen.frame), unseen.target, unseen.weights),
    )
