"""What the benchmarks that kill programs have in common: a store of their own, so many kills, and what was found."""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from components.shared.store import Store, StoreSettings
from pipelines.local.store import LocalStore


class Killing(Protocol):
    """Kills, looks after each whether all is as it has to be, and counts what came of them."""

    outcomes: Counter[str]

    def run(self, times: int) -> None:
        """Kill so many times."""


# Given a store, an empty folder and a seed.
Begin = Callable[[StoreSettings, Path, int], AbstractContextManager[Killing]]


def measure(name: str, description: str | None, shown: str, begin: Begin) -> None:
    """Kill as often as the command line says, and write down what was found.

    Args:
        name: Of the bucket, and of the file in build/bench.
        description: What the program does, for `--help`.
        shown: What was looked for after each kill, such as `each left a champion that serves`.
        begin: Makes what kills.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    output = Path("build/bench", f"{name}.json")
    with tempfile.TemporaryDirectory(prefix=f"fullcircle-{name}-") as folder:
        server = LocalStore(Path(folder, "store"))
        settings = replace(server.start(), bucket=name)
        Store(settings).ensure_bucket()
        try:
            with begin(settings, Path(folder), given.seed) as kills:
                start = time.monotonic()
                kills.run(given.times)
        finally:
            server.stop()
        found = {"times": given.times, "seed": given.seed, "seconds": round(time.monotonic() - start, 1)}
    found |= {"outcomes": dict(kills.outcomes)}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{given.times} kills, {shown}: {found['outcomes']}; wrote {output}")
