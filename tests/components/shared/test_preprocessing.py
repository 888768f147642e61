"""Tests of the preprocessing in front of the models."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from components.shared.config import TrainConfig
from components.shared.errors import DataError
from components.shared.families.table import FAMILIES
from components.shared.frames import load_part
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME
from components.shared.preprocessing import (
    Float32Scaler,
    MissingValues,
    QuantileClipper,
    TargetMeans,
    group_columns,
    make_preprocessor,
)
from tests.components.modelling import TRAINING, make_splits

NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=False)


@settings(max_examples=60)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=25), elements=NUMBERS))
def test_the_clipper_keeps_nan_and_moves_nothing_but_outliers(values):
    clipper = QuantileClipper(0.1, 0.9, exempt=(0,)).fit(values)
    clipped = clipper.transform(values)
    np.testing.assert_array_equal(np.isnan(clipped), np.isnan(values))
    np.testing.assert_array_equal(clipped[:, 0], values[:, 0])
    inside = ((values >= clipper.lower_) & (values <= clipper.upper_)) | np.isnan(values)
    np.testing.assert_array_equal(clipped[inside], values[inside])
    np.testing.assert_array_equal(clipper.transform(clipped), clipped)
    known = ~np.isnan(clipped)
    assert (clipped >= clipper.lower_)[known].all()
    assert (clipped <= clipper.upper_)[known].all()


def test_the_clipper_leaves_empty_and_nearly_constant_columns():
    rare = np.zeros(1000, dtype=np.float32)
    rare[7] = 1
    values = np.column_stack([rare, np.full(1000, np.nan, dtype=np.float32)])
    np.testing.assert_array_equal(QuantileClipper(0.01, 0.99).fit(values).transform(values), values)


def test_the_clipper_clips_at_values_that_occur():
    values = np.arange(1001, dtype=np.float32).reshape(-1, 1)
    clipper = QuantileClipper(0.0015, 0.9985).fit(values)
    assert (clipper.lower_.item(), clipper.upper_.item()) == (1.0, 999.0)


def test_columns_are_grouped_by_kind_and_cardinality(tmp_path: Path):
    schema = Schema.read(make_splits(tmp_path))
    trees = group_columns(schema, TRAINING, linear=False)
    assert trees == {"numbers": [0, 1, 2, 3], "one_hot": [4], "ordinal": [5], "target_mean": [6], "dates": [7, 8]}
    linear = group_columns(schema, TRAINING, linear=True)
    assert linear == {"numbers": [0, 1, 2, 3], "one_hot": [4], "target_mean": [5, 6], "dates": [7, 8]}


@pytest.mark.parametrize(("linear", "missing"), [(True, "auto"), (False, "indicator"), (False, "median")])
def test_the_preprocessing_gives_finite_float32_whatever_is_missing_or_new(tmp_path: Path, linear: bool, missing):
    splits = make_splits(tmp_path)
    schema = Schema.read(splits)
    train = load_part(splits, "train", schema)
    preprocessor = make_preprocessor(schema, TRAINING.model_copy(update={"missing": missing}), linear=linear)
    fitted = preprocessor.fit_transform(train.frame, train.target)
    strange = train.frame.head(2).copy()
    strange.iloc[0] = [np.nan] * 4 + [""] * 3 + [MISSING_TIME] * 2
    strange.iloc[1] = [1e30, -1e30, 0, 1, "lila", "nowhere", "shop ?", -(10**15), 10**12]
    seen = preprocessor.transform(strange)
    assert fitted.dtype == seen.dtype == np.float32
    assert fitted.shape[1] == seen.shape[1]
    assert np.isfinite(fitted).all()
    assert np.isfinite(seen).all()


def test_trees_get_nan_where_training_had_some(tmp_path: Path):
    splits = make_splits(tmp_path)
    schema = Schema.read(splits)
    train = load_part(splits, "train", schema)
    preprocessor = make_preprocessor(schema, TRAINING, linear=False).fit(train.frame, train.target)
    strange = train.frame.head(1).copy()
    strange.iloc[0] = [np.nan] * 4 + [""] * 3 + [MISSING_TIME] * 2
    seen = preprocessor.transform(strange)
    numbers = seen[0, preprocessor.output_indices_["numbers"]]
    np.testing.assert_array_equal(np.isnan(numbers), [True, False, True, True])  # "größe" is never missing
    assert numbers[1] == pytest.approx(np.median(train.frame["größe"]))
    booked, paid, between, *calendar = seen[0, preprocessor.output_indices_["dates"]]
    assert not np.isnan(booked)
    assert np.isnan(paid)
    assert np.isnan(between)
    np.testing.assert_array_equal(np.isnan(calendar), [False] * 7 + [True] * 7)


@settings(max_examples=40)
@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=15), elements=NUMBERS))
def test_missing_values_are_kept_filled_or_told(values):
    missing = np.isnan(values)
    kept, filled, told = (MissingValues(how).fit(values).transform(values) for how in ("keep", "median", "indicator"))
    np.testing.assert_array_equal(kept, np.where(missing.all(axis=0), 0, values))  # of nothing no tree can learn
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[~missing], values[~missing])
    np.testing.assert_array_equal(told[:, : values.shape[1]], filled)
    patterns = {tuple(column) for column in missing.T if column.any()}
    assert {tuple(column > 0) for column in told[:, values.shape[1] :].T} == patterns
    assert told.shape[1] == values.shape[1] + len(patterns)


def test_what_was_never_missing_gets_its_median_and_no_indicator():
    known = np.array([[1.0, 5.0], [2.0, 5.0], [9.0, np.nan]], dtype=np.float32)
    new = np.full((1, 2), np.nan, dtype=np.float32)
    assert MissingValues("keep").fit(known).transform(new).tolist()[0][0] == 2
    assert MissingValues("indicator").fit(known).transform(new).tolist() == [[2, 5, 1]]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_a_number_without_any_value_is_no_trouble_to_any_family(name, task):
    """As in a fold of a table whose newest rows alone have the feature."""
    family, random = FAMILIES[name], np.random.default_rng(0)
    values = random.normal(size=(120, 2)).astype(np.float32)
    target = (values[:, 0] > 0).astype(np.int64 if task == "binary" else np.float64)
    without = np.where([True, False], values, np.float32(np.nan))
    steps = MissingValues("indicator" if family.linear else "keep").fit(without)
    model = family.estimator(task).fit(steps.transform(without), target)
    assert np.isfinite(model.predict(steps.transform(values))).all()


def test_moments_may_lie_beyond_those_learned_from_and_the_year_9999_may_not(tmp_path: Path):
    day = 86_400
    seconds = np.arange(1000, dtype=np.int64).reshape(-1, 1) * day
    schema = Schema(task="regression", target="y", features=[Feature(name="at", kind="timestamp", nullable=True)])
    preprocessor = make_preprocessor(schema, TrainConfig(date_parts=["elapsed"], missing="median"), linear=False)
    preprocessor.fit(pd.DataFrame(seconds, columns=["at"]))
    later = pd.DataFrame({"at": [1500 * day, 253_402_300_799, MISSING_TIME]})
    assert preprocessor.transform(later).ravel() == pytest.approx([1000, 1497, -0.5], abs=2)


def test_booleans_are_not_clipped_and_a_null_limit_clips_nothing(tmp_path: Path):
    splits = make_splits(tmp_path)
    schema = Schema.read(splits)
    steps = dict(make_preprocessor(schema, TRAINING, linear=False).transformers[0][1].steps)
    assert steps["clip"].exempt == (3,)
    unclipped = make_preprocessor(schema, TrainConfig(clip_quantiles=None), linear=False)
    assert [name for name, _ in unclipped.transformers[0][1].steps] == ["impute"]


def test_nothing_to_learn_from_is_said():
    only_time = Schema(
        task="binary",
        target="y",
        classes=[0, 1],
        features=[Feature(name="at", kind="timestamp", nullable=False)],
    )
    with pytest.raises(DataError, match=r"date_parts is empty"):
        make_preprocessor(only_time, TrainConfig(date_parts=[]), linear=False)
    with pytest.raises(DataError, match=r"the table has no features\."):
        make_preprocessor(only_time.model_copy(update={"features": []}), TrainConfig(), linear=False)


def test_the_scaler_holds_what_float32_can():
    years = np.random.default_rng(0).normal(2013.4567, 1, (500, 1)).astype(np.float32)
    scaler = Float32Scaler().fit(years)
    assert scaler.mean_.tolist() == scaler.mean_.astype(np.float32).tolist()
    scaled = scaler.transform(years)
    assert scaled.dtype == np.float32
    assert abs(scaled.mean()) < 1e-3
    assert abs(scaled.std() - 1) < 1e-3


def test_target_means_are_those_of_other_folds_when_fitting():
    categories = np.array([["a"], ["b"]] * 50, dtype=object)
    target = np.array([0, 1] * 50)
    encoder = TargetMeans(target_type="binary")
    assert encoder.fit_transform(categories, target).dtype == np.float32
    assert encoder.transform(np.array([["a"], ["b"], ["c"]], dtype=object)).ravel() == pytest.approx(
        [0, 1, 0.5], abs=0.02
    )
