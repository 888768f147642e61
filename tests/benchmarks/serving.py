"""`make bench-serving`: the model server beside KServe's, and batch prediction, written to build/bench/serving.json.

    python -m tests.benchmarks.serving [--package FOLDER] [--only endpoint|batch] [--rounds N] [--seconds S]

All servers are pinned to one core, the load generator and the object store to another one. The servers take turns, at
least five rounds, and ratios are those of medians. Each asks the same different rows of the model's reference window,
over 8 connections that stay open, and each answer is compared with what the model says.
"""

import argparse
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import joblib
from rich.console import Console

from components.shared.package.fitted_pipeline import load_pipeline
from components.shared.package.model_package import SKOPS
from components.shared.package.schema import FILE as SCHEMA_FILE
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.benchmarks import batch
from tests.benchmarks.at_rest import memory, needs, start_up
from tests.benchmarks.flights import trained_package
from tests.benchmarks.load import run_load
from tests.benchmarks.report import Figure, at_least, at_most, report, told
from tests.benchmarks.servers import Bench, cores, on_core
from tests.benchmarks.sides import ROWS_ANSWERED, ROWS_DROPPED, Side, show_sides, take_turns
from tests.benchmarks.workload import Flights, read_predictions

PARTS = ("endpoint", "batch")
ROUNDS = 5
SECONDS = 10.0
ROWS = 5_000
LARGE = 100
PACED = 0.7
_BUSY = 0.75  # of what a request costs; receiving and sending is the rest
_PEERS = Path("tests", "benchmarks", "peers")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure the model server, beside KServe's.")
    parser.add_argument("--package", type=Path, help="a model package of the flights; one is trained by default")
    parser.add_argument("--only", choices=PARTS, help="measure this part alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each server's turn in a round")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started ends, too
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as name:
        folder = Path(name)
        if options.package is None:
            console.print("training a model of the flights …")
        package = options.package.resolve() if options.package else trained_package(folder)
        figures: list[Figure] = []
        parts = [options.only] if options.only else PARTS
        if "endpoint" in parts:
            figures += endpoint(package, folder, rounds=options.rounds, seconds=options.seconds, console=console)
        if "batch" in parts:
            figures += batch.figures(package, console)
    report(options.only or "serving", figures, console=console)


def endpoint(
    package: Path, folder: Path, *, rounds: int, seconds: float, console: Console, rows: int = ROWS
) -> list[Figure]:
    """Measure the server of a model package.

    Args:
        package: Its folder; a model of two classes.
        folder: For logs and what the servers need.
        rounds: How often each server has its turn.
        seconds: Of each turn.
        console: Where to print.
        rows: Different rows that are asked.
    """
    first, last = cores(console)
    flights = Flights(package, rows=rows)
    with on_core(first), _object_store(folder) as environment:
        bench = Bench(package, folder, core=last, first=flights.v1(1).requests[0], environment=environment)
        console.print("starting, resting …")
        found = [start_up(bench), *memory(bench), needs(bench)]
        return [
            *_single_rows(bench, flights, rounds=rounds, seconds=seconds, console=console),
            *_many_rows(bench, flights, rounds=rounds, seconds=seconds, console=console),
            *found,
        ]


@contextmanager
def _object_store(folder: Path) -> Iterator[dict[str, str]]:
    """A real object store; what its environment is."""
    local = LocalStore(folder)
    settings = local.start()
    try:
        Store(settings).ensure_bucket()
        yield settings.environment()
    finally:
        local.stop()


# One row a request


def _single_rows(bench: Bench, flights: Flights, *, rounds: int, seconds: float, console: Console) -> list[Figure]:
    """Ours with and without its log, and both peers, in turns; then ours at less than it can do."""
    work = flights.v1(1)
    with ExitStack() as stack:
        ours = Side("ours", stack.enter_context(bench.ours()), work, flights.read_v1, logs=True)
        plain = Side("ours, no log", stack.enter_context(bench.ours(log=False)), work, flights.read_v1)
        onnx, sklearn = (
            Side(name, stack.enter_context(bench.peer(_PEERS / program, model)), work, read_predictions)
            for name, program, model in (
                ("kserve, ONNX", "kserve_onnx.py", bench.package),
                ("kserve, scikit-learn", "kserve_sklearn.py", _with_joblib(bench.package, bench.folder / "sklearn")),
            )
        )
        sides = [ours, plain, onnx, sklearn]
        take_turns(sides, rounds, seconds, console=console)
        paced = Side(f"ours, {PACED:.0%}", ours.server, work, flights.read_v1, logs=True)
        take_turns([paced], rounds, seconds, rate=PACED * ours.rate, console=console)
        if lost := ours.server.counters()[ROWS_DROPPED]:
            raise RuntimeError(f"The inference log does not keep up: {lost:,.0f} rows are lost.")
    show_sides("One row a request", [*sides, paced], console=console)
    steady = steadiness(bench, ours, rounds, seconds)
    return [*_single_figures(ours, plain=plain, onnx=onnx, sklearn=sklearn, paced=paced), steady]


def steadiness(bench: Bench, ours: Side, rounds: int, seconds: float) -> Figure:
    """What p99 this machine allows at that pace: of a server that is as busy and can be late in nothing."""
    late = []
    with bench.busy(ours.microseconds * _BUSY) as server:
        for number in range(rounds):
            load = run_load(server.port, ours.work.requests, seconds=seconds, rate=PACED * ours.rate, seed=number + 2)
            late.append(load.milliseconds(99))
    return told(
        f"p99 at {PACED:.0%} of a server that only keeps the core busy as long", statistics.median(late), unit="ms"
    )


def _single_figures(ours: Side, *, plain: Side, onnx: Side, sklearn: Side, paced: Side) -> list[Figure]:
    return [
        at_least(
            "requests a second, of KServe's server around the same ONNX model",
            ours.rate / onnx.rate, 5, unit="ratio",
            target="at least 5 times the requests per second of kserve.ModelServer around the same ONNX model",
        ),
        at_most(
            "p99, of that of KServe's server around the same ONNX model",
            ours.p99 / onnx.p99, 1, unit="ratio", target="at no higher p99",
        ),
        at_least(
            "requests a second, of KServe's server around the scikit-learn pipeline",
            ours.rate / sklearn.rate, 40, unit="ratio",
            target="at least 40 times the requests per second of kserve.ModelServer around the scikit-learn Pipeline",
        ),
        at_most(
            f"p99 at {PACED:.0%} of the most requests a second",
            paced.p99, 3, unit="ms", target="p99 at 70% of our own maximum at most 3 ms",
        ),
        at_most(
            "throughput that the inference log costs",
            (1 - ours.rate / plain.rate) * 100, 10, unit="%", target="the log costs at most 10% of throughput",
        ),
        told("requests a second, one row each, inference log on", ours.rate, unit="requests/s"),
    ]  # fmt: skip


def _with_joblib(package: Path, folder: Path) -> Path:
    """A folder with the package's pipeline as a joblib file, as KServe's runtime takes it."""
    folder.mkdir()
    joblib.dump(load_pipeline(package / SKOPS), folder / "model.joblib")
    shutil.copy(package / SCHEMA_FILE, folder)
    return folder


# Many rows a request


def _many_rows(bench: Bench, flights: Flights, *, rounds: int, seconds: float, console: Console) -> list[Figure]:
    with bench.ours() as server:
        v2 = Side("V2, binary numbers", server, flights.v2_binary(LARGE), flights.read_v2, logs=True)
        v1 = Side("V1, JSON", server, flights.v1(LARGE), flights.read_v1, logs=True)
        take_turns([v2, v1], rounds, seconds, console=console)
        dropped = server.counters()[ROWS_DROPPED] / server.counters()[ROWS_ANSWERED]
    show_sides(f"{LARGE} rows a request", [v2, v1], console=console)
    return [
        at_least(
            f"{LARGE} rows a request, V2: numbers as binary tensors, texts and times in the JSON, log on",
            v2.rate * LARGE, 300_000, unit="rows/s",
            target="100 rows per request: at least 300,000 rows per second on the core",
        ),
        told(f"{LARGE} rows a request, V1: row objects in JSON, log on", v1.rate * LARGE, unit="rows/s"),
        told(f"{LARGE} rows a request: rows that the log had to drop", dropped * 100, unit="%"),
    ]  # fmt: skip


# Rounds


if __name__ == "__main__":
    main()
