"""Fitting an estimator in steps, so that a trial that falls behind can be stopped before it is paid for in full.

Boosting and forests grow by rounds; linear models, which have none, learn from a growing share of the rows.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.config import FamilyName
from components.shared.families import FAMILIES, Rows

SHARES = (0.25, 0.5, 1.0)  # of the rounds, or of the rows

# Told after each step: its number from 0, the rounds done (0 for linear models), and what scores rows.
Observer = Callable[[int, int, Callable[[NDArray[np.float32]], NDArray[Any]]], None]


def fit_in_steps(family: FamilyName, estimator: Any, rows: Rows, *, observe: Observer) -> None:
    """Fit an estimator, letting `observe` see it after each step; what it raises ends the fit.

    Args:
        family: Decides how the steps are made.
        estimator: Unfitted; with `warm_start` set when it grows by rounds.
        rows: In random order, a row of each class within the first quarter.
        observe: Called once a step.
    """
    if family == "lightgbm":
        _boost(estimator, rows, observe)
    elif FAMILIES[family].rounds:
        _grow(estimator, rows, FAMILIES[family].rounds, observe)
    elif family == "linear":
        _widen(estimator, rows, observe)
    else:
        estimator.fit(rows.features, rows.target)
        observe(len(SHARES) - 1, 0, scorer_of(estimator))


def scorer_of(estimator: Any) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    """What gives probabilities of classes, or values."""
    predict: Callable[[NDArray[np.float32]], NDArray[Any]] = getattr(estimator, "predict_proba", estimator.predict)
    return predict


def marks(rounds: int) -> list[int]:
    """Rounds done at the end of each step, one number a step."""
    return [max(1, round(rounds * share)) for share in SHARES]


def _grow(estimator: Any, rows: Rows, parameter: str, observe: Observer) -> None:
    for step, done in enumerate(marks(estimator.get_params()[parameter])):
        estimator.set_params(warm_start=True, **{parameter: done})
        estimator.fit(rows.features, rows.target)
        observe(step, done, scorer_of(estimator))


def _widen(estimator: Any, rows: Rows, observe: Observer) -> None:
    for step, count in enumerate(marks(len(rows.target))):
        estimator.fit(rows.features[:count], rows.target[:count])
        observe(step, 0, scorer_of(estimator))


def _boost(estimator: Any, rows: Rows, observe: Observer) -> None:
    """LightGBM tells of every round; a step ends at some of them, several steps at one when rounds are few."""
    ends = marks(estimator.get_params()["n_estimators"])

    def after_round(environment: Any) -> None:
        for step, done in enumerate(ends):
            if environment.iteration + 1 == done:
                observe(step, done, _booster_scorer(environment.model))

    estimator.fit(rows.features, rows.target, callbacks=[after_round])


def _booster_scorer(booster: Any) -> Callable[[NDArray[np.float32]], NDArray[Any]]:
    binary = "objective=binary" in booster.model_to_string(num_iteration=1)

    def score(features: NDArray[np.float32]) -> NDArray[Any]:
        scores = np.asarray(booster.predict(features))
        return np.column_stack([1 - scores, scores]) if binary else scores

    return score
