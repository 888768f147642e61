"""What is searched: a family's own space with the configuration's overrides, checked before anything is learned.

`search.space` of the configuration replaces the space of single parameters, or adds parameters of the estimator that
are not searched by default; one value as the only choice fixes a parameter.
"""

import difflib
import math
from collections.abc import Mapping
from typing import Any

from components.shared.config import FamilyName, ParameterSpace, TaskName
from components.shared.errors import ConfigError
from components.shared.families.base import Family, Parameters, Space
from components.shared.families.table import FAMILIES
from components.shared.tasks.base import Value

# Set by this project for every model; neither searched nor configured under search.space.
_RESERVED = frozenset(
    {
        *("random_state", "n_jobs", "verbose", "verbosity", "deterministic", "force_row_wise", "copy_X", "callbacks"),
        *("early_stopping", "validation_fraction", "n_iter_no_change", "scoring", "warm_start", "oob_score"),
        *("class_weight", "categorical_features", "objective", "loss", "penalty", "constant"),
        *("importance_type", "subsample_for_bin"),
    }
)


def search_space(family: FamilyName, task: TaskName, overrides: Mapping[str, ParameterSpace]) -> Space:
    """What is searched, by name.

    Raises:
        ConfigError: An override names a parameter the family does not have, or a value that its estimator refuses.
    """
    for name, space in overrides.items():
        _check_name(FAMILIES[family], task, name)
        for value in extremes(space):
            _check_value(FAMILIES[family], task, name, value=value)
    return dict(sorted({**FAMILIES[family].search(task).space, **overrides}.items()))


def default_parameters(family: FamilyName, task: TaskName, space: Space) -> Parameters:
    """Where the search starts: the family's defaults, moved into the space where it leaves them out."""
    defaults = FAMILIES[family].search(task).defaults
    estimator = FAMILIES[family].estimator(task).get_params()
    within = {name: _nearest(allowed, defaults.get(name, estimator.get(name))) for name, allowed in space.items()}
    return dict(sorted({**defaults, **within}.items()))


def extremes(space: ParameterSpace) -> list[Value]:
    """The two ends of a range, or all choices."""
    if space.choices:
        return list(space.choices)
    return [_number(space, bound) for bound in (space.low, space.high)]


def _check_name(family: Family, task: TaskName, name: str) -> None:
    estimator = family.estimator(task)
    allowed = sorted(set(estimator.get_params()) - _RESERVED)
    if name in allowed:
        return
    spelt = {parameter.lower(): parameter for parameter in allowed}
    near = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=0.5)
    hint = f"Did you mean {spelt[near[0]]!r}?" if near else f"It has {', '.join(allowed) or 'none'}."
    reason = "is set by the project itself" if name in _RESERVED else f"is no parameter of {type(estimator).__name__}"
    raise ConfigError(f"search.space.{family.name}.{name}: {name!r} {reason}. {hint}")


def _check_value(family: Family, task: TaskName, name: str, *, value: Value) -> None:
    refusals: tuple[type[Exception], ...] = (TypeError, *family.errors)
    try:
        family.check(task, name, value)
    except refusals as error:
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError(f"search.space.{family.name}.{name}: the value {value!r} is refused: {problem}") from error


def _nearest(space: ParameterSpace, value: Any) -> Value:
    """The value of the space that is nearest; the first choice where the value is none of the choices."""
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
