"""The column of weights."""

import math

import pytest
from pydantic import ValidationError

from components.shared.config import ProblemConfig
from components.shared.errors import DataError

N = 60
X = list(range(N))
Y = [i // 3 % 2 for i in X]


@pytest.mark.parametrize("weights", [[1.5] * N, [i % 3 for i in X], [0.0, 2.0] * 30])
def test_weights_stay_in_the_parts_and_are_no_feature(prepared, weights):
    found = prepared({"w": weights, "x": X, "y": Y}, {"weights": "w"})
    assert found.schema.columns == ["x"]
    assert found.schema.weights == "w"
    assert {row["x"]: row["w"] for row in found.rows()} == dict(zip(X, weights, strict=True))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([*[1.0] * (N - 2), None, math.nan], "has no value in 2 of 60 rows; each row needs a weight of 0 or more"),
        ([*[1.0] * (N - 1), -0.5], "holds -0.5, and 1 of 60 rows have such a weight"),
        ([*[1.0] * (N - 1), math.inf], "holds an infinite value"),
        ([0.0] * N, "is 0 in every row of the train part"),
        (["much"] * N, "is VARCHAR; a weight is a number of 0 or more"),
        ([True] * N, "is BOOLEAN; a weight is a number"),
    ],
)
def test_what_is_no_weight_is_refused(prepared, weights, message):
    with pytest.raises(DataError, match=message):
        prepared({"w": weights, "x": X, "y": Y}, {"weights": "w"})


def test_weights_of_rows_that_go_do_not_matter(prepared):
    found = prepared({"w": [*[1.0] * N, -1.0], "x": [*X, N], "y": [*Y, None]}, {"weights": "w"})
    assert found.summary.rows == N


def test_a_column_of_weights_that_is_not_there_is_named(prepared):
    with pytest.raises(DataError, match=r"problem\.weights: 'wt'"):
        prepared({"x": X, "y": Y}, {"weights": "wt"})


@pytest.mark.parametrize(
    ("other", "role"),
    [
        ({"features": ["w"]}, "features names 'w', which is also in problem.weights"),
        ({"target": "w"}, "weights names 'w', which is also problem.target"),
        ({"keys": ["w"]}, "problem.keys"),
        ({"ignore": ["w"]}, "problem.ignore"),
        ({"leaks": ["w"]}, "problem.leaks"),
        ({"time_column": "w"}, "problem.time_column"),
    ],
)
def test_weights_are_nothing_else(other, role):
    with pytest.raises(ValidationError, match=role):
        ProblemConfig.model_validate({"target": "y", "task": "binary", "weights": "w", **other})
