"""How arrays stand in JSON: little-endian, compressed, as base64; a list of digits would take three times as much."""

import base64
import binascii
import zlib
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import PlainSerializer, PlainValidator


def pack(array: NDArray[Any]) -> str:
    """An array of one dimension as text."""
    plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(zlib.compress(plain.tobytes())).decode()


def unpack(packed: Any, *, dtype: DTypeLike) -> NDArray[Any]:
    """The array that a text holds; an array stays what it is.

    Raises:
        ValueError: The text is none that `pack` wrote.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    if isinstance(packed, np.ndarray):
        return packed.astype(kind, copy=False)
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(packed, validate=True)), dtype=kind)
    except (zlib.error, binascii.Error, TypeError) as error:
        raise ValueError(f"expected a packed array: {error}") from error


def _kind(dtype: DTypeLike) -> tuple[PlainValidator, PlainSerializer]:
    return PlainValidator(partial(unpack, dtype=dtype)), PlainSerializer(pack, return_type=str, when_used="json")


Counts = Annotated[NDArray[np.int64], *_kind(np.int64)]
Sums = Annotated[NDArray[np.float64], *_kind(np.float64)]
Edges = Annotated[NDArray[np.float32], *_kind(np.float32)]
