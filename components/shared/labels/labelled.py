"""Requests of the log with what became of them: rows to learn from, or to compare versions on.

Only requests whose labels are mature count: those so old that `coverage` of the labels of each class have come by now.
Among the labels of younger ones the classes that are known early are too frequent, and a model would learn that. While
it is not known how late labels come, a day's requests (UTC) count when that share of all of them has a label.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.shared.inference_log.layout import LogFile
from components.shared.inference_log.reading import day_folders, days, fetched, retry_when_moved
from components.shared.inference_log.window import UNFIT
from components.shared.inference_rows import RECEIVED, REQUEST_ID, REQUEST_ROW, log_schema, logged_name
from components.shared.labels.joining import Joined, answers_about, join
from components.shared.labels.layout import LabelColumns
from components.shared.labels.maturity import Answered, LabelLag, label_lag
from components.shared.labels.spelled import PLACE
from components.shared.labels.store import Labels
from components.shared.labels.targets import read_targets
from components.shared.metrics.weights import Floats, Indices
from components.shared.package.schema import Schema
from components.shared.store import Store
from components.shared.tables import engine, fetch_arrow, identifier
from components.shared.tasks.arrays import TargetArray

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400.0
Keep = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class Period:
    """Requests that were received from `start` on and before `end`, with time zones."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LoggedRequests:
    """Rows of the log.

    Attributes:
        table: Columns and types of `log_schema` with nothing left out; what a file lacks besides features is null.
        rows: How many rows the period has, whether they were kept or not.
        unfit: Files that were left out: damaged, or without one of the features.
        lacking: Features that a file lacks.
        by_day: How many rows each day (UTC) has, in days since 1970, whether they were kept or not.
    """

    table: pa.Table
    rows: int = 0
    unfit: int = 0
    lacking: frozenset[str] = frozenset()
    by_day: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class LabelledRequests:
    """Requests whose labels are mature, the oldest first, each once.

    Attributes:
        table: Their rows, as `LoggedRequests` has them, with the columns of the label.
        targets: Their class indices or numbers, shape (rows,).
        logged: What was read of the log to find them.
        joined: How labels and answers came together.
        young: Labelled rows that are left out because their labels are not mature.
        unreadable: Labelled rows that are left out because the label is none that the model knows.
        by_share: The share of a day's rows that has to have a label, as it is not known how late labels come; else 0.
    """

    table: pa.Table
    targets: TargetArray
    logged: LoggedRequests
    joined: Joined
    young: int = 0
    unreadable: int = 0
    by_share: float = 0.0

    @property
    def message(self) -> str:
        """One line for people."""
        kinds = (
            (self.young, "rows left out whose labels are not mature"),
            (self.unreadable, "rows left out whose labels the model does not know"),
            (self.joined.repeated, "rows share their request id"),
            (self.logged.unfit, "files left out that are damaged or lack a feature"),
        )
        others = "".join(f"; {count:,} {what}" for count, what in kinds if count)
        if self.by_share and self.young:
            others += (
                f"; how late labels come is not known yet, so only days count of whose rows {self.by_share:.0%} have a "
                "label (monitoring.labels.coverage)"
            )
        return f"{self.table.num_rows:,} labelled rows of {self.logged.rows:,} in the log{others}"


def read_requests(
    store: Store, model: str, schema: Schema, period: Period, *, keep: Keep = lambda table: table
) -> LoggedRequests:
    """Read rows of the log, an hour at a time.

    Args:
        store: The object store, with keys that may read `inference/`.
        model: Name of the model.
        schema: Its columns; files without one of its features are left out.
        period: Which rows.
        keep: Chooses among an hour's rows, so that no more have to fit in memory.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    found = [LoggedRequests(log_schema(schema, ()).empty_table())]
    for day in days(store, model):
        if period.start.date() <= day <= period.end.date():
            found.append(retry_when_moved(partial(_of_day, store, model, schema, day, period, keep)))
    return _together(found)


def _together(found: Sequence[LoggedRequests]) -> LoggedRequests:
    return LoggedRequests(
        pa.concat_tables([one.table for one in found]),
        rows=sum(one.rows for one in found),
        unfit=sum(one.unfit for one in found),
        lacking=frozenset().union(*(one.lacking for one in found)),
        by_day=sum((one.by_day for one in found), Counter()),
    )


def read_labelled(
    store: Store, model: str, schema: Schema, period: Period, *, known_at: datetime, coverage: float
) -> LabelledRequests:
    """Find the requests of a period whose labels are mature.

    Args:
        store: The object store, with keys that may read `inference/` and `labels/`.
        model: Name of the model.
        schema: Its columns, keys and classes.
        period: When the requests were received.
        known_at: Labels that arrived later do not count, and ages of requests are up to this moment.
        coverage: Share of the labels that has to be there by then (`monitoring.labels.coverage`).

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    labels = Labels(store, model, schema).known_at(known_at, since=period.start)
    logged = read_requests(store, model, schema, period, keep=lambda table: answers_about(table, labels, schema))
    joined = join(logged.table, labels, schema)
    table = _once(joined.table, schema)
    targets = read_targets(table, schema)
    readable = table.take(targets.rows)
    longest = _lag(readable, targets.values, schema, known_at).longest(coverage)
    if longest is None:
        old = _of_complete_days(readable, _asked(logged, schema), schema, coverage)
    else:
        old = np.flatnonzero(_seconds(known_at) - _received(readable, schema) >= longest).astype(np.int64)
    return LabelledRequests(
        readable.take(old),
        targets.values[old],
        logged,
        joined,
        young=len(targets.rows) - len(old),
        unreadable=targets.unreadable,
        by_share=coverage if longest is None else 0.0,
    )


def _of_day(
    store: Store, model: str, schema: Schema, day: date, period: Period, keep: Keep, last: bool
) -> LoggedRequests:
    def read(_: LogFile, content: bytes) -> pa.Table | frozenset[str]:
        try:
            return _read(content, schema, period)
        except UNFIT:
            return frozenset()

    gone = (lambda _: frozenset[str]()) if last else None
    found = [LoggedRequests(log_schema(schema, ()).empty_table())]
    for folder in day_folders(store, model, day):
        pieces = list(fetched(store, folder.files(), read, gone=gone))
        tables = [piece for piece in pieces if isinstance(piece, pa.Table)]
        lacking = [piece for piece in pieces if isinstance(piece, frozenset)]
        rows = pa.concat_tables([found[0].table, *tables])
        kept = keep(rows) if rows.num_rows else rows
        by_day = _by_day(_received(rows, schema))
        found.append(LoggedRequests(kept, rows.num_rows, len(lacking), frozenset().union(*lacking), by_day))
    return _together(found)


def _read(content: bytes, schema: Schema, period: Period) -> pa.Table | frozenset[str]:
    """A file's rows in the period; or, for a file that is left out, the names of the features that it lacks."""
    wanted = log_schema(schema, ())
    with pq.ParquetFile(io.BytesIO(content)) as file:
        present = set(file.schema_arrow.names)
        if missing := set(schema.columns) - present:
            return frozenset(missing)
        raw = file.read(columns=[name for name in wanted.names if name in present])
    about = {logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)}
    if not about <= present:
        return frozenset()
    columns = [
        raw[one.name].cast(one.type) if one.name in present else pa.nulls(raw.num_rows, one.type) for one in wanted
    ]
    table = pa.table(columns, schema=wanted)
    received = table[logged_name(RECEIVED, schema)]
    moments = [pa.scalar(moment.astimezone(UTC), received.type) for moment in (period.start, period.end)]
    inside = pc.and_(pc.greater_equal(received, moments[0]), pc.less(received, moments[1]))
    return table.filter(inside)


def _once(table: pa.Table, schema: Schema) -> pa.Table:
    """Rows with a label, in the order of receipt; of rows with the same request id and row only the newest."""
    labelled = table.filter(table[LabelColumns(schema).label].is_valid())
    return labelled.take(_newest(labelled, schema))


def _newest(table: pa.Table, schema: Schema) -> pa.ChunkedArray:
    """Positions of rows, in the order of receipt; of rows with the same request id and row only the newest."""
    names = [logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)]
    identity, row, received = map(identifier, names)
    about = table.select(names).append_column(PLACE, pa.array(np.arange(table.num_rows)))
    with engine() as backend:
        backend.con.register("rows", about)
        places = fetch_arrow(
            backend,
            f"SELECT {identifier(PLACE)} AS place FROM rows QUALIFY row_number() OVER (PARTITION BY {identity}, {row} "
            f"ORDER BY {received} DESC, {identifier(PLACE)} DESC) = 1 ORDER BY {received}, {identity}, {row}",
        )
    return places["place"]


def _lag(table: pa.Table, targets: TargetArray, schema: Schema, known_at: datetime) -> LabelLag:
    """How late labels come, by rows that have one."""
    arrived = _seconds_of(table[LabelColumns(schema).first_arrival])
    classes = targets.astype(np.int64) if schema.classes else np.full(table.num_rows, -1)
    return label_lag(Answered(_received(table, schema), arrived, classes), _seconds(known_at))


def _asked(logged: LoggedRequests, schema: Schema) -> Counter[int]:
    """Number of requested rows by day; rows with the same request id and row count once, on the day of the newest."""
    once = logged.table.take(_newest(logged.table, schema))
    repeated = _by_day(_received(logged.table, schema)) - _by_day(_received(once, schema))
    return logged.by_day - repeated


# Example, with a coverage of 0.9: a day with 100 rows, 92 of them labelled, counts; a day with 85 of 100 does not.
def _of_complete_days(table: pa.Table, asked: Counter[int], schema: Schema, coverage: float) -> Indices:
    """Positions of the labelled rows of complete days: of whose requested rows at least `coverage` have a label."""
    received = _received(table, schema)
    labelled = _by_day(received)
    complete = [day for day, rows in labelled.items() if rows >= coverage * asked[day]]
    places: Indices = np.flatnonzero(np.isin(received // _DAY, complete)).astype(np.int64)
    return places


def _by_day(received: Floats) -> Counter[int]:
    days, counts = np.unique((received // _DAY).astype(np.int64), return_counts=True)
    return Counter(dict(zip(days.tolist(), counts.tolist(), strict=True)))


def _received(table: pa.Table, schema: Schema) -> Floats:
    return _seconds_of(table[logged_name(RECEIVED, schema)])


def _seconds_of(column: pa.ChunkedArray) -> Floats:
    """Seconds since 1970, shape (rows,)."""
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.float64) / 1e6


def _seconds(moment: datetime) -> float:
    return (moment - EPOCH).total_seconds()


def start_of(end: datetime, weeks: float) -> datetime:
    """Midnight (UTC) of the day so many weeks before a moment."""
    return (end.astimezone(UTC) - timedelta(weeks=weeks)).replace(hour=0, minute=0, second=0, microsecond=0)
