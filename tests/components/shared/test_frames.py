import math
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.config import TaskName
from components.shared.errors import DataError
from components.shared.frames import features, inputs, labels, load_part, row_weights
from components.shared.package.schema import Feature, FeatureKind, Schema
from components.shared.package.scoring import MISSING_TIME, parse_rows
from components.shared.tasks import TASKS
from tests.helpers import make_schema, make_splits

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
VALUES = {
    "a number": (pa.float64(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "a whole": (pa.int64(), st.integers(-(2**24), 2**24)),
    "a truth": (pa.bool_(), st.booleans()),
    "a category": (pa.string(), TEXT),
    "a moment": (pa.timestamp("us"), st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))),
}
KINDS: dict[str, FeatureKind] = {
    "a number": "number",
    "a whole": "integer",
    "a truth": "boolean",
    "a category": "category",
    "a moment": "timestamp",
}
SCHEMA = Schema(
    task="regression",
    target="target",
    features=[Feature(name=name, kind=kind, nullable=True) for name, kind in reversed(KINDS.items())],
)


def schema_of(kind: FeatureKind) -> Schema:
    return Schema(task="regression", target="target", features=[Feature(name="x", kind=kind, nullable=True)])


def converted(kind: FeatureKind, values: pa.Array) -> list[object]:
    return list(features(pa.table({"x": values}), schema_of(kind))["x"])


@given(st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in VALUES.items()}), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_table_and_its_rows_are_the_same_tensors(rows):
    """Training and serving read the same values the same way."""
    table = pa.Table.from_pylist(rows, pa.schema([(name, kind) for name, (kind, _) in VALUES.items()]))
    found, expected = inputs(features(table, SCHEMA), SCHEMA), parse_rows(rows, SCHEMA)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    np.testing.assert_array_equal(found.categories, expected.categories)
    np.testing.assert_array_equal(found.times, expected.times)
    kinds = [tensor.dtype.name for tensor in (found.numbers, found.categories, found.times)]
    assert kinds == ["float32", "object", "int64"]


def test_columns_are_in_the_order_of_the_inputs():
    table = pa.table({name: pa.array([], kind) for name, (kind, _) in VALUES.items()})
    frame = features(table, SCHEMA)
    assert list(frame) == SCHEMA.columns == ["a truth", "a whole", "a number", "a category", "a moment"]
    tensors = inputs(frame, SCHEMA)
    assert (tensors.numbers.shape, tensors.categories.shape, tensors.times.shape) == ((0, 3), (0, 1), (0, 1))


def test_numbers_of_every_type():
    assert converted("number", pa.array([1, None], pa.int8())) == [1.0, pytest.approx(math.nan, nan_ok=True)]
    assert converted("number", pa.array([Decimal("1.25")])) == [1.25]
    assert converted("boolean", pa.array([True, False])) == [1.0, 0.0]
    assert converted("number", pa.array([0.1])) == [np.float32(0.1)]
    # What lies beyond float32 is infinite; prepare and the endpoint refuse it.
    assert converted("number", pa.array([1e300])) == [math.inf]


def test_categories_of_every_type():
    assert converted("category", pa.array(["x", None, ""])) == ["x", "", ""]
    assert converted("category", pa.array([7, None])) == ["7", ""]
    assert converted("category", pa.array(["x", None]).dictionary_encode()) == ["x", ""]


def test_moments_of_every_type():
    moments = [datetime(2024, 1, 2, 3, 4, 5, 999_999), datetime(1969, 12, 31, 23, 59, 59, 500_000), None]
    expected = [1704164645, -1, MISSING_TIME]
    for unit in ("ms", "us", "ns"):
        assert converted("timestamp", pa.array(moments, pa.timestamp(unit))[:2]) == expected[:2]
    assert converted("timestamp", pa.array(moments, pa.timestamp("us"))) == expected
    aware = pa.array([1704164645]).cast(pa.timestamp("s", tz="America/New_York"))
    assert converted("timestamp", aware) == [1704164645]
    assert converted("timestamp", pa.array([date(2024, 1, 2), None])) == [1704153600, MISSING_TIME]


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        ("number", ["1", "x"], "Column 'x' is to be a number; it is string and cannot be converted: .*'x'"),
        ("timestamp", ["yesterday"], "Column 'x' is to be a timestamp; it is string and cannot be converted"),
        ("timestamp", [True], "Column 'x' is to be a timestamp; it is bool and cannot be converted"),
        ("number", [[1]], "Column 'x' is to be a number; it is list<.*> and cannot be converted"),
    ],
)
def test_a_column_that_cannot_be_converted_is_named(kind, values, message):
    with pytest.raises(DataError, match=message):
        converted(kind, pa.array(values))


def test_a_missing_column_is_named():
    with pytest.raises(DataError, match=r"has no column 'member', 'opened at'; it has amount, visits, colour, id\."):
        features(pa.table({name: [0] for name in ("amount", "visits", "colour", "id")}), make_schema())


@pytest.mark.parametrize("task", TASKS)
def test_a_part_is_loaded_in_its_order(tmp_path, task: TaskName):
    splits = make_splits(tmp_path, task=task, rows=100)
    schema = Schema.read(splits)
    part = load_part(splits, "test", schema)
    assert part.frame.shape == (20, 5)
    assert part.target.shape == (20,)
    assert part.target.dtype == (np.int64 if TASKS[task].has_classes else np.float64)
    table = pq.read_table(splits / "test.parquet")
    expected = table["target"].to_pylist()
    assert (
        [schema.classes[code] for code in part.target] == expected if schema.classes else list(part.target) == expected
    )
    assert part.frame["opened at"].is_monotonic_increasing


@pytest.mark.parametrize(
    ("classes", "values", "codes"),
    [
        ([False, True], [True, False], [1, 0]),
        ([3, 7], [7, 3, 3], [1, 0, 0]),
        (["ja", "näh"], ["näh", "ja"], [1, 0]),
        (["true", "false"], ["true", "false"], [0, 1]),
    ],
)
def test_labels_become_places_in_the_list_of_classes(classes, values, codes):
    schema = Schema(task="binary", target="target", classes=classes, features=[])
    assert labels(pa.table({"target": values}), schema).tolist() == codes


@pytest.mark.parametrize("values", [["ja", "other"], ["ja", None]])
def test_a_label_that_is_no_class_is_shown(values):
    schema = Schema(task="binary", target="target", classes=["ja", "näh"], features=[])
    with pytest.raises(DataError, match=rf"The target 'target' holds \[{values[1]!r}\], none of the classes"):
        labels(pa.table({"target": values}), schema)


def weighted(values: list[object]) -> tuple[pa.Table, Schema]:
    return pa.table({"w": values}), Schema(task="regression", target="target", features=[], weights="w")


def test_weights_travel_with_a_part(tmp_path):
    splits = make_splits(tmp_path, rows=100)
    path, schema = splits / "test.parquet", Schema.read(splits)
    assert load_part(splits, "test", schema).weights is None
    table = pq.read_table(path)
    pq.write_table(table.append_column("w", pa.array(range(table.num_rows))), path)
    part = load_part(splits, "test", schema.model_copy(update={"weights": "w"}))
    assert part.weights is not None
    assert part.weights.tolist() == list(range(20))


@pytest.mark.parametrize("values", [[1, 2], [0.5, 0.0], [Decimal("0.5"), Decimal(2)], [True, False]])
def test_numbers_of_zero_or_more_are_weights(values):
    found = row_weights(*weighted(values))
    assert found is not None
    assert found.tolist() == [float(value) for value in values]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None], "holds None, and 1 of 2 rows"),
        ([-1.0, -2.0], "holds -1.0, and 2 of 2 rows"),
        ([math.inf, 1.0], "holds inf"),
        (["much", "little"], "is string; weights are numbers"),
        ([0.0, 0.0], "is 0 in every row"),
    ],
)
def test_what_is_no_weight_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        row_weights(*weighted(values))
    with pytest.raises(DataError, match="has no column 'w', which problem.weights names"):
        row_weights(pa.table({"x": values}), weighted(values)[1])
