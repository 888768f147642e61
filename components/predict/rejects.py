"""Rows that do not fit the model: written apart as text, with the reason.

Whoever corrects the rows needs them as they were, with every column and the row's number, also the columns that the
model ignores; and as text, since a value of the wrong type is often why the row is here. The same mistake tends to be
in many rows, so a reason is worded once for each distinct value, and for so many only.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.predict.reading import Reader
from components.predict.result import ROW
from components.shared.package.schema import Feature

WORDED = 1000  # distinct values whose reasons are spelled out
SHOWN = 10
_TOLD = 200  # characters of a value; a reason quotes fewer
REASON = "reject_reason"


class Rejects:
    """Writes the rejected rows to one Parquet file, which is there once there is such a row.

    Args:
        path: Where to.
        reader: Says why a value does not fit.
        columns: All columns of the table; those called like one of ours get the prefix `table_`.
    """

    def __init__(self, path: Path, reader: Reader, columns: list[str]) -> None:
        self.path = path
        self.count = 0
        self.first: list[str] = []
        self._reader = reader
        self._schema = pa.schema(
            [(ROW, pa.int64()), (REASON, pa.string()), *((_unique_name(name), pa.string()) for name in columns)]
        )
        self._reasons: dict[tuple[str, str], str] = {}
        self._writer: pq.ParquetWriter | None = None

    def add(self, rows: pa.RecordBatch, numbers: NDArray[np.int64], culprits: NDArray[np.int64]) -> None:
        """Reject rows.

        Args:
            rows: The rows, with all their columns.
            numbers: Their numbers in the table, counted from 0, shape (rows,).
            culprits: Position of the column to blame in the model's inputs, shape (rows,).
        """
        reasons = np.empty(len(numbers), dtype=object)
        for position in np.unique(culprits):
            feature = self._reader.features[position]
            chosen = np.flatnonzero(culprits == position)
            reasons[chosen] = self._worded(rows.column(feature.name).take(pa.array(chosen)), feature)
        for number, reason in zip(numbers[: SHOWN - len(self.first)].tolist(), reasons, strict=False):
            self.first.append(f"Row {number}, {reason}")
        columns = [pa.array(numbers), pa.array(reasons, pa.string())]
        table = pa.table([*columns, *(_as_text(column) for column in rows.columns)], schema=self._schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, self._schema, compression="zstd", compression_level=1)
        self._writer.write_table(table)
        self.count += len(numbers)

    def close(self) -> None:
        """Complete the file."""
        if self._writer is not None:
            self._writer.close()

    def _worded(self, column: pa.Array, feature: Feature) -> list[str]:
        """The reason for each value; each distinct one is worded once, and only so many."""
        encoded = column.dictionary_encode()
        reasons = [self._reason(value, feature) for value in _values(encoded.dictionary)]
        missing = self._reason(None, feature) if encoded.null_count else ""
        return [missing if code is None else reasons[code] for code in encoded.indices.to_pylist()]

    def _reason(self, value: object, feature: Feature) -> str:
        key = (feature.name, repr(value)[:_TOLD])  # by its spelling: NaN is not the same as itself
        if key not in self._reasons:
            if len(self._reasons) >= WORDED:
                return f"column {feature.name!r}: the value does not fit, like {WORDED:,} others that are described."
            self._reasons[key] = self._reader.reason(value, feature)
        return self._reasons[key]


def _unique_name(name: str) -> str:
    return f"table_{name}" if name in (ROW, REASON) else name


def _values(column: pa.Array) -> list[Any]:
    """Values as Python has them; a moment that Python cannot hold, as text."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return list(_as_text(column).to_pylist())


def _as_text(column: object) -> Any:
    """A column as text, as Arrow spells it."""
    return pc.cast(column, pa.string())
