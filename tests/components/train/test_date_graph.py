"""Tests of the date arithmetic in ONNX."""

from datetime import UTC, datetime
from itertools import combinations

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from components.shared.config import DatePart
from components.shared.package.scoring import MISSING_TIME
from components.shared.preprocessing import DateParts
from components.train.date_graph import add_date_parts
from components.train.graph import Graph

PARTS: tuple[DatePart, ...] = ("year", "month", "day", "weekday", "hour", "minute")
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))


def session(parts: tuple[DatePart, ...], columns: int) -> tuple[ort.InferenceSession, int]:
    """A graph of nothing but the parts, and its number of nodes."""
    graph = Graph()
    name = add_date_parts(graph, "dates/parts", "times", DateParts(parts).fit(np.zeros((1, columns), dtype=np.int64)))
    model = graph.model(
        [helper.make_tensor_value_info("times", TensorProto.INT64, [None, columns])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, columns * len(parts)])],
    )
    return ort.InferenceSession(model.SerializeToString()), len(model.graph.node)


ALL = session(PARTS, 1)[0]


@settings(max_examples=200)
@given(st.lists(MOMENTS, min_size=1, max_size=30))
def test_onnx_gives_the_parts_of_the_calendar(moments):
    seconds = np.array([[int(np.floor(moment.timestamp()))] for moment in moments], dtype=np.int64)
    (found,) = ALL.run(None, {"times": seconds})
    assert found.tolist() == [[m.year, m.month, m.day, m.weekday(), m.hour, m.minute] for m in moments]


@pytest.mark.parametrize("columns", [1, 2, 3])
@pytest.mark.parametrize(
    "parts", [*((part,) for part in PARTS), *combinations(PARTS, 2), ("minute", "year", "hour"), PARTS]
)
def test_onnx_gives_what_scikit_learn_gives(parts, columns):
    random = np.random.default_rng(0)
    seconds = random.integers(-(2**36), 2**36, (50, columns))
    seconds[random.random(seconds.shape) < 0.2] = MISSING_TIME
    (found,) = session(parts, columns)[0].run(None, {"times": seconds})
    np.testing.assert_array_equal(found, DateParts(parts).fit(seconds).transform(seconds))


def test_parts_without_calendar_share_their_operations():
    assert session(("weekday", "hour", "minute"), 1)[1] == 8
