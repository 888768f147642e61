"""What a target has to be."""

import datetime as dt
import math
from decimal import Decimal

import pyarrow as pa
import pytest
import yaml

from components.shared.errors import DataError

N = 60
X = list(range(N))


@pytest.mark.parametrize(
    ("y", "problem", "message"),
    [
        ([1] * N, {}, "is constant: every labelled row holds 1"),
        ([2.5] * N, {"task": "regression"}, "is constant: every labelled row holds 2.5"),
        (pa.nulls(N, pa.int64()), {}, "is null in all 60 rows"),
        ([math.nan] * N, {"task": "regression"}, "is null in all 60 rows"),
        (["1.5", "2"] * 30, {"task": "regression"}, "is VARCHAR; a regression needs numbers"),
        ([True, False] * 30, {"task": "regression"}, "is BOOLEAN; a regression needs numbers"),
        (
            [*[0.0, 1.0] * 29, 0.5, None],
            {},
            "is DOUBLE and holds 0.5; classes are texts, whole numbers or true and false",
        ),
        ([dt.date(2024, 1, 1 + i % 2) for i in X], {}, "is DATE; classes are"),
        ([0, 1, 2] * 20, {}, r"has 3 classes \(0: 20 rows, 1: 20 rows, 2: 20 rows\); a binary task has two"),
        ([*[1.5, 2.5] * 29, 1.0, math.inf], {"task": "regression"}, "holds an infinite value"),
        ([*[1.5, 2.5] * 29, 1.0, 1e39], {"task": "regression"}, r"holds 1e\+39, beyond the range of float32"),
        (["no", "yes"] * 30, {"positive": "ja"}, r"problem\.positive is 'ja'; the target 'y' holds 'no' and 'yes'"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(prepared, y, problem, message):
    with pytest.raises(DataError, match=message):
        prepared({"x": X, "y": y}, problem)


def test_more_classes_than_a_model_answers_are_refused(prepared):
    rows = list(range(1001))
    with pytest.raises(DataError, match="more than 1,000 classes"):
        prepared({"x": rows, "y": rows}, {"task": "multiclass"})
    with pytest.raises(DataError, match="has more than 1,000 classes .*; a binary task has two"):
        prepared({"x": rows, "y": rows}, {"task": "binary"})


@pytest.mark.parametrize(
    ("y", "positive", "classes"),
    [
        ([True, False], None, [False, True]),
        ([1, 0], None, [0, 1]),
        (["no", "yes"], None, ["no", "yes"]),
        (["no", "yes"], "no", ["yes", "no"]),
        ([1, 2], 1, [2, 1]),
        ([True, False], False, [True, False]),
    ],
)
def test_the_positive_class_is_last(prepared, y, positive, classes):
    found = prepared({"x": X, "y": y * 30}, {"positive": positive})
    assert found.schema.classes == classes


@pytest.mark.parametrize(
    "y",
    [
        [0.0, 1.0, math.nan],
        pa.array([0.0, 1.0, None] * 20, pa.float32()),
        pa.array([Decimal("0.00"), Decimal("1.00"), None] * 20, pa.decimal128(10, 2)),
        pa.array([Decimal(0), Decimal(1), None] * 20, pa.decimal128(38, 0)),
    ],
)
def test_whole_numbers_are_classes_however_they_are_stored(prepared, y):
    found = prepared({"x": X, "y": y if isinstance(y, pa.Array) else y * 20})
    assert found.schema.classes == [0, 1]
    assert found.summary.removed.without_label == 20
    assert {type(value) for value in found.values("y")} == {int}


@pytest.mark.parametrize(
    ("y", "positive", "expected"),
    [
        (["no", "yes"], "yes", "yes"),
        (["no", "yes"], True, "yes"),
        (["off", "on"], False, "off"),
        (["False", "True"], True, "True"),
        ([0, 1], "1", 1),
        ([0, 1], "0", 0),
        (["0", "1"], 1, "1"),
        ([0.0, 1.0], "1", 1),
        ([False, True], "true", True),
        ([False, True], "False", False),
    ],
)
def test_the_positive_class_is_meant_as_it_is_spelled(prepared, y, positive, expected):
    found = prepared({"x": X, "y": y * 30}, {"positive": positive})
    assert found.schema.classes[-1] == expected
    assert type(found.schema.classes[-1]) is type(expected)


@pytest.mark.parametrize(
    ("y", "positive", "advice"),
    [
        (["nein", "ja"], True, "put the class in quotes, such as positive: 'nein'"),
        (["on", "yes"], True, "put the class in quotes, such as positive: 'yes'"),
        (["no", "yes"], "Yes", "as the table spells it, in quotes, such as positive: 'yes'"),
        ([1, 2], 3, "Write one of the two, such as positive: 2"),
    ],
)
def test_a_positive_class_that_is_none_says_what_to_write_and_that_works(prepared, y, positive, advice):
    with pytest.raises(DataError) as refused:
        prepared({"x": X, "y": y * 30}, {"positive": positive})
    assert advice in str(refused.value)
    written = yaml.safe_load(str(refused.value).rpartition("positive: ")[2].rstrip("."))
    assert prepared({"x": X, "y": y * 30}, {"positive": written}).schema.classes[-1] == written


def test_multiclass_labels_are_in_order(prepared):
    found = prepared({"x": X, "y": ["näh", "ja", "我"] * 20}, {"task": "multiclass"})
    assert found.schema.classes == ["ja", "näh", "我"]


def times() -> list[dt.datetime]:
    return [dt.datetime(2024, 1, 1) + dt.timedelta(days=i) for i in X]


@pytest.mark.parametrize(
    ("y", "task", "message"),
    [
        ([0] * 50 + [0, 1] * 5, "binary", "The train part holds one class only, 0 of 'y': there is nothing to learn"),
        ([0, 1] * 25 + [1] * 10, "binary", "The test part holds one class only, 1 of 'y': nothing can be judged"),
        (
            ["a", "b"] * 25 + ["a", "new"] * 5,
            "multiclass",
            "no row of class 'new' of 'y', but validation has 0 such rows; test has 5 such rows",
        ),
        ([1.0] * 50 + [1.0, 2.0] * 5, "regression", "is constant in the training part: every row holds 1.0"),
    ],
)
def test_parts_that_cannot_be_learned_from_or_judged_are_refused(prepared, y, task, message):
    with pytest.raises(DataError, match=message):
        prepared({"t": times(), "x": X, "y": y}, {"task": task, "time_column": "t"})
