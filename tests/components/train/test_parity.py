"""Tests of the comparison between ONNX and scikit-learn, with really broken steps."""

import copy
from pathlib import Path

import numpy as np
import pytest

from components.shared.errors import ParityError
from components.shared.tasks import TASKS
from components.train.onnx_export import export
from components.train.parity import check
from tests.components.modelling import TRAINING, Fitted, make_splits


def checked(fitted: Fitted, changed=None, **settings):
    """Compare the graph of one pipeline with another pipeline."""
    model = export(fitted.pipeline, fitted.schema)
    training = TRAINING.model_copy(update=settings)
    return check(model, changed or fitted.pipeline, fitted.schema, part=fitted.test, settings=training)


def step(pipeline, group: str, name: str):
    return pipeline["preprocess"].named_transformers_[group].named_steps[name]


def move_clip(pipeline) -> None:
    step(pipeline, "numbers", "clip").upper_[0] = 5.0


def move_median(pipeline) -> None:
    step(pipeline, "numbers", "impute").statistics_[2] += 7


def move_scale(pipeline) -> None:
    step(pipeline, "numbers", "scale").scale_[1] *= 3


def swap_one_hot(pipeline) -> None:
    values = step(pipeline, "one_hot", "encode").categories_[0]
    values[:] = np.roll(values, 1)


def move_means(pipeline) -> None:
    step(pipeline, "target_mean", "encode").encodings_[0][:] += 0.5


def swap_parts(pipeline) -> None:
    step(pipeline, "dates", "parts").parts = ("elapsed", "year", "month", "week", "day", "hour", "weekday", "minute")


def move_origin(pipeline) -> None:
    step(pipeline, "dates", "parts").origin_[1] += 86_400


def forget_missing(pipeline) -> None:
    step(pipeline, "numbers", "impute").indicated_[1] = 0  # whether another column is missing


def move_model(pipeline) -> None:
    pipeline["model"].intercept_ += 1


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["linear", "hist_gradient_boosting", "lightgbm", "random_forest"])
def test_an_honest_export_agrees_on_every_row(tmp_path: Path, family, task):
    fitted = Fitted(make_splits(tmp_path, task), family)
    agreement = checked(fitted)
    assert agreement.rows == 90
    assert agreement.share == 1
    assert agreement.largest < 1e-5


@pytest.mark.parametrize(
    ("breaking", "named"),
    [
        (move_clip, r"The step 'numbers/clip' of the preprocessing differs in column 'amount in €'"),
        (move_median, r"The step 'numbers/impute' of the preprocessing differs in column 'stops'"),
        (move_scale, r"The step 'numbers/scale' of the preprocessing differs in column 'größe'"),
        (swap_one_hot, r"The step 'one_hot/encode' of the preprocessing differs in column 'colour'"),
        (move_means, r"The step 'target_mean/encode' of the preprocessing differs in column 'town'"),
        (swap_parts, r"The step 'dates/parts' of the preprocessing differs in column '(booked at|paid)'"),
        (move_origin, r"The step 'dates/parts' of the preprocessing differs in column 'paid'"),
        (forget_missing, r"The step 'numbers/impute' of the preprocessing differs in column '(amount in €|stops)'"),
        (move_model, r"The preprocessing agrees; the step that differs is the model \(LogisticRegression\)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_broken_step_is_named_with_the_worst_row(tmp_path: Path, breaking, named):
    fitted = Fitted(make_splits(tmp_path), "linear")
    broken = copy.deepcopy(fitted.pipeline)
    breaking(broken)
    with pytest.raises(ParityError, match=named) as error:
        checked(fitted, broken)
    message = str(error.value)
    assert "of 90 test rows within 1e-05; train.parity_share asks for 99.9900%" in message
    assert "from ONNX and" in message
    assert "größe=" in message


def test_a_broken_ordinal_code_and_tree_are_named(tmp_path: Path):
    fitted = Fitted(make_splits(tmp_path, columns=["town"]), "hist_gradient_boosting")
    broken = copy.deepcopy(fitted.pipeline)
    values = step(broken, "ordinal", "encode").categories_[0]
    values[:] = np.roll(values, 1)
    with pytest.raises(ParityError, match=r"'ordinal/encode' of the preprocessing differs in column 'town'"):
        checked(fitted, broken, parity_share=1.0)
    broken = copy.deepcopy(fitted.pipeline)
    for (predictor,) in broken["model"]._predictors:
        predictor.nodes["value"] *= 2
    with pytest.raises(ParityError, match=r"is the model \(HistGradientBoostingClassifier\)"):
        checked(fitted, broken)


def test_the_tolerance_and_the_share_decide(tmp_path: Path):
    fitted = Fitted(make_splits(tmp_path), "linear")
    broken = copy.deepcopy(fitted.pipeline)
    broken["model"].intercept_ += 1e-3
    with pytest.raises(ParityError):
        checked(fitted, broken)
    assert checked(fitted, broken, parity_tolerance=1e-2).share == 1
    agreement = checked(fitted, broken, parity_share=0.0)
    assert agreement.share < 0.5
    assert 1e-5 < agreement.largest < 1e-3


def test_regression_is_compared_in_standard_deviations(tmp_path: Path):
    fitted = Fitted(make_splits(tmp_path, "regression"), "linear")
    broken = copy.deepcopy(fitted.pipeline)
    broken["model"].intercept_ += fitted.test.target.std() * 1e-3
    assert checked(fitted, broken, parity_share=0.0).largest == pytest.approx(1e-3, rel=0.05)
    with pytest.raises(ParityError, match=r"is the model \(Ridge\)"):
        checked(fitted, broken)


def test_a_target_far_from_zero_is_allowed_the_digits_float32_has(tmp_path: Path):
    fitted = Fitted(make_splits(tmp_path, "regression"), "hist_gradient_boosting")
    fitted.pipeline.fit(fitted.train.frame, fitted.train.target + 1e6)
    assert checked(fitted).share == 1
