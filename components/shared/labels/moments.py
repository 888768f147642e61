"""When what a logged row is about happens: the model's time column, read from the log."""

import pyarrow as pa
import pyarrow.compute as pc

from components.shared.inference_rows import RECEIVED, logged_name
from components.shared.package.schema import Schema
from components.shared.tables import engine, fetch_arrow, identifier


def event_moments(table: pa.Table, schema: Schema) -> pa.ChunkedArray:
    """The time of each row: that of the time column, else when the request was received.

    Args:
        table: Rows of the log.
        schema: The model's columns.

    Returns:
        Timestamps in UTC, or without a zone where the model's times are local; null where a local time is missing.
    """
    received = table[logged_name(RECEIVED, schema)]
    if not schema.time_column or schema.time_column not in table.column_names:
        return received
    sent = table[schema.time_column]
    if not pa.types.is_timestamp(sent.type):
        sent = _parsed(sent, schema)
    if sent.type.tz is None:
        return sent
    return pc.coalesce(sent.cast(received.type), received)


def _parsed(texts: pa.ChunkedArray, schema: Schema) -> pa.ChunkedArray:
    """Texts as they were sent; one that is no time is null."""
    kind = "TIMESTAMP" if schema.time_column_zoned is False else "TIMESTAMPTZ"
    name = identifier(schema.time_column)
    with engine() as backend:
        backend.con.register("sent", pa.table({schema.time_column: texts}))
        return fetch_arrow(backend, f"SELECT try_cast({name} AS {kind}) AS moment FROM sent")["moment"]
