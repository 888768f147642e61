"""A block of a table is read as the endpoint reads its rows."""

import math
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.predict.reading import Reader, missing_columns
from components.shared.errors import InputError
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, parse_rows
from components.shared.spelling import Spelling

KINDS = ("number", "integer", "boolean", "category", "timestamp")
TEXTS = st.one_of(
    st.sampled_from(
        ["", "7", "007", " 7 ", "+7", "-0", "7.0", "7.5", ".5", "5.", "1e5", "1e400", "1_000", "1,5", "nan", "inf", "٣",
         "true", "True", "F", "yes", "no", "0x10", "2024-02-30", "2024-02-29", "2024-02-29T12:30:00.7", "20240229",
         "2024-02-29 12:30:00+02:00", "1969-12-31T23:59:59.5", "9999-12-31T23:59:59-01:00", "röt", "ro\u0308t"]
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.datetimes().map(datetime.isoformat),
)  # fmt: skip
COLUMNS: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.int64(), st.one_of(st.integers(-5, 5), st.integers(-(2**63), 2**63 - 1))),
    (pa.float64(), st.one_of(st.floats(), st.integers(-(2**53), 2**53).map(float), st.sampled_from([3.5e38, 3.4e38]))),
    (pa.string(), TEXTS),
    (pa.dictionary(pa.int32(), pa.string()), TEXTS),
    (pa.bool_(), st.booleans()),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes()),
    (pa.timestamp("us", "UTC"), st.datetimes(timezones=st.just(UTC))),
]


@st.composite
def blocks(draw: st.DrawFn) -> tuple[Schema, pa.RecordBatch, list[dict[str, Any]]]:
    """Some features over columns of any type, and the rows as Python has them."""
    rows = draw(st.integers(1, 6))
    features, columns, values = [], [], []
    for number in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(KINDS))
        categories = (
            draw(st.sampled_from([[], ["1", "7", "-20"], ["a", "7"], ["007", "12"]])) if kind == "category" else []
        )
        zoned = draw(st.sampled_from([None, True, False])) if kind == "timestamp" else None
        features.append(
            Feature(name=f"c{number}", kind=kind, nullable=draw(st.booleans()), categories=categories, zoned=zoned)
        )
        dtype, strategy = draw(st.sampled_from(COLUMNS))
        values.append(draw(st.lists(st.one_of(st.none(), strategy), min_size=rows, max_size=rows)))
        columns.append(
            pa.array(values[-1], pa.string()).dictionary_encode()
            if pa.types.is_dictionary(dtype)
            else pa.array(values[-1], dtype)
        )
    names = [feature.name for feature in features]
    batch = pa.RecordBatch.from_arrays(columns, names=names)
    schema = Schema(task="binary", target="y", classes=[False, True], features=features)
    return schema, batch, [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def asked(value: Any, feature: Feature) -> Any:
    """A value as a request to the endpoint would have it."""
    if feature.kind == "category":
        if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
            return int(value)
        is_code = feature.categories == ["1", "7", "-20"]
        return (
            str(int(value.partition(".")[0])) if is_code and isinstance(value, str) and plain_digits(value) else value
        )
    if not isinstance(value, str) or feature.kind == "timestamp":
        return value
    if feature.kind == "boolean":
        spellings = {"true": True, "t": True, "yes": True, "y": True, "1": True}
        spellings |= {"false": False, "f": False, "no": False, "n": False, "0": False}
        return spellings.get(value.strip().lower(), value)
    try:
        number = float(value.strip(" \t\r\n"))
    except ValueError:
        return value
    return (
        number
        if value.isascii()
        and "_" not in value
        and "n" not in value.lower()
        and value == value.strip("\x0b\x0c\x1c\x1d\x1e\x1f")
        else value
    )


def plain_digits(text: str) -> bool:
    whole, _, fraction = text.removeprefix("-").partition(".")
    return whole.isdecimal() and len(whole.lstrip("0")) <= 18 and not fraction.strip("0") and text.isascii()


def refusal(row: dict[str, Any], schema: Schema) -> str:
    try:
        parse_rows([row], schema)
    except InputError as error:
        return str(error).removeprefix("Row 0, ")
    return ""


def assert_same(found: Inputs, expected: Inputs) -> None:
    np.testing.assert_array_equal(found.numbers, expected.numbers.astype(np.float32))
    assert found.categories.tolist() == expected.categories.tolist()
    np.testing.assert_array_equal(found.times, expected.times)


@settings(max_examples=400, deadline=None)
@given(blocks())
def test_a_row_fits_exactly_when_the_endpoint_takes_it_and_is_read_the_same(block):
    schema, batch, rows = block
    kinds = {feature.name: feature for feature in schema.features}
    requests = [{name: asked(value, kinds[name]) for name, value in row.items()} for row in rows]
    refusals = [refusal(request, schema) for request in requests]
    reader = Reader(schema)

    read = reader.read(batch)

    fits = np.ones(len(rows), bool) if read.fits is None else read.fits
    assert fits.tolist() == [not reason for reason in refusals]
    assert_same(
        read.inputs, parse_rows([row for row, reason in zip(requests, refusals, strict=True) if not reason], schema)
    )
    culprits = iter(read.culprits)
    for row, reason in zip(rows, refusals, strict=True):
        if reason:
            feature = reader.features[next(culprits)]
            assert reader.reason(row[feature.name], feature) == reason


def one(kind: str, *, nullable: bool = False, **more: Any) -> Schema:
    feature = Feature(name="c", kind=kind, nullable=nullable, **more)
    return Schema(task="regression", target="y", features=[feature])


def read(schema: Schema, values: Any, **options: Any) -> Any:
    return Reader(schema, **options).read(pa.record_batch({"c": values}))


def test_whole_numbers_beyond_float64_are_rounded_as_python_rounds_them():
    numbers = [2**53 + 1, 2**62 + 2**38 + 1]

    block = read(one("integer"), pa.array(numbers))

    assert_same(block.inputs, parse_rows([{"c": number} for number in numbers], one("integer")))


def test_moments_that_no_request_can_name_do_not_fit():
    far = pa.array([10**18, 0, -(10**18)], pa.timestamp("us"))

    block = read(one("timestamp", nullable=True), far)

    assert block.fits.tolist() == [False, True, False]


def test_times_may_be_written_in_the_format_of_the_configuration_or_in_iso():
    texts = pa.array(["31.12.2023 06:00", "2023-12-31", "12/31/2023"])

    block = read(one("timestamp"), texts, date_format="%d.%m.%Y %H:%M")

    assert block.inputs.times[:, 0].tolist() == [1704002400, 1703980800]
    assert block.fits.tolist() == [True, True, False]


def test_the_format_goes_before_iso_where_both_read_a_text():
    block = read(one("timestamp"), pa.array(["2023-02-01"]), date_format="%Y-%d-%m")

    assert block.inputs.times[0, 0] == datetime(2023, 1, 2).timestamp() - datetime(1970, 1, 1).timestamp()


def test_a_missing_value_is_what_the_tensors_hold_for_it():
    assert math.isnan(read(one("number", nullable=True), pa.array([None], pa.float64())).inputs.numbers[0, 0])
    assert read(one("category", nullable=True), pa.array([None], pa.string())).inputs.categories[0, 0] == ""
    assert read(one("timestamp", nullable=True), pa.array([None], pa.date32())).inputs.times[0, 0] == MISSING_TIME


def test_a_learned_code_is_found_in_other_spellings_but_a_name_is_left_alone():
    spelled = pa.array(["007", "7.0", "-020", "7a", "7.5"])

    codes = read(one("category", categories=["7", "-20"]), spelled)
    names = read(one("category", categories=["7", "007"]), spelled)

    assert codes.inputs.categories[:, 0].tolist() == ["7", "7", "-20", "7a", "7.5"]
    assert names.inputs.categories[:, 0].tolist() == spelled.to_pylist()


def test_a_reason_is_only_asked_for_what_does_not_fit():
    with pytest.raises(AssertionError, match="the two readings differ"):
        Reader(one("number")).reason(1.0, one("number").features[0])


def test_missing_columns_come_in_the_order_of_the_model():
    assert missing_columns(["other"], one("number")) == ["c"]
    assert missing_columns(["c", "other"], one("number")) == []


def test_dates_are_the_first_second_of_their_day():
    assert read(one("timestamp"), pa.array([date(1970, 1, 2)])).inputs.times[0, 0] == 86400


@pytest.mark.parametrize("zoned", [True, False])
def test_columns_of_times_of_the_other_kind_are_set_aside_with_what_is_expected(zoned):
    schema = one("timestamp", nullable=True)
    feature = schema.features[0].model_copy(update={"zoned": zoned})
    schema = schema.model_copy(update={"features": [feature]})
    moments = pa.array([datetime(2024, 1, 1, 6), None])
    fitting, other = moments, moments.cast(pa.timestamp("us", "UTC"))
    if zoned:
        fitting, other = other, fitting
    assert read(schema, fitting).fits is None
    block = read(schema, other)
    assert block.fits is not None
    assert block.fits.tolist() == [False, True]
    reason = Reader(schema).reason(other[0].as_py(), feature)
    assert reason.startswith("column 'c': found 2024-01-01T06:00:00")
    assert ("with its zone" if zoned else "without a zone") in reason


def test_numbers_that_lost_the_zeros_of_codes_are_set_aside_with_the_spelling():
    feature = Feature(name="c", kind="category", nullable=False, categories=["02138", "90210"])
    schema = one("category").model_copy(update={"features": [feature]})
    block = read(schema, pa.array([90210, 2138]))
    assert block.fits is not None
    assert block.fits.tolist() == [True, False]
    assert 'expected a text such as "02138"' in Reader(schema).reason(2138, feature)


def test_numbers_and_times_in_a_columns_own_spelling():
    numbers = Spelling(decimal=",", thousands=".", symbols=("€",))
    block = read(one("number"), pa.array(["1.234,5 €", "7", "1.5"]), spellings={"c": numbers})
    assert block.fits is not None
    assert block.fits.tolist() == [True, True, False]
    assert block.inputs.numbers.tolist() == [[1234.5], [7.0]]
    epochs = read(one("timestamp"), pa.array(["1704067201000", "soon"]), spellings={"c": Spelling(unit="ms")})
    assert epochs.inputs.times.tolist() == [[1704067201]]
