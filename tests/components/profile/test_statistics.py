"""The figures of the EDA report."""

import datetime as dt
import math
import resource

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from components.profile.figures import Profile
from components.profile.relations import MOST_CORRELATED, _pearson
from components.profile.statistics import MOST_COLUMNS, _histogram, profile
from components.shared.config import ProfileConfig

N = 400
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=N)
NOISE = RANDOM.normal(size=N)
C = RANDOM.integers(0, 3, N)
LABEL = X + NOISE > 1
TIMES = [dt.datetime(2024, 1, 1) + dt.timedelta(hours=6 * i) for i in range(N)]
DATA = {
    "x": X,
    "twice": pa.array([None if i % 4 == 0 else 2 * x for i, x in enumerate(X)]),
    "noise": NOISE,
    "c": np.array(["a", "b", "c"])[C],
    "flag": C > 0,
    "t": TIMES,
    "id": np.arange(N),
    "list": [[1]] * N,
    "y": LABEL,
}
KINDS = {"x": "number", "twice": "number", "noise": "number", "c": "category", "flag": "boolean", "t": "timestamp"}
BINARY = {"classes": [False, True], "time_column": "t", "keys": ["id"]}


def columns(found: Profile):
    return {column.name: column for column in found.columns}


@pytest.fixture
def binary(splits):
    return profile(splits(DATA, KINDS, **BINARY), ProfileConfig())


def test_numbers_are_described_over_all_parts(binary):
    found = columns(binary[0])
    assert (binary[0].rows, binary[0].sampled, binary[0].parts) == (
        N,
        N,
        {"train": 200, "validation": 100, "test": 100},
    )
    x = found["x"]
    assert (x.minimum, x.maximum, x.mean) == pytest.approx((X.min(), X.max(), X.mean()))
    assert x.deviation == pytest.approx(X.std(ddof=1))
    assert x.quantiles["0.5"] == pytest.approx(np.median(X))
    assert sum(x.histogram.counts) == N
    assert (found["twice"].nulls, found["twice"].null_share) == (100, 0.25)
    assert sum(found["twice"].histogram.counts) == 300
    assert (found["t"].minimum, found["t"].maximum) == (str(TIMES[0]), str(TIMES[-1]))


def test_roles_and_order(binary):
    assert [(column.name, column.role) for column in binary[0].columns] == [
        ("y", "target"),
        ("x", "feature"),
        ("twice", "feature"),
        ("noise", "feature"),
        ("c", "feature"),
        ("flag", "feature"),
        ("t", "feature, time"),
        ("id", "key"),
        ("list", "not used"),
    ]


def test_the_target_by_category(binary):
    assert binary[0].measures == ["share of true"]
    for place, category in enumerate(sorted(columns(binary[0])["c"].categories, key=lambda category: category.value)):
        assert category.rows == np.equal(C, place).sum()
        assert category.target == pytest.approx([LABEL[np.equal(C, place)].mean()])
    assert columns(binary[0])["c"].distinct == 3


def test_the_target_over_time(binary):
    assert binary[0].time_unit == "day"
    assert sum(moment.rows for moment in binary[0].over_time) == N
    first = binary[0].over_time[0]
    assert (first.start, first.rows) == ("2024-01-01T00:00:00", 4)
    assert first.target == pytest.approx([LABEL[:4].mean()])


def test_correlations(binary):
    found = binary[0].correlations
    assert found.names == ["y", "x", "twice", "noise", "flag", "id"]
    assert found.matrix[1][2] == 1
    assert found.matrix[0][1] == pytest.approx(np.corrcoef(LABEL, X)[0, 1], abs=1e-4)
    assert "x and twice say nearly the same (correlation 1.0000)." in binary[0].warnings


def test_principal_components(binary):
    found, points = binary[0].components, binary[1]
    assert found.names == ["x", "twice", "noise", "flag"]
    assert found.explained[0] == pytest.approx(0.46, abs=0.03)  # x and its double are nearly one direction of four
    assert np.abs(found.loadings[0][:2]).min() > 0.6
    assert points.places.shape == (N, 2)
    first, second = points.places.var(axis=0)
    assert first / second == pytest.approx(found.explained[0] / found.explained[1], rel=1e-4)
    assert set(points.groups) == {"false", "true"}


def test_a_regression(splits):
    folder = splits({**DATA, "y": X * 3 + NOISE}, {"x": "number", "c": "category"}, task="regression")
    found, points = profile(folder, ProfileConfig())
    assert found.measures == ["mean y"]
    assert columns(found)["y"].histogram is not None
    assert found.time_unit == ""
    assert (found.components, points) == (None, None)
    assert found.correlations is not None
    assert found.correlations.matrix[0][1] == pytest.approx(0.95, abs=0.03)
    both, points = profile(splits_again(folder, {"x": "number", "noise": "number"}), ProfileConfig())
    assert both.components is not None
    assert points is not None
    assert set(points.groups) == {"lowest third", "middle third", "highest third"}


def splits_again(folder, features):
    """The same splits with other features."""
    from components.shared.package.schema import Feature, Schema

    listed = [Feature(name=name, kind=kind, nullable=True) for name, kind in features.items()]
    Schema.read(folder).model_copy(update={"features": listed}).write(folder)
    return folder


def test_many_classes(splits):
    classes = [f"class {i:02}" for i in range(12)]
    labels = [classes[min(11, i % 40)] for i in range(N)]
    folder = splits({**DATA, "y": labels}, KINDS, task="multiclass", classes=classes)
    found, points = profile(folder, ProfileConfig())
    assert len(found.measures) == 5
    assert found.measures[0] == "share of class 11"
    assert found.correlations is not None
    assert points is not None
    assert "y" not in found.correlations.names
    assert set(points.groups) >= {"class 11", "other"}
    assert any("The class class 00 has only 10 rows (2.5%)." in warning for warning in found.warnings)


def test_what_a_reader_should_look_at(splits):
    data = {
        "empty": pa.nulls(N, pa.float64()),
        "one": [1.0] * N,
        "rare": [1.0 if i == 0 else None for i in range(N)],
        "far": [1e6 if i == 0 else float(i % 7) for i in range(N)],
        "code": [f"c{i}" for i in range(N)],
        "y": LABEL,
    }
    kinds = {"empty": "number", "one": "number", "rare": "number", "far": "number", "code": "category"}
    found, _ = profile(splits(data, kinds, classes=[False, True]), ProfileConfig())
    assert found.warnings == [
        "empty has no values.",
        "one is constant.",
        "rare is missing in 100% of the rows.",
        "far is strongly skewed (skewness 20.0): a few values lie far out.",
        "code has 400 different values in 400 rows.",
    ]
    assert columns(found)["empty"].histogram is None


def test_the_sample_is_bounded(splits):
    folder = splits(DATA, KINDS, **BINARY)
    found, points = profile(folder, ProfileConfig(rows=100, bins=5, top_categories=2))
    assert points is not None
    assert found.sampled == len(points.places) == 100
    assert sum(columns(found)["x"].histogram.counts) == 100
    assert len(columns(found)["x"].histogram.counts) == 5
    assert [category.rows for category in columns(found)["c"].categories] == sorted(np.bincount(C))[:0:-1]


def test_a_table_without_numbers(splits):
    found, points = profile(
        splits({"c": DATA["c"], "y": LABEL}, {"c": "category"}, classes=[False, True]), ProfileConfig()
    )
    assert (found.correlations, found.components, points) == (None, None, None)


def test_unused_columns_may_hold_anything(splits):
    data = {"x": X, "wild": [math.inf, -math.inf, 1e300, math.nan] * 100, "a b\"c'd": X, "y": LABEL}
    found, _ = profile(splits(data, {"x": "number"}, classes=[False, True]), ProfileConfig())
    assert columns(found)["wild"].mean is None
    assert Profile.model_validate_json(found.model_dump_json()) == found


def test_ten_thousand_columns_do_not_blow_up(splits):
    rows = 60
    data = {f"n{i}": RANDOM.normal(size=rows) for i in range(10_000)} | {"y": LABEL[:rows]}
    found, _ = profile(splits(data, {f"n{i}": "number" for i in range(10_000)}, classes=[False, True]), ProfileConfig())
    assert (len(found.columns), found.left_out) == (MOST_COLUMNS, 10_001 - MOST_COLUMNS)
    assert found.correlations is not None
    assert len(found.correlations.names) == MOST_CORRELATED
    assert found.correlations.left_out == MOST_COLUMNS - MOST_CORRELATED
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 1024**2  # KiB


@given(
    arrays.arrays(
        np.float64, st.integers(1, 40), elements=st.floats(-3e38, 3e38, allow_nan=False) | st.sampled_from([0.0, 1.0])
    ),
    st.booleans(),
)
def test_histograms_can_be_drawn(values, is_whole):
    found = _histogram(np.round(np.clip(values, -1e15, 1e15)) if is_whole else values, 10, is_whole=is_whole)
    assert sum(found.counts) == len(values)
    assert all(low < high for low, high in zip(found.edges, found.edges[1:], strict=False))


@given(arrays.arrays(np.float64, (30, 3), elements=st.floats(-1e6, 1e6)))
def test_correlations_are_those_of_numpy(values):
    values = np.round(values, 3)
    found = _pearson(values)
    for row in range(3):
        for column in range(3):
            pair = values[:, [row, column]]
            if (pair.std(axis=0) > 1e-2 * (1 + np.abs(pair).max(axis=0))).all():
                assert found[row, column] == pytest.approx(np.corrcoef(pair.T)[0, 1], abs=1e-6)
