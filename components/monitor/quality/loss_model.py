"""How good predicted numbers are before their true values come: a model of the loss (direct loss estimation, DLE).

A second model learns, from rows whose true value is known, how large the first one's loss is for such a row: where its
features are unusual or the prediction is large, it is often further off. Its mean over rows without true values is
their estimated loss (as nannyml's DLE). As with classes, a change of the relation itself is not seen.

What it predicts for rows that it learned from is too good. So its level is that of predictions for rows left out (five
folds in the order of time), and the interval is made of the losses of these rows beside what was predicted for them:
how far the mean of as many losses as there are rows strays, and how far the level itself is known.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from components.shared.bootstrap import Estimate
from components.shared.metrics import TABLE, RowLoss
from components.shared.metrics.weights import Floats
from components.shared.names import MetricName
from components.shared.resources import training_threads
from components.shared.tasks.arrays import ScoreArray

FEWEST_ROWS = 100
_FOLDS = 5
_DRAWS = 500
_MOST_CATEGORIES = 200
_LEAF = 40  # fewest rows of a leaf


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows whose true value is known.

    Attributes:
        frame: Features, made by `frames.features`.
        predicted: The model's values, shape (rows,).
        target: The true values, shape (rows,).
        weights: How much each row counts, shape (rows,).
    """

    frame: pd.DataFrame
    predicted: ScoreArray
    target: Floats
    weights: Floats

    def subset(self, rows: NDArray[np.int64]) -> "Measured":
        """Some of the rows."""
        return Measured(self.frame.iloc[rows], self.predicted[rows], self.target[rows], self.weights[rows])


class LossModel:
    """Estimates one metric of numbers from features and predictions alone.

    Args:
        row_loss: How the metric follows from losses.
        model: Fitted: predicts the loss of rows.
        losses: Of the rows that it was learned from, shape (rows,).
        foreseen: What was predicted for them by models that had not seen them, shape (rows,).
        weights: How much each of them counts, shape (rows,).
    """

    def __init__(
        self, row_loss: RowLoss, model: "_Regressor", losses: Floats, foreseen: Floats, weights: Floats
    ) -> None:
        self._row_loss = row_loss
        self._model = model
        self._losses = losses
        self._foreseen = foreseen
        self._weights = weights

    @classmethod
    def fit(cls, metric: MetricName, rows: Measured) -> "LossModel | None":
        """Learn how large the losses of rows are.

        Args:
            metric: Which metric is to be estimated.
            rows: In the order of time, none of which the model has learned from.

        Returns:
            The model; None where the metric follows from no losses of rows, or where fewer than `FEWEST_ROWS` rows
            have a loss: of MAPE, those with target 0 have none.
        """
        row_loss = TABLE[metric].row_loss
        if row_loss is None:
            return None
        rows = rows.subset(np.flatnonzero(row_loss.counts(rows.target)))
        if len(rows.target) < FEWEST_ROWS:
            return None
        losses = row_loss.loss(rows.target, rows.predicted.astype(np.float64))
        whole = _Regressor().fit(rows.frame, rows.predicted, losses, rows.weights)
        return cls(row_loss, whole, losses, _foreseen(rows, losses), rows.weights)

    def estimate(
        self, frame: pd.DataFrame, predicted: ScoreArray, weights: Floats | None = None, *, seed: int = 0
    ) -> Estimate:
        """Estimate the metric of rows whose true values are not known.

        Args:
            frame: Their features, with the columns that the model was fitted to.
            predicted: The model's values, shape (rows,); at least one.
            weights: How much each row counts, shape (rows,); by default all the same.
            seed: The same seed gives the same interval.

        Returns:
            The estimate; its resamples are what the metric may be on these very rows.
        """
        counted = np.ones(len(predicted)) if weights is None else weights
        counted = counted / counted.sum()
        expected = self._model.predict(frame, predicted)
        random = np.random.default_rng(seed)
        mean = float(counted @ expected)
        levels = self._levels(random)
        # The mean of independent positive losses is nearly gamma distributed, also when a few large ones decide.
        level = self._level(self._weights)
        ratios = self._losses / self._foreseen / level if level > 0 else np.ones(len(self._losses))
        spread = float(np.average((ratios - np.average(ratios, weights=self._weights)) ** 2, weights=self._weights))
        variance = spread * float(counted**2 @ expected**2) / max(mean**2, 1e-300)
        strayed = random.gamma(1 / variance, variance, _DRAWS) if variance > 0 else np.ones(_DRAWS)
        values = predicted.astype(np.float64)
        value = self._row_loss.of_mean(np.array([mean * level]), values, counted)
        resampled = self._row_loss.of_mean(mean * levels * strayed, values, counted)
        return Estimate(float(value[0]), resampled, float("inf"))

    # Example: the rows learned from have a mean loss of 2.2, and 2.0 was predicted for them while they were left out:
    # 1.1.
    def _level(self, weights: Floats) -> float:
        """The factor that corrects predicted losses: actual losses divided by predicted ones, on the rows learned."""
        return float((weights @ self._losses) / (weights @ self._foreseen))

    def _levels(self, random: np.random.Generator) -> Floats:
        """The factor of `_level` on bootstrap resamples of the rows that it is learned from, shape (draws,)."""
        count = len(self._losses)
        drawn = random.multinomial(count, np.full(count, 1 / count), size=_DRAWS) * self._weights
        return np.asarray((drawn @ self._losses) / (drawn @ self._foreseen), dtype=np.float64)


class _Regressor:
    """Gradient boosting of losses; categories as such, moments left out, because time always moves on."""

    def fit(self, frame: pd.DataFrame, predicted: ScoreArray, losses: Floats, weights: Floats) -> "_Regressor":
        """Learn the losses of rows, shape (rows,)."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        # Of rows that count: scikit-learn bins by these alone, and refuses a column without a value among them.
        known = frame[weights > 0]
        self._categories = {name: _frequent(known[name]) for name in known if known[name].dtype == object}
        self._columns = [name for name in known if _has_values(known[name])]
        self._smallest = max(float(losses.mean()) * 1e-3, 1e-12)
        kinds = [name in self._categories for name in self._columns] + [False]
        self._model = HistGradientBoostingRegressor(
            loss="gamma", learning_rate=0.05, max_iter=100, max_leaf_nodes=15, min_samples_leaf=_LEAF,
            l2_regularization=1.0, categorical_features=kinds, early_stopping=False, random_state=0,
        )  # fmt: skip
        with _threads(len(losses)):
            self._model.fit(self._encoded(frame, predicted), np.maximum(losses, self._smallest), sample_weight=weights)
        return self

    def predict(self, frame: pd.DataFrame, predicted: ScoreArray) -> Floats:
        """The losses to be expected, shape (rows,); all positive."""
        with _threads(len(predicted)):
            found: Floats = self._model.predict(self._encoded(frame, predicted))
        return np.maximum(found, self._smallest)

    def _encoded(self, frame: pd.DataFrame, predicted: ScoreArray) -> Floats:
        columns = [
            frame[name].map(self._categories[name]).to_numpy(dtype=np.float64)  # NaN for those not seen
            if name in self._categories
            else frame[name].to_numpy(dtype=np.float64)
            for name in self._columns
        ]
        found = np.column_stack([*columns, predicted.astype(np.float64)])
        return np.where(np.isfinite(found), found, np.nan)


def _foreseen(rows: Measured, losses: Floats) -> Floats:
    """What is predicted for each fold of the rows by a model of the others, shape (rows,)."""
    found = np.empty(len(losses))
    for fold in np.array_split(np.arange(len(losses)), _FOLDS):
        rest = np.setdiff1d(np.arange(len(losses)), fold)
        part = rows.subset(rest)
        model = _Regressor().fit(part.frame, part.predicted, losses[rest], part.weights)
        found[fold] = model.predict(rows.frame.iloc[fold], rows.predicted[fold])
    return found


def _threads(rows: int) -> AbstractContextManager[object]:
    """As many threads as pay for so many rows: on few, they wait for one another longer than they work."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[object] = threadpool_limits({"openmp": training_threads(rows)})
    return limits


def _has_values(column: "pd.Series[float]") -> bool:
    """Whether a tree could split by it: by categories, or by numbers enough for a leaf; not by moments."""
    if column.dtype == object:
        return bool(column.notna().any())
    return bool(column.dtype != np.int64 and np.count_nonzero(np.isfinite(column)) >= _LEAF)


def _frequent(column: "pd.Series[str]") -> dict[str, int]:
    """Numbers for the most frequent values."""
    return {value: place for place, value in enumerate(column.value_counts().index[:_MOST_CATEGORIES])}
