"""Servers under load that take turns, so that what else the machine does meets all of them alike."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console

from tests.benchmarks.load import CONNECTIONS, Load, run_load
from tests.benchmarks.report import show
from tests.benchmarks.servers import Server
from tests.benchmarks.workload import NAME, Reader, Workload

WARM_UP_SECONDS = 6.0  # longer than the log waits before it writes: what is measured holds its work, too
ROWS_ANSWERED = f'fullcircle_rows_total{{model_name="{NAME}"}}'
ROWS_WRITTEN, ROWS_DROPPED = (f'fullcircle_log_rows_total{{outcome="{what}"}}' for what in ("written", "dropped"))
_SETTLE_SECONDS = 20.0


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
    def p50(self) -> float:
        """In milliseconds."""
        return statistics.median(load.milliseconds(50) for load in self.rounds)

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


def take_turns(
    sides: Sequence[Side], rounds: int, seconds: float, *, console: Console, rate: float | None = None
) -> None:
    """Measure each side once a round."""
    for number in range(rounds):
        for side in sides:
            console.print(f"round {number + 1} of {rounds}: {side.name} …")
            side.measure(seconds, warm_up=min(WARM_UP_SECONDS if side.logs else 1.0, seconds), rate=rate)
            if side.logs:
                _settle(side.server)


def _settle(server: Server) -> None:
    """Wait until a server of ours has written its log, so that the next one has the core for itself."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (counted := server.counters())[ROWS_WRITTEN] + counted[ROWS_DROPPED] < counted[ROWS_ANSWERED]:
        if time.monotonic() > deadline:
            raise RuntimeError(f"The inference log is not written after {_SETTLE_SECONDS:g} s.")
        time.sleep(0.5)


def show_sides(title: str, sides: Sequence[Side], *, console: Console) -> None:
    """Print what was measured."""
    columns = ["", "requests/s", "p50, ms", "p99, ms", "slowest, ms", "server's CPU, µs a request"]
    lines = []
    for side in sides:
        p50, p99, worst = (
            statistics.median(load.milliseconds(percent) for load in side.rounds) for percent in (50, 99, 100)
        )
        lines.append([side.name, side.rate, p50, p99, worst, side.microseconds])
    show(f"{title}, {CONNECTIONS} connections, medians", columns, lines, console=console)
