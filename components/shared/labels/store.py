"""The labels of a model: appended, never changed, and read as they were known at a moment.

What was known at a moment has to stay knowable, or a decision cannot be taken again and an evaluation of last month's
labels would use this month's corrections. So a correction is another row, and every reader says as of when it asks.
Files never change, so an object keeps those that it has read.
"""

import io
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.chunks import parquet_rows
from components.shared.errors import StoreError
from components.shared.inference_log.layout import LogFile, rows_of
from components.shared.inference_log.reading import fetched
from components.shared.inference_log.window import UNFIT
from components.shared.labels.appending import (
    AppendReport,
    check_columns,
    check_readable,
    clean,
    find_known,
    fresh_rows,
    sort_out,
)
from components.shared.labels.layout import (
    LabelColumns,
    arrival_of,
    day_of,
    day_prefix,
    file_key,
    labels_prefix,
)
from components.shared.labels.spelled import subject
from components.shared.package.schema import Schema
from components.shared.store import Store
from components.shared.tables import engine, fetch_arrow, identifier

_ROWS = 500_000  # rows of one file
_MOST_KEPT = 200_000  # labels, some 30 MB, that one `Labels` object keeps in memory
_FILE, _SUBJECT = "\x1ffile", "\x1fsubject"  # no column of a schema has these names


class Labels:
    """The labels of a model in the object store.

    Args:
        store: The object store, with keys that may read `labels/`, and write there if labels are to be added.
        model: Name of the model.
        schema: The model's columns, keys and classes.

    Attributes:
        columns: Names of the columns of its files.
        damaged: Stored files that could not be read when they were last asked for: their labels count as unknown.
    """

    def __init__(self, store: Store, model: str, schema: Schema) -> None:
        self._store = store
        self._model = model
        self._schema = schema
        self.columns = LabelColumns(schema)
        self.damaged = 0
        self._kept: dict[str, pa.Table] = {}  # files that were read, by key: they never change
        self._kept_rows = 0

    def append(self, table: pa.Table, *, source: str, arrival: datetime | None = None) -> AppendReport:
        """Add labels; rows that say what is known already are left out, so that a table may be given twice.

        Killed at any point and given again, the same labels are there in the end.

        Args:
            table: Has the column of labels and that of request ids, or else those of all keys, named as by
                `LabelColumns`; the request's row and the event time may be missing. Types are free: numbers and texts
                that spell the same are the same.
            source: Where the labels come from, such as the file's name.
            arrival: When they arrived, with a time zone; by default now. An earlier moment, as of history that is
                loaded afterwards, changes what was known at the moments since then.

        Raises:
            DataError: A column is missing, no row has a label that the model knows, or the table is empty.
            StoreError: The object store cannot be reached or refuses.
        """
        arrived = (arrival or datetime.now(UTC)).astimezone(UTC)
        check_columns(table, self.columns)
        with engine() as backend:
            clean(backend, table, self._schema)
            find_known(backend, self._read(max(arrived, datetime.now(UTC))), self._schema, _FILE)
            report = sort_out(backend, arrived)
            if not report.added:
                return report
            check_readable(backend, report, self._schema)
            added = self._stamped(fresh_rows(backend, self.columns), source, arrived)
        for start in range(0, added.num_rows, _ROWS):
            self._write(added.slice(start, _ROWS), arrived)
        return replace(report, labels=added)

    def known_at(self, moment: datetime, *, since: datetime | None = None) -> pa.Table:
        """The newest label of each subject as it was known at a moment.

        Args:
            moment: With a time zone; labels that arrived later are left out.
            since: Labels that arrived before this moment's day (UTC) are not read: labels come after their answers, so
                those of a window that begins then are complete.

        Returns:
            Columns of `LabelColumns`, its `first_arrival` among them, in the order of arrival.

        Raises:
            StoreError: The object store cannot be reached or refuses.
        """
        columns = self.columns.arrow()
        empty = columns.append(pa.field(_FILE, pa.string())).empty_table()
        names = self.columns.arrival, self.columns.first_arrival, _SUBJECT, _FILE
        arrival, first, about, file = map(identifier, names)
        with engine() as backend:
            backend.con.register("stored", pa.concat_tables([empty, *self._read(moment, since=since)]))
            latest = fetch_arrow(
                backend,
                f"SELECT *, min({arrival}) OVER (PARTITION BY {about}) AS {first} FROM "
                f"(SELECT *, {subject(self.columns)} AS {about} FROM stored) WHERE {arrival} <= "
                f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}' QUALIFY row_number() OVER "
                f"(PARTITION BY {about} ORDER BY {arrival} DESC, {file} DESC) = 1 ORDER BY {arrival}, {about}",
            )
        given = columns.append(pa.field(self.columns.first_arrival, columns.field(self.columns.arrival).type))
        return latest.select(given.names).cast(given)

    def _stamped(self, table: pa.Table, source: str, arrival: datetime) -> pa.Table:
        arrived = pa.array([arrival] * table.num_rows, pa.timestamp("us", tz="UTC"))
        table = table.append_column(self.columns.arrival, arrived)
        table = table.append_column(self.columns.source, pa.array([source] * table.num_rows, pa.string()))
        return table.cast(self.columns.arrow())

    def _write(self, table: pa.Table, arrival: datetime) -> None:
        buffer = io.BytesIO()
        pq.write_table(table, buffer, compression="zstd")
        key = file_key(self._model, arrival, uuid.uuid4().hex[:12], table.num_rows)
        if not self._store.create(key, buffer.getvalue()):
            raise StoreError(f"{self._store.uri(key)} is there already; labels are never overwritten. Add them again.")

    def _read(self, moment: datetime, *, since: datetime | None = None) -> Iterator[pa.Table]:
        """Files of labels that arrived up to a moment, in no order; damaged ones are left out and counted."""
        self.damaged = 0
        unread = []
        for file in self._files(moment, since):
            if (known := self._kept.get(file.key)) is not None:
                yield known
            else:
                unread.append(file)
        for file, table in zip(unread, fetched(self._store, unread, self._parsed), strict=True):
            if table is None:
                self.damaged += 1
                continue
            if self._kept_rows + table.num_rows <= _MOST_KEPT:
                self._kept[file.key] = table
                self._kept_rows += table.num_rows
            yield table

    def _files(self, moment: datetime, since: datetime | None) -> list[LogFile]:
        """The files up to a moment's day, the oldest first; one request for each 1,000 of them."""
        prefix = labels_prefix(self._model)
        after = day_prefix(self._model, since.astimezone(UTC).date()) if since else ""
        last, files = moment.astimezone(UTC).date(), []
        for item in self._store.list(prefix, start_after=after):
            day = day_of(item.key.removeprefix(prefix).partition("/")[0])
            if day is not None and day <= last and item.key.endswith(".parquet"):
                start = datetime(day.year, day.month, day.day, tzinfo=UTC)
                files.append(LogFile(item.key, start, item.size, rows_of(item.key)))
        return files

    def _parsed(self, file: LogFile, content: bytes) -> pa.Table | None:
        try:
            table = parquet_rows(content, self.columns.arrow().names).cast(self.columns.arrow())
        except UNFIT:
            return None
        return table.append_column(_FILE, pa.array([file.key] * table.num_rows, pa.string()))


def last_arrival(store: Store, model: str, *, until: datetime | None = None) -> datetime | None:
    """When the newest label of a model arrived (UTC), by the names of the files; None where there are none.

    Args:
        store: The object store, with keys that may read `labels/`.
        model: Name of the model.
        until: Later ones do not count.
    """
    days = [day for folder in store.folders(labels_prefix(model)) if (day := day_of(folder))]
    for day in sorted(days, reverse=True):
        if until and day > until.astimezone(UTC).date():
            continue
        found = [arrival_of(item.key) for item in store.list(day_prefix(model, day))]
        if there := [moment for moment in found if moment and (until is None or moment <= until)]:
            return max(there)
    return None
