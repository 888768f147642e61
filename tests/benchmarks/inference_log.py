"""`make bench-log`: a drift report on 30 days of an inference log, written to build/bench/inference_log.json.

    python -m tests.benchmarks.inference_log [--package FOLDER] [--days N] [--rows N] [--every]

The log is that of an endpoint that writes a file every 5 seconds: 17,280 a day. In a real S3 server (weed) its newest
24 hours are put as that many raw files, and each day before them as the compaction leaves it: 24 parts with 24 commits,
with as many rows. With `--every`, all days are put as raw files, 518,400 objects, which takes long. The report is then
made twice: as if the compaction had never run on the newest day, and once it has. Each is a program of its own
(`python -m components.monitor`), timed from its start to its end, the libraries' imports included; its listings are
counted in this process by its requests to the server.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from components.monitor.monitor import ReportFiles, report_drift
from components.shared.config import MonitoringConfig
from components.shared.inference_log import reading
from components.shared.inference_log.compaction import compact_log
from components.shared.inference_log.layout import (
    COMMIT,
    HOUR,
    Commit,
    Part,
    full_hour,
    hour_prefix,
    part_name,
    raw_name,
)
from components.shared.inference_rows import RECEIVED, log_schema, logged_name
from components.shared.package.model_package import REFERENCE, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.benchmarks.report import Figure, at_most, report, show, told
from tests.helpers import put_folder

NAME = "flights"
SECONDS_A_FILE = 5
FILES_AN_HOUR = 3600 // SECONDS_A_FILE
_CONTENTS = 16  # different files of rows, which are put under many names
_PUTTERS = 16


@dataclass(frozen=True, slots=True)
class Made:
    """One report.

    Attributes:
        log: In which state the log was.
        seconds: Wall time of the program.
        cpu: Its processor seconds.
        own: Wall time of the report alone, in a process that had its libraries loaded.
        listings: Its listing requests, each page for itself.
        reads: Its other requests.
        rows: How many it compared.
        message: What it said.
    """

    log: str
    seconds: float
    cpu: float
    own: float
    listings: int
    reads: int
    rows: int
    message: str


def rows_of_log(package: Path, rows: int, *, seed: int) -> pa.Table:
    """Rows as the endpoint logs them, drawn of the package's reference."""
    schema = Schema.read(package)
    reference = pq.read_table(package / REFERENCE, columns=schema.columns)
    chosen = reference.take(np.random.default_rng(seed).integers(0, reference.num_rows, rows))
    columns = []
    for field in log_schema(schema, ()):
        if field.name in schema.columns:
            columns.append(chosen[field.name].cast(field.type, safe=False).combine_chunks())
        elif field.name == logged_name(RECEIVED, schema):
            columns.append(pa.array([datetime.now(UTC)] * rows, field.type))
        elif pa.types.is_floating(field.type):
            columns.append(pa.array(np.full(rows, 0.5), field.type))
        elif pa.types.is_integer(field.type):
            columns.append(pa.array(np.zeros(rows), pa.float64()).cast(field.type))
        else:
            columns.append(pa.array([f"{number:x}" for number in range(rows)], field.type))
    return pa.Table.from_arrays(columns, schema=log_schema(schema, ()))


def encoded(table: pa.Table) -> bytes:
    """A file of rows."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def fill(store: Store, package: Path, *, now: datetime, days: int, rows: int, every: bool) -> int:
    """Put the log.

    Returns:
        The number of its objects.
    """
    raw = [encoded(rows_of_log(package, rows, seed=seed)) for seed in range(_CONTENTS)]
    hour_rows = rows * FILES_AN_HOUR
    part = encoded(rows_of_log(package, hour_rows, seed=0))
    hours = [full_hour(now) - number * HOUR for number in range(24 * days)]
    puts: list[tuple[str, bytes]] = []
    for hour in hours:
        prefix = hour_prefix(NAME, hour)
        if every or hour > now - timedelta(days=1):
            moments = [hour + timedelta(seconds=SECONDS_A_FILE * number) for number in range(FILES_AN_HOUR)]
            puts += [
                (prefix + raw_name(moment, f"flights-predictor-0-7-{number}", rows), raw[number % _CONTENTS])
                for number, moment in enumerate(moments)
                if moment < now
            ]
        else:
            name = part_name("0123456789ab-0000", hour_rows)
            replaced = frozenset(
                raw_name(hour, f"flights-predictor-0-7-{number}", rows) for number in range(FILES_AN_HOUR)
            )
            commit = Commit(parts=(Part(name=name, rows=hour_rows, size=len(part)),), replaces=replaced)
            puts += [(prefix + name, part), (prefix + COMMIT, commit.model_dump_json().encode())]
    with ThreadPoolExecutor(_PUTTERS) as workers:
        for _ in workers.map(lambda put: store.put_bytes(*put), puts, chunksize=64):
            pass
    return len(puts)


@contextmanager
def counted(store: Store) -> Iterator[dict[str, int]]:
    """The store's requests, listings apart."""
    counts = {"list": 0, "other": 0}
    pool = store._pool
    plain = pool.urlopen

    def urlopen(method: str, url: str, *arguments: Any, **options: Any) -> Any:
        counts["list" if "list-type" in url else "other"] += 1
        return plain(method, url, *arguments, **options)

    pool.urlopen = urlopen  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        del pool.urlopen


def make_report(store: Store, version: str, log: str) -> Made:
    """Make the report, here to count its requests and as a program to time it."""
    with tempfile.TemporaryDirectory() as folder, counted(store) as counts:
        files = ReportFiles(*(Path(folder, name) for name in ("drift", "page", "evidently")))
        begun = time.monotonic()
        done = report_drift(store, NAME, version, MonitoringConfig(), splits=None, files=files)
        own = time.monotonic() - begun
    begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    program = [sys.executable, "-m", "components.monitor", NAME, "--version", version]
    ran = subprocess.run(program, check=True, env=_environment(store), capture_output=True, text=True)
    if "the endpoint was asked" not in ran.stdout:
        raise RuntimeError(f"The program made no drift report: {ran.stdout}")
    seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = int(done.current.split()[0].replace(",", ""))
    return Made(log, seconds, cpu, own, counts["list"], counts["other"], rows, done.message)


def _environment(store: Store) -> dict[str, str]:
    return {**os.environ, **store.settings.environment()}


@contextmanager
def champion_store(package: Path, version: str) -> Iterator[Store]:
    """A real S3 server (weed), of which a package is the champion; it ends with all that is in it."""
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        server = LocalStore(Path(folder), programs=("weed",))
        store = Store(server.start())
        try:
            store.ensure_bucket()
            put_folder(store, version_prefix(NAME, version), package)
            Registry(store, NAME).promote(version, expected=None)
            yield store
        finally:
            server.stop()


def figures(package: Path, console: Console, *, days: int, rows: int, every: bool) -> list[Figure]:
    """Measure with a package of a flights run."""
    now = datetime.now(UTC)
    version = verify(package).version
    with champion_store(package, version) as store:
        begun = time.monotonic()
        objects = fill(store, package, now=now, days=days, rows=rows, every=every)
        console.print(f"{objects:,} objects of {days} days were put in {time.monotonic() - begun:.0f} s")
        raw = make_report(store, version, "the newest day as raw files")
        begun = time.monotonic()
        with counted(store) as counts:
            compacted = compact_log(store, NAME)
        seconds = time.monotonic() - begun
        console.print(f"compaction, {seconds:.0f} s, {counts['list']} listings: {compacted.message}")
        compact_log(store, NAME, settled=timedelta(hours=-1))  # what was replaced goes after a while
        after = make_report(store, version, "compacted")
        left = sum(len(reading.day_folders(store, NAME, day)) for day in reading.days(store, NAME))
    table = [[one.log, one.seconds, one.cpu, one.own, one.listings, one.reads, one.rows] for one in (raw, after)]
    columns = ["", "seconds", "CPU s", "report alone s", "listings", "other requests", "rows compared"]
    show(f"A drift report on {days} days", columns, table, console=console)
    console.print(after.message)
    return [
        told("days of the log", days, unit="days"),
        told("objects put", objects, unit="objects"),
        told("rows of the newest 24 hours", 24 * FILES_AN_HOUR * rows, unit="rows"),
        at_most("report, newest day as raw files", raw.seconds, 10, unit="s", target="under 10 s"),
        at_most("listings, newest day as raw files", raw.listings, 50, unit="requests", target="at most 50"),
        at_most("report, compacted", after.seconds, 10, unit="s", target="under 10 s"),
        at_most("listings, compacted", after.listings, 50, unit="requests", target="at most 50"),
        told("processor seconds, newest day as raw files", raw.cpu, unit="s"),
        told("processor seconds, compacted", after.cpu, unit="s"),
        told("report alone, compacted", after.own, unit="s"),
        told("compaction of the newest day", seconds, unit="s"),
        told("files it put together", compacted.files, unit="files"),
        told("hours of the log afterwards", left, unit="hours"),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure and report; 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.inference_log", description=__doc__)
    parser.add_argument("--package", type=Path, help="a flights package (default: trained for it)")
    parser.add_argument("--days", type=int, default=30, help="days of the log (30)")
    parser.add_argument("--rows", type=int, default=50, help="rows of a raw file (50: ten requests a second)")
    parser.add_argument("--every", action="store_true", help="all days as raw files")
    given = parser.parse_args(arguments)
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        if given.package:
            package = given.package
        else:
            from tests.benchmarks.flights import trained_package

            package = trained_package(Path(folder))
        found = figures(package, console, days=given.days, rows=given.rows, every=given.every)
    report("inference_log", found, console=console)
    return 0 if all(figure.holds is not False for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
