"""A monitor that is killed at any point and run again ends in the state of one that was not.

A test kills it ten times, `make bench-kills` two hundred times, ten on the way from each new log to its reports.
"""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pytest

from components.monitor.observation.observe import observe
from components.shared.config import MonitoringConfig, WindowsConfig
from components.shared.labels.store import Labels
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.scoring import Scorer
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.monitor.logged import START, put_log, requests
from tests.helpers import put_folder

KILLS = 10
TIMES = int(os.environ.get("FULLCIRCLE_KILLS", KILLS))
LENGTH = timedelta(hours=3)
NOW = START + 4 * LENGTH - timedelta(hours=1)


class Observing:
    """The program that observes, from outside."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.components.monitor.observation.observing"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, bucket: str, *, seconds: float | None = None) -> tuple[float, bool]:
        """Observe, and kill it after some seconds unless it has ended.

        Returns:
            How long it went on, and whether it was killed.
        """
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{bucket} {NOW.isoformat()}\n")
        self.process.stdin.flush()
        number = int(self.process.stdout.readline())
        started = time.monotonic()
        if seconds is not None:
            time.sleep(seconds)
            with suppress(ProcessLookupError):  # it was done before
                os.kill(number, signal.SIGKILL)
        _, status = self.process.stdout.readline().split()
        assert status in ("0", "9")
        return time.monotonic() - started, status == "9"


@pytest.fixture
def observing(store) -> Iterator[Observing]:
    program = Observing()
    yield program
    program.process.kill()
    program.process.communicate()


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_in_the_same_state(store, packages, observing):
    fill(store, packages())
    begun = copy_of(store)
    whole, _ = observing.run(store.settings.bucket)
    expected = observe(store, "demo", now=NOW)
    assert [item.rows for item in expected] == [120, 120, 120]
    moments, killed = random.Random(7), 0
    while killed < TIMES:
        place = copy_of(begun)
        for _ in range(KILLS):
            killed += observing.run(place.settings.bucket, seconds=moments.uniform(0, whole / 5))[1]
        observing.run(place.settings.bucket)
        assert state(place) == state(store)
        assert observe(place, "demo", now=NOW) == expected
        print(f"{killed} of {TIMES} kills, each log as one whose monitor was not killed", flush=True)


def copy_of(store: Store) -> Store:
    """A new bucket with the same objects."""
    other = Store(replace(store.settings, bucket=f"test-{uuid.uuid4().hex[:12]}"))
    other.ensure_bucket()
    for item in store.list():
        other.put_bytes(item.key, store.get_bytes(item.key))
    return other


def fill(store: Store, package) -> None:
    version = verify(package).version
    put_folder(store, version_prefix("demo", version), package)
    Registry(store, "demo").promote(version, expected=None)
    scorer = Scorer.load(package, version=version)
    windows = WindowsConfig(size="3h", evidently="never")
    keep_settings(store, "demo", version, MonitoringConfig(windows=windows))
    for part in range(3):
        put_log(
            store, requests(scorer, 120, start=START + part * LENGTH, span=LENGTH, seed=part, shift=part // 2 * 3.0)
        )
    ids = [f"{START:%m%d%H%M}-0-{row}" for row in range(120)]
    labels = pa.table({"request_id": ids, "label": ["true", "false"] * 60})
    Labels(store, "demo", scorer.schema).append(labels, source="test", arrival=START + 2 * LENGTH)


def state(store: Store) -> dict[str, str]:
    """Everything that is kept, with its etag."""
    return {item.key: item.etag for item in store.list("monitoring/")}
