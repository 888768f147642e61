"""The Open Inference Protocol (V2) with columns as named inputs, as JSON or with the binary tensor extension."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from components.shared.errors import InputError
from components.shared.package.schema import FeatureKind
from components.shared.package.scoring import Scorer, Values, parse_columns
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from images.predictor.explain import Explanation
from images.predictor.http_server import HttpError
from images.predictor.query import (
    ExtraColumns,
    Query,
    as_text,
    check_names,
    check_rows,
    short,
    wants_explanation,
)

HEADER_LENGTH = b"inference-header-content-length"
DATATYPES: dict[FeatureKind, str] = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "category": "BYTES",
    "timestamp": "BYTES",
}

_NUMERIC = {
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
_INTEGERS = tuple(name for name in _NUMERIC if "INT" in name)
_ACCEPTED: dict[FeatureKind, tuple[str, ...]] = {
    "number": tuple(_NUMERIC),
    "integer": tuple(_NUMERIC),
    "boolean": ("BOOL",),
    "category": ("BYTES", *_INTEGERS),
    "timestamp": ("BYTES",),
}
_Parameters = dict[str, Any] | None
Extras = dict[str, list[str | None]]
_MOST_BYTES = 2**62
_NO_DATA = msgspec.Raw()


class _Tensor(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _Parameters = None
    data: msgspec.Raw = _NO_DATA  # a union with None would not be raw


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = None


class _Body(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    parameters: _Parameters = None
    outputs: list[_Output] | None = None


@dataclass(slots=True)
class _Options:
    """What the answer has to look like.

    Attributes:
        id: The request's own id, given back.
        binary: Which outputs are wanted as binary tensors.
        outputs: Names of the outputs that are wanted, in their order.
    """

    id: str
    binary: set[str]
    outputs: list[str]


@dataclass(slots=True)
class _Column:
    """An output before it is written."""

    datatype: str
    shape: list[int]
    values: NDArray[Any] | list[str]
    parameters: dict[str, Any] = field(default_factory=dict)


class V2:
    """Reads and writes requests of the V2 protocol for one model.

    Args:
        name: Name of the model.
        scorer: The model.
        extra: What to do with columns it does not know.
        rows: Most rows of a request.
    """

    def __init__(self, name: str, scorer: Scorer, *, extra: ExtraColumns, rows: int) -> None:
        self.name = name
        self.scorer = scorer
        self.schema = scorer.schema
        self.extra_rule = extra
        self.rows = rows
        self.kinds = {feature.name: feature.kind for feature in self.schema.features}
        self.extras = self.schema.extras
        self.labels = self.schema.labels
        self.names = self.schema.columns
        self.others = [f.name for f in self.schema.features if f.kind not in ("number", "integer")]
        self.outputs = list(TASKS[self.schema.task].answer.outputs)
        self._decode = msgspec.json.Decoder(_Body).decode

    def read(self, body: bytes, header_length: bytes) -> Query:
        """Read a request.

        Args:
            body: JSON, followed by binary tensors when there is a header length.
            header_length: The value of the header `Inference-Header-Content-Length`; empty when there is none.

        Raises:
            HttpError: It does not follow the protocol, or holds no rows or too many.
            InputError: A column does not fit the schema.
        """
        request, binary = self._split(body, header_length)
        if len({tensor.name for tensor in request.inputs}) < len(request.inputs):
            raise HttpError(400, "inputs: expected different names; one occurs twice.")
        if not request.inputs:
            raise HttpError(400, "inputs: found none; expected one for each column of the model.")
        extras: Extras = {}
        if self._is_table(request.inputs):
            columns = self._table(request.inputs[0], binary)
        else:
            columns, extras = self._named_columns(request.inputs, binary)
        options = self._options(request)
        explain = wants_explanation(request.parameters)
        return Query(parse_columns(columns, self.schema), explain=explain, extras=extras, options=options)

    def _named_columns(self, inputs: list[_Tensor], binary: bytes) -> tuple[dict[str, Any], Extras]:
        """Values by column, of an input for each."""
        check_names([tensor.name for tensor in inputs], self.schema, self.extra_rule)
        rows = _rows_of(inputs[0])
        check_rows(rows, self.rows)
        columns: dict[str, Any] = {}
        extras: Extras = {}
        place = 0
        for tensor in inputs:
            size = _binary_size(tensor)
            values = self._values(tensor, binary[place : place + size] if size is not None else None, rows)
            place += size or 0
            if tensor.name in self.extras:
                extras[tensor.name] = [as_text(value) for value in _listed(values)]
            else:
                columns[tensor.name] = values
        if place != len(binary):
            raise HttpError(400, f"The body holds {len(binary)} bytes of binary tensors; the inputs name {place}.")
        return columns, extras

    def _is_table(self, inputs: list[_Tensor]) -> bool:
        """Whether it is one tensor for all columns, as the scikit-learn examples of KServe and MLServer send it."""
        first = inputs[0]
        wide = len(first.shape) == 2 and first.shape[0] >= 0 and (first.shape[1] > 1 or len(self.names) == 1)
        return len(inputs) == 1 and wide and first.name not in self.kinds

    def _table(self, tensor: _Tensor, binary: bytes) -> dict[str, Any]:
        """Values by column, of one tensor of shape [rows, columns] whose columns are in the schema's order."""
        self._check_table(tensor)
        rows, width = tensor.shape
        check_rows(rows, self.rows)
        size = _binary_size(tensor)
        if len(binary) != (size or 0):
            raise HttpError(400, f"The body holds {len(binary)} bytes of binary tensors; the inputs name {size or 0}.")
        values = _table_from_json(tensor) if size is None else _from_binary(tensor, binary, rows * width)
        if len(values) != rows * width:
            raise InputError(
                f"Input {short(tensor.name)} holds {len(values)} values; its shape {tensor.shape} says {rows * width}."
            )
        return {name: values[place::width] for place, name in enumerate(self.names)}

    def _check_table(self, tensor: _Tensor) -> None:
        """Refuse a tensor that cannot be all columns of this model."""
        width = tensor.shape[1]
        if self.others:
            raise InputError(
                f"Input {short(tensor.name)} is one tensor for all columns, and {short(self.others[0])} holds no "
                "numbers: send an input for each column."
            )
        if width != len(self.names):
            raise InputError(
                f"Input {short(tensor.name)} has {width} columns; expected the model's {len(self.names)} in this "
                f"order: {', '.join(map(short, self.names[:20]))}{', …' if len(self.names) > 20 else ''}."
            )
        if tensor.datatype not in _NUMERIC:
            raise InputError(
                f"Input {short(tensor.name)}: found datatype {short(tensor.datatype)}; expected FP64 "
                f"(accepted: {', '.join(_NUMERIC)})."
            )

    def write(
        self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None
    ) -> tuple[bytes, int | None]:
        """The answer to a request, and the length of its JSON when binary tensors follow it."""
        options: _Options = query.options
        columns = self._columns(scores, explanation)
        wanted = [*options.outputs, *(name for name in columns if name not in self.outputs)]
        outputs: list[dict[str, Any]] = []
        binary: list[bytes] = []
        for name in wanted:
            column = columns[name]
            output: dict[str, Any] = {"name": name, "shape": column.shape, "datatype": column.datatype}
            if name in options.binary:
                content = _bytes_tensor(column.values)
                binary.append(content)
                column.parameters["binary_data_size"] = len(content)
            else:
                output["data"] = column.values if isinstance(column.values, list) else column.values.reshape(-1)
            if column.parameters:
                output["parameters"] = column.parameters
            outputs.append(output)
        answer: dict[str, Any] = {"model_name": self.name, "model_version": self.scorer.version, "outputs": outputs}
        if options.id:
            answer["id"] = options.id
        head = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        return (b"".join([head, *binary]), len(head)) if binary else (head, None)

    def _columns(self, scores: NDArray[np.float32], explanation: Explanation | None) -> dict[str, _Column]:
        columns = {self.scorer.output: _Column("FP32", list(scores.shape), scores)}
        if TASKS[self.schema.task].has_classes:
            columns[self.scorer.output].parameters["classes"] = self.labels
            labels = [self.labels[index] for index in choose_classes(scores, threshold=self.schema.threshold).tolist()]
            columns["label"] = _Column("BYTES", [len(labels)], labels)
        if explanation is not None:
            values = np.ascontiguousarray(explanation.values)
            columns["base"] = _Column("FP64", list(explanation.base.shape), np.ascontiguousarray(explanation.base))
            columns["contributions"] = _Column(
                "FP64", list(values.shape), values, {"features": explanation.features, "of": explanation.outputs}
            )
        return columns

    def _split(self, body: bytes, header_length: bytes) -> tuple[_Body, bytes]:
        head, binary = body, b""
        if header_length:
            if not header_length.isdigit() or len(header_length) > 12 or int(header_length) > len(body):
                raise HttpError(
                    400,
                    f"Inference-Header-Content-Length: found {header_length.decode(errors='replace')[:60]!r}; "
                    f"expected the length of the JSON, at most the body's {len(body)} bytes.",
                )
            head, binary = body[: int(header_length)], body[int(header_length) :]
        try:
            return self._decode(head), binary
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise HttpError(
                400, f'The body is no V2 request {{"inputs": [{{"name", "shape", "datatype", "data"}}, …]}}: {error}.'
            ) from error

    def _values(self, tensor: _Tensor, binary: bytes | None, rows: int) -> Values:
        kind = self.kinds.get(tensor.name)
        if kind and tensor.datatype not in _ACCEPTED[kind]:
            raise InputError(
                f"Input {short(tensor.name)}: found datatype {short(tensor.datatype)}; expected {DATATYPES[kind]} "
                f"(accepted: {', '.join(_ACCEPTED[kind])})."
            )
        if tensor.shape not in ([rows], [rows, 1]):
            raise InputError(
                f"Input {short(tensor.name)} has shape {str(tensor.shape[:9])[:60]}; expected [{rows}] or [{rows}, 1], "
                "the same number of rows as in the first input."
            )
        values = _decoded(tensor, kind) if binary is None else _from_binary(tensor, binary, rows)
        if len(values) != rows:
            raise InputError(f"Input {short(tensor.name)} holds {len(values)} values; its shape says {rows}.")
        return values

    def _options(self, request: _Body) -> _Options:
        asked = request.outputs or []
        wanted = [output.name for output in asked] or self.outputs
        unknown = [name for name in wanted if name not in self.outputs]
        if unknown:
            raise HttpError(
                400, f"outputs: {short(unknown[0])} is not known; expected {', '.join(map(repr, self.outputs))}."
            )
        everything = (request.parameters or {}).get("binary_data_output") is True
        binary = {
            output.name for output in asked if (output.parameters or {}).get("binary_data", everything) is True
        } or (set(wanted) if everything and not asked else set())
        return _Options(id=request.id or "", binary=binary, outputs=list(dict.fromkeys(wanted)))


def _rows_of(tensor: _Tensor) -> int:
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        raise InputError(f"Input {short(tensor.name)} has shape {str(shape[:9])[:60]}; expected [rows] or [rows, 1].")
    return shape[0]


def _binary_size(tensor: _Tensor) -> int | None:
    """Bytes of a tensor that follows the JSON; None when its values are in the JSON."""
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MOST_BYTES:
        raise HttpError(400, f"Input {short(tensor.name)}: binary_data_size has to be a number of bytes, at least 0.")
    return size


def _listed(values: Values) -> list[Any]:
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return listed


# Values that came as JSON

_DECODERS: dict[str, Callable[[Any], list[Any]]] = {
    "number": msgspec.json.Decoder(list[float | None]).decode,
    "category": msgspec.json.Decoder(list[str | None]).decode,
    "timestamp": msgspec.json.Decoder(list[datetime | None]).decode,
}
_DECODERS["integer"] = _DECODERS["number"]


def _decoded(tensor: _Tensor, kind: FeatureKind | None, *, flat: bool = True) -> list[Any]:
    if tensor.data is _NO_DATA:
        raise InputError(f"Input {short(tensor.name)} has neither data nor parameters.binary_data_size.")
    if kind in _DECODERS:
        try:
            return _DECODERS[kind](tensor.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # judged value by value below
    try:
        values = msgspec.json.decode(tensor.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise HttpError(400, f"Input {short(tensor.name)}: data is not JSON: {error}.") from error
    if not isinstance(values, list):
        raise InputError(f"Input {short(tensor.name)}: found data that is no list; expected a list of values.")
    if not flat or len(tensor.shape) == 1:
        return values
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def _table_from_json(tensor: _Tensor) -> list[Any]:
    """The values row by row, which may be given flat or as a list of rows."""
    values = _decoded(tensor, None, flat=False)
    if not any(isinstance(value, list) for value in values):
        return values
    width = tensor.shape[1]
    for row, found in enumerate(values):
        if not isinstance(found, list) or len(found) != width:
            held = f"a list of {len(found)} values" if isinstance(found, list) else short(found)
            raise InputError(
                f"Input {short(tensor.name)}, row {row}: found {held}; expected a list of {width} numbers."
            )
    return [value for row in values for value in row]


# Values that came as binary tensors


def _from_binary(tensor: _Tensor, content: bytes, rows: int) -> Values:
    if tensor.datatype == "BYTES":
        return _texts(tensor, content, rows)
    dtype = "<u1" if tensor.datatype == "BOOL" else _NUMERIC.get(tensor.datatype)
    if dtype is None:
        raise InputError(f"Input {short(tensor.name)}: the datatype {short(tensor.datatype)} is not known.")
    expected = rows * np.dtype(dtype).itemsize
    if len(content) != expected:
        raise InputError(
            f"Input {short(tensor.name)} holds {len(content)} bytes; {rows} values of {tensor.datatype} are {expected}."
        )
    values = np.frombuffer(content, dtype=dtype)
    return values.astype(bool) if tensor.datatype == "BOOL" else values


def _texts(tensor: _Tensor, content: bytes, rows: int) -> list[str]:
    """Texts that are each preceded by their length in four bytes, the lowest first."""
    texts: list[str] = []
    place, end = 0, len(content)
    try:
        while place < end:
            start = place + 4
            place = start + int.from_bytes(content[place:start], "little")
            if place > end or start > end or len(texts) == rows:
                raise InputError(
                    f"Input {short(tensor.name)}: its bytes are not {rows} texts, each preceded by its length."
                )
            texts.append(content[start:place].decode())
    except UnicodeDecodeError as error:
        raise InputError(f"Row {len(texts)}, column {short(tensor.name)}: the text is not UTF-8.") from error
    return texts


def _bytes_tensor(values: NDArray[Any] | list[str]) -> bytes:
    if isinstance(values, list):
        encoded = [value.encode() for value in values]
        return b"".join(part for text in encoded for part in (len(text).to_bytes(4, "little"), text))
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
