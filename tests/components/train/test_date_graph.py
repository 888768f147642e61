"""Tests of the date arithmetic in ONNX."""

from itertools import combinations

import numpy as np
import onnxruntime as ort
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from components.shared.config import DatePart
from components.shared.dates import FIRST_SECOND, DateParts
from components.shared.package.scoring import MISSING_TIME
from components.train.date_graph import add_date_parts
from components.train.graph import Graph
from tests.components.moments import MOMENTS, parts_of, seconds_of

PARTS: tuple[DatePart, ...] = (
    *("elapsed", "year", "quarter", "month", "week", "day", "day_of_year", "weekday", "hour", "minute"),
)
PLAIN: tuple[DatePart, ...] = ("weekday", "hour", "minute")


def session(transformer: DateParts) -> tuple[ort.InferenceSession, int]:
    """A graph of nothing but the parts, and its number of nodes."""
    graph = Graph()
    columns = transformer.n_features_in_
    name = add_date_parts(graph, "dates/parts", "times", transformer)
    model = graph.model(
        [helper.make_tensor_value_info("times", TensorProto.INT64, [None, columns])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, None])],
    )
    return ort.InferenceSession(model.SerializeToString()), len(model.graph.node)


ORIGIN = np.array([[1_700_000_000]])
ALL = DateParts(PARTS, cyclic=True).fit(ORIGIN)
SESSION = session(ALL)[0]


@settings(max_examples=150)
@given(st.lists(MOMENTS, min_size=1, max_size=30))
def test_onnx_gives_the_parts_of_the_calendar(moments):
    seconds = seconds_of(moments)
    (found,) = SESSION.run(None, {"times": seconds})
    assert found[:, 1:10].tolist() == [parts_of(moment) for moment in moments]
    np.testing.assert_array_equal(found, ALL.transform(seconds))


def test_onnx_gives_what_pandas_gives_where_years_begin():
    years = pd.date_range("0001-01-01", "9999-12-31", freq="YS", unit="s")
    days = np.concatenate([years.to_numpy() + np.timedelta64(shift, "D") for shift in range(-5, 62)])[5:]
    index = pd.DatetimeIndex(days)
    (found,) = SESSION.run(None, {"times": days.astype(np.int64).reshape(-1, 1)})
    expected = [index.year, index.quarter, index.month, index.isocalendar().week, index.day, index.day_of_year]
    np.testing.assert_array_equal(found[:, 1:7], np.stack([np.asarray(part, dtype=np.int64) for part in expected], 1))


@pytest.mark.parametrize(("columns", "cyclic"), [(1, False), (1, True), (2, True), (3, False)])
@pytest.mark.parametrize(
    "parts", [*((part,) for part in PARTS), *combinations(PLAIN, 2), ("minute", "elapsed", "year", "hour"), PARTS]
)
def test_onnx_gives_what_scikit_learn_gives(parts, columns, cyclic):
    random = np.random.default_rng(0)
    seconds = random.integers(-(2**36), 2**36, (60, columns))
    seconds[:30] = random.integers(FIRST_SECOND - 2**32, FIRST_SECOND + 2**32, (30, columns))
    seconds[random.random(seconds.shape) < 0.2] = MISSING_TIME
    transformer = DateParts(parts, cyclic=cyclic).fit(seconds)
    (found,) = session(transformer)[0].run(None, {"times": seconds})
    np.testing.assert_array_equal(found, transformer.transform(seconds))


def test_parts_without_calendar_share_their_operations():
    assert session(DateParts(PLAIN).fit(ORIGIN))[1] == 8


def test_the_moment_takes_few_operations():
    assert session(DateParts(("elapsed",)).fit(ORIGIN))[1] <= 7
