"""The writer of the inference log: what the endpoint answered, as Parquet in the object store.

Rows arrive as Arrow record batches of `inference_rows.log_schema`. One thread, of lower priority, encodes and stores
them; while the store fails they wait in memory, in large compressed files. Each row is counted once, as written or as
dropped.
"""

import itertools
import logging
import os
import random
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from components.shared.errors import FullcircleError
from components.shared.inference_log.layout import hour_prefix, raw_name
from components.shared.inference_rows import LOG_ROOT, received_name

if TYPE_CHECKING:
    import pyarrow as pa

    from components.shared.config import InferenceLogConfig
    from components.shared.store import Store

_LOG = logging.getLogger("fullcircle.predictor")

_PRIORITY = 10
_READ_SECONDS = 10.0
_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
# Share of the allowed memory at which waiting rows are compressed, even if they are few and not yet due.
_ENCODE_FROM = 1 / 8
# Bytes of overhead (Arrow's and Python's objects) for each column of a batch; measured with batches of one row.
_COLUMN_BYTES = 1024
_HOUR_MICROSECONDS = 3_600_000_000
# Numbers the files of the process, so that two logs of one process never use the same name.
_NUMBERS = itertools.count()

HourPrefix = Callable[[datetime], str]  # from an hour to the prefix of its keys


@dataclass(frozen=True, slots=True)
class _Batch:
    """Rows as they came; `arrived` is on the monotonic clock."""

    rows: "pa.RecordBatch"
    size: int
    arrived: float


@dataclass(frozen=True, slots=True)
class _File:
    """Rows as they go to the store."""

    key: str
    content: bytes
    rows: int


def connect_store() -> "Store":
    """The store that the environment names, with time-outs for a writer that tries again by itself.

    Raises:
        StoreError: The environment does not name one.
    """
    from components.shared.store import Store, StoreSettings

    return Store(StoreSettings.from_environment(), read_timeout=_READ_SECONDS, retries=0)


class InferenceLog:
    """Rows the endpoint answered, below `inference/<model>/date=YYYY-MM-DD/hour=HH/`, by server time (UTC).

    Args:
        model: Name of the model.
        settings: When files are written, and how much memory waiting rows may take.
        connect: Gives the store, or raises a StoreError; called from the log's thread, again after a failure.
        count: Told of "written" and "dropped" rows and of "failed_writes". Called from the log's thread, from `close`,
            and from `add` after it; must be cheap, and must not call the log.
        root: What keys begin with, in the place of `inference/`.
    """

    def __init__(
        self,
        model: str,
        settings: "InferenceLogConfig",
        *,
        connect: "Callable[[], Store]",
        count: Callable[[str, int], None],
        root: str = LOG_ROOT,
    ) -> None:
        self._hour_prefix = partial(hour_prefix, model, root=root)
        self._settings = settings
        self._connect = connect
        self._count = count
        self._thread = threading.Thread(target=self._run, name="inference-log", daemon=True)
        self._changed = threading.Condition()
        self._limit = int(settings.memory_megabytes * 1e6)
        self._batches: deque[_Batch] = deque()
        self._files: deque[_File] = deque()
        self._rows = 0  # in batches
        self._size = 0  # of batches
        self._waiting_bytes = 0
        self._unsettled = 0  # rows taken on and neither written nor dropped
        self._refused = 0  # rows dropped and not yet counted
        self._deadline: float | None = None
        self._ended = False
        self._store: Store | None = None
        self._failing_since: float | None = None
        self._failures = 0
        self._lost = 0  # rows dropped since the store fails
        self._next_try = 0.0
        self._took = min(0.1, settings.flush_seconds / 8)  # seconds to encode and store, of late

    @property
    def waiting_bytes(self) -> int:
        """Memory of the rows that wait, raw and compressed."""
        return self._waiting_bytes

    def start(self) -> None:
        """Start the log's thread, which first imports the store's client: best done when the server is ready."""
        self._thread.start()

    def add(self, batch: "pa.RecordBatch", received: datetime) -> None:
        """Take on rows; never waits for the store. What does not fit into the memory is dropped and counted.

        Args:
            batch: Rows of `inference_rows.log_schema`, always the same one.
            received: Server time of the first row, with a time zone.
        """
        rows = batch.num_rows
        if not rows:
            return
        size = batch.get_total_buffer_size() + _COLUMN_BYTES * batch.num_columns
        age = time.time() - received.timestamp()
        arrived = time.monotonic() - min(max(age, 0.0), self._settings.flush_seconds)
        with self._changed:
            if self._ended:
                self._count("dropped", rows)
                return
            if self._waiting_bytes + size > self._limit:
                self._refused += rows
                self._lost += rows
                return
            sooner = not self._batches or arrived < self._batches[0].arrived
            self._batches.append(_Batch(batch, size, arrived))
            self._rows += rows
            self._size += size
            self._waiting_bytes += size
            self._unsettled += rows
            if sooner or self._is_full():
                self._changed.notify()

    def close(self, seconds: float) -> None:
        """Write what there is; after this many seconds the rest is dropped and counted, even when the store hangs."""
        deadline = time.monotonic() + seconds
        with self._changed:
            if self._deadline is None:
                self._deadline = deadline
                self._next_try = 0.0
                self._failures = 0
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(max(0.0, deadline - time.monotonic()))
        with self._changed:
            self._ended = True
            left = self._unsettled
            self._unsettled = self._rows = self._size = self._waiting_bytes = 0
            self._batches.clear()
            self._files.clear()
            self._count_refused(left)
        if left:
            _LOG.error("The inference log ends with %s rows that could not be written; they are lost.", f"{left:,}")

    def _run(self) -> None:
        lower_priority()
        self._attempt(self._prepare)
        while self._wait():
            self._attempt(self._write)

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001, a thread that dies of a surprise would lose all later rows
            self._failed(error)

    def _prepare(self) -> None:
        """Import and connect before there are rows, so that a wrong configuration is told at once."""
        import pyarrow.parquet  # noqa: F401

        self._store = self._connect()

    def _write(self) -> None:
        self._encode()
        self._send()

    def _wait(self) -> bool:
        """Sleep until there is something to do; False when there never will be."""
        with self._changed:
            while True:
                self._count_refused()
                now = time.monotonic()
                if self._deadline is not None and (now >= self._deadline or not self._unsettled):
                    return False
                due = self._due()
                if due is not None and due <= now:
                    return True
                until = [moment for moment in (due, self._deadline) if moment is not None]
                self._changed.wait(min(until) - now if until else None)

    def _due(self) -> float | None:
        """When there is something to do; None while nothing waits."""
        if self._batches and (self._deadline is not None or self._is_full()):
            return 0.0
        if self._files:
            return self._next_try
        return self._flush_at() if self._batches else None

    def _is_full(self) -> bool:
        return self._rows >= self._settings.flush_rows or self._size >= self._limit * _ENCODE_FROM

    # Example: 5 s are allowed and storing took 0.1 s of late. A row is on its way 5 - (0.5 + 0.2) = 4.3 s after it
    # arrived.
    def _flush_at(self) -> float:
        """When the oldest row has to be on its way, to be in the store in time."""
        seconds = self._settings.flush_seconds
        oldest = min(batch.arrived for batch in self._batches)
        return oldest + seconds - min(seconds / 2, seconds / 10 + 2 * self._took)

    def _encode(self) -> None:
        """Turn batches into files when it is time; while files wait for a failing store, only large ones are made."""
        with self._changed:
            due = self._is_full() or self._deadline is not None
            if not self._batches or not (due or (not self._files and self._flush_at() <= time.monotonic())):
                return
            taken = self._take()
        begun = time.monotonic()
        files, error = _encoded(self._hour_prefix, [batch.rows for batch in taken])
        lost = sum(batch.rows.num_rows for batch in taken) - sum(file.rows for file in files)
        if lost:
            _LOG.error("The inference log cannot encode %s rows; they are dropped.", f"{lost:,}", exc_info=error)
        with self._changed:
            if self._ended:
                return
            self._waiting_bytes += sum(len(file.content) for file in files) - sum(batch.size for batch in taken)
            self._files.extend(files)
            if lost:
                self._unsettled -= lost
                self._count("dropped", lost)
        self._took = max(time.monotonic() - begun, self._took / 2)

    def _take(self) -> list[_Batch]:
        """The oldest batches, as many as make a file; their memory counts until the file is made."""
        taken: list[_Batch] = []
        rows = size = 0
        while self._batches and rows < self._settings.flush_rows and size < self._limit * _ENCODE_FROM:
            taken.append(self._batches.popleft())
            rows += taken[-1].rows.num_rows
            size += taken[-1].size
        self._rows -= rows
        self._size -= size
        return taken

    def _send(self) -> None:
        """Store the oldest file, and on success the others."""
        while self._files and time.monotonic() >= self._next_try:
            with self._changed:
                if self._ended or not self._files:
                    return
                file = self._files[0]
            begun = time.monotonic()
            self._store = self._store or self._connect()
            # Always under the same name: an answer that was lost leaves no second copy.
            self._store.put_bytes(file.key, file.content, "application/vnd.apache.parquet")
            self._took = max(time.monotonic() - begun, self._took)
            self._written(file)
            if self._batches and (self._is_full() or self._deadline is not None):
                return

    def _written(self, file: _File) -> None:
        with self._changed:
            if self._ended:
                return
            self._files.popleft()
            self._waiting_bytes -= len(file.content)
            self._unsettled -= file.rows
            self._count("written", file.rows)
            since, self._failing_since, self._failures = self._failing_since, None, 0
            lost, self._lost = self._lost, 0
        if since is not None:
            _LOG.warning(
                "The inference log is written again, after %.0f s; %s rows were dropped meanwhile, %.1f MB wait.",
                time.monotonic() - since,
                f"{lost:,}",
                self._waiting_bytes / 1e6,
            )

    def _failed(self, error: Exception) -> None:
        """Try again later; only the first failure is told."""
        pause = min(_LONGEST_PAUSE, _SHORTEST_PAUSE * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1)
        with self._changed:
            if self._ended:
                return
            self._count("failed_writes", 1)
            self._failures += 1
            self._store = None
            self._next_try = time.monotonic() + pause
            first = self._failing_since is None
            if first:
                self._failing_since = time.monotonic()
        if first:
            _LOG.error(
                "The inference log cannot be written: %s Rows wait in memory, up to %g MB, and writing is tried again.",
                error if isinstance(error, FullcircleError) else repr(error),
                self._settings.memory_megabytes,
                exc_info=None if isinstance(error, FullcircleError) else error,
            )

    def _count_refused(self, more: int = 0) -> None:
        if self._refused + more:
            self._count("dropped", self._refused + more)
            self._refused = 0


def _encoded(prefix: HourPrefix, batches: "list[pa.RecordBatch]") -> tuple[list[_File], Exception | None]:
    """The batches as files; when that fails, each for itself, so that a bad one is lost alone, and the first error."""
    try:
        return list(_files(prefix, batches)), None
    except Exception as error:  # noqa: BLE001, whatever the rows hold, the log goes on
        if len(batches) == 1:
            return [], error
    parts = [_encoded(prefix, [batch]) for batch in batches]
    return [file for files, _ in parts for file in files], next((error for _, error in parts if error), None)


def _files(prefix: HourPrefix, batches: "list[pa.RecordBatch]") -> Iterator[_File]:
    """The batches as one file, or as one an hour when they cross a full one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(batches)
    micros = table[received_name(table.schema)].cast(pa.int64())
    hours = pc.divide(micros, _HOUR_MICROSECONDS)
    span = pc.min_max(hours)
    if span["min"] == span["max"]:
        yield _file(prefix, table, pc.min(micros).as_py())
        return
    for hour in sorted(hours.unique().to_pylist()):
        chosen = pc.equal(hours, hour)
        yield _file(prefix, table.filter(chosen), pc.min(micros.filter(chosen)).as_py())


def _file(prefix: HourPrefix, table: "pa.Table", first: int) -> _File:
    """One file, named by the server time of its first row in microseconds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    received = received_name(table.schema)
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=[field.name for field in table.schema if _repeats(field.type)],
        write_statistics=[received],
        row_group_size=max(1, table.num_rows),
    )
    seconds, micros = divmod(first, 1_000_000)
    moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=micros)
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())
    name = raw_name(moment, f"{host}-{os.getpid()}-{next(_NUMBERS)}", table.num_rows)
    key = f"{prefix(moment)}{name}"
    return _File(key, sink.getvalue().to_pybytes(), table.num_rows)


def _repeats(kind: "pa.DataType") -> bool:
    """Whether dictionary encoding pays for a type: not for times, probabilities and booleans."""
    import pyarrow as pa

    return not (pa.types.is_timestamp(kind) or pa.types.is_float32(kind) or pa.types.is_boolean(kind))


def lower_priority() -> None:
    """Let the server's other threads go first, where the system knows a thread's own priority."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _PRIORITY)
