"""The Open Inference Protocol (V2) with columns as named inputs, as JSON or with the binary tensor extension.

Many numbers take long to read as JSON, hence the binary extension: the JSON comes first, its length in a header, and
the tensors follow as bytes. How many bytes belong to which input only the client says, so all of them have to be
accounted for, or the request is refused.
"""

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from components.shared.config import ExtraColumns
from components.shared.package.scoring import Scorer
from images.predictor.explain import Explanation
from images.predictor.messages import ProtocolError, Reason, Request, Response
from images.predictor.protocols.base import Codec
from images.predictor.protocols.query import Query, short, wants_explanation
from images.predictor.protocols.tensor_protocol import TensorProtocol
from images.predictor.protocols.tensors import Tensor, bytes_tensor

HEADER_LENGTH = b"inference-header-content-length"
_Parameters = dict[str, Any] | None
_MOST_BYTES = 2**62
_NO_DATA = msgspec.Raw()


class _Input(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    parameters: _Parameters = None
    data: msgspec.Raw = _NO_DATA  # a union with None would not be raw


class _Output(msgspec.Struct):
    name: str
    parameters: _Parameters = None


class _Body(msgspec.Struct):
    inputs: list[_Input]
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


class V2(TensorProtocol):
    """Reads and writes requests of the V2 protocol for one model."""

    def __init__(self, name: str, scorer: Scorer, *, extra: ExtraColumns, rows: int) -> None:
        super().__init__(name, scorer, extra=extra, rows=rows)
        self._decode = msgspec.json.Decoder(_Body).decode

    def read(self, body: bytes, header_length: bytes) -> Query:
        """Read a request.

        Args:
            body: JSON, followed by binary tensors when there is a header length.
            header_length: The value of the header `Inference-Header-Content-Length`; empty when there is none.

        Raises:
            ProtocolError: It does not follow the protocol, or holds no rows or too many.
            InputError: A column does not fit the schema.
        """
        request, binary = self._split(body, header_length)
        tensors, place = [], 0
        for item in request.inputs:
            size = _binary_size(item)
            content = (
                (item.data if item.data is not _NO_DATA else None) if size is None else binary[place : place + size]
            )
            tensors.append(Tensor(item.name, item.shape, item.datatype, content))
            place += size or 0
        options = self._options(request)
        query = self.columns.query(tensors, explain=wants_explanation(request.parameters), options=options)
        if place != len(binary):
            raise ProtocolError(
                Reason.INVALID, f"The body holds {len(binary)} bytes of binary tensors; the inputs name {place}."
            )
        return query

    def write(
        self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None
    ) -> tuple[bytes, int | None]:
        """The answer to a request, and the length of its JSON when binary tensors follow it."""
        options: _Options = query.options
        outputs: list[dict[str, Any]] = []
        binary: list[bytes] = []
        for name, column in self.outputs.of(scores, explanation, options.outputs).items():
            output: dict[str, Any] = {"name": name, "shape": column.shape, "datatype": column.datatype}
            if name in options.binary:
                content = bytes_tensor(column.values)
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

    def _split(self, body: bytes, header_length: bytes) -> tuple[_Body, bytes]:
        head, binary = body, b""
        if header_length:
            if not header_length.isdigit() or len(header_length) > 12 or int(header_length) > len(body):
                raise ProtocolError(
                    Reason.INVALID,
                    f"Inference-Header-Content-Length: found {header_length.decode(errors='replace')[:60]!r}; "
                    f"expected the length of the JSON, at most the body's {len(body)} bytes.",
                )
            head, binary = body[: int(header_length)], body[int(header_length) :]
        try:
            return self._decode(head), binary
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(
                Reason.INVALID,
                f'The body is no V2 request {{"inputs": [{{"name", "shape", "datatype", "data"}}, …]}}: {error}.',
            ) from error

    def _options(self, request: _Body) -> _Options:
        asked = request.outputs or []
        wanted = self.outputs.wanted([output.name for output in asked])
        everything = (request.parameters or {}).get("binary_data_output") is True
        binary = {
            output.name for output in asked if (output.parameters or {}).get("binary_data", everything) is True
        } or (set(wanted) if everything and not asked else set())
        return _Options(id=request.id or "", binary=binary, outputs=wanted)


def _binary_size(tensor: _Input) -> int | None:
    """Bytes of a tensor that follows the JSON; None when its values are in the JSON."""
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return None
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _MOST_BYTES:
        raise ProtocolError(
            Reason.INVALID, f"Input {short(tensor.name)}: binary_data_size has to be a number of bytes, at least 0."
        )
    return size


class V2Codec(Codec):
    """The V2 protocol over HTTP."""

    def __init__(self, v2: V2) -> None:
        self.v2 = v2

    def read(self, request: Request, body: bytes) -> Query:
        """Read the rows of JSON and binary tensors."""
        return self.v2.read(body, request.header(HEADER_LENGTH))

    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        """The answer, with binary tensors where they were asked for."""
        content, length = self.v2.write(query, scores, explanation)
        if length is None:
            return Response(content)
        return Response(content, b"application/octet-stream", [(HEADER_LENGTH, b"%d" % length)])
