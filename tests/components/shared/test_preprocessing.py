"""Tests of the preprocessing in front of the models."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from components.shared.config import DatePart, TrainConfig
from components.shared.errors import DataError
from components.shared.frames import load_part
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME
from components.shared.preprocessing import (
    DateParts,
    Float32Scaler,
    QuantileClipper,
    TargetMeans,
    group_columns,
    make_preprocessor,
)
from tests.components.modelling import TRAINING, make_splits

PARTS: tuple[DatePart, ...] = ("year", "month", "day", "weekday", "hour", "minute")
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 12, 31)).map(lambda moment: moment.replace(tzinfo=UTC))
NUMBERS = st.floats(width=32, allow_nan=True, allow_infinity=False)


@given(st.lists(MOMENTS, min_size=1, max_size=30))
def test_date_parts_are_those_of_the_calendar(moments):
    seconds = np.array([[int(np.floor(moment.timestamp()))] for moment in moments], dtype=np.int64)
    expected = [[m.year, m.month, m.day, m.weekday(), m.hour, m.minute] for m in moments]
    assert DateParts(PARTS).fit(seconds).transform(seconds).tolist() == expected


def test_date_parts_of_the_first_and_last_day_python_knows():
    moments = [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, tzinfo=UTC)]
    seconds = np.array([[int(moment.timestamp())] for moment in moments], dtype=np.int64)
    parts = DateParts(PARTS).fit(seconds).transform(seconds)
    assert parts.tolist() == [[1, 1, 1, 0, 0, 0], [9999, 12, 31, 4, 23, 59]]


def test_missing_times_become_nan_column_by_column():
    seconds = np.array([[0, MISSING_TIME], [MISSING_TIME, 86_400 * 31]], dtype=np.int64)
    parts = DateParts(("month", "weekday")).fit(seconds).transform(seconds)
    assert parts.dtype == np.float32
    np.testing.assert_array_equal(parts, [[1, 3, np.nan, np.nan], [np.nan, np.nan, 2, 6]])


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


@pytest.mark.parametrize("linear", [True, False])
def test_the_preprocessing_gives_finite_float32_whatever_is_missing_or_new(tmp_path: Path, linear: bool):
    splits = make_splits(tmp_path)
    schema = Schema.read(splits)
    train = load_part(splits, "train", schema)
    preprocessor = make_preprocessor(schema, TRAINING, linear=linear)
    fitted = preprocessor.fit_transform(train.frame, train.target)
    strange = train.frame.head(2).copy()
    strange.iloc[0] = [np.nan] * 4 + [""] * 3 + [MISSING_TIME] * 2
    strange.iloc[1] = [1e30, -1e30, 0, 1, "lila", "nowhere", "shop ?", -(10**15), 10**12]
    seen = preprocessor.transform(strange)
    assert fitted.dtype == seen.dtype == np.float32
    assert fitted.shape[1] == seen.shape[1]
    assert np.isfinite(fitted).all()
    assert np.isfinite(seen).all()


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
