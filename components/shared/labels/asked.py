"""Finding the logged answers that labels are about, to tell how many labels have none.

A label that is about no answer is nearly always a mistake in the ids or keys, and nothing else would show it. The log
may be far larger than memory, so it is looked through a day at a time, its ids and keys only, and of each day nothing
is kept but the answers that a label may be about.
"""

import io
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.inference_log.layout import LogFile
from components.shared.inference_log.reading import day_folders, days, fetched, retry_when_moved
from components.shared.inference_log.window import UNFIT
from components.shared.inference_rows import RECEIVED, REQUEST_ID, REQUEST_ROW, logged_name
from components.shared.labels.joining import Joined, answers_about, join
from components.shared.package.schema import Schema
from components.shared.store import Store


def hold_against_log(
    store: Store, model: str, labels: pa.Table, schema: Schema, *, days_back: float, now: datetime | None = None
) -> Joined:
    """Look for the answers that labels are about, a day of the log at a time.

    Args:
        store: The object store, with keys that may read `inference/`.
        model: Name of the model.
        labels: As `Labels.known_at` gives them.
        schema: The model's columns and keys.
        days_back: How far to look back.
        now: The end of these days; by default this moment.

    Returns:
        The answers that were found, with their labels; `unknown` and `early` count the labels without an answer.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    first = ((now or datetime.now(UTC)) - timedelta(days=days_back)).date()
    found = [_nothing(schema)]
    for day in (day for day in days(store, model) if day >= first):
        if tables := retry_when_moved(partial(_identities, store, model, schema, day)):
            found.append(answers_about(pa.concat_tables(tables, promote_options="permissive"), labels, schema))
    return join(pa.concat_tables(found, promote_options="permissive"), labels, schema)


def _nothing(schema: Schema) -> pa.Table:
    kinds = (pa.string(), pa.int32(), pa.timestamp("us", tz="UTC"))
    return pa.schema(list(zip(_about(schema), kinds, strict=True))).empty_table()


def _about(schema: Schema) -> list[str]:
    return [logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)]


def _identities(store: Store, model: str, schema: Schema, day: date, _: bool) -> list[pa.Table]:
    """Request ids, rows, times and keys of a day's answers, one table a file; unfit files are left out."""

    def read(_: LogFile, content: bytes) -> pa.Table | None:
        try:
            with pq.ParquetFile(io.BytesIO(content)) as file:
                present = set(file.schema_arrow.names)
                table = file.read(columns=[name for name in (*_about(schema), *schema.keys) if name in present])
        except UNFIT:
            return None
        return table if set(_about(schema)) <= present else None

    files = [file for folder in day_folders(store, model, day) for file in folder.files()]
    return [table for table in fetched(store, files, read) if table is not None]
