"""The Open Inference Protocol (V2) in the messages of gRPC: the same tensors as over HTTP, typed or as raw bytes.

Only what differs from HTTP is here: fields by type instead of JSON, and raw bytes for all inputs at once instead of a
header length. Rows, limits, outputs and errors are those of `columns` and `outputs`, so that a client may change the
transport and get the same answers.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from components.shared.errors import InputError
from components.shared.package.scoring import Values
from images.predictor.explain import Explanation
from images.predictor.messages import ProtocolError, Reason, Request, Response
from images.predictor.protocols.base import Codec
from images.predictor.protocols.open_inference import message
from images.predictor.protocols.outputs import Output
from images.predictor.protocols.query import Query, short, wants_explanation
from images.predictor.protocols.tensor_protocol import TensorProtocol
from images.predictor.protocols.tensors import Tensor, bytes_tensor

# The field of the contents that holds values of a datatype, and numpy's name of it; FP16 comes as raw bytes only.
_CONTENTS: dict[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "?"),
    "INT8": ("int_contents", "i4"),
    "INT16": ("int_contents", "i4"),
    "INT32": ("int_contents", "i4"),
    "INT64": ("int64_contents", "i8"),
    "UINT8": ("uint_contents", "u4"),
    "UINT16": ("uint_contents", "u4"),
    "UINT32": ("uint_contents", "u4"),
    "UINT64": ("uint64_contents", "u8"),
    "FP32": ("fp32_contents", "f4"),
    "FP64": ("fp64_contents", "f8"),
    "BYTES": ("bytes_contents", ""),
}


@dataclass(slots=True)
class _Options:
    """What the answer has to look like.

    Attributes:
        id: The request's own id, given back.
        raw: Whether outputs are raw bytes.
        outputs: Names of the outputs that are wanted, in their order.
    """

    id: str
    raw: bool
    outputs: list[str]


class GrpcV2(TensorProtocol, Codec):
    """Reads and writes ModelInfer for one model."""

    def read(self, request: Request, body: bytes) -> Query:
        """Read a ModelInferRequest."""
        del request
        asked = parsed("ModelInferRequest", body)
        self.check_model(asked.model_name, asked.model_version)
        raw = bool(asked.raw_input_contents)
        tensors = _raw(asked) if raw else [_typed(item) for item in asked.inputs]
        parameters = {name: _value(item) for name, item in asked.parameters.items()}
        options = _Options(
            asked.id,
            parameters.get("binary_data_output", raw) is True,
            self.outputs.wanted([output.name for output in asked.outputs]),
        )
        return self.columns.query(tensors, explain=wants_explanation(parameters), options=options)

    def check_model(self, name: str, version: str) -> None:
        """Refuse what is asked of another model.

        Raises:
            ProtocolError: It is not served here.
        """
        if name != self.name:
            raise ProtocolError(
                Reason.NOT_FOUND, f"Model {short(name)} is not served here; expected {short(self.name)}."
            )
        if version not in ("", self.scorer.version):
            raise ProtocolError(
                Reason.NOT_FOUND,
                f"Version {short(version)} of {short(name)} is not served here; version {self.scorer.version} is.",
            )

    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        """The ModelInferResponse."""
        options: _Options = query.options
        answer = message("ModelInferResponse")(model_name=self.name, model_version=self.scorer.version, id=options.id)
        for name, output in self.outputs.of(scores, explanation, options.outputs).items():
            written = answer.outputs.add(name=name, datatype=output.datatype, shape=output.shape)
            for key, value in output.parameters.items():
                text = value if isinstance(value, str) else ", ".join(value)  # a parameter holds no lists
                written.parameters[key].string_param = text
            if options.raw:
                answer.raw_output_contents.append(bytes_tensor(output.values))
            else:
                _fill(written.contents, output)
        return Response(answer.SerializeToString())


def parsed(name: str, body: bytes) -> Any:
    """A message of a request.

    Raises:
        ProtocolError: The bytes are no such message.
    """
    try:
        return message(name).FromString(body)
    except DecodeError as error:
        raise ProtocolError(Reason.INVALID, f"The body is no {name}: {error}.") from error


def _raw(asked: Any) -> list[Tensor]:
    contents = asked.raw_input_contents
    if len(contents) != len(asked.inputs):
        raise ProtocolError(
            Reason.INVALID,
            f"raw_input_contents: found {len(contents)}; expected one for each of the {len(asked.inputs)} inputs.",
        )
    for item in asked.inputs:
        if item.HasField("contents"):
            raise ProtocolError(
                Reason.INVALID,
                f"Input {short(item.name)} has contents and raw_input_contents; expected one of the two.",
            )
    return [
        Tensor(item.name, list(item.shape), item.datatype, content)
        for item, content in zip(asked.inputs, contents, strict=True)
    ]


def _typed(item: Any) -> Tensor:
    """A tensor whose values are in the field of the contents that its datatype says."""
    if item.datatype not in _CONTENTS:
        raise InputError(
            f"Input {short(item.name)}: values of datatype {short(item.datatype)} have to be raw_input_contents."
        )
    field, kind = _CONTENTS[item.datatype]
    values = getattr(item.contents, field)
    if any(len(found) for other, found in item.contents.ListFields() if other.name != field):
        raise InputError(f"Input {short(item.name)}: values of datatype {item.datatype} have to be in {field} alone.")
    content: Values = np.fromiter(values, dtype=kind, count=len(values)) if kind else _texts(item.name, values)
    return Tensor(item.name, list(item.shape), item.datatype, content)


def _texts(name: str, values: Any) -> list[str]:
    texts: list[str] = []
    try:
        texts.extend(value.decode() for value in values)
    except UnicodeDecodeError as error:
        raise InputError(f"Row {len(texts)}, column {short(name)}: the text is not UTF-8.") from error
    return texts


def _value(parameter: Any) -> Any:
    chosen = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, chosen) if chosen else None


def _fill(contents: Any, output: Output) -> None:
    field, _ = _CONTENTS[output.datatype]
    if isinstance(output.values, list):
        contents.bytes_contents.extend(value.encode() for value in output.values)
    else:
        getattr(contents, field).extend(output.values.reshape(-1).tolist())
