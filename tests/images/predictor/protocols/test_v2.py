"""The V2 protocol: columns as named inputs, in JSON and as binary tensors."""

import json
import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.shared.errors import InputError
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import Inputs, Scorer, parse_columns, parse_rows
from components.shared.tasks import TASKS
from images.predictor.messages import ProtocolError, Reason
from images.predictor.protocols.v2 import V2
from tests.images.predictor import rows
from tests.images.predictor.protocols.test_v1 import of_another_schema, same

DATATYPES = {"amount": "FP64", "visits": "INT64", "member": "BOOL", "colour": "BYTES", "opened at": "BYTES"}
GOOD: dict[str, list[Any]] = {
    "amount": [1.5, None],
    "visits": [2, 3],
    "member": [True, False],
    "colour": ["röt", None],
    "opened at": ["2024-01-01T00:00:00", None],
}


@pytest.fixture(scope="module")
def scorer(packages):
    return Scorer.load(packages(), version="7")


@pytest.fixture(scope="module")
def v2(scorer):
    return V2("demo", scorer, extra="ignore", rows=100)


def tensor(name: str, values: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": DATATYPES.get(name, "BYTES"), "shape": [len(values)], "data": values} | more


def request(columns: dict[str, Any] | None = None, **more: Any) -> bytes:
    return json.dumps({"inputs": [tensor(*item) for item in (columns or GOOD).items()], **more}).encode()


def replaced(column: str, **more: Any) -> bytes:
    inputs = [tensor(*item) | (more if item[0] == column else {}) for item in GOOD.items()]
    return json.dumps({"inputs": inputs}).encode()


@given(columns=rows.columns)
@settings(max_examples=150, deadline=None)
def test_columns_are_read_as_rows_are(v2, columns):
    objects = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    try:
        expected = parse_rows(objects, v2.scorer.schema)
    except InputError as refused:
        message = str(refused)
        with pytest.raises(InputError) as caught:
            parse_columns(columns, v2.scorer.schema)
        assert str(caught.value) == message
        with pytest.raises((InputError, ProtocolError)):
            v2.read(request(columns), b"")
        return
    assert same(parse_columns(columns, v2.scorer.schema), expected)
    if "\\ud800" not in json.dumps(columns):
        assert same(v2.read(request(columns), b"").inputs, expected)


@given(count=st.integers(1, 4), data=st.data())
@settings(max_examples=60, deadline=None)
def test_arrays_are_read_as_lists_are(v2, count, data):
    dtypes = st.sampled_from(["f2", "f4", "f8", "i1", "i8", "u8", "bool"])
    columns = {
        name: np.frombuffer(data.draw(st.binary(min_size=count * 8, max_size=count * 8)), dtype=np.uint8)[
            : count * np.dtype(dtype).itemsize
        ].view(dtype if dtype != "bool" else np.uint8)
        for name in GOOD
        if (dtype := data.draw(dtypes))
    }
    columns["member"] = columns["member"] > 0
    columns["opened at"] = ["2024-01-01"] * count
    found: list[Any] = []
    for values in (columns, {name: np.asarray(values).tolist() for name, values in columns.items()}):
        try:
            found.append(parse_columns(values, v2.scorer.schema))
        except InputError as error:
            found.append(str(error))
    assert found[0] == found[1] if isinstance(found[0], str) else same(*found)


@given(content=st.recursive(rows.anything, lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(
    ["inputs", "name", "shape", "datatype", "data", "parameters", "outputs", "binary_data_size"]), inner),
    max_leaves=20), length=st.binary(max_size=3))  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_any_json_is_read_or_refused(v2, content, length):
    with pytest.raises((InputError, ProtocolError)):
        v2.read(json.dumps(content).encode(), length)


def test_nested_data_and_column_vectors(v2):
    expected = v2.read(request(), b"").inputs
    for name, values in GOOD.items():
        nested = replaced(name, shape=[2, 1], data=[[value] for value in values])
        assert same(v2.read(nested, b"").inputs, expected)
        assert same(v2.read(replaced(name, shape=[2, 1]), b"").inputs, expected)


@pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64", "INT8", "INT16", "INT32", "INT64",
                                      "UINT8", "UINT16", "UINT32", "UINT64"])  # fmt: skip
@pytest.mark.parametrize("name", ["visits", "amount", "colour"])
def test_numbers_of_every_datatype(v2, name, datatype):
    if name == "colour" and datatype.startswith("FP"):
        with pytest.raises(InputError, match=f'Input "colour": found datatype "{datatype}"; expected BYTES'):
            v2.read(replaced(name, datatype=datatype, data=[3, 7]), b"")
        return
    formats = {"FP16": "e", "FP32": "f", "FP64": "d", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
               "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q"}  # fmt: skip
    as_json = v2.read(replaced(name, datatype=datatype, data=[3, 7]), b"").inputs
    as_bytes = v2.read(*binary({**GOOD, name: [3, 7]}, {name: struct.pack(f"<2{formats[datatype]}", 3, 7)},
                               datatypes={name: datatype})).inputs  # fmt: skip
    assert same(as_json, as_bytes)
    found = as_json.categories[:, 0] if name == "colour" else as_json.numbers[:, ["amount", "visits"].index(name)]
    assert found.tolist() == (["3", "7"] if name == "colour" else [3.0, 7.0])


def texts(*values: str | bytes) -> bytes:
    encoded = [value if isinstance(value, bytes) else value.encode() for value in values]
    return b"".join(len(value).to_bytes(4, "little") + value for value in encoded)


BINARY = {
    "amount": struct.pack("<2d", 1.5, float("nan")),
    "visits": struct.pack("<2q", 2, 3),
    "member": b"\1\0",
    "colour": texts("röt", ""),
    "opened at": texts("2024-01-01T00:00:00", "2024-01-02"),
}


def binary(columns: dict[str, Any], parts: dict[str, bytes], *, datatypes: dict[str, str] | None = None,
           sizes: dict[str, Any] | None = None, **more: Any) -> tuple[bytes, bytes]:  # fmt: skip
    inputs = []
    for name, data in columns.items():
        entry = tensor(name, data) | {"datatype": {**DATATYPES, **(datatypes or {})}.get(name, "BYTES")}
        if name in parts:
            del entry["data"]
            entry["parameters"] = {"binary_data_size": (sizes or {}).get(name, len(parts[name]))}
        inputs.append(entry)
    head = json.dumps({"inputs": inputs, **more}).encode()
    return head + b"".join(parts[name] for name in columns if name in parts), str(len(head)).encode()


def test_binary_tensors(v2):
    columns = {**GOOD, "opened at": ["2024-01-01T00:00:00", "2024-01-02"], "colour": ["röt", ""]}
    expected = v2.read(request(columns), b"").inputs
    assert same(v2.read(*binary(columns, BINARY)).inputs, expected)
    for name, part in BINARY.items():
        assert same(v2.read(*binary(columns, {name: part})).inputs, expected)


@pytest.mark.parametrize(
    ("name", "part", "size", "message"),
    [
        ("amount", BINARY["amount"], 15, 'Input "amount" holds 15 bytes; 2 values of FP64 are 16'),
        ("amount", BINARY["amount"], 17, "The body holds 16 bytes of binary tensors; the inputs name 17"),
        ("amount", BINARY["amount"], 10**18, "the inputs name 1000"),
        ("amount", BINARY["amount"], 10**400, "at least 0"),
        ("amount", BINARY["amount"], -1, "at least 0"),
        ("amount", BINARY["amount"], True, "at least 0"),
        ("amount", BINARY["amount"], "16", "at least 0"),
        ("amount", BINARY["amount"], 1.5, "at least 0"),
        ("amount", BINARY["amount"] + b"x", 16, "The body holds 17 bytes of binary tensors; the inputs name 16"),
        ("amount", struct.pack("<2d", 1.5, float("inf")), 16, "Row 1, column 'amount': found inf"),
        ("visits", struct.pack("<2q", 2, 3)[:-1], 15, "15 bytes; 2 values of INT64"),
        ("colour", texts("a"), 5, 'Input "colour" holds 1 values; its shape says 2'),
        ("colour", texts("a", "b", "c"), 15, "are not 2 texts"),
        ("colour", b"\xff\xff\xff\xffab", 6, "are not 2 texts"),
        ("colour", b"\1\0\0", 3, "are not 2 texts"),
        ("colour", texts("a", b"\xff"), 10, "Row 1, column \"colour\": the text is not UTF-8"),
        ("colour", texts("a", b"\xed\xa0\x80"), 12, "Row 1, column \"colour\": the text is not UTF-8"),
    ],
)  # fmt: skip
def test_binary_tensors_that_lie(v2, name, part, size, message):
    with pytest.raises((InputError, ProtocolError)) as caught:
        v2.read(*binary(GOOD, {name: part}, sizes={name: size}))
    assert message in str(caught.value)


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"x" * 500, b"9999999999999", b"100000", b"\xff", b"1 "])
def test_header_lengths_that_lie(v2, length):
    with pytest.raises(ProtocolError, match="Inference-Header-Content-Length") as caught:
        v2.read(request(), length)
    assert len(str(caught.value)) < 300
    with pytest.raises(ProtocolError, match="no V2 request"):
        v2.read(request(), b"0")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shape": [3]}, r"has shape \[3\]; expected \[2\] or \[2, 1\]"),
        ({"shape": [1, 2]}, r"has shape \[1, 2\]"),
        ({"shape": [2, 1, 1]}, "has shape"),
        ({"shape": []}, "has shape"),
        ({"shape": [-2]}, "has shape"),
        ({"shape": [2] * 5000}, "has shape"),
        ({"data": [1]}, "holds 1 values; its shape says 2"),
        ({"data": [[1, 2]]}, "holds 1 values"),
        ({"data": "ab"}, "data that is no list"),
        ({"data": {"a": 1}}, "data that is no list"),
        ({"data": None}, "no list"),
        ({"data": [[1, 2], [3, 4]]}, r"Row 0, column 'visits': found \[1, 2\]"),
        ({"data": [1, "x" * 1000]}, "Row 1, column 'visits': found 'xxx"),
        ({"data": [1, None]}, "Row 1, column 'visits': found null; expected a whole number"),
        ({"data": [1, 1.5]}, "Row 1, column 'visits': found 1.5"),
        ({"data": [1, True]}, "Row 1, column 'visits': found true"),
        ({"datatype": "BYTES"}, 'found datatype "BYTES"; expected INT64'),
        ({"datatype": "x" * 1000}, 'found datatype "xxx'),
        ({"datatype": 7}, "no V2 request"),
        ({"shape": [1.5]}, "no V2 request"),
        ({"name": 1}, "no V2 request"),
        ({"name": "amount"}, "one occurs twice"),
        ({"name": "other"}, "Column 'visits' is missing"),
    ],
)  # fmt: skip
def test_wrong_tensors(v2, changes, message):
    with pytest.raises((InputError, ProtocolError), match=message) as caught:
        v2.read(replaced("visits", **changes), b"")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("shape", "reason"),
    [([0], Reason.INVALID), ([101], Reason.TOO_LARGE), ([10**30], Reason.TOO_LARGE), ([10**400], Reason.TOO_LARGE)],
)
def test_numbers_of_rows(v2, shape, reason):
    with pytest.raises(ProtocolError) as caught:
        v2.read(replaced("amount", shape=shape), b"")
    assert caught.value.reason is reason
    assert len(str(caught.value)) < 200


def test_names_of_inputs(v2, scorer):
    assert v2.read(request({**GOOD, "other": ["a", "b"]}), b"").extras == {}
    assert v2.read(request({**GOOD, "id": [7, None]}), b"").extras == {"id": ["7", None]}
    assert v2.read(*binary({**GOOD, "id": ["a", "b"]}, {"id": texts("a", "b")})).extras == {"id": ["a", "b"]}
    strict = V2("demo", scorer, extra="refuse", rows=100)
    assert strict.read(request({**GOOD, "id": [7, 8]}), b"").extras == {"id": ["7", "8"]}
    with pytest.raises(InputError, match=r"Column \"other\": not known"):
        strict.read(request({**GOOD, "other": ["a", "b"]}), b"")
    with pytest.raises(ProtocolError, match="inputs: found none"):
        v2.read(b'{"inputs": []}', b"")
    with pytest.raises(InputError, match="neither data nor"):
        v2.read(json.dumps({"inputs": [{"name": "amount", "datatype": "FP64", "shape": [1]}]}).encode(), b"")
    entry = {"name": "x" * 9999, "datatype": "BF16", "shape": [1], "parameters": {"binary_data_size": 0}}
    with pytest.raises(InputError, match="is not known") as caught:
        v2.read(json.dumps({"inputs": [entry]}).encode(), str(len(json.dumps({"inputs": [entry]}))).encode())
    assert len(str(caught.value)) < 200


def answered(v2: V2, **more: Any) -> tuple[dict[str, Any], bytes]:
    query = v2.read(request(**more), b"")
    assert query.inputs is not None
    content, length = v2.write(query, v2.scorer.score(query.inputs), None)
    return orjson.loads(content[:length]), content[length:] if length else b""


def test_answers(v2):
    answer, rest = answered(v2, id="42")
    assert not rest
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("demo", "7", "42")
    probabilities, labels = answer["outputs"]
    assert probabilities["shape"] == [2, 2]
    assert probabilities["parameters"] == {"classes": ["false", "true"]}
    assert labels == {"name": "label", "datatype": "BYTES", "shape": [2], "data": labels["data"]}
    assert "id" not in answered(v2)[0]
    only, _ = answered(v2, outputs=[{"name": "label"}, {"name": "label"}])
    assert only["outputs"] == [labels]
    turned, _ = answered(v2, outputs=[{"name": "label"}, {"name": "probabilities"}])
    assert turned["outputs"] == [labels, probabilities]
    with pytest.raises(ProtocolError, match="outputs: \"nothing\" is not known; expected 'probabilities', 'label'"):
        answered(v2, outputs=[{"name": "nothing"}])


def test_binary_answers(v2):
    plain, _ = answered(v2)
    probabilities, labels = (output["data"] for output in plain["outputs"])
    for more in (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": name, "parameters": {"binary_data": True}} for name in ("probabilities", "label")]},
    ):
        answer, rest = answered(v2, **more)
        sizes = [output["parameters"]["binary_data_size"] for output in answer["outputs"]]
        assert sizes[0] == 16
        assert np.frombuffer(rest[:16], "<f4").tolist() == pytest.approx(probabilities)
        assert rest[16:] == texts(*labels)
        assert len(rest) == sum(sizes)
        assert all("data" not in output for output in answer["outputs"])
    mixed, rest = answered(
        v2,
        parameters={"binary_data_output": True},
        outputs=[{"name": "probabilities", "parameters": {"binary_data": False}}, {"name": "label"}],
    )
    assert mixed["outputs"][0]["data"] == probabilities
    assert rest == texts(*labels)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_answers_of_other_tasks(packages, task):
    other = V2("demo", Scorer.load(packages(task), version="7"), extra="ignore", rows=100)
    answer, _ = answered(other)
    names = [(output["name"], output["shape"]) for output in answer["outputs"]]
    assert names == ([("probabilities", [2, 3]), ("label", [2])] if TASKS[task].has_classes else [("values", [2])])
    assert (len(answer["outputs"][0]["data"])) == (6 if TASKS[task].has_classes else 2)


@pytest.mark.parametrize("zoned", [True, False])
@pytest.mark.parametrize("is_binary", [True, False])
def test_times_letters_and_codes_are_read_as_in_training(scorer, zoned, is_binary):
    facts = {
        "opened at": {"zoned": zoned},
        "colour": {"categories": ["02138", "r\u00f6t"], "cardinality": 2, "nullable": False},
    }
    v2 = V2("demo", of_another_schema(scorer, **facts), extra="ignore", rows=100)
    times = ["2024-01-01T11:00:00Z", "2024-01-01T06:00:00-05:00"] if zoned else ["2024-01-01T11:00:00"] * 2
    columns = {**GOOD, "opened at": times, "colour": ["ro\u0308t", "02138"]}
    found = read_as(v2, columns, is_binary=is_binary)
    assert set(found.times[:, 0]) == {1704106800}
    assert found.categories[:, 0].tolist() == ["r\u00f6t", "02138"]
    other = ["2024-01-01T11:00:00"] * 2 if zoned else [*times[:1], "2024-01-01T11:00:00Z"]
    with pytest.raises(InputError, match="column 'opened at': found .*; expected a date and time with"):
        read_as(v2, {**columns, "opened at": other}, is_binary=is_binary)


def test_a_number_for_a_code_with_leading_zeros_is_refused_with_the_spelling(scorer):
    codes = {"categories": ["02138", "90210"], "cardinality": 2}
    v2 = V2("demo", of_another_schema(scorer, colour=codes), extra="ignore", rows=100)
    inputs = [tensor(*item) for item in GOOD.items() if item[0] != "colour"]
    for datatype in ("INT64", "BYTES"):
        content = json.dumps({"inputs": [*inputs, tensor("colour", [90210, 2138], datatype=datatype)]}).encode()
        with pytest.raises(InputError, match=r'Row 1, column .colour.: found 2138; expected a text such as "02138"'):
            v2.read(content, b"")


def read_as(v2: V2, columns: dict[str, Any], *, is_binary: bool) -> Inputs:
    """Columns sent as JSON, or their texts as binary tensors."""
    tensors, content = [], b""
    for name, values in columns.items():
        one = tensor(name, values)
        if is_binary and DATATYPES[name] == "BYTES":
            encoded = [value.encode() for value in values]
            packed = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
            one = {**one, "parameters": {"binary_data_size": len(packed)}}
            del one["data"]
            content += packed
        tensors.append(one)
    head = json.dumps({"inputs": tensors}).encode()
    found = v2.read(head + content, str(len(head)).encode() if content else b"").inputs
    assert found is not None
    return found


# One tensor for all columns, as KServe's and MLServer's scikit-learn examples send it


@pytest.fixture(scope="module")
def numbers():
    features = [Feature(name=name, kind="number", nullable=True) for name in ("a", "b")]
    schema = Schema(
        task="regression", target="y", features=[*features, Feature(name="c", kind="integer", nullable=True)]
    )
    scorer: Any = SimpleNamespace(schema=schema, output="value", version="7")  # of which reading needs the schema alone
    return V2("numbers", scorer, extra="ignore", rows=100)


def table(**more: Any) -> bytes:
    one = {"name": "input-0", "shape": [2, 3], "datatype": "FP32", "data": [[0.5, 2.25, 3], [4, None, 6]]} | more
    return json.dumps({"inputs": [one]}).encode()


ROWS: list[dict[str, Any]] = [{"a": 0.5, "b": 2.25, "c": 3}, {"a": 4, "b": None, "c": 6}]


@pytest.mark.parametrize("data", [[[0.5, 2.25, 3], [4, None, 6]], [0.5, 2.25, 3, 4, None, 6]], ids=["rows", "flat"])
def test_one_tensor_for_all_columns(numbers, data):
    assert same(numbers.read(table(data=data), b"").inputs, parse_rows(ROWS, numbers.scorer.schema))


def test_one_binary_tensor_for_all_columns(numbers):
    values = np.array([[0.5, 2.25, 3], [4, np.nan, 6]], dtype="<f4").tobytes()
    one = {"name": "predict", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": len(values)}}
    head = json.dumps({"inputs": [one]}).encode()
    found = numbers.read(head + values, str(len(head)).encode())
    assert same(found.inputs, parse_rows(ROWS, numbers.scorer.schema))
    with pytest.raises(ProtocolError, match="holds 25 bytes of binary tensors; the inputs name 24"):
        numbers.read(head + values + b"!", str(len(head)).encode())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"shape": [3, 2]}, 'has 2 columns; expected the model.s 3 in this order: "a", "b", "c"'),
        ({"datatype": "BYTES"}, 'found datatype "BYTES"; expected FP64'),
        ({"data": [[1, 2, 3], [4, 5]]}, "row 1: found a list of 2 values; expected a list of 3 numbers"),
        ({"data": [1, 2, 3]}, r"holds 3 values; its shape \[2, 3\] says 6"),
        ({"data": [[1, 2, 3], [4, 5, 6.5]]}, "Row 1, column .c."),
        ({"shape": [-1, 3]}, r"expected \[rows\]"),
    ],
)
def test_one_tensor_that_does_not_fit(numbers, more, message):
    with pytest.raises(InputError, match=message):
        numbers.read(table(**more), b"")


def test_one_tensor_where_a_column_holds_no_numbers(v2):
    with pytest.raises(InputError, match='"member" holds no numbers: send an input for each column'):
        v2.read(table(), b"")


def test_rows_of_one_tensor_have_a_limit(numbers):
    with pytest.raises(ProtocolError, match="101 rows") as caught:
        numbers.read(table(shape=[101, 3], data=[0] * 303), b"")
    assert caught.value.reason is Reason.TOO_LARGE


def test_what_mlserver_encodes_from_a_pandas_frame(v2):
    """Its PandasCodec: the request says `pd`, and texts and times are BYTES of shape [rows, 1] with their own type."""
    kinds = {"colour": "str", "opened at": "datetime"}
    inputs = [
        tensor(name, values, shape=[2, 1], parameters={"content_type": kinds.get(name, "np")})
        for name, values in GOOD.items()
    ]
    body = json.dumps({"parameters": {"content_type": "pd"}, "inputs": inputs}).encode()
    assert same(v2.read(body, b"").inputs, v2.read(request(), b"").inputs)
