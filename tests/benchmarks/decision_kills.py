"""Kill monitors that decide and retrain at 200 random moments: `make bench-decisions`.

Writes build/bench/decisions.json.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.components.shared.decisions.decision_kills import DecisionKills

OUTPUT = Path("build/bench/decisions.json")


def main() -> None:
    """Kill, look, and write down what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullcircle-decisions-") as folder:
        server = LocalStore(Path(folder, "store"))
        settings = replace(server.start(), bucket="decisions")
        Store(settings).ensure_bucket()
        kills = DecisionKills(settings, seed=given.seed)
        start = time.monotonic()
        try:
            kills.run(given.times)
        finally:
            server.stop()
        found = {"times": given.times, "seed": given.seed, "seconds": round(time.monotonic() - start, 1)}
    found |= {"outcomes": dict(kills.outcomes)}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{given.times} kills, each led to one decision and one retraining: {found['outcomes']}; wrote {OUTPUT}")


if __name__ == "__main__":
    main()
