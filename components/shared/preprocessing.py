"""The preprocessing in front of every model: fitted with it, exported with it, nothing outside it.

A `ColumnTransformer` over the columns of a frame (see `frames`), one group of columns a treatment, so that the served
graph needs few operations however many columns there are:

| group | columns | steps |
|---|---|---|
| `numbers` | numbers, whole numbers, booleans | `clip`, `impute`, `scale` |
| `one_hot` | categories of few values | `encode` |
| `ordinal` | categories of more values, for trees | `encode` |
| `target_mean` | all other categories | `encode`, `scale` |
| `dates` | timestamps | `parts`, `impute`, `scale` |

`scale` is there for linear models only; trees need none, and would lose float32 parity by it. A missing category is
the value "" and is encoded like any other; a category unseen in training is all zeros (`one_hot`), -1 (`ordinal`) or
the target's overall mean (`target_mean`).
"""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.utils.validation import check_array, check_is_fitted

from components.shared.config import DatePart, TrainConfig
from components.shared.errors import DataError
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME

UNSEEN_ORDINAL = -1
TARGET_FOLDS = 5
MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds
EPOCH_DAY = 719_468  # days from 0000-03-01, where the calendar arithmetic begins, to 1970-01-01
ERA = 146_097  # days of 400 years, after which the calendar repeats

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]


def make_preprocessor(schema: Schema, settings: TrainConfig, *, linear: bool, seed: int = 0) -> ColumnTransformer:
    """The unfitted preprocessing of a table.

    Args:
        schema: Its columns; the cardinality of a category decides how it is encoded.
        settings: Limits and quantiles.
        linear: Whether the model is linear: scaled inputs, no ordinal codes.
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
    steps: dict[str, Callable[[], list[tuple[str, Any]]]] = {
        "numbers": lambda: _number_steps(schema.numbers, settings),
        "one_hot": lambda: [("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32))],
        "ordinal": lambda: [("encode", _ordinal_encoder())],
        "target_mean": lambda: [("encode", _target_means(schema, seed))],
        "dates": lambda: [("parts", DateParts(tuple(settings.date_parts))), ("impute", _imputer())],
    }
    scale = [("scale", Float32Scaler())] if linear else []
    return ColumnTransformer(
        [
            (group, Pipeline(steps[group]() + (scale if group not in ("one_hot", "ordinal") else [])), columns)
            for group, columns in groups.items()
        ],
        sparse_threshold=0,
    )


def group_columns(schema: Schema, settings: TrainConfig, *, linear: bool) -> dict[str, list[int]]:
    """Positions of a frame's columns by the group that treats them; groups without columns are left out."""
    groups: dict[str, list[int]] = {name: [] for name in ("numbers", "one_hot", "ordinal", "target_mean", "dates")}
    groups["numbers"] = list(range(len(schema.numbers)))
    first = len(schema.numbers)
    for position, feature in enumerate(schema.categories, start=first):
        groups[_encoding(feature, settings, linear=linear)].append(position)
    if settings.date_parts:
        groups["dates"] = list(range(first + len(schema.categories), len(schema.features)))
    return {name: columns for name, columns in groups.items() if columns}


def _encoding(feature: Feature, settings: TrainConfig, *, linear: bool) -> str:
    if feature.cardinality <= settings.one_hot_limit:
        return "one_hot"
    return "ordinal" if feature.cardinality <= settings.ordinal_limit and not linear else "target_mean"


def _number_steps(features: list[Feature], settings: TrainConfig) -> list[tuple[str, Any]]:
    if settings.clip_quantiles is None:
        return [("impute", _imputer())]
    booleans = tuple(index for index, feature in enumerate(features) if feature.kind == "boolean")
    return [("clip", QuantileClipper(*settings.clip_quantiles, exempt=booleans)), ("impute", _imputer())]


def _imputer() -> SimpleImputer:
    return SimpleImputer(strategy="median", keep_empty_features=True)  # a part may lack what the whole table has


def _ordinal_encoder() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=UNSEEN_ORDINAL, dtype=np.float32)


def _target_means(schema: Schema, seed: int) -> "TargetMeans":
    folds = KFold(TARGET_FOLDS, shuffle=True, random_state=seed)  # stratified ones refuse classes of few rows
    classes = "binary" if len(schema.classes) == 2 else "multiclass"
    return TargetMeans(target_type="continuous" if schema.task == "regression" else classes, cv=folds)


class QuantileClipper(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clips each column at quantiles of what it was fitted on; NaN stays NaN.

    Columns named in `exempt`, columns without values and columns whose two quantiles coincide (nearly constant ones,
    whose rare values are the information) are left as they are.

    Args:
        lower: Quantile of the lower bound, 0 to 1.
        upper: Quantile of the upper bound, 0 to 1.
        exempt: Positions of columns to leave.
    """

    def __init__(self, lower: float = 0.001, upper: float = 0.999, exempt: tuple[int, ...] = ()) -> None:
        self.lower = lower
        self.upper = upper
        self.exempt = exempt

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, scikit-learn's signature
        """Learn `lower_` and `upper_`, float32 of shape (columns,), from values of shape (rows, columns)."""
        values = _float32(X)
        self.n_features_in_ = values.shape[1]
        bounds = [
            (-np.inf, np.inf) if column in self.exempt else self._bounds(values[:, column])
            for column in range(values.shape[1])
        ]
        self.lower_, self.upper_ = np.asarray(bounds, dtype=np.float32).reshape(-1, 2).T.copy()
        return self

    def _bounds(self, column: Floats) -> tuple[float, float]:
        known = column[~np.isnan(column)]
        if not known.size:
            return -np.inf, np.inf
        low = np.quantile(known, self.lower, method="lower")  # values that occur: whole numbers stay whole
        high = np.quantile(known, self.upper, method="higher")
        return (float(low), float(high)) if low < high else (-np.inf, np.inf)

    def transform(self, X: Any) -> Floats:
        """The values within the bounds, float32 of the same shape."""
        check_is_fitted(self)
        return np.asarray(np.clip(_float32(X), self.lower_, self.upper_), dtype=np.float32)


class DateParts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Parts of timestamps as numbers: `year`, `month` (1-12), `day` (1-31), `weekday` (0 is Monday), `hour`, `minute`.

    Args:
        parts: Which, in the order of the columns they become: all parts of the first timestamp, then of the second.

    The calendar is the proleptic Gregorian one from 0000-03-01 on, as which anything earlier counts; the arithmetic
    on days is H. Hinnant's "chrono-compatible low-level date algorithms", which ONNX has the operations for.
    """

    def __init__(self, parts: tuple[DatePart, ...] = ("month", "day", "weekday", "hour")) -> None:
        self.parts = parts

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, scikit-learn's signature
        """Learn nothing but the number of columns."""
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def transform(self, X: Any) -> Floats:
        """Seconds since 1970, int64 of shape (rows, columns), to float32 of shape (rows, columns × parts).

        `MISSING_TIME` becomes NaN.
        """
        check_is_fitted(self)
        seconds = np.asarray(X, dtype=np.int64)
        calendar = _calendar(np.maximum(seconds + EPOCH_DAY * DAY, 0))
        parts = np.stack([calendar[part] for part in self.parts], axis=2).astype(np.float32)
        parts[seconds == MISSING_TIME] = np.nan
        return parts.reshape(len(seconds), -1)


def _calendar(seconds: Integers) -> dict[DatePart, Integers]:
    """Parts of seconds since 0000-03-01, where a year begins in March and so ends with its leap day."""
    days = seconds // DAY
    era, day = days // ERA, days % ERA
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day_of_year = day - (365 * year + year // 4 - year // 100)
    march_month = (5 * day_of_year + 2) // 153
    month = (march_month + 2) % 12 + 1
    return {
        "year": year + era * 400 + (month <= 2),
        "month": month,
        "day": day_of_year - (153 * march_month + 2) // 5 + 1,
        "weekday": (days + 2) % 7,  # 0000-03-01 was a Wednesday
        "hour": seconds // HOUR % 24,
        "minute": seconds // MINUTE % 60,
    }


class TargetMeans(TargetEncoder):  # type: ignore[misc]
    """scikit-learn's `TargetEncoder`, answering float32 as the served graph does."""

    def fit_transform(self, X: Any, y: Any, **parameters: Any) -> Floats:
        """Fit, and encode each row by the means of the folds it is not in; shape as of `transform`."""
        return np.asarray(super().fit_transform(X, y, **parameters), dtype=np.float32)

    def transform(self, X: Any) -> Floats:
        """The means of the categories, float32 of shape (rows, columns); times the classes when more than two."""
        return np.asarray(super().transform(X), dtype=np.float32)


class Float32Scaler(StandardScaler):  # type: ignore[misc]
    """scikit-learn's `StandardScaler` with float32 means and scales, which the served graph can hold exactly.

    Where the mean is far larger than the deviation, such as for years, a rounded mean would shift every value.
    """

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Learn `mean_` and `scale_`, shape (columns,)."""
        super().fit(X, y, sample_weight)
        for learned in ("mean_", "scale_"):
            setattr(self, learned, getattr(self, learned).astype(np.float32).astype(np.float64))
        return self


def _float32(X: Any) -> Floats:
    return np.asarray(check_array(X, dtype=np.float32, ensure_all_finite="allow-nan"))
