"""What every kind of problem has to do: one suite, which each passes; and what tells the three of today apart."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from components.shared import metrics
from components.shared.config import ProblemConfig, TaskName
from components.shared.errors import DataError
from components.shared.families import FAMILIES, make_estimator, search_space
from components.shared.names import MetricName
from components.shared.package.schema import Feature, Schema
from components.shared.tasks import TASKS, Classes, Numbers
from components.shared.tasks.baseline import Constant
from components.shared.tasks.choosing import choose_classes
from tests.helpers import classes_of

EVERY = pytest.mark.parametrize("name", TASKS)
ROWS = 60


def schema_of(name: TaskName) -> Schema:
    features = [Feature(name="x", kind="number", nullable=False)]
    return Schema(task=name, target="y", classes=classes_of(name), features=features, threshold=0.3)


def scores_of(name: TaskName, *, seed: int = 0) -> NDArray[np.float32]:
    """What a graph might answer, as scores."""
    width, random = TASKS[name].answer.width(schema_of(name)), np.random.default_rng(seed)
    answered = random.dirichlet(np.ones(width), ROWS) if TASKS[name].has_classes else random.exponential(size=(ROWS, 1))
    return TASKS[name].answer.scores(answered.astype(np.float32))


def column_of(name: TaskName) -> pa.ChunkedArray:
    """A target's column in which every class is."""
    classes, places = classes_of(name), np.arange(ROWS)
    return pa.chunked_array([[classes[place % len(classes)] for place in places] if classes else (places % 9).tolist()])


@EVERY
def test_a_name_is_a_file_and_of_the_configuration(name: TaskName) -> None:
    assert TASKS[name].name == name
    assert sys.modules[f"components.shared.tasks.{name}"].TASK is TASKS[name]
    field = ProblemConfig.model_json_schema()["properties"]["task"]
    assert name in field["enum"]
    assert f"`{name}`: {TASKS[name].about}" in field["description"]


def test_the_table_loads_without_what_is_heavy() -> None:
    program = "import sys, components.shared.config; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"components", "pydantic"} <= set(loaded)
    assert not {"numpy", "pyarrow", "pandas", "sklearn", "scipy", "onnxruntime"} & set(loaded)


def comparisons(source: str) -> list[int]:
    """Lines that compare something called `task` with a kind of problem."""
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Compare)]
    return [
        node.lineno
        for node in found
        if any(isinstance(one, ast.Constant) and one.value in TASKS for one in ast.walk(node))
        and any(getattr(one, "id", getattr(one, "attr", "")) == "task" for one in ast.walk(node))
    ]


@pytest.mark.parametrize("root", ["components", "pipelines", "images"])
def test_no_code_decides_by_the_name_of_a_kind(root: str) -> None:
    assert comparisons('if schema.task == "regression" or task in ("binary", 1): pass') == [1, 1]
    found = {path: lines for path in Path(root).rglob("*.py") if (lines := comparisons(path.read_text("utf-8")))}
    assert not found, "ask TASKS[...] instead: another kind would take the wrong branch"


@EVERY
def test_its_metrics_are_in_the_table(name: TaskName) -> None:
    task = TASKS[name]
    assert set(task.metrics) <= set(metrics.TABLE)
    assert {task.default_metric, *task.shown_metrics} <= set(task.metrics)


@EVERY
def test_a_threshold_is_only_of_a_positive_class(name: TaskName) -> None:
    given = {"target": "y", "task": name, "threshold": 0.3}
    if TASKS[name].has_positive_class:
        assert ProblemConfig.model_validate(given).threshold == 0.3
    else:
        with pytest.raises(ValidationError, match=f"a {name} task has no threshold"):
            ProblemConfig.model_validate(given)


@EVERY
def test_it_has_an_estimator_of_each_family_that_does_it(name: TaskName) -> None:
    for family in (family for family in FAMILIES.values() if name in family.tasks):
        estimator = make_estimator(family.name, name, {})
        assert hasattr(estimator, TASKS[name].answer.method)
        fixed = TASKS[name].objectives.get(family.name, {})
        assert fixed.items() <= estimator.get_params().items()
        assert not fixed.keys() & search_space(family.name, name, {}).keys()


# The target


@EVERY
def test_a_target_of_another_type_is_refused_by_name(name: TaskName) -> None:
    target = TASKS[name].target
    assert target.kinds < {"integer", "number", "text", "boolean", "timestamp"}
    assert str(target.wrong_type("y", "DATE", task=name)).startswith("The target 'y' is DATE; ")
    assert target.about_missing("y").endswith(".")
    assert target.default_split in (("random", "stratified") if TASKS[name].has_classes else ("random",))


@EVERY
def test_a_target_is_read_as_what_models_learn_from(name: TaskName) -> None:
    schema, column = schema_of(name), column_of(name)
    found = TASKS[name].target.read(column, schema)
    assert found.shape == (ROWS,)
    if TASKS[name].has_classes:
        assert [schema.classes[place] for place in found.tolist()] == column.to_pylist()
        with pytest.raises(DataError, match="none of the classes"):
            TASKS[name].target.read(pa.chunked_array([["another"]]), schema)
    else:
        assert found.tolist() == column.to_pylist()


@EVERY
def test_a_target_that_nothing_can_be_learned_from_is_refused(name: TaskName) -> None:
    schema = schema_of(name)
    target = TASKS[name].target.read(column_of(name), schema)
    TASKS[name].target.check_learnable(target, schema)
    with pytest.raises(DataError, match="of class|nothing to learn"):
        TASKS[name].target.check_learnable(np.full_like(target, target[0]), schema)


@pytest.mark.parametrize("values", [(0.0, np.inf), (-np.inf, 0.0), (0.0, 1e39)])
def test_numbers_beyond_float32_are_refused(values: tuple[float, float]) -> None:
    Numbers().check_range("y", -1e38, 1e38)
    with pytest.raises(DataError, match="an infinite value|beyond the range of float32"):
        Numbers().check_range("y", *values)


# The answer


@EVERY
def test_an_answer_is_the_json_that_its_schema_says(name: TaskName) -> None:
    schema, answer = schema_of(name), TASKS[name].answer
    found = answer.rows(scores_of(name), schema, schema.labels)
    assert len(found) == ROWS
    for row in json.loads(json.dumps(found, allow_nan=False)):
        jsonschema.validate(row, {**answer.json_schema(schema), "additionalProperties": False})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({}, answer.json_schema(schema))
    assert answer.about(schema).startswith("Predicts `y`: ")


@EVERY
def test_the_open_inference_protocol_describes_what_is_answered(name: TaskName) -> None:
    schema, answer = schema_of(name), TASKS[name].answer
    described = answer.metadata(schema)
    assert tuple(output["name"] for output in described) == answer.outputs
    assert answer.outputs[0] == answer.output
    assert described[0]["shape"] == [-1, *scores_of(name).shape[1:]]
    assert ("threshold" in described[0]["parameters"]) == TASKS[name].has_positive_class


@EVERY
def test_the_log_holds_what_was_answered(name: TaskName) -> None:
    schema, scores, answer = schema_of(name), scores_of(name), TASKS[name].answer
    logged = pa.array(answer.logged(scores, schema))
    assert logged.type == answer.logged_type()
    rows = answer.rows(scores, schema, schema.labels)
    if TASKS[name].has_classes:
        chosen = choose_classes(scores, threshold=schema.threshold)
        assert logged.to_pylist() == [schema.labels[place] for place in chosen]
        assert [row["label"] for row in rows] == [schema.classes[place] for place in chosen]
    else:
        assert logged.to_pylist() == [row["value"] for row in rows]


@EVERY
def test_what_is_watched_is_one_number_or_one_class_a_row(name: TaskName) -> None:
    schema, scores = schema_of(name), scores_of(name)
    watched = TASKS[name].answer.watched(scores, schema.labels)
    assert len(watched) == ROWS
    if TASKS[name].is_one_number:
        assert watched.dtype == np.float32
        assert watched.tolist() == scores.reshape(ROWS, -1)[:, -1].tolist()
    else:
        assert set(watched) <= set(schema.labels)


@EVERY
def test_shap_values_are_of_what_is_said(name: TaskName) -> None:
    schema, answer = schema_of(name), TASKS[name].answer
    assert len(answer.explained(schema)) == (1 if TASKS[name].is_one_number else answer.width(schema))
    assert answer.unit("y").startswith("in ")


@EVERY
def test_versions_are_as_far_apart_as_their_answers(name: TaskName) -> None:
    answer, scores, others = TASKS[name].answer, scores_of(name), scores_of(name, seed=1)
    assert not answer.distance(scores, scores).any()
    found = answer.distance(scores, others)
    assert found.shape == (ROWS,)
    assert (found > 0).all()
    np.testing.assert_allclose(found, answer.distance(others, scores))
    assert not TASKS[name].has_classes or found.max() <= 1


# The baseline


METRICS = [(name, metric) for name, task in TASKS.items() for metric in task.metrics]


def constant_of(name: TaskName, constant: Constant, target: NDArray[Any], weights: Any) -> NDArray[np.float64]:
    return TASKS[name].baseline.answer(constant, target, weights, classes=len(classes_of(name)))


@pytest.mark.parametrize(("name", "metric"), METRICS)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_baseline_is_the_better_constant_for_each_metric(
    name: TaskName, metric: MetricName, weighted: bool
) -> None:
    random, best = np.random.default_rng(0), metrics.TABLE[metric].best_constant
    target: NDArray[Any] = random.exponential(size=ROWS) + 1
    if TASKS[name].has_classes:
        target = np.concatenate([np.arange(len(classes_of(name))), np.zeros(ROWS, dtype=np.int64)])
    weights = random.exponential(size=len(target)) if weighted else None
    answer = constant_of(name, best, target, weights)
    assert answer.shape == scores_of(name).shape[1:]
    assert np.isfinite(answer).all()
    others = [constant_of(name, one, target, weights) for one in get_args(Constant) if one != best]
    if TASKS[name].has_classes:
        others = [np.where(np.arange(answer.size) == 0, factor, 1.0) * answer for factor in (0.9, 1.1)]

    def judged(constant: NDArray[Any]) -> float:
        shares = constant / constant.sum() if TASKS[name].has_classes else constant
        scores = np.broadcast_to(shares, (len(target), *shares.shape))
        return metrics.score(metric, name, target, scores, weights=weights)

    assert all(metrics.gain(metric, judged(answer), judged(other)) >= 0 for other in others)


@EVERY
def test_the_baseline_says_what_it_answers(name: TaskName) -> None:
    assert TASKS[name].baseline.about.endswith(".")


def test_mean_and_median_are_of_weighted_rows() -> None:
    target, weights = np.array([1.0, 2.0, 9.0]), np.array([1.0, 1.0, 6.0])
    assert constant_of("regression", "mean", target, None) == 4
    assert constant_of("regression", "median", target, None) == 2
    assert constant_of("regression", "mean", target, weights) == 57 / 8
    assert constant_of("regression", "median", target, weights) == 9


# What tells them apart


def test_two_classes_are_one_number_of_which_the_threshold_decides() -> None:
    facts = {name: (task.has_classes, task.has_positive_class, task.is_one_number) for name, task in TASKS.items()}
    assert facts["binary"] == (True, True, True)
    assert facts["multiclass"] == (True, False, False)
    assert facts["regression"] == (False, False, True)
    schema = schema_of("binary")
    scores = np.array([[0.8, 0.2], [0.6, 0.4]], dtype=np.float32)
    assert [row["label"] for row in TASKS["binary"].answer.rows(scores, schema, schema.labels)] == [False, True]


def test_classes_are_counted() -> None:
    binary, multiclass = TASKS["binary"].target, TASKS["multiclass"].target
    assert isinstance(binary, Classes)
    assert isinstance(multiclass, Classes)
    assert (binary.most, multiclass.most) == (2, 1_000)
    assert "multiclass" in binary.if_more
