"""The answers of a window of the inference log, as they are held against labels: whole rows, of one version.

Of many a simple random sample is read, so that any number of requests takes bounded memory: the metric of 50,000 rows
is as well known as anybody needs.
"""

import io
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.shared.inference_log.layout import HOUR
from components.shared.inference_log.window import Positions, read_window
from components.shared.inference_rows import (
    MODEL_VERSION,
    PREDICTION,
    RECEIVED,
    REQUEST_ID,
    REQUEST_ROW,
    log_schema,
    logged_name,
    probability_names,
)
from components.shared.package.schema import Schema
from components.shared.store import Store

MOST_ROWS = 50_000


def read_answers(
    store: Store, model: str, schema: Schema, version: str, *, start: datetime, end: datetime, rows: int = MOST_ROWS
) -> pa.Table:
    """Read the rows that a version answered in a window.

    Args:
        store: The object store, with keys that may read `inference/`.
        model: Name of the model.
        schema: Of the version.
        version: The version.
        start: First moment of the window, by server time, with a time zone.
        end: First moment after it.
        rows: Most rows of the window that are drawn, of all versions.

    Returns:
        The columns of `log_schema` that all files have; files without those of the answer are left out.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    received, answered_by = logged_name(RECEIVED, schema), logged_name(MODEL_VERSION, schema)
    needed = [logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED, MODEL_VERSION, PREDICTION)]
    needed += probability_names(schema)
    wanted = list(dict.fromkeys([*schema.columns, *schema.extras, *needed]))

    def read(content: bytes, places: Positions) -> pa.Table:
        with pq.ParquetFile(io.BytesIO(content)) as file:
            present = set(file.schema_arrow.names)
            table = file.read(columns=[name for name in wanted if name in present]).take(pa.array(places))
        inside = pc.and_(
            pc.and_(pc.greater_equal(table[received], pa.scalar(start)), pc.less(table[received], pa.scalar(end))),
            pc.equal(table[answered_by].cast(pa.string()), version),
        )
        return table.select([*needed, *(name for name in table.column_names if name not in needed)]).filter(inside)

    hours = (end - start) / HOUR
    found = read_window(store, model, read, now=end, hours=hours, rows=rows, minimum=0, until=end)
    pieces = [piece for piece in found.pieces if piece.num_rows]
    return _together(pieces) if pieces else log_schema(schema, ()).empty_table()


def _together(pieces: list[pa.Table]) -> pa.Table:
    """The pieces as one table, with the columns that all of them have."""
    names = [name for name in pieces[0].column_names if all(name in piece.column_names for piece in pieces)]
    return pa.concat_tables([piece.select(names) for piece in pieces], promote_options="permissive").combine_chunks()
