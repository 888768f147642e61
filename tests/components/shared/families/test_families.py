"""What every model family has to do: one suite, which each passes for every kind of problem that it can do."""

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import skops.io
from onnx import TensorProto, helper

from components.shared.config import SearchConfig, TaskName
from components.shared.families import FAMILIES, Rows, family_of, make_estimator
from components.shared.families.base import best_rounds, patience
from components.shared.package import fitted_pipeline
from components.shared.tasks import TASKS
from components.train.graph import FEATURES, Graph
from components.train.model_graph import add_model
from tests.components.modelling import QUICK

EVERY = pytest.mark.parametrize("family", FAMILIES)
ANY_TASK = pytest.mark.parametrize("task", TASKS)


def make_rows(task: TaskName, *, rows: int = 400, seed: int = 0, weights: Any = None) -> Rows:
    """Features of which the first two tell the target."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 4)).astype(np.float32)
    signal = features[:, 0] + 0.5 * features[:, 1] + random.normal(0, 0.3, rows)
    if not TASKS[task].has_classes:
        return Rows(features, signal + 6, weights)  # none is negative, which some kinds of problem refuse
    edges = [0.0] if TASKS[task].has_positive_class else [-0.5, 0.5]
    return Rows(features, np.digitize(signal, edges).astype(np.int64), weights)


def answers(estimator: Any, features: Any) -> Any:
    return getattr(estimator, "predict_proba", estimator.predict)(features)


@EVERY
def test_a_name_is_a_file_and_says_what_it_can(family):
    found = FAMILIES[family]
    assert found.name == family
    assert type(found).__module__ == f"components.shared.families.{family}"
    assert found.tasks <= set(TASKS)
    assert family in SearchConfig.model_json_schema()["properties"]["families"]["items"]["enum"]
    assert set(found.trusted) <= set(fitted_pipeline.TRUSTED_TYPES)


@EVERY
@ANY_TASK
def test_it_learns_and_is_the_same_again(family, task):
    rows, unseen = make_rows(task), make_rows(task, seed=1)
    first, second = (make_estimator(family, task, QUICK[family], seed=3) for _ in range(2))
    for estimator in (first, second):
        FAMILIES[family].fit(estimator, rows)
    found = answers(first, unseen.features)
    np.testing.assert_array_equal(found, answers(second, unseen.features))
    if not TASKS[task].has_classes:
        assert np.corrcoef(found, unseen.target)[0, 1] > 0.7
    else:
        assert (found.argmax(axis=1) == unseen.target).mean() > 0.6
    assert family_of(first) is FAMILIES[family]


@EVERY
@ANY_TASK
def test_rows_count_by_their_weights(family, task):
    """Half of the rows say the opposite: who is weighed down is not heard."""
    right, wrong = make_rows(task), make_rows(task, seed=2)
    most = wrong.target.max()
    features, target = np.vstack([right.features, wrong.features]), np.hstack([right.target, most - wrong.target])
    weights = np.repeat([1.0, 1e-3], 400)
    unseen = make_rows(task, seed=1)
    found = []
    for given in (weights, weights[::-1].copy()):
        estimator = make_estimator(family, task, QUICK[family])
        FAMILIES[family].fit(estimator, Rows(features, target, given))
        found.append(estimator.predict(unseen.features))
    agree = [np.corrcoef(one, unseen.target)[0, 1] for one in found]
    assert agree[0] > 0.5
    assert agree[1] < -0.5


@EVERY
@ANY_TASK
def test_onnx_answers_the_same(family, task):
    rows, unseen = make_rows(task), make_rows(task, seed=1)
    estimator = make_estimator(family, task, QUICK[family])
    FAMILIES[family].fit(estimator, rows)
    graph, output = Graph(), TASKS[task].answer.output
    add_model(graph, estimator, output, width=4)
    model = graph.model(
        [helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, None])],
    )
    (found,) = ort.InferenceSession(model.SerializeToString()).run(None, {FEATURES: unseen.features})
    expected = answers(estimator, unseen.features)
    np.testing.assert_allclose(found, expected.reshape(found.shape), atol=1e-5)


@EVERY
@ANY_TASK
def test_skops_holds_it_with_the_types_it_names(tmp_path, family, task):
    rows = make_rows(task, rows=200)
    estimator = make_estimator(family, task, QUICK[family])
    FAMILIES[family].fit(estimator, rows)
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(estimator))
    assert set(skops.io.get_untrusted_types(data=path.read_bytes())) <= {*FAMILIES[family].trusted, "numpy.dtype"}
    loaded = skops.io.loads(path.read_bytes(), trusted=list(fitted_pipeline.TRUSTED_TYPES))
    np.testing.assert_array_equal(answers(loaded, rows.features), answers(estimator, rows.features))


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.stops_early])
@ANY_TASK
def test_it_stops_where_unseen_rows_gain_nothing(family, task):
    rows, unseen = make_rows(task, rows=150, weights=np.ones(150)), make_rows(task, seed=1, weights=np.ones(400))
    parameters = {**QUICK[family], "learning_rate": 0.3}
    estimator = make_estimator(family, task, parameters)
    losses = FAMILIES[family].fit_early(estimator, rows, unseen, most=500)
    rounds = best_rounds([losses])
    assert 1 <= rounds <= len(losses) < 100
    assert estimator.get_params()[FAMILIES[family].rounds] == rounds
    again = make_estimator(family, task, {**parameters, FAMILIES[family].rounds: rounds})
    FAMILIES[family].fit(again, rows)
    np.testing.assert_allclose(answers(estimator, unseen.features), answers(again, unseen.features), atol=1e-9)
    assert len(FAMILIES[family].fit_early(make_estimator(family, task, parameters), rows, unseen, most=2)) <= 2


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.stops_early])
def test_it_stops_where_the_loss_only_creeps_down(family):
    """Classes that can be told apart entirely: the loss falls with each round, by ever less."""
    random = np.random.default_rng(0)
    target = np.arange(200) % 2
    features = (target[:, None] + random.uniform(0, 0.5, (200, 1))).astype(np.float32)
    parameters = {**QUICK[family], "learning_rate": 0.1}
    losses = FAMILIES[family].fit_early(
        make_estimator(family, "binary", parameters), Rows(features, target), Rows(features, target), most=2_000
    )
    assert len(losses) < 200
    assert losses[-1] < 0.02


def test_rounds_are_those_that_serve_several_losses_best():
    creeping, rising = np.linspace(0.5, 0.4, 100), np.array([0.5, 0.3, 0.2, 0.6, 0.9])
    assert best_rounds([creeping]) == 100
    assert best_rounds([rising]) == 3
    assert best_rounds([creeping, rising]) == 3
    assert best_rounds([creeping, np.array([0.5, 0.3, 0.2])]) == 100  # what ended is taken to stay as it was


def test_slow_learners_are_waited_for_longer():
    assert [patience(rate) for rate in (0.01, 0.05, 0.1, 0.3, 1.0)] == [100, 50, 25, 10, 10]


@EVERY
def test_balanced_classes_weigh_the_same(family):
    random = np.random.default_rng(0)
    target = (random.random(400) < 0.1).astype(int)
    features = (random.normal(size=(400, 2)) + target[:, None]).astype(np.float32)
    plain, balanced = (
        make_estimator(family, "binary", QUICK[family], balanced=balanced).fit(features, target).predict_proba(features)
        for balanced in (False, True)
    )
    assert balanced[:, 1].mean() > plain[:, 1].mean() + 0.05
