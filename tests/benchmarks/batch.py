"""Batch prediction of the flights on one core: rows a second, and memory at one and at ten million rows.

python -m tests.benchmarks.batch --package FOLDER, the model package of a flights run, such as a folder of
build/local/serving/flights/versions. The table is the real one, ingested and repeated; the predictions go to a real S3
server, which has the other cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tests.benchmarks.report import Figure, at_least, at_most, report, show
from tests.helpers import put_folder

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = PROJECT / "pipelines" / "configs" / "flights.yaml"
SIZES = {"one million": 1_000_000, "ten million": 10_000_000}
ROUNDS = 5  # of a million rows; ten million take long enough for one to tell
_NAME = "flights"


@dataclass(frozen=True, slots=True)
class Round:
    """One table predicted.

    Attributes:
        size: Which table.
        rows: How many rows it has.
        seconds: Wall time of the stage's own work: fetching the package, reading, predicting, storing.
        cpu: Processor seconds of the same: fewer than `seconds` where others take the core, too.
        peak: Most memory its process ever held, in bytes.
    """

    size: str
    rows: int
    seconds: float
    cpu: float
    peak: int

    @property
    def speed(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


def figures(package: Path, console: Console) -> list[Figure]:
    """Measure with a package of a flights run.

    Args:
        package: Its folder.
        console: Where progress and what the figures are made of is shown.
    """
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as name:
        folder = Path(name)
        console.print("writing one and ten million flights …")
        tables = make_tables(folder)
        with _served(folder, package) as environment:
            rounds = []
            for size in [*["one million"] * ROUNDS, "ten million"]:
                console.print(f"predicting {size} flights on one core …")
                rounds.append(_round(size, tables[size], environment))
    rows = [[one.size, f"{one.rows:,}", one.seconds, one.cpu, one.speed / 1000, one.peak / 1e6] for one in rounds]
    show(
        "Batch prediction, one core", ["", "rows", "seconds", "CPU s", "1,000 rows/s", "peak MB"], rows, console=console
    )
    small = statistics.median(one.peak for one in rounds if one.size == "one million")
    large = max(one.peak for one in rounds if one.size == "ten million")
    return [
        at_least(
            "batch prediction: flights a second on one core",
            statistics.median(one.speed for one in rounds),
            200_000,
            unit="rows/s",
            target="at least 200,000 flights a second on the core",
        ),
        at_most(
            "batch prediction: memory of ten million rows, of that of one million",
            large / small,
            1.1,
            unit="ratio",
            target="memory flat from 1 to 10 million rows (at most 1.1 times)",
        ),
    ]


def make_tables(folder: Path) -> dict[str, Path]:
    """Ingest the flights and write them, repeated, in the layout that ingest gives its tables.

    Returns:
        Paths by size.
    """
    import pyarrow.parquet as pq

    from components.ingest.ingest import ingest_table
    from components.shared.tables import ROW_GROUP
    from pipelines.config_file import load_config

    config = load_config(CONFIG)
    ingest_table(config.source, config.problem, folder / "flights.parquet")
    flights = pq.read_table(folder / "flights.parquet")
    paths = {}
    for size, rows in SIZES.items():
        paths[size] = folder / f"{size}.parquet"
        with pq.ParquetWriter(paths[size], flights.schema, compression="zstd", compression_level=1) as writer:
            for start in range(0, rows, len(flights)):
                writer.write_table(flights.slice(0, rows - start), row_group_size=ROW_GROUP)
    return paths


@contextmanager
def _served(folder: Path, package: Path) -> Iterator[dict[str, str]]:
    """A store that holds the package as the champion's version; gives the environment that names it."""
    from components.shared.package.model_package import verify, version_prefix
    from components.shared.registry.registry import Registry
    from components.shared.store import Store
    from pipelines.local.store import LocalStore

    server = LocalStore(folder)
    settings = server.start()
    try:
        store, version = Store(settings), verify(package).version
        store.ensure_bucket()
        put_folder(store, version_prefix(_NAME, version), package)
        Registry(store, _NAME).promote(version, expected=None)
        yield settings.environment()
    finally:
        server.stop()


def _round(size: str, table: Path, environment: dict[str, str]) -> Round:
    command = [sys.executable, "-m", "tests.benchmarks.batch", "--table", str(table)]
    done = subprocess.run(
        command, cwd=PROJECT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    if result["predicted"] != SIZES[size]:
        raise RuntimeError(f"Only {result['predicted']:,} of {SIZES[size]:,} rows were predicted.")
    return Round(size, result["predicted"], result["seconds"], result["cpu"], result["peak"])


def _predict(table: Path) -> None:
    """Body of a measured process: the stage's logic on the last of this machine's cores."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from components.predict.predict import predict_table
    from components.shared.package.model_package import Lineage
    from components.shared.store import Store

    lineage = Lineage(rows=0, columns=0, content_hash="")
    started = time.process_time()
    summary = predict_table(Store.connect(), _NAME, table, lineage=lineage)
    cpu = time.process_time() - started
    print(json.dumps({"predicted": summary.predicted, "seconds": summary.seconds, "cpu": cpu, "peak": _peak()}))


def _peak() -> int:
    """Most memory this program held, in bytes; what it was forked from left out."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    """Measure, print, write build/bench/batch.json."""
    parser = argparse.ArgumentParser(description="Measure batch prediction of the flights on one core.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--package", type=Path, help="model package of a flights run")
    what.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.table:
        _predict(options.table)
        return
    console = Console(highlight=False)
    report("batch", figures(options.package, console), console=console)


if __name__ == "__main__":
    main()
