"""The V1 protocol: the quick way and the slow way read the same."""

import json
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.shared.errors import InputError
from components.shared.package.model_package import read_golden
from components.shared.package.scoring import Inputs, Scorer, parse_rows
from components.shared.tasks import TASKS
from images.predictor.messages import ProtocolError, Reason
from images.predictor.protocols.records import Records
from images.predictor.protocols.v1 import V1
from tests.images.predictor import rows

GOOD = {"amount": 1.5, "visits": 2, "member": True, "colour": "green", "opened at": "2024-01-01T00:00:00"}


@pytest.fixture(scope="module")
def scorer(packages):
    return Scorer.load(packages(), version="7")


@pytest.fixture(scope="module")
def v1(scorer):
    return V1(scorer, extra="ignore", rows=100)


def tensors(v1: V1, body: bytes) -> Inputs:
    query = v1.read(body)
    return Records(v1.schema).tensors(query.records) if query.inputs is None else query.inputs


def same(left: Inputs, right: Inputs) -> bool:
    return (
        np.array_equal(left.numbers, right.numbers, equal_nan=True)
        and left.categories.tolist() == right.categories.tolist()
        and np.array_equal(left.times, right.times)
    )


def body(*instances: object, **more: object) -> bytes:
    return json.dumps({"instances": instances, **more}).encode()


@given(rows=rows.some_rows)
@example(rows=[{**GOOD, "opened at": text} for text in ("2013-06-30T23:59:59.9999999", "2013-06-30t17:45:00z")])
@example(rows=[{**GOOD, "opened at": "9999-12-31T23:59:59.999999"}])
@example(rows=[{**GOOD, "visits": 10**30}, {**GOOD, "colour": 10**29}])
@settings(max_examples=300, deadline=None)
def test_rows_are_read_as_scoring_reads_them(v1, rows):
    text = body(*rows)
    if "\\ud800" in text.decode():  # half a surrogate pair is no JSON to most parsers
        with pytest.raises((ProtocolError, InputError)):
            v1.read(text)
        return
    try:
        expected = parse_rows(rows, v1.schema)
    except InputError as refused:
        message = str(refused)
        with pytest.raises(InputError) as caught:
            v1.read(text)
        assert str(caught.value) == message
    else:
        assert same(tensors(v1, text), expected)


@given(rows=rows.some_rows)
@settings(max_examples=150, deadline=None)
def test_rows_as_lists_are_read_as_objects_are(v1, rows):
    names = [feature.name for feature in v1.schema.features]
    objects = [{name: row[name] for name in names} for row in rows]
    lists = [[row[name] for name in names] for row in rows]
    found: list[Any] = []
    for instances in (objects, lists):
        try:
            found.append(tensors(v1, body(*instances)))
        except (InputError, ProtocolError) as error:
            found.append(str(error).partition(": ")[0])
    assert found[0] == found[1] if isinstance(found[0], str) else same(*found)


@given(content=st.recursive(rows.anything, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
    ["instances", "parameters", "amount", "explain"]), inner), max_leaves=10))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused(v1, content):
    with pytest.raises((InputError, ProtocolError)):
        v1.read(json.dumps(content).encode())


@given(content=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused(v1, content):
    for text in (content, b'{"instances": [' + content + b"]}", b'{"instances": [{"amount": ' + content + b"}]}"):
        with pytest.raises((InputError, ProtocolError)):
            v1.read(text)


def test_the_last_of_a_double_key_counts(v1):
    text = body(GOOD).replace(b'"visits": 2', b'"visits": "no", "visits": 4')
    assert tensors(v1, text).numbers.tolist() == [[1.5, 4.0, 1.0]]
    assert tensors(v1, text.replace(b'"no"', b"3")).numbers.tolist() == [[1.5, 4.0, 1.0]]


@pytest.mark.parametrize("date", ["2024-01-01T00:00:00", "2024-01-01"])  # read the quick way and the slow way
def test_keys_come_along(v1, date):
    def extras(**row):
        return v1.read(body({**GOOD, "opened at": date}, {**GOOD, **row})).extras

    assert extras() == {}
    assert extras(other=1) == {}
    for value, text in ((1, "1"), ("a", "a"), (None, None), (2.5, "2.5"), (True, "True"), ([1], "[1]"),
                        (12345678901234567890123, "12345678901234567890123"), ("x" * 2000, "x" * 1000)):  # fmt: skip
        assert extras(id=value) == {"id": [None, text]}


@pytest.mark.parametrize("date", ["2024-01-01T00:00:00", "2024-01-01"])
def test_columns_the_model_does_not_know(scorer, date):
    strict = V1(scorer, extra="refuse", rows=100)
    row = {**GOOD, "opened at": date}
    assert len(strict.read(body({**row, "id": 5}))) == 1
    with pytest.raises(InputError, match=r"^Row 1: Column \"colur\": not known to the model; expected 'amount'"):
        strict.read(body(row, {**row, "colur": 1}))
    with pytest.raises(InputError) as caught:
        strict.read(body({**row, **{"x" * 1000 + str(number): 1 for number in range(5000)}}))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("date", ["2024-01-01T00:00:00", "2024-01-01"])
def test_parameters(v1, date):
    row = {**GOOD, "opened at": date}
    for parameters, explain in (
        (None, False),
        ({}, False),
        ({"explain": True}, True),
        ({"explain": False, "a": 1}, False),
    ):
        assert v1.read(body(row, parameters=parameters)).explain is explain
    wrong: list[Any] = [[], "a", 1, {"explain": 1}, {"explain": "x" * 1000}, {"explain": None}]
    for one in wrong:
        with pytest.raises(ProtocolError, match="parameters") as caught:
            v1.read(body(row, parameters=one))
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("date", ["2024-01-01T00:00:00", "2024-01-01"])
def test_limits_of_rows(v1, date):
    row = {**GOOD, "opened at": date}
    assert len(v1.read(body(*[row] * 100))) == 100
    for count, reason in ((0, Reason.INVALID), (101, Reason.TOO_LARGE)):
        with pytest.raises(ProtocolError) as caught:
            v1.read(body(*[row] * count))
        assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'{"instances": [NaN]}', "not JSON"),
        (b'{"instances": [{"amount": Infinity}]}', "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'\xef\xbb\xbf{"instances": []}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
        (b'{"instances": 1}', 'found an object with "instances"'),
        (b"{}", "an empty object"),
        (b"[]", "a list of 0 values"),
        (b'"' + b"x" * 1000 + b'"', "xxx…"),
        (b"1" * 400, "111…"),
        (b"null", "found null"),
        (b'{"' + b"x" * 5000 + b'": 1}', "xxx…"),
        (b'{"instances": [1]}', "Row 0: found 1"),
        (b'{"instances": [[1]]}', "Row 0: found 1 values; expected a list of 5 values"),
        (b'{"instances": [[1, 2, 3, 4, 5], {"a": 1}]}', "Row 1: found an object"),
        (b'{"instances": [{}]}', "column 'amount' is missing"),
    ],
)  # fmt: skip
def test_messages(v1, text, message):
    with pytest.raises((ProtocolError, InputError)) as caught:
        v1.read(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("task", TASKS)
def test_answers(packages, task):
    scorer = Scorer.load(packages(task), version="7")
    v1 = V1(scorer, extra="ignore", rows=100)
    golden = read_golden(packages(task))
    inputs = tensors(v1, body(*(item.row for item in golden)))
    answer = orjson.loads(v1.write(scorer.score(inputs), None))
    assert answer == {"predictions": [item.answer for item in golden], "model_version": "7"}


def of_another_schema(scorer: Scorer, **changes: dict[str, Any]) -> Scorer:
    """The same graph, with other facts about its features."""
    features = [feature.model_copy(update=changes.get(feature.name, {})) for feature in scorer.schema.features]
    return Scorer(scorer.session, scorer.schema.model_copy(update={"features": features}), version="7")


@pytest.mark.parametrize(
    ("zoned", "taken", "refused"),
    [
        (True, ["2024-01-01T11:00:00Z", "2024-01-01T06:00:00-05:00"], ["2024-01-01T11:00:00", "2024-01-01"]),
        (False, ["2024-01-01T11:00:00", "2024-01-01 11:00"], ["2024-01-01T11:00:00Z", "2024-01-01T06:00:00-05:00"]),
    ],
)
def test_times_are_of_the_kind_of_the_training_data(scorer, zoned, taken, refused):
    v1 = V1(of_another_schema(scorer, **{"opened at": {"zoned": zoned}}), extra="ignore", rows=100)
    found = [tensors(v1, body({**GOOD, "opened at": text})).times[0, 0] for text in taken]
    assert set(found) == {1704106800}
    for text in refused:
        kind = "with its" if zoned else "without a"
        with pytest.raises(InputError, match=f"Row 0, column 'opened at': found '{text}'; .* {kind} zone"):
            v1.read(body({**GOOD, "opened at": text}))


def test_letters_are_composed_whichever_way_rows_are_read(v1):
    decomposed = {**GOOD, "colour": "ro\u0308t", "id": "Zu\u0308rich"}
    quick = v1.read(orjson.dumps({"instances": [decomposed]}))
    slow = v1.read(body({**decomposed, "opened at": "2024-01-01"}))
    assert quick.records
    assert slow.inputs is not None
    assert Records(v1.schema).tensors(quick.records).categories[0, 0] == slow.inputs.categories[0, 0] == "r\u00f6t"
    assert quick.extras == slow.extras == {"id": ["Z\u00fcrich"]}


def test_a_number_for_a_code_with_leading_zeros_is_refused_with_the_spelling(scorer):
    codes = {"categories": ["02138", "90210"], "cardinality": 2}
    v1 = V1(of_another_schema(scorer, colour=codes), extra="ignore", rows=100)
    with pytest.raises(InputError, match=r'Row 0, column .colour.: found 2138; expected a text such as "02138"'):
        v1.read(body({**GOOD, "colour": 2138}))
    assert tensors(v1, body({**GOOD, "colour": "02138"}, {**GOOD, "colour": 90210})).categories.tolist() == [
        ["02138"],
        ["90210"],
    ]
