"""The answers of two versions to the same requests, from the inference log and from the log of the candidate.

The candidate's log is read first, the newest rows of it up to a limit; of the inference log, which may have a thousand
times as many rows, only the rows of the same requests are kept while it is read.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.shared.inference_log.layout import HOUR, LogFile
from components.shared.inference_log.reading import HourFolder, day_folders, days, fetched, retry_when_moved
from components.shared.inference_log.window import UNFIT
from components.shared.inference_rows import (
    LATENCY,
    LOG_ROOT,
    MODEL_VERSION,
    PREDICTION,
    RECEIVED,
    REQUEST_ID,
    REQUEST_ROW,
    SHADOW_ROOT,
    log_schema,
    logged_name,
    probability_names,
)
from components.shared.package.schema import Schema
from components.shared.store import Store

MOST_ROWS = 200_000
_BEFORE = timedelta(minutes=10)  # by which a request may have arrived before its copy: it waits, and clocks differ


@dataclass(frozen=True, slots=True)
class LoggedAnswers:
    """Rows of a log.

    Attributes:
        table: Request id and row, moment, version, latency, answer, and the schema's keys where the log has them.
        unfit: Files that were left out: damaged, or of other columns.
    """

    table: pa.Table
    unfit: int = 0


def answer_columns(schema: Schema) -> list[str]:
    """The columns of a log that say what was answered."""
    about = (REQUEST_ID, REQUEST_ROW, RECEIVED, MODEL_VERSION, LATENCY, PREDICTION)
    return [*(logged_name(name, schema) for name in about), *probability_names(schema)]


def read_candidate(
    store: Store, model: str, version: str, schema: Schema, *, start: datetime, end: datetime, rows: int = MOST_ROWS
) -> LoggedAnswers:
    """The newest answers of a candidate to copies of requests.

    Args:
        store: The object store, with keys that may read `shadow/`.
        model: Name of the model.
        version: The candidate.
        schema: Its columns.
        start: First moment.
        end: First moment after it.
        rows: Most rows; older ones are left out, a whole file at a time.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """

    def look(_: bool) -> LoggedAnswers:
        found, unfit, count = list[pa.Table](), 0, 0
        for folder in _newest(store, model, start, end, root=SHADOW_ROOT):
            for table in _read(store, reversed(folder.files()), schema):
                if table is None:
                    unfit += 1
                    continue
                found.append(_inside(table, schema, version, start=start, end=end))
                count += found[-1].num_rows
                if count >= rows:
                    return _together(found, schema, unfit)
        return _together(found, schema, unfit)

    return retry_when_moved(look)


def read_champion(
    store: Store, model: str, version: str, schema: Schema, *, candidate: pa.Table, candidate_schema: Schema
) -> LoggedAnswers:
    """The answers that clients were given to the requests that a candidate was sent copies of.

    Args:
        store: The object store, with keys that may read `inference/`.
        model: Name of the model.
        version: The version that served.
        schema: Its columns.
        candidate: Rows of the candidate, as `read_candidate` gives them.
        candidate_schema: The candidate's columns.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if not candidate.num_rows:
        return _together([], schema, 0)
    span = pc.min_max(candidate[logged_name(RECEIVED, candidate_schema)])
    start, end = span["min"].as_py() - _BEFORE, span["max"].as_py() + _BEFORE
    ids = pc.unique(candidate[logged_name(REQUEST_ID, candidate_schema)])

    def look(_: bool) -> LoggedAnswers:
        found, unfit = list[pa.Table](), 0
        for folder in _newest(store, model, start, end, root=LOG_ROOT):
            for table in _read(store, folder.files(), schema, ids=ids):
                if table is None:
                    unfit += 1
                else:
                    found.append(_inside(table, schema, version, start=start, end=end))
        return _together(found, schema, unfit)

    return retry_when_moved(look)


def _newest(store: Store, model: str, start: datetime, end: datetime, *, root: str) -> Iterator[HourFolder]:
    """The hours of a span, the newest first; a day is listed when it is asked for."""
    first, last = start.astimezone(UTC), end.astimezone(UTC)
    for day in reversed([day for day in days(store, model, root=root) if first.date() <= day <= last.date()]):
        for folder in reversed(day_folders(store, model, day, root=root)):
            if folder.hour + HOUR > first and folder.hour < last:
                yield folder


def _read(
    store: Store, files: Iterable[LogFile], schema: Schema, *, ids: pa.Array | None = None
) -> Iterator[pa.Table | None]:
    wanted, request_id = answer_columns(schema), logged_name(REQUEST_ID, schema)

    def read(_: LogFile, content: bytes) -> pa.Table | None:
        try:
            with pq.ParquetFile(io.BytesIO(content)) as file:
                present = set(file.schema_arrow.names)
                if not set(wanted) <= present:
                    return None
                table = file.read(columns=[*wanted, *(key for key in schema.keys if key in present)])
        except UNFIT:
            return None
        return table if ids is None else table.filter(pc.is_in(table[request_id], ids))

    return fetched(store, files, read)


def _inside(table: pa.Table, schema: Schema, version: str, *, start: datetime, end: datetime) -> pa.Table:
    received = table[logged_name(RECEIVED, schema)]
    inside = pc.and_(pc.greater_equal(received, pa.scalar(start)), pc.less(received, pa.scalar(end)))
    return table.filter(pc.and_(inside, pc.equal(table[logged_name(MODEL_VERSION, schema)], version)))


def _together(tables: list[pa.Table], schema: Schema, unfit: int) -> LoggedAnswers:
    plain = [table.replace_schema_metadata() for table in tables]
    return LoggedAnswers(pa.concat_tables([_nothing(schema), *plain], promote_options="permissive"), unfit)


def _nothing(schema: Schema) -> pa.Table:
    wanted = set(answer_columns(schema))
    fields = [field for field in log_schema(schema, ()) if field.name in wanted]
    return pa.schema(fields).empty_table()
