"""Tests of the search spaces of the model families."""

import re
from typing import Any

import pytest

from components.shared.config import ParameterSpace
from components.shared.errors import ConfigError
from components.shared.families import FAMILIES, default_parameters, extremes, make_estimator, search_space
from components.shared.tasks import TASKS


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_value_of_a_default_space_is_accepted(family, task):
    space = search_space(family, task, {})
    assert search_space(family, task, space) == space
    assert list(default_parameters(family, task, space)) == sorted(default_parameters(family, task, space))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_defaults_are_within_the_space_and_make_an_estimator(family, task):
    space = search_space(family, task, {})
    defaults = default_parameters(family, task, space)
    for name, allowed in space.items():
        if allowed.choices:
            assert defaults[name] in allowed.choices
        else:
            assert extremes(allowed) == [allowed.low, allowed.high]
            start: Any = defaults[name]
            assert allowed.low <= start <= allowed.high
    estimator = make_estimator(family, task, defaults, seed=3, threads=2, balanced=True)
    parameters = estimator.get_params()
    assert {name: parameters[name] for name in defaults} == defaults
    assert parameters.get("random_state", 3) == 3
    if TASKS[task].has_classes:
        assert parameters["class_weight"] == "balanced"


def test_an_override_replaces_one_parameter_and_may_add_another():
    fixed, added = ParameterSpace(choices=[0.05]), ParameterSpace(low=1, high=8, integer=True)
    space = search_space("hist_gradient_boosting", "binary", {"learning_rate": fixed, "max_depth": added})
    assert space["learning_rate"] == fixed
    assert space["max_depth"] == added
    assert "max_leaf_nodes" in space
    defaults = default_parameters("hist_gradient_boosting", "binary", space)
    assert defaults["learning_rate"] == 0.05
    assert defaults["max_depth"] == 1  # scikit-learn's own default is None, which is no number


def test_defaults_move_to_the_nearest_end_of_a_range():
    space = {
        "max_iter": ParameterSpace(low=10, high=20, integer=True),
        "learning_rate": ParameterSpace(low=0.2, high=0.4),
    }
    defaults = default_parameters("hist_gradient_boosting", "binary", space)
    assert (defaults["max_iter"], defaults["learning_rate"]) == (20, 0.2)


@pytest.mark.parametrize(
    ("family", "task", "name", "hint"),
    [
        ("linear", "binary", "CC", "is no parameter of LogisticRegression. Did you mean 'C'?"),
        ("linear", "regression", "alfa", "is no parameter of Ridge. Did you mean 'alpha'?"),
        ("lightgbm", "binary", "num_leafs", "Did you mean 'num_leaves'?"),
        ("random_forest", "binary", "n_jobs", "is set by the project itself"),
        ("hist_gradient_boosting", "binary", "zzz", "It has interaction_cst, l2_regularization"),
    ],
)
def test_an_unknown_parameter_is_refused_with_the_nearest_name(family, task, name, hint):
    with pytest.raises(ConfigError, match=re.escape(f"search.space.{family}.{name}: ")) as error:
        search_space(family, task, {name: ParameterSpace(low=1, high=2)})
    assert hint in str(error.value)


@pytest.mark.parametrize(
    ("family", "name", "space"),
    [
        ("linear", "C", ParameterSpace(low=-1, high=1)),
        ("hist_gradient_boosting", "max_iter", ParameterSpace(low=1.5, high=9.5)),
        ("random_forest", "max_features", ParameterSpace(choices=["sqrt", "all"])),
        ("lightgbm", "num_leaves", ParameterSpace(choices=[1])),
        ("lightgbm", "num_leaves", ParameterSpace(low=2, high=9)),
        ("lightgbm", "n_estimators", ParameterSpace(low=0, high=9, integer=True)),
        ("lightgbm", "colsample_bytree", ParameterSpace(low=0.5, high=1.5)),
    ],
)
def test_a_value_the_estimator_refuses_is_named(family, name, space):
    with pytest.raises(ConfigError, match=rf"search\.space\.{family}\.{name}: the value .* is refused"):
        search_space(family, "binary", {name: space})
