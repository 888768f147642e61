"""How long `make compile` takes for the flights, imports included."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.benchmarks.report import Figure, at_most

CONFIG = Path("pipelines", "configs", "flights.yaml")
PROJECT = Path(__file__).resolve().parents[2]
_ROUNDS = 5


def compiling(console: Console) -> list[Figure]:
    """Measure it: the median of some rounds."""
    console.print("compiling the flights' pipeline …")
    seconds = statistics.median(_once() for _ in range(_ROUNDS))
    target = "compile time at most 3 s"
    return [at_most("compiling the flights' training pipeline", seconds, 3, unit="s", target=target)]


def _once() -> float:
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as folder:
        output = Path(folder, "flights.yaml")
        start = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "pipelines", "compile", CONFIG, "--pipeline", "training", "--output", output],
            cwd=PROJECT, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        seconds = time.monotonic() - start
        assert output.stat().st_size > 0
        return seconds
