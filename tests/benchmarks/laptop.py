"""`make bench`: speed and memory on this machine, written to build/bench/laptop.json.

python -m tests.benchmarks.laptop [--only flights|table_steps|fresh_setup|compiling]
"""

import argparse
import os
from collections.abc import Callable

from rich.console import Console

from tests.benchmarks.compiling import compiling
from tests.benchmarks.flights import flights
from tests.benchmarks.fresh_setup import fresh_setup
from tests.benchmarks.report import Figure, report
from tests.benchmarks.table_steps import table_steps

CORES = 2
PARTS: dict[str, Callable[[Console], list[Figure]]] = {
    "flights": flights,
    "table_steps": table_steps,
    "fresh_setup": fresh_setup,
    "compiling": compiling,
}


def main() -> None:
    """Measure, print, write; a part alone goes to a file of its own name."""
    parser = argparse.ArgumentParser(description="Measure speed and memory, beside a bare script and beside pandas.")
    parser.add_argument("--only", choices=sorted(PARTS), help="measure this part alone")
    options = parser.parse_args()
    console = Console(highlight=False)
    _use_cores(console)
    chosen = [options.only] if options.only else list(PARTS)
    figures = [figure for part in chosen for figure in PARTS[part](console)]
    report(options.only or "laptop", figures, console=console)


def _use_cores(console: Console) -> None:
    """Keep this process, and so all it starts, to two cores: the targets are for two."""
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:CORES])
    if len(available) < CORES:
        console.print(f"[red]There is only {len(available)} core: the figures are for {CORES}.[/]")


if __name__ == "__main__":
    main()
