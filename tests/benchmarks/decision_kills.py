"""Kill monitors that decide and retrain at 200 random moments: `make bench-decisions`.

Writes build/bench/decisions.json.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.shared.store import StoreSettings
from tests.benchmarks.killing import measure
from tests.pipelines.decisions.decision_kills import DecisionKills


@contextmanager
def begin(settings: StoreSettings, folder: Path, seed: int) -> Iterator[DecisionKills]:
    """Kills of monitors; they need nothing but the store."""
    del folder
    yield DecisionKills(settings, seed=seed)


if __name__ == "__main__":
    measure("decisions", __doc__, "each led to one decision and one retraining", begin)
