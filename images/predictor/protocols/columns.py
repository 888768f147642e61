"""Rows of requests whose inputs are tensors: one a column by its name, or one for all columns of numbers.

HTTP and gRPC bring the same tensors, and people send them in two ways: one for each column, as the metadata says, or
one matrix, as the examples of KServe do. Both become columns here, and go through the same checks of names, types and
shapes, so that a row is refused for the same reason whichever way it came.
"""

from typing import Any

import numpy as np

from components.shared.config import ExtraColumns
from components.shared.errors import InputError
from components.shared.package.schema import Schema
from components.shared.package.scoring import Values, parse_columns
from images.predictor.messages import ProtocolError, Reason
from images.predictor.protocols.query import Query, as_text, check_names, check_rows, short
from images.predictor.protocols.tensors import ACCEPTED, DATATYPES, NUMERIC, Tensor

Extras = dict[str, list[str | None]]


class Columns:
    """Makes rows of tensors.

    Args:
        schema: Of the model.
        extra: What to do with columns it does not know.
        rows: Most rows of a request.
    """

    def __init__(self, schema: Schema, *, extra: ExtraColumns, rows: int) -> None:
        self.schema = schema
        self.extra_rule = extra
        self.rows = rows
        self.kinds = {feature.name: feature.kind for feature in schema.features}
        self.extras = schema.extras
        self.names = schema.columns
        self.others = [f.name for f in schema.features if f.kind not in ("number", "integer")]

    def query(self, inputs: list[Tensor], *, explain: bool, options: Any) -> Query:
        """The rows of a request.

        Raises:
            ProtocolError: There are no inputs, two of one name, or no rows or too many.
            InputError: A column does not fit the schema.
        """
        if len({tensor.name for tensor in inputs}) < len(inputs):
            raise ProtocolError(Reason.INVALID, "inputs: expected different names; one occurs twice.")
        if not inputs:
            raise ProtocolError(Reason.INVALID, "inputs: found none; expected one for each column of the model.")
        extras: Extras = {}
        if self._is_table(inputs):
            columns = self._table(inputs[0])
        else:
            columns, extras = self._named_columns(inputs)
        return Query(parse_columns(columns, self.schema), explain=explain, extras=extras, options=options)

    def _named_columns(self, inputs: list[Tensor]) -> tuple[dict[str, Any], Extras]:
        """Values by column, of an input for each."""
        check_names([tensor.name for tensor in inputs], self.schema, self.extra_rule)
        rows = _rows_of(inputs[0])
        check_rows(rows, self.rows)
        columns: dict[str, Any] = {}
        extras: Extras = {}
        for tensor in inputs:
            values = self._values(tensor, rows)
            if tensor.name in self.extras:
                extras[tensor.name] = [as_text(value) for value in _listed(values)]
            else:
                columns[tensor.name] = values
        return columns, extras

    def _is_table(self, inputs: list[Tensor]) -> bool:
        """Whether it is one tensor for all columns, as the scikit-learn examples of KServe and MLServer send it."""
        first = inputs[0]
        wide = len(first.shape) == 2 and first.shape[0] >= 0 and (first.shape[1] > 1 or len(self.names) == 1)
        return len(inputs) == 1 and wide and first.name not in self.kinds

    # Example: the values 1 to 6 of shape [2, 3], for a model with the columns a, b and c, are a: 1, 4; b: 2, 5; c: 3,
    # 6.
    def _table(self, tensor: Tensor) -> dict[str, Any]:
        """Values by column, of one tensor of shape [rows, columns] whose columns are in the schema's order."""
        self._check_table(tensor)
        rows, width = tensor.shape
        check_rows(rows, self.rows)
        values = tensor.table()
        if len(values) != rows * width:
            raise InputError(
                f"Input {short(tensor.name)} holds {len(values)} values; its shape {tensor.shape} says {rows * width}."
            )
        return {name: values[place::width] for place, name in enumerate(self.names)}

    def _check_table(self, tensor: Tensor) -> None:
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
        if tensor.datatype not in NUMERIC:
            raise InputError(
                f"Input {short(tensor.name)}: found datatype {short(tensor.datatype)}; expected FP64 "
                f"(accepted: {', '.join(NUMERIC)})."
            )

    def _values(self, tensor: Tensor, rows: int) -> Values:
        kind = self.kinds.get(tensor.name)
        if kind and tensor.datatype not in ACCEPTED[kind]:
            raise InputError(
                f"Input {short(tensor.name)}: found datatype {short(tensor.datatype)}; expected {DATATYPES[kind]} "
                f"(accepted: {', '.join(ACCEPTED[kind])})."
            )
        if tensor.shape not in ([rows], [rows, 1]):
            raise InputError(
                f"Input {short(tensor.name)} has shape {str(tensor.shape[:9])[:60]}; expected [{rows}] or [{rows}, 1], "
                "the same number of rows as in the first input."
            )
        values = tensor.column(kind, rows)
        if len(values) != rows:
            raise InputError(f"Input {short(tensor.name)} holds {len(values)} values; its shape says {rows}.")
        return values


def _rows_of(tensor: Tensor) -> int:
    shape = tensor.shape
    if len(shape) not in (1, 2) or shape[0] < 0 or shape[1:] not in ([], [1]):
        raise InputError(f"Input {short(tensor.name)} has shape {str(shape[:9])[:60]}; expected [rows] or [rows, 1].")
    return shape[0]


def _listed(values: Values) -> list[Any]:
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    return listed
