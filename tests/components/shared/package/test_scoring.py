import contextlib
import json
import math
import shutil
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.as_written import composed
from components.shared.errors import InputError, PackageError
from components.shared.frames import features, inputs, part_path
from components.shared.package.model_package import read_golden
from components.shared.package.schema import Feature, FeatureKind, Schema, label_name
from components.shared.package.scoring import MISSING_TIME, Scorer, parse_columns, parse_rows
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from tests.helpers import make_splits

ROW = {"amount": 1.5, "visits": 2, "member": True, "colour": "röt", "opened at": "2024-01-02T03:04:05"}
KINDS: list[FeatureKind] = ["number", "integer", "boolean", "category", "timestamp"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.from_regex(r"\d{1,5}-\d\d-\d\dT?[\d:+.]*"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def schema_of(kind: FeatureKind, *, nullable: bool = False) -> Schema:
    return Schema(task="regression", target="y", features=[Feature(name="x", kind=kind, nullable=nullable)])


def parse(kind: FeatureKind, value: Any, *, nullable: bool = False) -> Any:
    """The one value of a row of one column, as the tensor holds it."""
    found = parse_rows([{"x": value}], schema_of(kind, nullable=nullable))
    return next(
        tensor[0, 0].item() if hasattr(tensor[0, 0], "item") else tensor[0, 0]
        for tensor in (found.numbers, found.categories, found.times)
        if tensor.shape[1]
    )


@pytest.fixture(scope="module")
def scorer(packages) -> Scorer:
    return Scorer.load(packages(), version="v1")


# Rows to tensors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nullable", [False, True])
@given(value=JSON)
@settings(max_examples=60, deadline=None)
def test_any_json_value_is_taken_or_refused_by_name(kind, nullable, value):
    with contextlib.suppress(InputError):
        parse(kind, value, nullable=nullable)
        return
    with pytest.raises(InputError, match=r"^Row 0, column 'x': found ") as caught:
        parse(kind, value, nullable=nullable)
    assert len(str(caught.value).encode()) < 400


@pytest.mark.parametrize(
    ("zoned", "value", "seconds"),
    [
        (True, "2024-01-01T06:00:00-05:00", 11 * 3600),
        (True, "2024-01-01T06:00:00Z", 6 * 3600),
        (True, datetime(2024, 1, 1, 6, tzinfo=UTC), 6 * 3600),
        (False, "2024-01-01T06:00:00", 6 * 3600),
        (False, "2024-01-01", 0),
        (False, datetime(2024, 1, 1, 6), 6 * 3600),
        (None, "2024-01-01T06:00:00-05:00", 11 * 3600),
        (None, "2024-01-01T06:00:00", 6 * 3600),
    ],
)
def test_times_are_taken_with_a_zone_or_without_as_in_training(zoned, value, seconds):
    schema = schema_of("timestamp")
    schema = schema.model_copy(update={"features": [schema.features[0].model_copy(update={"zoned": zoned})]})
    start = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
    assert parse_rows([{"x": value}], schema).times[0, 0] == start + seconds
    assert parse_columns({"x": [value]}, schema).times[0, 0] == start + seconds


@pytest.mark.parametrize(
    ("zoned", "value", "expected"),
    [
        (True, "2024-01-01T06:00:00", "a date and time with its zone, such as 2013-06-30T17:45:00Z or"),
        (True, "2024-01-01", "a date and time with its zone"),
        (True, datetime(2024, 1, 1, 6), "a date and time with its zone"),
        (
            False,
            "2024-01-01T06:00:00Z",
            r"a date and time without a zone \(by the clock of the training data\), such as",
        ),
        (False, "2024-01-01T06:00:00-05:00", "a date and time without a zone"),
        (False, datetime(2024, 1, 1, 6, tzinfo=UTC), "a date and time without a zone"),
    ],
)
def test_times_of_the_other_kind_are_refused_with_what_is_expected(zoned, value, expected):
    schema = schema_of("timestamp")
    schema = schema.model_copy(update={"features": [schema.features[0].model_copy(update={"zoned": zoned})]})
    for parse_it in (lambda: parse_rows([{"x": value}], schema), lambda: parse_columns({"x": [value]}, schema)):
        with pytest.raises(InputError, match=rf"^Row 0, column 'x': found .*2024-01-01.*; expected {expected}"):
            parse_it()


def test_letters_are_composed_on_the_way_in():
    schema = schema_of("category")
    assert parse_rows([{"x": "Zu\u0308rich"}], schema).categories[0, 0] == "Z\u00fcrich"
    assert parse_columns({"x": ["Zu\u0308rich", "Genf"]}, schema).categories[:, 0].tolist() == ["Z\u00fcrich", "Genf"]


CODES = Feature(name="zip", kind="category", nullable=False, cardinality=3, categories=["90210", "02138", "10001"])


@pytest.mark.parametrize(("value", "found"), [("02138", "02138"), ("2138", "2138"), (90210, "90210"), (94103, "94103")])
def test_codes_are_taken_as_spelled_and_numbers_that_lost_nothing(value, found):
    schema = Schema(task="regression", target="y", features=[CODES])
    assert parse_rows([{"zip": value}], schema).categories[0, 0] == found
    assert parse_columns({"zip": [value]}, schema).categories[0, 0] == found


@pytest.mark.parametrize("value", [2138, 0, -21])
def test_a_number_that_lost_leading_zeros_is_refused_with_the_spelling(value):
    schema = Schema(task="regression", target="y", features=[CODES])
    message = rf'^Row 0, column .zip.: found {value}; expected a text such as "02138", in quotes'
    for parse_it in (lambda: parse_rows([{"zip": value}], schema), lambda: parse_columns({"zip": [value]}, schema)):
        with pytest.raises(InputError, match=message):
            parse_it()


def test_plain_codes_are_taken_as_numbers_too():
    schema = Schema(task="regression", target="y", features=[CODES.model_copy(update={"categories": ["0", "7", "12"]})])
    assert parse_rows([{"zip": 7}], schema).categories[0, 0] == "7"


@given(rows=st.lists(JSON, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_json_value_in_place_of_a_row_is_refused(rows):
    with pytest.raises(InputError, match=r"^Row \d(:|, column 'x')"):
        parse_rows([*rows, {}], schema_of("number"))


@given(
    kind=st.sampled_from(["number", "integer", "boolean", "category", "timestamp"]),
    nullable=st.booleans(),
    values=st.lists(
        st.none()
        | st.integers(-3, 3)
        | st.sampled_from([0.5, math.nan, math.inf, 1e39, 10**400, -(10**20), 2.0, True, False])
        | st.sampled_from(["a", "", "5", "\ud800", "2013-06-30", "2013-06-30T17:45:00.5", "2013-06-30T17:45:00+02:00"])
        | st.sampled_from([datetime(2013, 6, 30), datetime(1969, 12, 31, 23, 59, 59, 5), datetime(1, 1, 1, tzinfo=UTC)])
        | st.lists(st.none(), max_size=1),
        min_size=1,
        max_size=3,
    ),
)
def test_columns_are_judged_like_rows(kind, nullable, values):
    schema = schema_of(kind, nullable=nullable)
    try:
        expected = parse_rows([{"x": value} for value in values], schema)
    except InputError:
        with pytest.raises(InputError, match=r"^Row \d, column 'x': found "):
            parse_columns({"x": values}, schema)
        return
    found = parse_columns({"x": values}, schema)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    assert found.categories.tolist() == expected.categories.tolist()
    assert found.times.tolist() == expected.times.tolist()


def test_arrays_of_numbers_are_judged_like_lists():
    columns = [np.array([1.5, 2.5]), np.array([1, np.nan]), np.array([1e39, 0]), np.array([True, False])]
    for kind in ("number", "integer", "boolean"):
        for column in columns:
            found = []
            for values in (column, column.tolist()):
                try:
                    found.append(parse_columns({"x": values}, schema_of(kind)).numbers.tolist())
                except InputError as error:
                    found.append(str(error))
            assert found[0] == found[1]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-(2**24), 2**24))
def test_numbers_arrive(value):
    assert parse("number", value) == value


@given(st.integers(-(2**24), 2**24))
def test_whole_numbers_arrive(value):
    assert parse("integer", value) == value
    assert parse("integer", float(value)) == value


@given(st.booleans())
def test_truths_arrive(value):
    assert parse("boolean", value) == float(value)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_categories_arrive(value):
    assert parse("category", value) == composed(value)  # some characters are themselves another one


@given(st.integers(-(10**20), 10**20))
def test_codes_may_be_whole_numbers(value):
    assert parse("category", value) == str(value)


@given(st.datetimes())
def test_moments_without_an_offset_are_utc(moment):
    expected = (moment - datetime(1970, 1, 1)) // timedelta(seconds=1)
    assert abs(parse("timestamp", moment.isoformat()) - expected) <= 0
    assert parse("timestamp", moment) == expected


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),
    st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes))),
)
def test_an_offset_is_respected(moment, zone):
    aware = moment.replace(microsecond=0, tzinfo=zone)
    assert parse("timestamp", aware.isoformat()) == int(aware.timestamp())
    assert parse("timestamp", aware.isoformat()) == parse("timestamp", aware.astimezone(UTC).isoformat())


def test_a_day_is_its_first_moment():
    assert parse("timestamp", "2024-01-02") == parse("timestamp", "2024-01-02T00:00:00Z") == 1704153600
    assert parse("timestamp", date(2024, 1, 2)) == 1704153600


def test_before_1970_seconds_are_cut_downwards():
    assert parse("timestamp", "1969-12-31T23:59:59.5") == -1


@pytest.mark.parametrize("kind", KINDS)
def test_a_null_is_taken_where_values_may_be_missing(kind):
    found = parse(kind, None, nullable=True)
    expected = {"category": "", "timestamp": MISSING_TIME}.get(kind)
    assert found == expected if expected is not None else math.isnan(found)
    with pytest.raises(InputError, match="found null; expected"):
        parse(kind, None)


def test_nan_is_a_missing_number():
    assert math.isnan(parse("number", math.nan, nullable=True))
    with pytest.raises(InputError, match=r"found nan; expected a number\."):
        parse("number", math.nan)


@pytest.mark.parametrize(
    ("kind", "value", "found", "expected"),
    [
        ("number", "1.5", "'1.5'", "a number"),
        ("number", True, "true", "a number"),
        ("number", [1.5], r"\[1.5\]", "a number"),
        ("number", 1e39, r"1e\+39", "a number"),
        ("number", math.inf, "inf", "a number"),
        pytest.param("number", 10**5000, "a whole number of more than 30 digits", "a number", id="long number"),
        pytest.param("category", 10**5000, "a whole number of more than 30 digits", "a text", id="long code"),
        ("integer", 1.5, "1.5", "a whole number"),
        ("integer", False, "false", "a whole number"),
        ("boolean", 1, "1", "true or false"),
        ("boolean", "true", "'true'", "true or false"),
        ("category", True, "true", "a text"),
        ("category", 1.0, "1.0", "a text"),
        ("category", {"a": 1}, "{'a': 1}", "a text"),
        ("category", "\ud800", r"'\\ud800'", "a text"),
        ("category", ["x" * 100], r"\['x{55}…", "a text"),
        ("timestamp", 1704153600, "1704153600", "a date and time such as 2013-06-30T17:45:00"),
        ("timestamp", "yesterday", "'yesterday'", "a date and time such as"),
        ("timestamp", "2024-13-01", "'2024-13-01'", "a date and time such as"),
        ("timestamp", True, "true", "a date and time such as"),
        ("timestamp", "", "''", "a date and time such as"),
    ],
)
def test_what_does_not_fit_is_shown(kind, value, found, expected):
    with pytest.raises(InputError, match=rf"^Row 0, column 'x': found {found}; expected {expected}"):
        parse(kind, value)
    with pytest.raises(InputError, match=rf"found {found}; expected {expected}.* or null\.$"):
        parse(kind, value, nullable=True)


def test_the_row_and_the_column_are_named(scorer):
    with pytest.raises(InputError, match=r"^Row 1, column 'visits': found '2'; expected a whole number\.$"):
        parse_rows([ROW, {**ROW, "visits": "2"}], scorer.schema)


@pytest.mark.parametrize("name", list(ROW))
def test_a_missing_column_is_named(scorer, name):
    row = {key: value for key, value in ROW.items() if key != name}
    with pytest.raises(InputError, match=rf"^Row 1: column '{name}' is missing; expected "):
        parse_rows([ROW, row], scorer.schema)


def test_columns_may_come_in_any_order_and_with_others(scorer):
    shuffled = {"other": object(), **dict(reversed(ROW.items()))}
    found, expected = parse_rows([shuffled], scorer.schema), parse_rows([ROW], scorer.schema)
    np.testing.assert_array_equal(found.numbers, expected.numbers)
    np.testing.assert_array_equal(found.categories, expected.categories)
    np.testing.assert_array_equal(found.times, expected.times)


def test_no_rows_are_tensors_without_rows(scorer):
    found = parse_rows([], scorer.schema)
    assert len(found) == 0
    assert (found.numbers.shape, found.categories.shape, found.times.shape) == ((0, 3), (0, 1), (0, 1))


def test_rows_can_be_chosen(scorer):
    rows = parse_rows([{**ROW, "visits": number} for number in range(4)], scorer.schema)
    assert rows.rows(slice(1, 3)).numbers[:, 1].tolist() == [1, 2]
    assert rows.rows(np.array([3, 0])).numbers[:, 1].tolist() == [3, 0]


def test_rows_are_read_as_the_table_they_come_from(tmp_path):
    """What training learned from and what a request says are the same tensors."""
    splits = make_splits(tmp_path)
    schema = Schema.read(splits)
    table = pq.read_table(part_path(splits, "train"))
    rows = json.loads(json.dumps(table.to_pylist(), default=datetime.isoformat))
    found, expected = parse_rows(rows, schema), inputs(features(table, schema), schema)
    np.testing.assert_array_equal(found.numbers.astype(np.float32), expected.numbers)
    np.testing.assert_array_equal(found.categories, expected.categories)
    np.testing.assert_array_equal(found.times, expected.times)
    assert np.isnan(expected.numbers).any()
    assert (expected.categories == "").any()


# Tensors to answers


@pytest.mark.parametrize("task", TASKS)
def test_a_package_answers_its_golden_requests(packages, task):
    scorer = Scorer.load(packages(task))
    golden = read_golden(packages(task))
    scores = scorer.score(parse_rows([request.row for request in golden], scorer.schema))
    assert scores.dtype == np.float32
    assert scores.shape == ((5, len(scorer.schema.classes)) if TASKS[task].has_classes else (5,))
    assert scorer.answers(scores) == [request.answer for request in golden]
    json.dumps(scorer.answers(scores), allow_nan=False)


def test_answers_name_every_class(packages):
    scorer = Scorer.load(packages("multiclass"))
    (answer,) = scorer.answers(np.array([[0.2, 0.5, 0.3]], dtype=np.float32))
    assert answer["label"] == "näh"
    assert answer["probabilities"] == pytest.approx({"ja": 0.2, "näh": 0.5, "我": 0.3})


def test_a_threshold_decides_between_two_classes(scorer):
    scores = np.array([[0.7, 0.3], [0.5, 0.5]], dtype=np.float32)
    assert [answer["label"] for answer in scorer.answers(scores)] == [False, True]
    lower = Scorer(scorer.session, scorer.schema.model_copy(update={"threshold": 0.3}))
    assert [answer["label"] for answer in lower.answers(scores)] == [True, True]
    assert choose_classes(np.array([[0.2, 0.5, 0.3]]), threshold=0.9).tolist() == [1]


def test_names_of_labels():
    assert [label_name(label) for label in (True, False, 1, "x")] == ["true", "false", "1", "x"]


def test_scores_do_not_depend_on_the_other_rows(scorer):
    rows = [{**ROW, "amount": amount} for amount in (-2.0, 0.0, 2.0)]
    together = scorer.score(parse_rows(rows, scorer.schema))
    alone = np.concatenate([scorer.score(parse_rows([row], scorer.schema)) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together[0, 1] < together[2, 1]


# Loading


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.onnx", b"", "model.onnx cannot be loaded as an ONNX model"),
        ("model.onnx", b"no protobuf at all", "model.onnx cannot be loaded as an ONNX model"),
        ("model.onnx", None, "model.onnx cannot be loaded as an ONNX model"),
        ("schema.json", b"{}", "schema.json cannot be read: task: Field required; target: Field required"),
        ("schema.json", b"\xff", "schema.json cannot be read"),
        ("schema.json", None, "schema.json cannot be read"),
    ],
)
def test_a_package_that_cannot_be_loaded_says_why(packages, tmp_path, file, content, message):
    folder: Path = shutil.copytree(packages(), tmp_path / "package")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(PackageError, match=rf"{message}.*\. Train the model again\.$"):
        Scorer.load(folder)
