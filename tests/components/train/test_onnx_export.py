"""Tests of the exported graph against scikit-learn."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from components.shared.config import TrainConfig
from components.shared.families import FAMILIES, make_estimator
from components.shared.frames import inputs
from components.shared.package.schema import Schema
from components.shared.package.scoring import MISSING_TIME, Scorer, parse_rows
from components.shared.tasks import TASKS
from components.train.graph import FEATURES, Graph
from components.train.model_graph import add_model
from components.train.onnx_export import export
from components.train.parity import predict
from tests.components.modelling import KINDS, QUICK, TRAINING, Fitted, make_splits

NUMBERS = [name for name, kind in KINDS.items() if kind in ("number", "integer", "boolean")]
CATEGORIES = [name for name, kind in KINDS.items() if kind == "category"]
TIMES = [name for name, kind in KINDS.items() if kind == "timestamp"]


def scorer_of(model: onnx.ModelProto, schema: Schema) -> Scorer:
    return Scorer(ort.InferenceSession(model.SerializeToString()), schema)


def assert_same(fitted: Fitted, frame) -> None:
    scorer = scorer_of(export(fitted.pipeline, fitted.schema), fitted.schema)
    expected = predict(fitted.pipeline, frame, fitted.schema)
    found = scorer.score(inputs(frame, fitted.schema))
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    largest = np.abs(expected).max(initial=0)  # what is added up in float32 may be as large
    np.testing.assert_allclose(found, expected, atol=1e-6 * max(1, largest / 8), rtol=2e-6)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_answers_as_scikit_learn_does(tmp_path: Path, family, task):
    fitted = Fitted(make_splits(tmp_path, task), family)
    assert_same(fitted, fitted.test.frame)


@pytest.mark.parametrize("family", ["linear", "hist_gradient_boosting"])
@pytest.mark.parametrize(
    "columns",
    [
        NUMBERS,
        CATEGORIES,
        TIMES,
        [*NUMBERS, *TIMES],
        [*NUMBERS, *CATEGORIES],
        ["town"],
        ["colour", "shop"],
        ["member"],
        ["paid"],
    ],
    ids="+".join,
)
def test_any_mixture_of_kinds_works(tmp_path: Path, family, columns):
    fitted = Fitted(make_splits(tmp_path, columns=columns), family)
    assert_same(fitted, fitted.test.frame)
    model = export(fitted.pipeline, fitted.schema)
    kinds = {"numbers": NUMBERS, "categories": CATEGORIES, "times": TIMES}
    expected = [tensor for tensor, names in kinds.items() if set(columns) & set(names)]
    assert [tensor.name for tensor in model.graph.input] == expected
    assert [tensor.name for tensor in model.graph.output] == ["probabilities"]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_unseen_missing_and_extreme_values_are_answered_the_same(tmp_path: Path, family, task):
    fitted = Fitted(make_splits(tmp_path, task), family)
    frame = fitted.test.frame.head(5).copy()
    frame.iloc[0] = [np.nan] * 4 + [""] * 3 + [MISSING_TIME] * 2
    frame.iloc[1, 4:7] = ["lila", "Ort 99", "shop 7 "]
    frame.iloc[2, 4:7] = ["town 3", "red", "blau"]  # known to other columns only
    frame.iloc[3, :4] = [3e38, -3e38, 1e9, 1]
    frame.iloc[4, 7:] = [-(10**12), 10**12]
    assert_same(fitted, frame)


@pytest.mark.parametrize(
    "training",
    [
        TRAINING.model_copy(update={"one_hot_limit": 0, "ordinal_limit": 0}),
        TRAINING.model_copy(update={"one_hot_limit": 1000}),
        TRAINING.model_copy(update={"one_hot_limit": 0, "ordinal_limit": 1000}),
        TRAINING.model_copy(update={"clip_quantiles": None, "date_parts": []}),
        TRAINING.model_copy(update={"clip_quantiles": (0.2, 0.8), "date_parts": ["hour"], "class_weight": "balanced"}),
    ],
    ids=["all target means", "all one-hot", "all ordinal", "no clipping, no dates", "hard clipping, weights"],
)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_every_preprocessing_is_exported(tmp_path: Path, training: TrainConfig, task):
    fitted = Fitted(make_splits(tmp_path, task), "lightgbm", training)
    assert_same(fitted, fitted.test.frame)


@pytest.mark.parametrize("missing", ["auto", "indicator", "median"])
@pytest.mark.parametrize("family", FAMILIES)
def test_missing_values_are_answered_the_same_where_training_had_none(tmp_path: Path, family, missing):
    splits = make_splits(tmp_path)
    fitted = Fitted(splits, family, TRAINING.model_copy(update={"missing": missing}))
    holes = fitted.test.frame.copy()
    random = np.random.default_rng(0)
    for place, column in enumerate(holes.columns):
        nothing = np.nan if place < 4 else "" if place < 7 else MISSING_TIME
        holes.loc[random.random(len(holes)) < 0.5, column] = nothing
    assert_same(fitted, holes)
    whole = fitted.train.frame[fitted.train.frame.notna().all(axis=1) & (fitted.train.frame["paid"] != MISSING_TIME)]
    fitted.pipeline.fit(whole, fitted.train.target[whole.index])
    assert_same(fitted, holes)


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.linear])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("is_known", [True, False], ids=["never missing in training", "missing in training"])
def test_trees_send_nan_the_way_their_library_does(family, task, is_known):
    random = np.random.default_rng(0)
    values = random.normal(size=(400, 3)).astype(np.float32)
    signal = values[:, 0] + random.normal(0, 0.3, 400)
    if not is_known:
        values[signal > 0.8, 1] = np.nan
        values[random.random(400) < 0.2, 2] = np.nan
    edges = [0.0] if TASKS[task].has_positive_class else [-0.5, 0.5]
    target = np.digitize(signal, edges) if TASKS[task].has_classes else signal
    estimator = make_estimator(family, task, QUICK[family]).fit(values, target)
    asked = random.normal(size=(200, 3)).astype(np.float32)
    asked[random.random(asked.shape) < 0.4] = np.nan
    output = TASKS[task].answer.output
    graph = Graph()
    add_model(graph, estimator, output, width=3)
    shapes = ((FEATURES, [None, 3]), (output, [None, None]))
    model = graph.model(*([helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name, shape in shapes))
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {FEATURES: asked})
    expected = estimator.predict_proba(asked) if TASKS[task].has_classes else estimator.predict(asked)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=2e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_pipeline_gives_the_same_bytes_without_times_and_paths(tmp_path: Path, family):
    splits = make_splits(tmp_path)
    first, second = (export(Fitted(splits, family).pipeline, Schema.read(splits)) for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert not first.doc_string
    assert not any(node.doc_string for node in first.graph.node)
    assert len({node.name for node in first.graph.node}) == len(first.graph.node)


def test_the_graph_is_small_and_takes_rows_as_the_endpoint_does(tmp_path: Path):
    fitted = Fitted(
        make_splits(tmp_path), "hist_gradient_boosting", TRAINING.model_copy(update={"date_parts": ["weekday", "hour"]})
    )
    model = export(fitted.pipeline, fitted.schema)
    assert len(model.graph.node) <= 30
    scorer = scorer_of(model, fitted.schema)
    row = {"amount in €": 12.5, "größe": 2000, "stops": None, "member": True, "colour": "grün", "town": None}
    row |= {"shop": "never seen", "booked at": "2020-02-29T23:59:59", "paid": "2020-03-01"}
    scores = scorer.score(parse_rows([row], fitted.schema))
    assert scores.shape == (1, 2)
    assert scores.sum() == pytest.approx(1)
    none = scorer.score(inputs(fitted.test.frame.head(0), fitted.schema))
    assert none.shape == (0, 2)


def test_a_regression_far_from_zero_keeps_its_digits(tmp_path: Path):
    splits = make_splits(tmp_path, "regression")
    for family in FAMILIES:
        fitted = Fitted(splits, family)
        fitted.pipeline.fit(fitted.train.frame, fitted.train.target + 1e6)
        scorer = scorer_of(export(fitted.pipeline, fitted.schema), fitted.schema)
        expected = predict(fitted.pipeline, fitted.test.frame, fitted.schema)
        assert np.abs(scorer.score(inputs(fitted.test.frame, fitted.schema)) - expected).max() < 0.5
