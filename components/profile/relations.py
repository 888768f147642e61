"""How the numbers of the sample go together: correlations and principal components.

Computed on the sample with matrix products, never with a loop over pairs of columns: of a thousand columns there are
half a million pairs. Missing values are left out pair by pair, since rows that have every value may be few.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.profile.figures import Components, Correlations
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray

Floats = NDArray[np.float64]

LARGEST = 1e39  # beyond it, only columns that are no features hold numbers, and squares overflow
MOST_CORRELATED = 24  # columns in the correlation matrix
_MOST_GROUPS = 5  # classes with a colour of their own


@dataclass(frozen=True, slots=True)
class Points:
    """Rows of the sample in the plane of the two components, with what colours them."""

    places: Floats
    groups: list[str]


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numeric columns of the sample, shape (rows, names), missing values NaN."""

    names: list[str]
    values: Floats


def _target_numbers(target: TargetArray, schema: Schema) -> Floats | None:
    """The target as one number a row; None when it has more than two classes."""
    return target.astype(np.float64) if TASKS[schema.task].is_one_number else None


def correlate(numbers: Numbers, target: TargetArray, schema: Schema) -> Correlations | None:
    """Correlations of the target and the numbers, of the ones nearest to the target when there are many."""
    known = [
        place for place, name in enumerate(numbers.names) if name != schema.target and _varies(numbers.values[:, place])
    ]
    columns, names = [numbers.values[:, known]], [numbers.names[place] for place in known]
    if (answer := _target_numbers(target, schema)) is not None:
        columns, names = [answer[:, None], *columns], [schema.target, *names]
    if len(names) < 2:
        return None
    matrix = _pearson(np.column_stack(columns))
    chosen = _nearest(matrix) if answer is not None else list(range(min(len(names), MOST_CORRELATED)))
    cells = [[_rounded(matrix[row, column]) for column in chosen] for row in chosen]
    return Correlations(names=[names[place] for place in chosen], matrix=cells, left_out=len(names) - len(chosen))


def _varies(values: Floats) -> bool:
    if (np.abs(values) > LARGEST).any():
        return False
    known = values[~np.isnan(values)]
    return len(known) > 1 and bool((known != known[0]).any())


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def _nearest(matrix: Floats) -> list[int]:
    """Places of the columns that go most with the first one, in their order."""
    strength = np.nan_to_num(np.abs(matrix[0]))
    strength[0] = np.inf
    return sorted(np.argsort(-strength, kind="stable")[:MOST_CORRELATED].tolist())


# Each product of matrices is a sum for every pair of columns over the rows where both are known. Example: x is 1, 2,
# null and y is 2, null, 6. Both are known in the first row only: count 1, and no spread, so the correlation is NaN.
def _pearson(values: Floats) -> Floats:
    """Correlations of columns, each pair on the rows where both are known."""
    known = ~np.isnan(values)
    mask = known.astype(np.float64)
    scaled = np.where(known, values - np.nanmean(values, axis=0), 0.0)
    scaled /= np.maximum(np.abs(scaled).max(axis=0), np.finfo(float).tiny)
    count, sums, squares = mask.T @ mask, scaled.T @ mask, np.square(scaled).T @ mask
    covariance = count * (scaled.T @ scaled) - sums * sums.T
    spread = count * squares - np.square(sums)
    scale = np.sqrt(np.maximum(spread * spread.T, 0))
    found: Floats = np.divide(covariance, scale, out=np.full_like(scale, np.nan), where=scale > 0)
    return found.clip(-1, 1)


def principal_components(
    numbers: Numbers, target: TargetArray, schema: Schema
) -> tuple[Components | None, Points | None]:
    """The two directions in which the numeric features vary most."""
    features = {feature.name for feature in schema.features}
    places = [
        place for place, name in enumerate(numbers.names) if name in features and _varies(numbers.values[:, place])
    ]
    if len(places) < 2:
        return None, None
    values = numbers.values[:, places]
    scaled = np.nan_to_num((values - np.nanmean(values, axis=0)) / np.nanstd(values, axis=0))
    variances, directions = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    order = np.argsort(variances)[::-1][:2]
    axes = directions[:, order]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1, 1)  # the sign is free: the largest is positive
    found = Components(
        explained=(variances[order] / variances.sum()).round(6).tolist(),
        names=[numbers.names[place] for place in places],
        loadings=axes.T.round(4).tolist(),
    )
    return found, Points(scaled @ axes, _groups(target, schema))


def _groups(target: TargetArray, schema: Schema) -> list[str]:
    """What colours a row: its class, or the third of the target it is in."""
    if TASKS[schema.task].has_classes:
        names = schema.labels
        if len(names) > _MOST_GROUPS + 1:
            frequent = set(
                np.argsort(-np.bincount(np.asarray(target, dtype=np.int64)), kind="stable")[:_MOST_GROUPS].tolist()
            )
            names = [name if place in frequent else "other" for place, name in enumerate(names)]
        return [names[index] for index in target.tolist()]
    thirds = np.searchsorted(np.quantile(target, [1 / 3, 2 / 3]), target, side="left")
    return [("lowest third", "middle third", "highest third")[third] for third in thirds.tolist()]
