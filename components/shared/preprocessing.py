"""The preprocessing in front of every model: fitted with it, exported with it, nothing outside it.

A `ColumnTransformer` over the columns of a frame (see `frames`), one group of columns a treatment, so that the served
graph needs few operations however many columns there are:

| group | columns | steps |
|---|---|---|
| `numbers` | numbers, whole numbers, booleans | `clip`, `impute`, `scale` |
| `one_hot` | categories of few values | `encode` |
| `ordinal` | categories of more values, for trees | `encode` |
| `target_mean` | all other categories | `encode`, `scale` |
| `dates` | timestamps | `parts`, `clip`, `impute`, `scale` |

`scale` is there for linear models only; trees need none, and would lose float32 parity by it. A missing number or time
stays missing for trees, which learn a direction for it; a linear model gets the median and a column that says where.
A missing category is the value "" and is encoded like any other; a category unseen in training is all zeros
(`one_hot`), -1 (`ordinal`) or the target's overall mean (`target_mean`).
"""

from collections.abc import Callable
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.utils.validation import check_array, check_is_fitted

from components.shared.config import FittingConfig
from components.shared.dates import DateParts, date_outputs
from components.shared.errors import DataError
from components.shared.package.schema import Feature, Schema
from components.shared.tasks import TASKS

UNSEEN_ORDINAL = -1
TARGET_FOLDS = 5

Floats = NDArray[np.float32]
Steps = list[tuple[str, TransformerMixin]]
Missing = Literal["keep", "indicator", "median"]


def make_preprocessor(schema: Schema, settings: FittingConfig, *, linear: bool, seed: int = 0) -> ColumnTransformer:
    """The unfitted preprocessing of a table.

    Args:
        schema: Its columns; the cardinality of a category decides how it is encoded.
        settings: Limits and quantiles.
        linear: Whether the model is linear: scaled inputs, no NaN, no ordinal codes, times as cycles too.
        seed: Of the folds by which the target's means are learned.

    Returns:
        A transformer from frames with the schema's columns to float32 arrays.

    Raises:
        DataError: No column is left to learn from.
    """
    groups = group_columns(schema, settings, linear=linear)
    if not groups:
        raise DataError(
            "There is nothing to learn from: the table has no features"
            + (", and train.date_parts is empty, so timestamps become none." if schema.timestamps else ".")
        )
    steps: dict[str, Callable[[], Steps]] = {
        "numbers": lambda: _number_steps(schema.numbers, settings, linear=linear),
        "one_hot": lambda: [("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32))],
        "ordinal": lambda: [("encode", _ordinal_encoder())],
        "target_mean": lambda: [("encode", _target_means(schema, seed))],
        "dates": lambda: _date_steps(len(schema.timestamps), settings, linear=linear),
    }
    scale = [("scale", Float32Scaler())] if linear else []
    return ColumnTransformer(
        [
            (group, Pipeline(steps[group]() + (scale if group not in ("one_hot", "ordinal") else [])), columns)
            for group, columns in groups.items()
        ],
        sparse_threshold=0,
    )


def group_columns(schema: Schema, settings: FittingConfig, *, linear: bool) -> dict[str, list[int]]:
    """Positions of a frame's columns by the group that treats them; groups without columns are left out."""
    groups: dict[str, list[int]] = {name: [] for name in ("numbers", "one_hot", "ordinal", "target_mean", "dates")}
    groups["numbers"] = list(range(len(schema.numbers)))
    first = len(schema.numbers)
    for position, feature in enumerate(schema.categories, start=first):
        groups[_encoding(feature, settings, linear=linear)].append(position)
    if settings.date_parts:
        groups["dates"] = list(range(first + len(schema.categories), len(schema.features)))
    return {name: columns for name, columns in groups.items() if columns}


def _encoding(feature: Feature, settings: FittingConfig, *, linear: bool) -> str:
    if feature.cardinality <= settings.one_hot_limit:
        return "one_hot"
    return "ordinal" if feature.cardinality <= settings.ordinal_limit and not linear else "target_mean"


def _number_steps(features: list[Feature], settings: FittingConfig, *, linear: bool) -> Steps:
    impute = [("impute", _imputer(settings, linear=linear))]
    if settings.clip_quantiles is None:
        return impute
    booleans = tuple(index for index, feature in enumerate(features) if feature.kind == "boolean")
    return [("clip", QuantileClipper(*settings.clip_quantiles, exempt=booleans)), *impute]


def _date_steps(columns: int, settings: FittingConfig, *, linear: bool) -> Steps:
    parts = tuple(settings.date_parts)
    steps: Steps = [("parts", DateParts(parts, cyclic=linear))]
    if settings.clip_quantiles is not None and "elapsed" in parts:
        kinds = [output.kind for output in date_outputs(parts, columns, cyclic=linear)]
        exempt, moments = (
            tuple(place for place, kind in enumerate(kinds) if kind == wanted) for wanted in ("calendar", "elapsed")
        )
        steps.append(("clip", QuantileClipper(*settings.clip_quantiles, exempt=exempt, widened=moments)))
    return [*steps, ("impute", _imputer(settings, linear=linear))]


def _imputer(settings: FittingConfig, *, linear: bool) -> "MissingValues":
    if settings.missing == "auto":
        return MissingValues("indicator" if linear else "keep")
    return MissingValues(settings.missing)


def _ordinal_encoder() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN_ORDINAL, dtype=np.float32)


def _target_means(schema: Schema, seed: int) -> "TargetMeans":
    folds = KFold(TARGET_FOLDS, shuffle=True, random_state=seed)  # stratified ones refuse classes of few rows
    # scikit-learn's words for a target: two classes are one column of means, however many there might have been
    several = "binary" if len(schema.classes) == 2 else "multiclass"
    return TargetMeans(target_type=several if TASKS[schema.task].has_classes else "continuous", cv=folds)


class QuantileClipper(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clips each column at quantiles of what it was fitted on; NaN stays NaN.

    Columns named in `exempt`, columns without values and columns whose two quantiles coincide (nearly constant ones,
    whose rare values are the information) are left as they are.

    Args:
        lower: Quantile of the lower bound, 0 to 1.
        upper: Quantile of the upper bound, 0 to 1.
        exempt: Positions of columns to leave.
        widened: Positions of columns whose bounds move out by the distance between the two: moments after those
            learned from are no outliers, the year 9999 is one.
    """

    def __init__(
        self,
        lower: float = 0.001,
        upper: float = 0.999,
        exempt: tuple[int, ...] = (),
        widened: tuple[int, ...] = (),
    ) -> None:
        self.lower = lower
        self.upper = upper
        self.exempt = exempt
        self.widened = widened

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:  # noqa: ARG002, scikit-learn's signature
        """Learn `lower_` and `upper_`, float32 of shape (columns,), from values of shape (rows, columns)."""
        values = _float32(X)
        self.n_features_in_ = values.shape[1]
        bounds = [
            (-np.inf, np.inf) if column in self.exempt else self._bounds(values[:, column], column)
            for column in range(values.shape[1])
        ]
        self.lower_, self.upper_ = np.asarray(bounds, dtype=np.float32).reshape(-1, 2).T.copy()
        return self

    # Example, with the quantiles 0 and 1: 3 to 8 are the bounds of 3, 5 and 8. Of moments they are widened to -2 to 13.
    def _bounds(self, values: Floats, column: int) -> tuple[float, float]:
        known = values[~np.isnan(values)]
        if not known.size:
            return -np.inf, np.inf
        low = float(np.quantile(known, self.lower, method="lower"))  # values that occur: whole numbers stay whole
        high = float(np.quantile(known, self.upper, method="higher"))
        margin = high - low if column in self.widened else 0.0
        return (low - margin, high + margin) if low < high else (-np.inf, np.inf)

    def transform(self, X: ArrayLike) -> Floats:
        """The values within the bounds, float32 of the same shape."""
        check_is_fitted(self)
        return np.asarray(np.clip(_float32(X), self.lower_, self.upper_), dtype=np.float32)


# Example: a column of 1, NaN and 3, with `indicator`, becomes 1, 2, 3 and a second column 0, 1, 0.
class MissingValues(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What becomes of NaN: nothing where a model learned from it, the column's median elsewhere.

    Args:
        treatment: `keep` leaves NaN in the columns that held some when fitted, for models that learn a direction for
            it; a column that held none, or nothing else, is filled, because no model can have learned what its NaN
            means.
            `median` fills all. `indicator` fills all, and adds to the columns one of 0 and 1 for each that held NaN
            when fitted; for columns that were always missing together, one for all.
    """

    def __init__(self, treatment: Missing = "median") -> None:
        self.treatment = treatment

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:  # noqa: ARG002, scikit-learn's signature
        """Learn from values of shape (rows, columns).

        `statistics_`, float32 of shape (columns,), is what NaN becomes: medians, 0 for a column without values, or NaN.
        `indicated_` are the positions of the columns with an indicator.
        """
        values = _float32(X)
        self.n_features_in_ = values.shape[1]
        missing = np.isnan(values)
        # Of a column without any value scikit-learn's trees make no bins.
        partly = missing.any(axis=0) & ~missing.all(axis=0)
        kept = set(np.flatnonzero(partly)) if self.treatment == "keep" else set()
        medians = [np.nan if place in kept else _median(column) for place, column in enumerate(values.T)]
        self.statistics_ = np.array(medians, dtype=np.float32)
        self.indicated_ = _first_of_each(missing) if self.treatment == "indicator" else np.array([], dtype=np.int64)
        return self

    def transform(self, X: ArrayLike) -> Floats:
        """The values, then the indicators: float32 of shape (rows, columns + indicators)."""
        check_is_fitted(self)
        values = _float32(X)
        missing = np.isnan(values)
        filled = np.where(missing, self.statistics_, values)
        if not self.indicated_.size:
            return filled
        return np.concatenate([filled, missing[:, self.indicated_].astype(np.float32)], axis=1)


# Example: the columns 0 and 2 always miss their values together, 3 by itself, and 1 never: the answer is 0 and 3.
def _first_of_each(missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Positions of the columns that miss something, one of those that always do so together."""
    first = {
        np.packbits(missing[:, place]).tobytes(): place for place in np.flatnonzero(missing.any(axis=0))[::-1].tolist()
    }
    return np.array(sorted(first.values()), dtype=np.int64)


def _median(column: Floats) -> float:
    known = column[~np.isnan(column)].astype(np.float64)  # the sum of two float32 may be none
    return float(np.median(known)) if known.size else 0.0


class TargetMeans(TargetEncoder):  # type: ignore[misc]
    """scikit-learn's `TargetEncoder`, answering float32 as the served graph does."""

    def fit_transform(self, X: ArrayLike, y: ArrayLike, **parameters: object) -> Floats:
        """Fit, and encode each row by the means of the folds it is not in; shape as of `transform`."""
        return np.asarray(super().fit_transform(X, y, **parameters), dtype=np.float32)

    def transform(self, X: ArrayLike) -> Floats:
        """The means of the categories, float32 of shape (rows, columns); times the classes when more than two."""
        return np.asarray(super().transform(X), dtype=np.float32)


class Float32Scaler(StandardScaler):  # type: ignore[misc]
    """scikit-learn's `StandardScaler` with float32 means and scales, which the served graph can hold exactly.

    Where the mean is far larger than the deviation, such as for years, a rounded mean would shift every value.
    """

    def fit(self, X: ArrayLike, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn `mean_` and `scale_`, shape (columns,)."""
        super().fit(X, y, sample_weight)
        for learned in ("mean_", "scale_"):
            setattr(self, learned, getattr(self, learned).astype(np.float32).astype(np.float64))
        return self


def _float32(X: ArrayLike) -> Floats:
    return np.asarray(check_array(X, dtype=np.float32, ensure_all_finite="allow-nan"))
