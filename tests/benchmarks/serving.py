"""`make bench-serving`: the model server beside KServe's, and batch prediction, written to build/bench/serving.json.

    python -m tests.benchmarks.serving [--package FOLDER] [--only endpoint|batch] [--rounds N] [--seconds S]

All servers are pinned to one core, the load generator and the object store to another one. The servers take turns, at
least five rounds, and ratios are those of medians. Each asks the same different rows of the model's reference window,
over 8 connections that stay open, and each answer is compared with what the model says.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
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
from tests.benchmarks.load import CONNECTIONS, Load, run_load
from tests.benchmarks.report import Figure, at_least, at_most, report, show, told
from tests.benchmarks.servers import Bench, Server, on_core
from tests.benchmarks.workload import NAME, Flights, Reader, Workload, read_predictions

ROUNDS = 5
SECONDS = 10.0
WARM_UP_SECONDS = 6.0  # longer than the log waits before it writes: what is measured holds its work, too
ROWS = 5_000
LARGE = 100
PACED = 0.7
_BUSY = 0.75  # of what a request costs; receiving and sending is the rest
_PEERS = Path("tests", "benchmarks", "peers")
_SETTLE_SECONDS = 20.0
_ROWS_ANSWERED = f'fullcircle_rows_total{{model_name="{NAME}"}}'
_ROWS_WRITTEN, _ROWS_DROPPED = (f'fullcircle_log_rows_total{{outcome="{what}"}}' for what in ("written", "dropped"))


@dataclass(slots=True)
class Side:
    """One server under one workload.

    Attributes:
        name: As it is shown.
        server: Which server.
        work: What it is asked.
        read: Probabilities from its answers.
        logs: Whether it is ours and keeps its inference log.
        rounds: What came of the load.
        cpu: Processor seconds of the server, a round.
    """

    name: str
    server: Server
    work: Workload
    read: Reader
    logs: bool = False
    rounds: list[Load] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return statistics.median(load.rate for load in self.rounds)

    @property
    def p99(self) -> float:
        """In milliseconds."""
        return statistics.median(load.milliseconds(99) for load in self.rounds)

    @property
    def microseconds(self) -> float:
        """Processor time of the server for a request."""
        pairs = zip(self.cpu, self.rounds, strict=True)
        return statistics.median(cpu / len(load.latencies) for cpu, load in pairs) * 1e6

    def measure(self, seconds: float, *, warm_up: float, rate: float | None = None) -> None:
        """One round."""
        run_load(self.server.port, self.work.requests, seconds=warm_up, rate=rate, seed=1)
        cpu = self.server.cpu_seconds
        load = run_load(self.server.port, self.work.requests, seconds=seconds, rate=rate, seed=len(self.rounds) + 2)
        self.cpu.append(self.server.cpu_seconds - cpu)
        self.work.check(load, self.read)
        self.rounds.append(load)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="Measure the model server, beside KServe's.")
    parser.add_argument("--package", type=Path, help="a model package of the flights; one is trained by default")
    parser.add_argument("--only", choices=("endpoint", "batch"), help="measure this part alone")
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
        figures = []
        if options.only != "batch":
            figures += endpoint(package, folder, rounds=options.rounds, seconds=options.seconds, console=console)
        if options.only != "endpoint":
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
    first, last = _cores(console)
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


def _cores(console: Console) -> tuple[int, int]:
    """The core of the load and the object store, and that of the servers."""
    available = sorted(os.sched_getaffinity(0))
    if len(available) < 2:
        console.print("[red]There is only one core: load and servers share it, and the figures are too low.[/]")
    return available[0], available[-1]


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
        _take_turns(sides, rounds, seconds, console=console)
        paced = Side(f"ours, {PACED:.0%}", ours.server, work, flights.read_v1, logs=True)
        _take_turns([paced], rounds, seconds, rate=PACED * ours.rate, console=console)
        if lost := ours.server.counters()[_ROWS_DROPPED]:
            raise RuntimeError(f"The inference log does not keep up: {lost:,.0f} rows are lost.")
    _show("One row a request", [*sides, paced], console=console)
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
        _take_turns([v2, v1], rounds, seconds, console=console)
        dropped = server.counters()[_ROWS_DROPPED] / server.counters()[_ROWS_ANSWERED]
    _show(f"{LARGE} rows a request", [v2, v1], console=console)
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


def _take_turns(
    sides: Sequence[Side], rounds: int, seconds: float, *, console: Console, rate: float | None = None
) -> None:
    for number in range(rounds):
        for side in sides:
            console.print(f"round {number + 1} of {rounds}: {side.name} …")
            side.measure(seconds, warm_up=min(WARM_UP_SECONDS if side.logs else 1.0, seconds), rate=rate)
            if side.logs:
                _settle(side.server)


def _settle(server: Server) -> None:
    """Wait until a server of ours has written its log, so that the next one has the core for itself."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (counted := server.counters())[_ROWS_WRITTEN] + counted[_ROWS_DROPPED] < counted[_ROWS_ANSWERED]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"The inference log is not written after {_SETTLE_SECONDS:g} s.")
        time.sleep(0.5)


def _show(title: str, sides: Sequence[Side], *, console: Console) -> None:
    columns = ["", "requests/s", "p50, ms", "p99, ms", "slowest, ms", "server's CPU, µs a request"]
    lines = []
    for side in sides:
        p50, p99, worst = (
            statistics.median(load.milliseconds(percent) for load in side.rounds) for percent in (50, 99, 100)
        )
        lines.append([side.name, side.rate, p50, p99, worst, side.microseconds])
    show(f"{title}, {CONNECTIONS} connections, medians", columns, lines, console=console)


if __name__ == "__main__":
    main()
