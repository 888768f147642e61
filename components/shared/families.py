"""The model families: their estimators, and in one place what is searched for each.

A family is a scikit-learn estimator for classes, one for numbers, the parameters it starts from, and the space in
which the search moves. `search.space` of the configuration replaces the space of single parameters, or adds
parameters of the estimator that are not searched by default; one value as the only choice fixes a parameter.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from components.shared.config import Family, ParameterSpace, SearchConfig, Task, TrainConfig
from components.shared.errors import ConfigError
from components.shared.package.schema import Schema
from components.shared.preprocessing import make_preprocessor

Value = bool | int | float | str | None
Parameters = dict[str, Value]
Space = dict[str, ParameterSpace]

BASELINE: Family = "dummy"
PREPROCESS, MODEL = "preprocess", "model"  # steps of every pipeline


@dataclass(frozen=True, slots=True)
class _Search:
    """Where the search of a family starts, and where it may go."""

    defaults: Parameters
    space: Space


def _range(low: float, high: float, *, log: bool = False) -> ParameterSpace:
    return ParameterSpace(low=low, high=high, log=log)


def _whole(low: int, high: int, *, log: bool = False) -> ParameterSpace:
    return ParameterSpace(low=low, high=high, log=log, integer=True)


def _choice(*values: Value) -> ParameterSpace:
    return ParameterSpace(choices=list(values))


_LOGISTIC = _Search(
    defaults={"C": 1.0, "max_iter": 300},
    space={"C": _range(0.001, 100, log=True)},
)
_RIDGE = _Search(
    defaults={"alpha": 1.0},
    space={"alpha": _range(0.01, 10_000, log=True)},
)
_HIST_GRADIENT_BOOSTING = _Search(
    defaults={
        "learning_rate": 0.1,
        "max_iter": 100,
        "max_leaf_nodes": 31,
        "min_samples_leaf": 20,
        "l2_regularization": 0.0,
    },
    space={
        "learning_rate": _range(0.03, 0.3, log=True),
        "max_iter": _whole(50, 150),
        "max_leaf_nodes": _whole(8, 63, log=True),
        "min_samples_leaf": _whole(5, 100, log=True),
        "l2_regularization": _range(0.0, 5.0),
    },
)
_LIGHTGBM = _Search(
    defaults={
        "learning_rate": 0.1,
        "n_estimators": 100,
        "num_leaves": 31,
        "min_child_samples": 20,
        "reg_lambda": 0.0,
        "colsample_bytree": 1.0,
    },
    space={
        "learning_rate": _range(0.03, 0.3, log=True),
        "n_estimators": _whole(50, 150),
        "num_leaves": _whole(8, 63, log=True),
        "min_child_samples": _whole(5, 100, log=True),
        "reg_lambda": _range(0.0, 5.0),
        "colsample_bytree": _range(0.5, 1.0),
    },
)
_RANDOM_FOREST = _Search(
    # Small enough to serve: a forest of full depth would outgrow the package and the latency budget.
    defaults={"n_estimators": 50, "max_depth": 12, "min_samples_leaf": 5, "max_features": "sqrt", "max_samples": 0.5},
    space={
        "n_estimators": _whole(50, 80),
        "max_depth": _whole(6, 14),
        "min_samples_leaf": _whole(2, 50, log=True),
        "max_features": _choice("sqrt", 0.3),
    },
)
_DUMMY = _Search(defaults={}, space={})

_SEARCHES: dict[Family, tuple[_Search, _Search]] = {  # for classes, for numbers
    "linear": (_LOGISTIC, _RIDGE),
    "hist_gradient_boosting": (_HIST_GRADIENT_BOOSTING, _HIST_GRADIENT_BOOSTING),
    "lightgbm": (_LIGHTGBM, _LIGHTGBM),
    "random_forest": (_RANDOM_FOREST, _RANDOM_FOREST),
    "dummy": (_DUMMY, _DUMMY),
}

# Set by this project for every model; neither searched nor configured under search.space.
_RESERVED = frozenset(
    {
        *("random_state", "n_jobs", "verbose", "verbosity", "deterministic", "force_row_wise", "copy_X", "callbacks"),
        *("early_stopping", "validation_fraction", "n_iter_no_change", "scoring", "warm_start", "oob_score"),
        *("class_weight", "categorical_features", "objective", "loss", "penalty", "constant"),
        *("importance_type", "subsample_for_bin"),
    }
)


def is_linear(family: Family) -> bool:
    """Whether a family needs scaled inputs and cannot use ordinal codes."""
    return family == "linear"


def search_space(family: Family, task: Task, overrides: Mapping[str, ParameterSpace]) -> Space:
    """What is searched: the family's own space with the configuration's overrides, by name.

    Raises:
        ConfigError: An override names a parameter the family does not have, or a value that its estimator refuses.
    """
    for name, space in overrides.items():
        _check_name(family, task, name)
        for value in extremes(space):
            _check_value(family, task, name, value=value)
    return dict(sorted({**_search(family, task).space, **overrides}.items()))


def default_parameters(family: Family, task: Task, space: Space) -> Parameters:
    """Where the search starts: the family's defaults, moved into the space where it leaves them out."""
    defaults = _search(family, task).defaults
    estimator = _bare(family, task).get_params()
    within = {name: _nearest(allowed, defaults.get(name, estimator.get(name))) for name, allowed in space.items()}
    return dict(sorted({**defaults, **within}.items()))


def extremes(space: ParameterSpace) -> list[Value]:
    """Its two ends, or all its choices."""
    if space.choices:
        return list(space.choices)
    return [_number(space, bound) for bound in (space.low, space.high)]


def make_estimator(
    family: Family,
    task: Task,
    parameters: Mapping[str, Value],
    *,
    seed: int = 0,
    threads: int = 1,
    balanced: bool = False,
) -> BaseEstimator:
    """An unfitted estimator.

    Args:
        family: Which.
        task: Decides between classes and numbers.
        parameters: By the estimator's own names.
        seed: Of all that is random in it.
        threads: Cores it may use; the result does not depend on it.
        balanced: Whether rare classes weigh more, in inverse proportion to their rows.
    """
    estimator = _bare(family, task)
    fixed = {
        "random_state": seed,
        "n_jobs": threads,
        "class_weight": "balanced" if balanced and task != "regression" else None,
    }
    known = estimator.get_params()
    # scikit-learn's linear models have nothing that n_jobs would speed up and warn of it
    applicable = {
        name: value for name, value in fixed.items() if name in known and not (name == "n_jobs" and family == "linear")
    }
    return estimator.set_params(**parameters, **applicable)


def make_pipeline(
    family: Family,
    parameters: Mapping[str, Value],
    schema: Schema,
    *,
    search: SearchConfig,
    training: TrainConfig,
    threads: int = 1,
) -> Pipeline:
    """The unfitted pipeline of a family: preprocessing and model, from a frame to predictions."""
    return Pipeline(
        [
            (PREPROCESS, make_preprocessor(schema, training, linear=is_linear(family), seed=search.seed)),
            (
                MODEL,
                make_estimator(
                    family,
                    schema.task,
                    parameters,
                    seed=search.seed,
                    threads=threads,
                    balanced=training.class_weight == "balanced",
                ),
            ),
        ]
    )


def _search(family: Family, task: Task) -> _Search:
    return _SEARCHES[family][task == "regression"]


def _bare(family: Family, task: Task) -> BaseEstimator:
    """The family's estimator with what is fixed for every model of it."""
    from sklearn import dummy, ensemble, linear_model

    regression = task == "regression"
    match family:
        case "linear":
            return linear_model.Ridge() if regression else linear_model.LogisticRegression()
        case "hist_gradient_boosting":
            boosting = ensemble.HistGradientBoostingRegressor if regression else ensemble.HistGradientBoostingClassifier
            return boosting(early_stopping=False, categorical_features=None)  # the split has a validation part
        case "lightgbm":
            import lightgbm

            boosted = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
            return boosted(verbosity=-1, deterministic=True, force_row_wise=True)
        case "random_forest":
            return ensemble.RandomForestRegressor() if regression else ensemble.RandomForestClassifier()
        case "dummy":
            return dummy.DummyRegressor() if regression else dummy.DummyClassifier(strategy="prior")


def _check_name(family: Family, task: Task, name: str) -> None:
    estimator = _bare(family, task)
    allowed = sorted(set(estimator.get_params()) - _RESERVED)
    if name in allowed:
        return
    spelt = {parameter.lower(): parameter for parameter in allowed}
    near = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.5)
    hint = f"Did you mean {spelt[near[0]]!r}?" if near else f"It has {', '.join(allowed) or 'none'}."
    reason = "is set by the project itself" if name in _RESERVED else f"is no parameter of {type(estimator).__name__}"
    raise ConfigError(f"search.space.{family}.{name}: {name!r} {reason}. {hint}")


def _check_value(family: Family, task: Task, name: str, *, value: Value) -> None:
    """Let the estimator itself judge a value, before anything is learned."""
    try:
        if family == "lightgbm":
            _try_lightgbm(_bare(family, task), name, value)
        else:
            _bare(family, task).set_params(**{name: value})._validate_params()
    except (ValueError, TypeError, _lightgbm_error()) as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"search.space.{family}.{name}: the value {value!r} is refused: {problem}") from error


def _try_lightgbm(estimator: Any, name: str, value: Value) -> None:
    """LightGBM checks its parameters only when it learns: a few rows are enough."""
    default = estimator.get_params()[name]
    if isinstance(default, int) and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"{name} has to be a whole number; in a range, say `integer: true`")
    rows = np.arange(40, dtype=np.float32)
    small = {"n_estimators": 1} if name != "n_estimators" or (isinstance(value, int) and value > 1) else {}
    estimator.set_params(**{name: value, **small}).fit(rows.reshape(-1, 1), rows.astype(int) % 2)


def _lightgbm_error() -> type[Exception]:
    from lightgbm.basic import LightGBMError

    error: type[Exception] = LightGBMError
    return error


def _nearest(space: ParameterSpace, value: Any) -> Value:
    """The value, or what the space has instead."""
    if space.choices:
        return (
            value
            if any(value == choice and type(value) is type(choice) for choice in space.choices)
            else space.choices[0]
        )
    low, high = extremes(space)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return low
    return _number(space, min(max(value, low), high))  # type: ignore[type-var, arg-type]  # a range has numbers


def _number(space: ParameterSpace, value: float | None) -> Value:
    return int(value) if space.integer and value is not None else value
