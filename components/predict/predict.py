"""Batch prediction: a table streamed through a model package, block by block, in bounded memory.

A table may be far larger than memory, and most of its rows may be fine while some are not: one bad row must not cost
the rest. Rows are read in blocks of the columns that the model needs; only where rows were refused is their row group
read again with all columns, to be written apart. The summary is stored last, and says that what lies there is complete.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.predict.parts import Parts
from components.predict.reading import Block, Reader, missing_columns
from components.predict.rejects import Rejects
from components.predict.result import REJECTED, ROW, Destination, Summary, Values
from components.shared.errors import InputError, PackageError
from components.shared.package.model_package import Lineage
from components.shared.package.schema import Schema
from components.shared.package.scored import load_scorer
from components.shared.package.scoring import CELLS, Scorer
from components.shared.registry.registry import Registry
from components.shared.spelling import Spelling
from components.shared.store import Store
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes

BLOCK = 10_000  # rows scored at once: the graph's own tensors stay in the processor's cache
PREDICTION, VERSION = "prediction", "model_version"


def predict_table(
    store: Store,
    name: str,
    table: Path,
    *,
    lineage: Lineage,
    version: str = "",
    destination: str = "",
    date_format: str = "",
    spellings: Mapping[str, Spelling] | None = None,
) -> Summary:
    """Predict every row of a table and store the predictions.

    Args:
        store: The object store, with the model's versions.
        name: Name of the model.
        table: Parquet file as ingest writes it.
        lineage: Where its rows came from.
        version: The version to predict with; empty for the champion.
        destination: Prefix below which to write; empty for a new one.
        date_format: `strptime` format of times that are texts.
        spellings: How columns are written, by name, where that is not the usual way.

    Returns:
        What was written.

    Raises:
        PackageError: There is no such version, or its package is altered.
        InputError: The table lacks a column, or no row of it fits the model.
        StoreError: The object store cannot be reached, or the destination is in use.
    """
    started = time.monotonic()
    target = Destination.of(store, destination, name)
    with tempfile.TemporaryDirectory(prefix="fullcircle-predict-") as scratch:
        package = Path(scratch, "package")
        manifest = Registry(store, name).fetch(version, package)
        reader = Reader(Schema.read(package), date_format=date_format, spellings=spellings)
        check_table(pq.read_metadata(table), pq.read_schema(table).names, reader.schema)
        with _opened(table, reader.schema) as file, target.claimed():
            run = _Run(load_scorer(package), reader, manifest.version, table, file, Path(scratch), target)
            run.predict()
            summary = run.summary(name, lineage, seconds=time.monotonic() - started)
            target.commit(summary)
    return summary


def check_table(metadata: pq.FileMetaData, names: list[str], schema: Schema) -> None:
    """Refuse a table of which no row can be predicted.

    Args:
        metadata: Of its Parquet file.
        names: Its columns.
        schema: What the model expects.

    Raises:
        InputError: It has no rows, lacks a column of the model's, or has a key called like an output column.
    """
    if not metadata.num_rows:
        raise InputError("The table has no rows: there is nothing to predict.")
    if missing := missing_columns(names, schema):
        raise InputError(
            f"The table has no column {', '.join(map(repr, missing))}, which the model needs; it has "
            f"{', '.join(names)}. Give it the columns that a request to the endpoint has."
        )
    if taken := sorted({*kept_columns(names, schema)} & {*output_columns(schema)}):
        raise InputError(
            f"The key column {', '.join(map(repr, taken))} is called like a column of the predictions. Rename it."
        )


def _opened(table: Path, schema: Schema) -> pq.ParquetFile:
    """The table's file, with the model's texts as codes: a text that many rows share is then made once."""
    kinds = pq.read_schema(table)
    texts = [name for name in schema.columns if pa.types.is_string(kinds.field(name).type)]
    return pq.ParquetFile(table, read_dictionary=texts, pre_buffer=False)


def kept_columns(names: list[str], schema: Schema) -> list[str]:
    """The columns that tell rows apart: those keys, and the time, that the table has."""
    return [name for name in schema.identifiers if name in names]


def output_columns(schema: Schema) -> list[str]:
    """What a prediction adds."""
    return [ROW, PREDICTION, *(f"probability_{label}" for label in schema.labels), VERSION]


@dataclass
class _Run:
    """One pass over a table."""

    scorer: Scorer
    reader: Reader
    version: str
    table: Path
    file: pq.ParquetFile
    scratch: Path
    target: Destination
    parts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schema, names = self.reader.schema, self.file.schema_arrow.names
        self.kept = kept_columns(names, schema)
        self.outputs = output_columns(schema)
        self.rejects = Rejects(self.scratch / REJECTED, self.reader, names)
        self.counts = np.zeros(max(1, len(schema.classes)), dtype=np.int64)
        self.total, self.lowest, self.highest = 0.0, np.inf, -np.inf
        self.labels = _labels(schema)

    def predict(self) -> None:
        """Score all rows and upload what comes of it, but the summary.

        Raises:
            InputError: No row fits.
        """
        parts = Parts(self.scratch, self.target)
        for group in range(self.file.num_row_groups):
            for table in self._group(group):
                parts.add(table)
        parts.close()
        self.rejects.close()
        self.parts = parts.rows
        if not self.parts:
            reasons = "\n".join(f"· {reason}" for reason in self.rejects.first)
            raise InputError(f"None of the {self.rejects.count:,} rows fits the model; the first ones:\n{reasons}")
        if self.rejects.count:
            self.target.put(self.rejects.path)

    def _group(self, group: int) -> Iterator[pa.RecordBatch]:
        """Predictions of a row group; its rows that do not fit are rejected."""
        columns = list(dict.fromkeys([*self.reader.schema.columns, *self.kept]))
        misfits: list[NDArray[np.int64]] = []  # of each such row: its number, and the position of the column to blame
        first = row = sum(self.file.metadata.row_group(before).num_rows for before in range(group))
        for batch in self.file.iter_batches(self._block(columns), row_groups=[group], columns=columns):
            block = self.reader.read(batch)
            if block.fits is not None:
                misfits.append(np.stack([row + np.flatnonzero(~block.fits), block.culprits]))
            if len(block.inputs):
                yield self._predictions(batch, block, start=row)
            row += batch.num_rows
        if misfits:
            self._reject(group, first, *np.concatenate(misfits, axis=1))

    def _reject(self, group: int, first: int, numbers: NDArray[np.int64], culprits: NDArray[np.int64]) -> None:
        """Read a row group again, this time with the columns that the model ignores."""
        with pq.ParquetFile(self.table) as plain:
            for batch in plain.iter_batches(self._block(plain.schema_arrow.names), row_groups=[group]):
                here = (numbers >= first) & (numbers < first + batch.num_rows)
                if here.any():
                    self.rejects.add(batch.take(pa.array(numbers[here] - first)), numbers[here], culprits[here])
                first += batch.num_rows

    def _block(self, columns: list[str]) -> int:
        """Rows held at once: fewer where there are very many columns."""
        return max(1, min(BLOCK, CELLS // max(1, len(columns))))

    def _predictions(self, batch: pa.RecordBatch, block: Block, *, start: int) -> pa.RecordBatch:
        scores = self.scorer.score(block.inputs)
        if not np.isfinite(scores).all():
            raise PackageError(
                f"Version {self.version} answers NaN or infinity, so its predictions are of no use. Train it again."
            )
        kept = batch.select(self.kept).append_column(ROW, pa.array(np.arange(start, start + batch.num_rows)))
        if block.fits is not None:
            kept = kept.filter(pa.array(block.fits))
        columns = [*kept.columns, *self._answers(scores), pa.repeat(self.version, len(scores))]
        return pa.RecordBatch.from_arrays([_plain(column) for column in columns], names=[*self.kept, *self.outputs])

    def _answers(self, scores: NDArray[np.float32]) -> list[pa.Array]:
        """The prediction, and the probability of each class."""
        if not TASKS[self.reader.schema.task].has_classes:
            self.total += float(scores.sum(dtype=np.float64))
            self.lowest, self.highest = min(self.lowest, float(scores.min())), max(self.highest, float(scores.max()))
            return [pa.array(scores)]
        chosen = choose_classes(scores, threshold=self.reader.schema.threshold)
        self.counts += np.bincount(chosen, minlength=len(self.counts))
        probabilities = [pa.array(np.ascontiguousarray(column)) for column in scores.T]
        return [self.labels.take(pa.array(chosen)), *probabilities]

    def summary(self, name: str, lineage: Lineage, *, seconds: float) -> Summary:
        """What the pass came to."""
        predicted = sum(self.parts.values())
        labels = self.reader.schema.labels
        return Summary(
            name=name,
            version=self.version,
            place=self.target.uri,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            rows=self.file.metadata.num_rows,
            predicted=predicted,
            rejected=self.rejects.count,
            parts=self.parts,
            columns=[*self.kept, *self.outputs],
            classes=dict(zip(labels, self.counts.tolist(), strict=False)),
            values=None if labels else Values(mean=self.total / predicted, minimum=self.lowest, maximum=self.highest),
            reasons=self.rejects.first,
            lineage=lineage,
        )


def _labels(schema: Schema) -> pa.Array:
    """The class labels, in their own type where they share one."""
    kinds: set[Any] = {type(label) for label in schema.classes}
    return pa.array(schema.classes if len(kinds) == 1 else schema.labels)


def _plain(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
