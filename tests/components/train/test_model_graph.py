"""Tests of the converted model."""

import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from components.shared.families import FAMILIES, make_estimator
from components.shared.families.trees import round_down
from components.shared.tasks import TASKS
from components.train.graph import FEATURES, Graph
from components.train.model_graph import add_model
from tests.components.modelling import QUICK

DOUBLES = st.floats(min_value=-1e30, max_value=1e30)
SINGLES = st.floats(width=32, min_value=-(2.0**100), max_value=2.0**100)


@given(DOUBLES, SINGLES)
def test_rounding_down_changes_no_comparison_of_a_float32(threshold, value):
    rounded = round_down(np.array([threshold]))[0]
    assert np.float32(rounded) == rounded
    assert rounded <= threshold
    for single in (np.float32(value), np.float32(threshold), np.nextafter(np.float32(rounded), np.float32(np.inf))):
        assert (np.float64(single) <= threshold) == (single <= np.float32(rounded))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["hist_gradient_boosting", "lightgbm", "random_forest"])
def test_neighbouring_float32_values_fall_on_the_right_side(family, task):
    """Thresholds between two neighbours of float32 are no float32: rounded up they would swap the larger one's side."""
    values = [np.float32(4)]  # where neighbours are far enough apart for scikit-learn to split between them
    for _ in range(63):
        values.append(np.nextafter(values[-1], np.float32(8)))
    features = np.repeat(np.array(values, dtype=np.float32), 40).reshape(-1, 1)
    target = np.repeat(np.random.default_rng(0).integers(0, 2 if TASKS[task].has_positive_class else 3, 64), 40)
    estimator = make_estimator(family, task, QUICK[family])
    estimator.fit(features, target.astype(float) if not TASKS[task].has_classes else target)
    graph = Graph()
    output = "probabilities" if TASKS[task].has_classes else "values"
    add_model(graph, estimator, output, width=1)
    model = graph.model(
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, None])],
    )
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {FEATURES: features})
    expected = (
        estimator.predict(features).reshape(-1, 1) if not TASKS[task].has_classes else estimator.predict_proba(features)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.1


def test_the_estimator_itself_stays_as_it_was():
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 2)).astype(np.float32)
    for family in ("hist_gradient_boosting", "lightgbm", "random_forest"):
        estimator = make_estimator(family, "binary", QUICK[family]).fit(features, features[:, 0] > 0)
        before = estimator.predict_proba(features)
        changed = FAMILIES[family].for_onnx(estimator)
        assert changed is not estimator
        np.testing.assert_array_equal(estimator.predict_proba(features), before)
        np.testing.assert_array_equal(changed.predict_proba(features), before)
