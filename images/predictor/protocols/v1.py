"""KServe's V1 protocol: `{"instances": [row, …]}`, each row an object by column, or a list in the metadata's order.

Rows are decoded by `msgspec` straight into typed records, which is twice as quick as dictionaries and refuses wrong
types while it reads. What it refuses is looked at again, slowly, by the code that words the errors and that knows the
rarer spellings, such as dates without a time.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
from numpy.typing import NDArray

from components.shared.config import ExtraColumns
from components.shared.errors import InputError
from components.shared.package.schema import FLOAT32_MAX, Feature, Schema
from components.shared.package.scoring import Scorer, parse_columns, parse_rows
from images.predictor.explain import Explanation
from images.predictor.messages import ProtocolError, Reason, Request, Response
from images.predictor.protocols.base import Codec
from images.predictor.protocols.query import (
    Query,
    as_text,
    check_names,
    check_rows,
    short,
    wants_explanation,
)

_EXACT_INTEGER = 2**53
_Number = Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
_Code = Annotated[int, msgspec.Meta(ge=-_EXACT_INTEGER, le=_EXACT_INTEGER)]
# Decoded as float: many clients spell whole numbers 3.0.
_Integer = Annotated[float, msgspec.Meta(ge=-_EXACT_INTEGER, le=_EXACT_INTEGER, multiple_of=1)]
_TYPES: dict[str, Any] = {
    "number": _Number,
    "integer": _Integer,
    "boolean": bool,
    "category": str | _Code,
    "timestamp": datetime,
}
_ROUNDED_UP = b".999999"  # where msgspec might round a fraction of a second up to the next one
_DECODE = msgspec.json.Decoder().decode
_ASTUPLE = msgspec.structs.astuple
_EXPECTED = '{"instances": [row, …]} with at least one row, each an object of columns by name'


class V1:
    """Reads and writes requests of the V1 protocol for one model.

    Args:
        scorer: The model.
        extra: What to do with columns it does not know.
        rows: Most rows of a request.
    """

    def __init__(self, scorer: Scorer, *, extra: ExtraColumns, rows: int) -> None:
        self.scorer = scorer
        self.schema = scorer.schema
        self.extra_rule = extra
        self.rows = rows
        self.extras = self.schema.extras
        self._decode = _decoder(self.schema, self.extras, forbid=extra == "refuse")
        self._features = len(self.schema.features)

    def read(self, body: bytes) -> Query:
        """Read a request.

        Raises:
            ProtocolError: It is not JSON, or holds no rows or too many.
            InputError: A row does not fit the schema.
        """
        if _ROUNDED_UP in body and self.schema.timestamps:
            return self._read_slowly(body)
        try:
            request = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._read_slowly(body)
        check_rows(len(request.instances), self.rows)
        records = [_ASTUPLE(row) for row in request.instances]
        explain = request.parameters is not None and wants_explanation(request.parameters)
        return Query(records=records, explain=explain, extras=self._extras_of(records) if self.extras else {})

    def write(self, scores: NDArray[np.float32], explanation: Explanation | None) -> bytes:
        """The answer to a request."""
        predictions = self.scorer.answers(scores)
        if explanation is not None:
            for row, answer in enumerate(predictions):
                answer["explanation"] = explanation.of_row(row)
        return orjson.dumps({"predictions": predictions, "model_version": self.scorer.version})

    def _extras_of(self, records: list[tuple[Any, ...]]) -> dict[str, list[str | None]]:
        found = {}
        for place, name in enumerate(self.extras, self._features):
            values = [record[place] for record in records]
            if any(value is not msgspec.UNSET for value in values):
                found[name] = [None if value is msgspec.UNSET else as_text(value) for value in values]
        return found

    def _read_slowly(self, body: bytes) -> Query:
        try:
            payload = _DECODE(body)  # not by orjson, which makes floats of long whole numbers
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(Reason.INVALID, f"The body is not JSON: {error}.") from error
        instances = payload.get("instances") if isinstance(payload, dict) else None
        if not isinstance(instances, list):
            raise ProtocolError(Reason.INVALID, f"Expected {_EXPECTED}; found {_shape(payload)}.")
        check_rows(len(instances), self.rows)
        explain = wants_explanation(payload.get("parameters"))
        if isinstance(instances[0], list):
            return Query(parse_columns(self._columns(instances), self.schema), explain=explain)
        for number, row in enumerate(instances):
            if isinstance(row, dict):
                self._check_names(number, row)
        inputs = parse_rows(instances, self.schema)
        present = [name for name in self.extras if any(name in row for row in instances)]
        extras = {name: [as_text(row.get(name)) for row in instances] for name in present}
        return Query(inputs, explain=explain, extras=extras)

    def _check_names(self, number: int, row: dict[str, Any]) -> None:
        try:
            check_names(list(row), self.schema, self.extra_rule)
        except InputError as error:
            raise InputError(f"Row {number}: {error}") from None

    def _columns(self, rows: list[Any]) -> dict[str, list[Any]]:
        """Columns of rows that are lists, in the order of the metadata's inputs."""
        names = [feature.name for feature in self.schema.features]
        for number, row in enumerate(rows):
            if not isinstance(row, list) or len(row) != len(names):
                found = f"{len(row)} values" if isinstance(row, list) else _shape(row)
                raise InputError(
                    f"Row {number}: found {found}; expected a list of {len(names)} values, like the first row: "
                    f"{', '.join(names[:50])}."
                )
        return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))


def _decoder(schema: Schema, extras: list[str], *, forbid: bool) -> Callable[[bytes], Any]:
    """Decodes a body whose rows are objects, into records in the order numbers, categories, times, extras."""
    ordered = (*schema.numbers, *schema.categories, *schema.timestamps)
    fields: list[Any] = [
        (f"f{place}", _type(feature), msgspec.field(name=feature.name)) for place, feature in enumerate(ordered)
    ]
    anything = str | int | float | bool | None | msgspec.UnsetType
    fields += [
        (f"x{place}", anything, msgspec.field(name=name, default=msgspec.UNSET)) for place, name in enumerate(extras)
    ]
    row = msgspec.defstruct("Row", fields, gc=False, forbid_unknown_fields=forbid)
    body = msgspec.defstruct(
        "Body",
        [("instances", list[row]), ("parameters", dict[str, Any] | None, None)],  # type: ignore[valid-type]
    )
    return msgspec.json.Decoder(body).decode


def _type(feature: Feature) -> Any:
    kind = _TYPES[feature.kind]
    if feature.code_width:
        kind = str  # numbers, which lost the zeros of such codes, are looked at again
    if feature.zoned is not None:
        kind = Annotated[datetime, msgspec.Meta(tz=feature.zoned)]
    return kind | None if feature.nullable else kind


def _shape(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, dict):
        return f"an object with {', '.join(map(short, list(value)[:5]))}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)} values"
    return short(value)


class V1Codec(Codec):
    """The V1 protocol over HTTP."""

    def __init__(self, v1: V1) -> None:
        self.v1 = v1

    def read(self, request: Request, body: bytes) -> Query:
        """Read the rows of JSON."""
        del request
        return self.v1.read(body)

    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        """The answer as JSON."""
        del query
        return Response(self.v1.write(scores, explanation))
