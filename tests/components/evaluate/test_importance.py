"""Permutation importance and SHAP values, of small graphs whose answer is known."""

from collections.abc import Callable
from itertools import permutations
from math import factorial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from components.evaluate import importance
from components.evaluate.importance import explain, permutation_importance, sample_rows, screen, shap_values
from components.shared import frames, shapley
from components.shared.config import TaskName
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import Inputs, Scorer
from components.shared.tasks import TASKS
from tests.components.evaluate.conftest import Made


def linear_scorer(weights: list[float]) -> Scorer:
    """A graph that answers numbers @ weights."""
    matrix = numpy_helper.from_array(np.array(weights, dtype=np.float32)[:, None], "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["numbers", "weights"], ["values"])],
        "linear",
        [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, [None, len(weights)])],
        [helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, 1])],
        [matrix],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    features = [Feature(name=f"x{index}", kind="number", nullable=False) for index in range(len(weights))]
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return Scorer(session, Schema(task="regression", target="y", features=features))


def numbers(values: NDArray[Any]) -> Inputs:
    rows = len(values)
    return Inputs(values.astype(np.float32), np.empty((rows, 0), dtype=object), np.empty((rows, 0), dtype=np.int64))


def load(made: Made) -> tuple[Scorer, Inputs, NDArray[Any]]:
    scorer = Scorer.load(made.model)
    part = frames.load_part(made.splits, "test", scorer.schema)
    return scorer, frames.inputs(part.frame, scorer.schema), part.target


@pytest.mark.parametrize("task", TASKS)
def test_shap_values_add_up_to_the_prediction(made: Callable[[TaskName], Made], task: TaskName) -> None:
    scorer, inputs, _ = load(made(task))
    found = shap_values(scorer, inputs.rows(slice(0, 30)), features=np.arange(5))
    assert found.values.shape == (30, 5, 1 if TASKS[task].is_one_number else 3)
    assert np.abs(found.base + found.values.sum(axis=1) - found.predictions).max() < 1e-6
    assert np.ptp(found.base, axis=0).max() < 1e-9  # one background, one base


def test_shap_values_of_some_features_add_up_too(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, _ = load(made("binary"))
    found = shap_values(scorer, inputs.rows(slice(0, 30)), features=np.array([0, 3]))
    assert found.values.shape == (30, 2, 1)
    assert np.abs(found.base + found.values.sum(axis=1) - found.predictions).max() < 1e-6


def test_shap_values_of_a_linear_model_are_its_terms() -> None:
    weights = [2.0, -1.0, 0.0, 0.5]
    scorer, values = linear_scorer(weights), np.random.default_rng(0).normal(size=(40, 4))
    found = shap_values(scorer, numbers(values), features=np.arange(4))
    background = shapley.background_rows(found.predictions, found.background)
    expected = (values - values[background].mean(axis=0)) * weights
    assert found.values[:, :, 0] == pytest.approx(expected, abs=1e-4)


def exact_shapley(scorer: Scorer, inputs: Inputs, row: int, background: NDArray[Any]) -> NDArray[np.float64]:
    """The mean over all orders of the features of what each adds, averaged over the background."""
    count = len(scorer.schema.features)
    found = np.zeros(count)
    for other in background:
        for order in permutations(range(count)):
            masks = [np.isin(np.arange(count), order[:step], invert=True)[None] for step in range(count + 1)]
            steps = [
                float(
                    scorer.score(
                        shapley._mixed(
                            inputs,
                            np.array([row]),
                            inputs.rows(slice(other, other + 1)),
                            columns=np.arange(count),
                            masks=mask,
                        )
                    )[0, 1]
                )
                for mask in masks
            ]
            found[list(order)] += np.diff(steps)
    return found / factorial(count) / len(background)


def test_shap_values_are_near_the_exact_ones(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, _ = load(made("binary"))
    inputs = inputs.rows(slice(0, 12))
    found = shap_values(scorer, inputs, features=np.arange(5))
    background = shapley.background_rows(found.predictions, found.background)
    for row in (0, 5):
        assert found.values[row, :, 0] == pytest.approx(exact_shapley(scorer, inputs, row, background), abs=0.02)


def test_explanation_names_what_raises_and_lowers(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, _ = load(made("binary"))
    found = explain(scorer, inputs, features=np.arange(5))
    by_name = {item.feature: item for item in found.contributions}
    assert found.contributions[0].feature == "amount"
    assert (by_name["amount"].direction or 0) > 0.9
    assert by_name["colour"].raises == "blue 青"
    assert by_name["opened at"].mean_absolute == 0
    assert by_name["opened at"].direction is None


def test_explanation_of_several_classes_has_no_direction(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, _ = load(made("multiclass"))
    found = explain(scorer, inputs, features=np.arange(5))
    assert len(found.base) == 3
    assert all(item.direction is None and item.raises is None for item in found.contributions)


def test_categories_seen_once_raise_nothing() -> None:
    assert importance._extremes(np.array(["a", "b"], dtype=object), np.array([0.5, -0.5])) == (None, None)


@pytest.mark.parametrize(("task", "metric"), [("binary", "roc_auc"), ("multiclass", "log_loss"), ("regression", "mae")])
def test_importance_is_the_loss_of_the_metric(made: Callable[[TaskName], Made], task: TaskName, metric: Any) -> None:
    scorer, inputs, target = load(made(task))
    found = permutation_importance(scorer, inputs, target=target, metric=metric, threshold=0.5, features=np.arange(5))
    assert found[0].feature == "amount"
    assert (found[0].drop or 0) > 0.05
    unused = next(item for item in found if item.feature == "opened at")
    assert (unused.drop, unused.deviation) == (0, 0)


def test_importance_needs_a_metric_that_the_rows_tell(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, target = load(made("binary"))
    assert (
        permutation_importance(
            scorer, inputs, target=np.zeros_like(target), metric="roc_auc", threshold=0.5, features=np.arange(5)
        )
        == []
    )


def test_inputs_are_left_as_they_were(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, target = load(made("binary"))
    before = [tensor.copy() for tensor in (inputs.numbers, inputs.categories, inputs.times)]
    permutation_importance(scorer, inputs, target=target, metric="brier", threshold=0.5, features=np.arange(5))
    explain(scorer, inputs, features=np.arange(5))
    screen(scorer, inputs, limit=2)
    for tensor, was in zip((inputs.numbers, inputs.categories, inputs.times), before, strict=True):
        np.testing.assert_array_equal(tensor, was)


def test_screening_finds_the_few_that_matter_among_thousands() -> None:
    weights = np.zeros(3000)
    used = [7, 1234, 2000, 2999]
    weights[used] = [3.0, -2.0, 1.0, 0.5]
    scorer = linear_scorer(weights.tolist())
    found = screen(scorer, numbers(np.random.default_rng(0).normal(size=(100, 3000))), limit=8)
    assert len(found) <= 8
    assert set(used) <= set(found.tolist())


def test_few_features_need_no_screening(made: Callable[[TaskName], Made]) -> None:
    scorer, inputs, _ = load(made("regression"))
    assert screen(scorer, inputs).tolist() == [0, 1, 2, 3, 4]


def test_samples_are_without_repetition_and_in_order() -> None:
    assert sample_rows(5, 10).tolist() == [0, 1, 2, 3, 4]
    rows = sample_rows(1000, 10)
    assert len(set(rows.tolist())) == 10
    assert sorted(rows) == list(rows)


def test_there_is_no_feature_beyond_the_last(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        shapley.column(numbers(np.zeros((2, 3))), 3)
