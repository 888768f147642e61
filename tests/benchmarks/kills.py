"""Kill publishing and deploying at 200 random moments: `make bench-kills`; writes build/bench/kills.json.

And run the state machine of promotions with 500 sequences: `make bench-promotions`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.shared.processes import free_port
from components.shared.store import Store, StoreSettings
from tests.benchmarks.killing import measure
from tests.components.deploy.kills import Kills
from tests.helpers import make_manifest, make_package


@contextmanager
def begin(settings: StoreSettings, folder: Path, seed: int) -> Iterator[Kills]:
    """Kills of runs that publish and deploy on a machine of their own."""
    os.environ.update(settings.environment())
    package = make_package(folder / "package")
    make_manifest(package)
    kills = Kills(Store(settings), folder / "machine", package, free_port(21000), seed=seed)
    try:
        yield kills
    finally:
        kills.endpoint.stop()


if __name__ == "__main__":
    measure("kills", __doc__, "each left a champion that serves", begin)
