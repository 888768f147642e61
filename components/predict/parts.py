"""Predictions as Parquet files of a bounded size.

Neither this machine's disk nor a reader of the predictions has to hold them all: a file is uploaded as soon as it has a
million rows, and removed here. Small batches are collected into row groups first, because readers take a row group at a
time.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.predict.result import Destination
from components.shared.tables import ROW_GROUP

PART = 1_000_000  # rows of a file


class Parts:
    """Writes predictions to files of so many rows, each uploaded when it is complete and then removed here."""

    def __init__(self, folder: Path, target: Destination) -> None:
        self.rows: dict[str, int] = {}
        self._folder = folder
        self._target = target
        self._writer: pq.ParquetWriter | None = None
        self._path = folder
        self._waiting: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> None:
        """Write rows, a row group at a time."""
        self._waiting.append(batch)
        if sum(len(waiting) for waiting in self._waiting) >= ROW_GROUP:
            self._flush()
            if self.rows[self._path.name] >= PART:
                self._finish()

    def close(self) -> None:
        """Write and upload what is left."""
        if self._waiting:
            self._flush()
        if self._writer is not None:
            self._finish()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._waiting = []
        if self._writer is None:
            self._path = self._folder / f"part-{len(self.rows):05}.parquet"
            # Of numbers and times a dictionary would be built for nothing: they hardly repeat.
            texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
            self._writer = pq.ParquetWriter(
                self._path, table.schema, compression="zstd", compression_level=1, use_dictionary=texts
            )
            self.rows[self._path.name] = 0
        self._writer.write_table(table)
        self.rows[self._path.name] += len(table)

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None
        self._target.put(self._path)
        self._path.unlink()
