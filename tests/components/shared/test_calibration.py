"""Tests of the calibrators, and of models that carry one."""

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from components.shared.calibration import (
    CALIBRATORS,
    CalibratedModel,
    IsotonicCalibrator,
    SigmoidCalibrator,
)
from components.shared.families import make_estimator
from components.shared.metrics import score
from components.shared.package.fitted_pipeline import dump_pipeline, load_pipeline
from components.train.graph import FEATURES, Graph
from components.train.model_graph import add_model
from tests.components.modelling import QUICK
from tests.components.shared.families.test_families import make_rows


def distorted(rows: int, seed: int, *, slope: float = 2.0, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Targets, and probabilities whose logits are `slope` times the true ones plus `shift`."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 1, rows)
    target = (random.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    positive = 1 / (1 + np.exp(-(slope * logits + shift)))
    return target, np.column_stack([1 - positive, positive])


def test_sigmoid_undoes_what_a_slope_and_a_shift_did():
    target, scores = distorted(40_000, 0)
    found = SigmoidCalibrator().fit(scores, target)
    assert found.slope_ == pytest.approx(0.5, abs=0.02)
    assert found.offsets_[1] == pytest.approx(-0.5, abs=0.04)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_probabilities_are_nearer_to_the_shares_on_fresh_rows(method):
    calibrator = CALIBRATORS[method]().fit(*distorted(5_000, 1)[::-1])
    target, scores = distorted(20_000, 2)
    after = calibrator.transform(scores)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    assert score("log_loss", "binary", target, after) < score("log_loss", "binary", target, scores) - 0.05
    assert score("brier", "binary", target, after) < score("brier", "binary", target, scores) - 0.01
    order = np.argsort(scores[:, 1])
    assert (np.diff(after[order, 1]) >= 0).all()


def test_few_rows_hardly_move_what_is_right_already():
    target, scores = distorted(60, 3, slope=1, shift=0)
    after = SigmoidCalibrator().fit(scores, target).transform(scores)
    assert np.abs(after - scores).max() < 0.2
    alone = SigmoidCalibrator().fit(np.tile([0.9, 0.1], (20, 1)), np.zeros(20, dtype=int))
    assert 0 < alone.transform(np.array([[0.9, 0.1]]))[0, 1] < 0.1


def test_several_classes_keep_what_a_shifted_share_did_to_them():
    random = np.random.default_rng(4)
    logits = random.normal(0, 1, (30_000, 3))
    truth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    target = (random.random(30_000)[:, None] > truth.cumsum(axis=1)).sum(axis=1)
    moved = np.exp(1.5 * np.log(truth) + [0.0, 1.0, -1.0])
    found = SigmoidCalibrator().fit(moved / moved.sum(axis=1, keepdims=True), target)
    assert found.slope_ == pytest.approx(1 / 1.5, abs=0.03)
    np.testing.assert_allclose(found.offsets_, [0, -1 / 1.5, 1 / 1.5], atol=0.06)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_a_weight_counts_as_so_many_rows(method):
    target, scores = distorted(3_000, 5)
    weights = np.where(target == 1, 3.0, 1.0)
    many = np.repeat(np.arange(3_000), weights.astype(int))
    weighted = CALIBRATORS[method]().fit(scores, target, weights).transform(scores)
    repeated = CALIBRATORS[method]().fit(scores[many], target[many]).transform(scores)
    assert np.abs(weighted - repeated).max() < 0.1
    assert weighted[:, 1].mean() > target.mean() * 1.5


def test_the_curve_is_never_steeper_than_float32_can_follow():
    random = np.random.default_rng(6)
    positive = np.concatenate([random.normal(0.5, 1e-6, 2_000), random.random(2_000)]).clip(0, 1)
    target = (positive > 0.5).astype(np.int64)
    found = IsotonicCalibrator().fit(np.column_stack([1 - positive, positive]), target)
    assert (np.diff(found.y_) / np.diff(found.x_)).max() < 45
    assert found.x_[0] == 0
    assert (np.diff(found.y_) >= 0).all()


@pytest.mark.parametrize(
    ("family", "task", "method"),
    [
        ("linear", "binary", "sigmoid"),
        ("lightgbm", "binary", "isotonic"),
        ("hist_gradient_boosting", "binary", "sigmoid"),
        ("random_forest", "binary", "isotonic"),
        ("random_forest", "multiclass", "sigmoid"),
        ("lightgbm", "multiclass", "sigmoid"),
    ],
)
def test_onnx_and_the_file_answer_as_the_model(tmp_path, family, task, method):
    rows, unseen = make_rows(task), make_rows(task, rows=3_000, seed=1)
    model = make_estimator(family, task, QUICK[family]).fit(rows.features, rows.target)
    calibrator = CALIBRATORS[method]().fit(model.predict_proba(unseen.features), unseen.target)
    calibrated = CalibratedModel(clone(model), calibrator).fit(rows.features, rows.target)
    expected = calibrated.predict_proba(unseen.features)
    assert np.abs(expected - model.predict_proba(unseen.features)).max() > 0.01
    graph = Graph()
    add_model(graph, calibrated, "probabilities", width=4)
    served = graph.model(
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, None])],
    )
    (found,) = ort.InferenceSession(served.SerializeToString()).run(None, {FEATURES: unseen.features})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    dump_pipeline(Pipeline([("model", calibrated)]), tmp_path / "model.skops")
    np.testing.assert_array_equal(load_pipeline(tmp_path / "model.skops").predict_proba(unseen.features), expected)
    assert calibrated.predict(unseen.features).tolist() == expected.argmax(axis=1).tolist()
