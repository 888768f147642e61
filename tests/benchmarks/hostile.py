"""At least 100,000 hostile requests against the real server, and a part of them against KServe's own.

    python -m tests.benchmarks.hostile [--requests 100000] [--peer-requests 10000]

Writes build/bench/hostile.json.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import psutil
from rich.console import Console

from components.shared.processes import free_port
from tests.benchmarks.report import Figure, at_most, report, show
from tests.helpers import make_manifest, make_package
from tests.hostile.corpus import V2_FAMILIES, Target, corpus, each
from tests.hostile.runner import Outcome, run
from tests.hostile.server import memory, ours, serving, still_right, target

_SEED = 20240101
_PEER_SECONDS = 5.0  # longest wait for the peer's answer
_EACH, _BEFORE = 10, 10_000  # attacks of each family, and of all of them, before memory is measured
_ROUND = 5_000  # attacks between two looks at memory and at whether good requests are answered
_COLUMNS = ("answers", "2xx", "4xx", "503", "other 5xx", "none", "hung")


@dataclass
class Attacked:
    """A server after the attacks.

    Attributes:
        outcome: What it answered.
        right: Whether it still answered its golden request, at each look.
        memory: At each look, in bytes.
        seconds: Wall time of the attacks.
    """

    outcome: Outcome
    right: bool
    memory: list[int]
    seconds: float


def attack(
    process: psutil.Process, port: int, attacked: Target, *, requests: int, without: tuple[str, ...] = (),
    seconds: float = 10.0,
) -> Attacked:  # fmt: skip
    """Warm a server up and attack it."""
    if not without:
        asyncio.run(run(port, each(attacked, _EACH, seed=_SEED + 1), seconds=seconds))
        asyncio.run(run(port, corpus(attacked, _BEFORE, seed=_SEED + 2), seconds=seconds))
    looks, right, outcome, start = [], True, Outcome(), time.monotonic()
    for place in range(0, requests, _ROUND):
        attacks = corpus(attacked, min(_ROUND, requests - place), seed=_SEED + place, without=without)
        found = asyncio.run(run(port, attacks, seconds=seconds))
        outcome.answers.update(found.answers)
        outcome.faults += found.faults
        outcome.hung += found.hung
        right = right and process.is_running() and still_right(port, attacked)
        looks.append(memory(process))
    return Attacked(outcome, right, looks, time.monotonic() - start)


def main() -> int:
    """Attack, print and write what came of it.

    Returns:
        0 when everything asked of our server holds.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hostile", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="attacks on our server (100,000)")
    parser.add_argument(
        "--peer-requests", type=int, default=10_000, help="attacks on KServe's server (10,000); 0: none"
    )
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        package = make_package(Path(folder, "package"))
        make_manifest(package)
        log = Path(folder, "server.log")
        with ours(package, log) as (process, port):
            own = attack(process, port, target(package), requests=options.requests)
        logged = log.read_text(errors="replace").count("Traceback")
        _by_family(own.outcome, console)
        peer = _peer(package, Path(folder), options.peer_requests) if options.peer_requests else None
        same = _ours_beside(package, log, options.peer_requests) if peer else None
    for fault, answer in own.outcome.faults[:5]:
        console.print(
            f"[red]{fault.family}[/]: {fault.parts[0][:300]!r} was answered {answer[:300]!r}", highlight=False
        )
    if peer and same:
        show(
            "The same attacks on both, those of the V2 protocol left out", ("server", *_COLUMNS),
            [("ours", *_counts(same.outcome)), ("kserve.ModelServer", *_counts(peer.outcome))], console=console,
        )  # fmt: skip
    figures = _figures(own, logged, options.requests, peer)
    report("hostile", figures, console=console)
    return 0 if all(figure.holds for figure in figures if not figure.name.startswith("kserve")) else 1


def _peer(package: Path, folder: Path, requests: int) -> Attacked:
    port = free_port(18300)
    command = [
        sys.executable, "tests/benchmarks/peers/kserve_onnx.py", f"--model_dir={package}", f"--port={port}"
    ]  # fmt: skip
    with serving(command, port, folder / "peer.log", ready="/v2/health/ready") as process:
        return attack(process, port, target(package), requests=requests, without=V2_FAMILIES, seconds=_PEER_SECONDS)


def _ours_beside(package: Path, log: Path, requests: int) -> Attacked:
    with ours(package, log) as (process, port):
        return attack(process, port, target(package), requests=requests, without=V2_FAMILIES)


def _counts(outcome: Outcome) -> list[int]:
    return [
        outcome.answers.total(), outcome.count(200, 300), outcome.count(400, 500), outcome.answers_with(503),
        outcome.client_faults, outcome.answers_with(0), len(outcome.hung),
    ]  # fmt: skip


def _by_family(outcome: Outcome, console: Console) -> None:
    families = sorted({family for family, _ in outcome.answers})
    show(
        "Our server", ("attack", *_COLUMNS), [(name, *_counts(outcome.of(name))) for name in families], console=console
    )


def _figures(own: Attacked, logged: int, requests: int, peer: Attacked | None) -> list[Figure]:
    # What the latest large request has left behind comes and goes: means of the first and the last looks are compared.
    looks = max(1, len(own.memory) // 4)
    before, after = fmean(own.memory[:looks]), fmean(own.memory[-looks:])
    found = [
        at_most("requests short of 100,000", max(0, 100_000 - requests), 0, unit="", target="at least 100,000"),
        at_most("answers", own.outcome.answers.total(), float("inf"), unit="", target="told only"),
        at_most("5xx caused by a client", own.outcome.client_faults, 0, unit="", target="none"),
        at_most("503, a full queue", own.outcome.answers_with(503), float("inf"), unit="", target="allowed"),
        at_most("attacks neither answered nor closed", len(own.outcome.hung), 0, unit="", target="none"),
        at_most("tracebacks in the log", logged, 0, unit="", target="none"),
        at_most("looks at which good requests were not answered", float(not own.right), 0, unit="", target="none"),
        at_most("memory growth", 100 * (after / before - 1), 10, unit="%", target="under 10 %"),
        at_most("memory at the end", after / 1e6, float("inf"), unit="MB", target="told only"),
        at_most("most memory at a look", max(own.memory) / 1e6, float("inf"), unit="MB", target="told only"),
        at_most("seconds", own.seconds, float("inf"), unit="s", target="told only"),
    ]
    if peer:
        rest = {"answers": peer.outcome.answers.total(), "2xx": peer.outcome.count(200, 300),
                "4xx": peer.outcome.count(400, 500), "5xx": peer.outcome.count(500, 600),
                "no answer": peer.outcome.answers_with(0)}  # fmt: skip
        found += [
            at_most(f"kserve: {name}", value, float("inf"), unit="", target="told only") for name, value in rest.items()
        ]
    return found


if __name__ == "__main__":
    sys.exit(main())
