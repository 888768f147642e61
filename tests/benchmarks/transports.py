"""The endpoint's own HTTP server beside uvicorn, around the same endpoint."""

from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from images.predictor.options import HTTP_SERVERS
from tests.benchmarks.report import Figure, told
from tests.benchmarks.servers import Bench, cores, on_core
from tests.benchmarks.sides import Side, show_sides, take_turns
from tests.benchmarks.workload import Flights

_LARGE = 100
_ROWS = 5_000


def figures(package: Path, folder: Path, *, rounds: int, seconds: float, console: Console) -> list[Figure]:
    """Requests a second and latencies of both, in turns, with one row a request and with a hundred; no log is kept.

    Args:
        package: The model package.
        folder: For the servers' logs.
        rounds: How often each server has its turn.
        seconds: Of each turn.
        console: Where to print.
    """
    first, last = cores(console)
    flights = Flights(package, rows=_ROWS)
    found: list[Figure] = []
    with on_core(first), ExitStack() as stack:
        bench = Bench(package, folder, core=last, first=flights.v1(1).requests[0], environment={})
        servers = {name: stack.enter_context(bench.ours(log=False, http_server=name)) for name in HTTP_SERVERS}
        for rows in (1, _LARGE):
            work = flights.v1(rows)
            sides = [Side(name, server, work, flights.read_v1) for name, server in servers.items()]
            take_turns(sides, rounds, seconds, console=console)
            show_sides(f"{rows} rows a request, by HTTP server", sides, console=console)
            found += _compared(rows, *sides)
    return found


def _compared(rows: int, ours: Side, kept: Side) -> list[Figure]:
    what = f"V1, {rows} rows a request"
    return [
        told(f"{what}: requests a second of {kept.name}, of our own server's", kept.rate / ours.rate, unit="ratio"),
        *(
            told(f"{what}, {side.name}: {name}", value, unit=unit)
            for side in (ours, kept)
            for name, value, unit in (
                ("requests a second", side.rate, "requests/s"), ("p50", side.p50, "ms"), ("p99", side.p99, "ms"),
            )
        ),
    ]  # fmt: skip
