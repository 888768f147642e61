import io
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.shared.config import InferenceLogConfig
from components.shared.errors import StoreError
from components.shared.inference_rows import log_schema
from components.shared.store import Store, StoreSettings
from images.predictor import inference_log
from images.predictor.inference_log import InferenceLog, connect_store
from pipelines.local.store import LocalStore
from tests.helpers import make_schema

ROOT = Path(__file__).parents[3]
COLUMNS = log_schema(make_schema(), ["id"])


class Counts:
    """What the log counted, by kind."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()

    def __call__(self, kind: str, number: int) -> None:
        assert number > 0
        self.totals[kind] += number

    def __getitem__(self, kind: str) -> int:
        return self.totals[kind]


def batch(rows: int = 10, *, first: int = 0, received: datetime | None = None, step: float = 0.0) -> pa.RecordBatch:
    """Rows numbered by `visits`, received one `step` of seconds after the other."""
    start = received or datetime.now(UTC)
    numbers = range(first, first + rows)
    columns = {
        "amount": [number / 7 for number in numbers],
        "visits": list(numbers),
        "member": [number % 2 == 0 for number in numbers],
        "colour": [None if number % 5 == 0 else "röt" for number in numbers],
        "opened at": [None if number % 3 == 0 else number for number in numbers],
        "request_id": [f"r{number}" for number in numbers],
        "request_row": [0] * rows,
        "received": [start + timedelta(seconds=step * index) for index in range(rows)],
        "model_version": ["v1"] * rows,
        "latency_ms": [2.5] * rows,
        "prediction": ["true"] * rows,
        "probability_false": [0.25] * rows,
        "probability_true": [0.75] * rows,
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in COLUMNS], schema=COLUMNS)


@contextmanager
def running(store: Store | Callable[[], Store], *, model: str = "demo", close: float = 10.0, **config: object):
    """A log at work, and what it counts."""
    counts = Counts()
    log = InferenceLog(
        model,
        InferenceLogConfig.model_validate({"flush_seconds": 0.3, **config}),
        connect=(lambda: store) if isinstance(store, Store) else store,
        count=counts,
    )
    log.start()
    try:
        yield log, counts
    finally:
        log.close(close)


def read(store: Store, model: str = "demo") -> dict[str, pa.Table]:
    """The log's files, each of which must be whole."""
    files = {}
    for item in store.list(f"inference/{model}/"):
        files[item.key] = pq.read_table(io.BytesIO(store.get_bytes(item.key)))
    return files


def numbers(store: Store, model: str = "demo") -> list[int]:
    return sorted(number for table in read(store, model).values() for number in table["visits"].to_pylist())


def reached(counts: Counts, kind: str, number: int) -> bool:
    return counts[kind] == number


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


# When and what is written


def test_rows_are_in_the_store_within_the_flush_time(store):
    with running(store, flush_seconds=1.5) as (log, counts):
        for round_ in range(2):
            begun = time.monotonic()
            log.add(batch(first=20 * round_), datetime.now(UTC))
            log.add(batch(first=20 * round_ + 10), datetime.now(UTC))
            assert log.waiting_bytes > 0
            until(partial(reached, counts, "written", 20 * (round_ + 1)))
            assert 0.7 < time.monotonic() - begun < 1.5
            assert log.waiting_bytes == 0
    assert len(read(store)) == 2
    assert numbers(store) == list(range(40))
    assert counts.totals == {"written": 40}


def test_rows_that_were_on_their_way_for_long_are_written_sooner(store):
    with running(store, flush_seconds=60.0) as (log, counts):
        log.add(batch(), datetime.now(UTC))
        log.add(batch(first=10), datetime.now(UTC) - timedelta(seconds=58))
        until(lambda: counts["written"] == 20, 2.0)


def test_many_rows_are_written_before_their_time(store):
    with running(store, flush_seconds=60, flush_rows=100) as (log, counts):
        for index in range(25):
            log.add(batch(first=10 * index), datetime.now(UTC))
        until(lambda: counts["written"] == 200)
        time.sleep(0.1)
        assert counts["written"] == 200
    assert sorted(table.num_rows for table in read(store).values()) == [50, 100, 100]
    assert numbers(store) == list(range(250))


def test_a_file_has_what_was_logged_and_the_name_of_its_time(store):
    received = datetime(2026, 3, 1, 9, 30, 15, 123456, tzinfo=UTC)
    sent = batch(received=received, step=0.5)
    with running(store) as (log, _):
        log.add(sent, received)
        log.add(sent.slice(0, 0), received)
    ((key, table),) = read(store).items()
    start = f"inference/demo/date=2026-03-01/hour=09/093015.123456-{socket.gethostname()}-{os.getpid()}-"
    assert key.startswith(start)
    assert re.fullmatch(r"\d+_10\.parquet", key.removeprefix(start))
    assert table.cast(COLUMNS).equals(pa.Table.from_batches([sent]))  # Parquet knows milliseconds at the coarsest
    assert table.schema.metadata == COLUMNS.metadata


def test_a_file_never_mixes_two_hours(store):
    start = datetime(2026, 12, 31, 22, 59, 58, tzinfo=UTC)
    with running(store) as (log, counts):
        log.add(batch(6, first=0, received=start + timedelta(hours=1), step=1), start)
        log.add(batch(6, first=6, received=start, step=1), start)
    files = read(store)
    assert [key.split("/")[2:4] for key in sorted(files)] == [
        ["date=2026-12-31", "hour=22"],
        ["date=2026-12-31", "hour=23"],
        ["date=2027-01-01", "hour=00"],
    ]
    assert [sorted(files[key]["visits"].to_pylist()) for key in sorted(files)] == [
        [6, 7],
        [0, 1, 8, 9, 10, 11],
        [2, 3, 4, 5],
    ]
    assert counts.totals == {"written": 12}


def test_two_logs_write_side_by_side(store):
    received = datetime(2026, 3, 1, tzinfo=UTC)
    with running(store, flush_rows=10) as (one, first), running(store, flush_rows=10) as (two, second):
        for index in range(10):
            one.add(batch(first=20 * index, received=received), received)
            two.add(batch(first=20 * index + 10, received=received), received)
    assert numbers(store) == list(range(200))
    assert first.totals == second.totals == {"written": 100}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 40), max_size=12),
    flush_rows=st.integers(1, 60),
    kilobytes=st.integers(20, 200),
    hours=st.integers(0, 3),
)
def test_every_row_is_written_once_or_dropped(store, sizes, flush_rows, kilobytes, hours):
    model = f"demo-{time.monotonic_ns()}"
    start = datetime(2026, 3, 1, tzinfo=UTC)
    config = {"flush_seconds": 0.1, "flush_rows": flush_rows, "memory_megabytes": kilobytes / 1000}
    with running(store, model=model, **config) as (log, counts):
        for index, size in enumerate(sizes):
            moment = start + timedelta(hours=index * hours)
            log.add(batch(size, first=100 * index, received=moment, step=90), moment)
            assert log.waiting_bytes <= kilobytes * 1000 + 20_000
    found = numbers(store, model)
    added = [100 * index + row for index, size in enumerate(sizes) for row in range(size)]
    assert len(found) == len(set(found)) == counts["written"]
    assert set(found) <= set(added)
    assert counts["written"] + counts["dropped"] == len(added)
    assert log.waiting_bytes == 0
    for key, table in read(store, model).items():
        assert {moment.hour for moment in table["received"].to_pylist()} == {int(key.split("hour=")[1][:2])}


# When the store fails


@pytest.fixture
def own_server(s3_program, tmp_path) -> Iterator[tuple[LocalStore, Store]]:
    """A server that the test may stop, and its store with a bucket."""
    server = LocalStore(tmp_path, programs=(s3_program,))
    store = Store(server.start(), read_timeout=2.0, retries=0)
    store.ensure_bucket()
    store.put_bytes("first", b"")
    yield server, store
    server.stop()


def test_a_store_that_is_away_for_a_while_loses_nothing(own_server, caplog):
    caplog.set_level(logging.INFO, "fullcircle.predictor")
    server, store = own_server
    added = 0
    with running(store, flush_seconds=0.1, flush_rows=5000, memory_megabytes=8) as (log, counts):

        def add(seconds: float) -> None:
            nonlocal added
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                log.add(batch(20, first=added), datetime.now(UTC))
                added += 20
                assert log.waiting_bytes < 8e6
                time.sleep(0.005)

        add(0.5)
        server.stop()
        add(2.0)
        files = len(log._files)
        assert counts["failed_writes"] >= 3
        assert counts["written"] < added
        server.start()
        add(0.5)
        until(lambda: log.waiting_bytes == 0)
        add(0.3)
    assert counts["written"] == added
    assert counts["dropped"] == 0
    assert numbers(store) == list(range(added))
    assert 1 <= files <= 12
    texts = [record.getMessage() for record in caplog.records]
    assert len(texts) == 2
    assert texts[0].startswith("The inference log cannot be written: Could not write s3://")
    assert texts[1].startswith("The inference log is written again, after ")


def test_beyond_its_memory_new_rows_are_dropped_and_counted(caplog):
    def nowhere() -> Store:
        raise StoreError("The object store is not configured.")

    with running(nowhere, flush_seconds=0.1, memory_megabytes=0.5, close=0.2) as (log, counts):
        for index in range(600):
            log.add(batch(20, first=20 * index), datetime.now(UTC))
            assert log.waiting_bytes < 520_000
        until(lambda: counts["failed_writes"] > 2)
        until(lambda: counts["dropped"] > 0)
        assert counts["written"] == 0
        assert log.waiting_bytes < 520_000
    assert counts["dropped"] == 12_000
    assert log.waiting_bytes == 0
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == (
        "The inference log cannot be written: The object store is not configured. "
        "Rows wait in memory, up to 0.5 MB, and writing is tried again."
    )
    assert len(texts) == 2
    assert texts[1].startswith("The inference log ends with ")


def test_a_store_that_is_configured_later_is_found(store, caplog):
    ready = threading.Event()

    def connect() -> Store:
        if not ready.is_set():
            raise StoreError("The object store is not configured.")
        return connect_store()

    with running(connect, flush_seconds=0.1) as (log, counts):
        until(lambda: counts["failed_writes"] == 1)  # before there are rows
        log.add(batch(), datetime.now(UTC))
        until(lambda: counts["failed_writes"] == 2)
        ready.set()
        until(lambda: counts["written"] == 10)
    assert numbers(store) == list(range(10))
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"secret_key": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
        ({"access_key": "nobody"}, "AWS_ACCESS_KEY_ID"),
        ({"bucket": "no-such-bucket"}, "FULLCIRCLE_BUCKET"),
    ],
)
def test_a_store_that_refuses_is_told_and_tried_again(store, caplog, changes, said):
    wrong = Store(replace(store.settings, **changes), retries=0)
    with running(wrong, flush_seconds=0.1, close=0.1) as (log, counts):
        log.add(batch(), datetime.now(UTC))
        until(lambda: counts["failed_writes"] > 1)
        assert log.waiting_bytes > 0
    assert counts["dropped"] == 10
    assert said in caplog.records[0].getMessage()


def test_what_cannot_be_encoded_is_dropped_and_the_log_goes_on(store, caplog):
    with running(store, flush_seconds=0.1) as (log, counts):
        log.add(batch(10), datetime.now(UTC))
        log.add(batch(5).drop_columns(["received"]), datetime.now(UTC))
        log.add(batch(10, first=10), datetime.now(UTC))
        until(lambda: counts["dropped"] == 5)
        until(lambda: counts["written"] == 20)
        log.add(batch(10, first=20), datetime.now(UTC))
        until(lambda: counts["written"] == 30)
        assert log.waiting_bytes == 0
    assert numbers(store) == list(range(30))
    assert [record.getMessage() for record in caplog.records] == [
        "The inference log cannot encode 5 rows; they are dropped."
    ]


def test_a_defect_is_told_and_tried_again(store, caplog):
    answers = iter([RuntimeError("surprise"), store])

    def connect() -> Store:
        answer = next(answers)
        if isinstance(answer, Store):
            return answer
        raise answer

    with running(connect, flush_seconds=0.1) as (log, counts):
        log.add(batch(), datetime.now(UTC))
        until(lambda: counts["written"] == 10)
    assert "RuntimeError('surprise')" in caplog.records[0].getMessage()
    assert caplog.records[0].exc_info


# The end


@contextmanager
def hanging() -> Iterator[Store]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        yield Store(StoreSettings(address, "somebody", "secret"), read_timeout=1.0, retries=0)


@pytest.mark.parametrize("moment", ["waiting", "sending"])
def test_a_store_that_hangs_does_not_hold_up_the_end(moment):
    with hanging() as store, running(store, flush_seconds=60, flush_rows=10) as (log, counts):
        rows = 10 if moment == "sending" else 9
        log.add(batch(rows), datetime.now(UTC))
        time.sleep(0.2)
        begun = time.monotonic()
        log.close(0.5)
        assert time.monotonic() - begun < 0.7
        assert counts.totals == {"dropped": rows}
        assert log.waiting_bytes == 0
        log.add(batch(), datetime.now(UTC))
        assert counts["dropped"] == rows + 10
        # What the thread does afterwards counts no row twice.
        log._thread.join(10)
        assert counts.totals == {"dropped": rows + 10}


def test_the_end_comes_at_once_when_all_is_written(store):
    with running(store, flush_seconds=60) as (log, counts):
        log.add(batch(), datetime.now(UTC))
        begun = time.monotonic()
        log.close(30)
        assert time.monotonic() - begun < 2
        assert counts.totals == {"written": 10}


def test_a_log_that_never_started_counts_its_rows_as_dropped(store):
    counts = Counts()
    log = InferenceLog("demo", InferenceLogConfig(), connect=lambda: store, count=counts)
    log.add(batch(), datetime.now(UTC))
    log.close(1)
    assert counts.totals == {"dropped": 10}


def test_the_thread_gives_way_to_the_server(store):
    usual = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    with running(store) as (log, _):
        until(lambda: log._thread.native_id is not None)
        if sys.platform == "linux":
            until(lambda: os.getpriority(os.PRIO_PROCESS, log._thread.native_id or 0) == 10)
            assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == usual


def test_a_process_that_is_killed_loses_less_than_the_flush_time(store):
    """It prints the number of each row with the time; what is older than the flush time has to be in the store."""
    program = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from datetime import UTC, datetime
from tests.images.predictor.test_inference_log import batch, running
from images.predictor.inference_log import connect_store
with running(connect_store, flush_seconds=0.5) as (log, counts):
    number = 0
    while True:
        log.add(batch(5, first=number), datetime.now(UTC))
        number += 5
        print(number, time.monotonic(), flush=True)
        time.sleep(0.005)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lines = [process.stdout.readline()]
    reader = threading.Thread(target=lines.extend, args=(process.stdout,))
    reader.start()
    time.sleep(1.8)
    killed = time.monotonic()
    process.send_signal(signal.SIGKILL)
    process.wait()
    reader.join()
    process.stdout.close()
    added = [line.split() for line in lines if line.endswith("\n")]
    safe = max(int(number) for number, moment in added if float(moment) < killed - 0.5)
    stored = numbers(store)  # all files are whole
    assert len(stored) >= safe > 0
    assert stored == list(range(len(stored)))


# The server's start


def test_the_import_is_cheap():
    program = (
        "import sys; import images.predictor.inference_log; "
        "print([name for name in ('pyarrow', 'minio', 'urllib3', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_store_of_the_environment_fails_fast(store):
    found = connect_store()
    assert found.settings == store.settings
    assert (found.retries, found.read_timeout) == (0, inference_log._READ_SECONDS)
