"""Kill publishing and deploying at 200 random moments: `make bench-kills`; writes build/bench/kills.json.

And run the state machine of promotions with 500 sequences: `make bench-promotions`.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from components.shared.processes import free_port
from components.shared.store import Store
from pipelines.local.store import LocalStore
from tests.components.deploy.kills import Kills
from tests.helpers import make_manifest, make_package

OUTPUT = Path("build/bench/kills.json")


def main() -> None:
    """Kill, look, and write down what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fullcircle-kills-") as folder:
        server = LocalStore(Path(folder, "store"))
        settings = replace(server.start(), bucket="kills")
        os.environ.update(settings.environment())
        store = Store(settings)
        store.ensure_bucket()
        package = make_package(Path(folder, "package"))
        make_manifest(package)
        kills = Kills(store, Path(folder, "machine"), package, free_port(21000), seed=given.seed)
        start = time.monotonic()
        try:
            kills.run(given.times)
        finally:
            kills.endpoint.stop()
            server.stop()
        found = {"times": given.times, "seed": given.seed, "seconds": round(time.monotonic() - start, 1)}
    found |= {"outcomes": dict(kills.outcomes)}
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(json.dumps(found, indent=2) + "\n")
    print(f"{given.times} kills, each left a champion that serves: {found['outcomes']}; wrote {OUTPUT}")


if __name__ == "__main__":
    main()
