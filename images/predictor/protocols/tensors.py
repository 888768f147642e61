"""Tensors of the Open Inference Protocol: named, shaped, and with their values as JSON, as bytes, or typed already.

The same values come in three forms, and the check of type and number has to be the same for all. JSON is decoded only
when the column is known, straight into its type; what does not fit is decoded again as it stands, so that the error can
name the row. Sizes are checked before bytes are read as numbers, since a shape is only what the client says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from components.shared.errors import InputError
from components.shared.package.schema import FeatureKind
from components.shared.package.scoring import Values
from images.predictor.messages import ProtocolError, Reason
from images.predictor.protocols.query import short

DATATYPES: dict[FeatureKind, str] = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "category": "BYTES",
    "timestamp": "BYTES",
}

NUMERIC = {
    "FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "INT8": "<i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8",
    "UINT8": "<u1", "UINT16": "<u2", "UINT32": "<u4", "UINT64": "<u8",
}  # fmt: skip
_INTEGERS = tuple(name for name in NUMERIC if "INT" in name)
ACCEPTED: dict[FeatureKind, tuple[str, ...]] = {
    "number": tuple(NUMERIC),
    "integer": tuple(NUMERIC),
    "boolean": ("BOOL",),
    "category": ("BYTES", *_INTEGERS),
    "timestamp": ("BYTES",),
}


@dataclass(slots=True)
class Tensor:
    """An input of a request.

    Attributes:
        name: Of the column, or of one tensor for all columns.
        shape: As the request says it.
        datatype: As the protocol calls it, such as FP64.
        content: JSON that has not been decoded, bytes of a binary tensor, or values; None when there is none.
    """

    name: str
    shape: list[int]
    datatype: str
    content: msgspec.Raw | bytes | Values | None

    def column(self, kind: FeatureKind | None, rows: int) -> Values:
        """The values of a tensor that is one column.

        Raises:
            ProtocolError: They are no JSON.
            InputError: They are not of the datatype, or not so many.
        """
        return self._values(rows, lambda content: _decoded(self, content, kind))

    def table(self) -> Values:
        """The values of a tensor of shape [rows, columns], row by row.

        Raises:
            ProtocolError: They are no JSON.
            InputError: They are not of the datatype, or a row has not as many as the shape says.
        """
        return self._values(self.shape[0] * self.shape[1], lambda content: _table_from_json(self, content))

    def _values(self, count: int, from_json: Callable[[msgspec.Raw], Values]) -> Values:
        content = self.content
        if content is None:
            raise InputError(f"Input {short(self.name)} has neither data nor parameters.binary_data_size.")
        if isinstance(content, msgspec.Raw):
            return from_json(content)
        return _from_bytes(self, content, count) if isinstance(content, bytes) else content


# Values that came as JSON

_DECODERS: dict[str, Callable[[Any], list[Any]]] = {
    "number": msgspec.json.Decoder(list[float | None]).decode,
    "category": msgspec.json.Decoder(list[str | None]).decode,
    "timestamp": msgspec.json.Decoder(list[datetime | None]).decode,
}
_DECODERS["integer"] = _DECODERS["number"]


def _decoded(tensor: Tensor, content: msgspec.Raw, kind: FeatureKind | None, *, flat: bool = True) -> list[Any]:
    if kind in _DECODERS:
        try:
            return _DECODERS[kind](content)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # judged value by value below
    try:
        values = msgspec.json.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(Reason.INVALID, f"Input {short(tensor.name)}: data is not JSON: {error}.") from error
    if not isinstance(values, list):
        raise InputError(f"Input {short(tensor.name)}: found data that is no list; expected a list of values.")
    if not flat or len(tensor.shape) == 1:
        return values
    return [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]


def _table_from_json(tensor: Tensor, content: msgspec.Raw) -> list[Any]:
    """The values row by row, which may be given flat or as a list of rows."""
    values = _decoded(tensor, content, None, flat=False)
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


def _from_bytes(tensor: Tensor, content: bytes, rows: int) -> Values:
    if tensor.datatype == "BYTES":
        return _texts(tensor, content, rows)
    dtype = "<u1" if tensor.datatype == "BOOL" else NUMERIC.get(tensor.datatype)
    if dtype is None:
        raise InputError(f"Input {short(tensor.name)}: the datatype {short(tensor.datatype)} is not known.")
    expected = rows * np.dtype(dtype).itemsize
    if len(content) != expected:
        raise InputError(
            f"Input {short(tensor.name)} holds {len(content)} bytes; {rows} values of {tensor.datatype} are {expected}."
        )
    values = np.frombuffer(content, dtype=dtype)
    return values.astype(bool) if tensor.datatype == "BOOL" else values


# Example: the bytes 02 00 00 00 44 4C 00 00 00 00 are the two texts "DL" and "".
def _texts(tensor: Tensor, content: bytes, rows: int) -> list[str]:
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


def bytes_tensor(values: NDArray[Any] | list[str]) -> bytes:
    """Values as they go into a binary tensor: numbers one after another, texts each preceded by its length."""
    if isinstance(values, list):
        encoded = [value.encode() for value in values]
        return b"".join(part for text in encoded for part in (len(text).to_bytes(4, "little"), text))
    return np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
