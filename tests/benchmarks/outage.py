"""A minute without the object store, under load: `python -m tests.benchmarks.outage`.

A real server logs to a real store through a switch. Clients ask all the time, while the store is cut off and comes
back; then what is in the store is compared with what was answered. Writes `build/bench/outage.json`.
"""

import io
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from rich.console import Console

from components.shared.inference_rows import log_prefix
from components.shared.package.model_package import read_golden
from components.shared.processes import free_port
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.benchmarks.report import Figure, at_most, report
from tests.helpers import make_manifest, make_package
from tests.images.predictor.outage import Load, Switch
from tests.images.predictor.serving import NAME, Server, serving, until

SECONDS_BEFORE, SECONDS_DOWN = 8.0, 60.0
MEMORY_MEGABYTES = 64.0
RSS_MEGABYTES = 2 * MEMORY_MEGABYTES
FLUSH_SECONDS = 5.0
WRITTEN, DROPPED = (f"fullcircle_log_rows_total{{outcome={outcome}}}" for outcome in ("written", "dropped"))
WAITING = "fullcircle_log_waiting_bytes"


@dataclass
class Watch:
    """What is looked at once a second."""

    server: Server
    waiting: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Look until the end."""
        stop = threading.Event()

        def look() -> None:
            process = psutil.Process(self.server.process.pid)
            while not stop.wait(1.0):
                self.waiting.append(self.server.figures()[WAITING])
                self.memory.append(process.memory_info().rss)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def main() -> None:
    """Run it and write the figures."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fullcircle-outage-") as folder:
        local = LocalStore(Path(folder))
        store = Store(local.start())
        try:
            found = _measure(Path(folder), store, console)
        finally:
            local.stop()
    report("outage", found, console=console)


def _measure(folder: Path, store: Store, console: Console) -> list[Figure]:
    package = make_package(folder / "package")
    make_manifest(package)
    rows = [request.row for request in read_golden(package)]
    settings = json.dumps({"log": {"flush_seconds": FLUSH_SECONDS, "memory_megabytes": MEMORY_MEGABYTES}})
    port = free_port(18700)
    with Switch(store.settings.endpoint.rpartition("/")[2]) as switch:
        variables = replace(store.settings, endpoint=switch.endpoint).environment()
        with serving(package, port, folder / "log", store=variables, settings=settings) as server:
            watch = Watch(server)
            with Load(port, server.path, rows, clients=4) as load, watch.running():
                time.sleep(SECONDS_BEFORE)
                before = psutil.Process(server.process.pid).memory_info().rss
                switch.off()
                console.print(f"the store is cut off for {SECONDS_DOWN:g} s")
                time.sleep(SECONDS_DOWN)
                switch.on()
                back = time.monotonic()
                until(lambda: server.figures()[WAITING] < 1e6 or time.monotonic() - back > 60, 90)
                caught_up = time.monotonic() - back
            asked = len(rows) * len(load.answered)
            until(lambda: server.figures()[WRITTEN] + server.figures()[DROPPED] >= asked, 60)
            dropped = server.figures()[DROPPED]
    return [
        *_figures(load, watch, asked=asked, dropped=dropped, lost=asked - _stored(store), before=before),
        at_most("until the log has caught up", caught_up, 30.0, unit="s", target="the log catches up"),
    ]


def _stored(store: Store) -> int:
    keys = [item.key for item in store.list(log_prefix(NAME)) if item.key.endswith(".parquet")]
    return sum(pq.ParquetFile(io.BytesIO(store.get_bytes(key))).metadata.num_rows for key in keys)


def _figures(load: Load, watch: Watch, *, asked: int, dropped: float, lost: int, before: int) -> list[Figure]:
    grown = (max(watch.memory) - before) / 1e6
    limits: list[tuple[str, float, float, str, str]] = [
        ("requests that failed", len(load.failures), 0, "requests", "no request fails"),
        ("rows that were dropped", dropped, 0, "rows", "nothing is lost"),
        ("answered rows that are not in the store", abs(lost), 0, "rows", "nothing is lost"),
        ("most bytes that waited", max(watch.waiting) / 1e6, MEMORY_MEGABYTES, "MB", "bounded, as configured"),
        ("memory grew by", grown, RSS_MEGABYTES, "MB", "bounded: at most twice what may wait"),
    ]
    found = [at_most(name, value, limit, unit=unit, target=to) for name, value, limit, unit, to in limits]
    rate = asked / (SECONDS_BEFORE + SECONDS_DOWN)
    return [*found, Figure("rows answered", round(rate, 1), "rows/s", "at least 1,000: a load", holds=rate >= 1000)]


if __name__ == "__main__":
    main()
