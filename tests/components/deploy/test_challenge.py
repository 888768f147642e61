"""A candidate against the champion on the newest labelled requests: real packages, a real log, real labels."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from components.deploy.challenge import challenge
from components.shared.config import GateConfig, MonitoringConfig, ServingConfig
from components.shared.labels.store import Labels
from components.shared.package.model_package import verify, version_prefix, write_manifest
from components.shared.package.scoring import Scorer
from components.shared.registry.judgement import Judgement
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.pending import Pending, PendingVersions, Terms
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.components.monitor.logged import DAY, START, put_log, requests
from tests.helpers import make_manifest, make_package, make_schema, make_table, put_folder

HOUR = timedelta(hours=1)


@dataclass
class Ring:
    """A store with a good and a bad version, of which one is champion."""

    store: Store
    folder: Path
    versions: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, *, noise: float, train_end: str) -> str:
        package = make_package(self.folder / name, noise=noise)
        manifest = make_manifest(package)
        lineage = manifest.lineage.model_copy(update={"train_end": train_end})
        write_manifest(package, manifest.model_copy(update={"lineage": lineage}))
        self.versions[name] = verify(package).version
        put_folder(self.store, version_prefix("demo", self.versions[name]), package)
        return self.versions[name]

    def scorer(self, name: str) -> Scorer:
        return Scorer.load(self.folder / name, version=self.versions[name])

    def log(self, champion: str, *, days: int = 3, rows: int = 200) -> None:
        """Requests that the champion answered, with labels a day later."""
        for day in range(days):
            asked = requests(self.scorer(champion), rows, start=START + day * DAY, span=HOUR, seed=day)
            put_log(self.store, asked)
            said = [str(value).lower() for value in make_table(rows=rows, seed=day)["target"].to_pylist()]
            table = pa.table({"request_id": asked["request_id"], "label": said})
            Labels(self.store, "demo", make_schema()).append(table, source="test", arrival=START + (day + 2) * DAY)

    def wait(self, version: str, champion: str) -> Pending:
        terms = Terms(serving=ServingConfig(), gate=GateConfig(approval="live"))
        judged = Judgement(promoted=True, candidate=version, champion=champion)
        return PendingVersions(self.store, "demo").add(version, judged, terms, run="r")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ring")


@pytest.fixture
def ring(store: Store, folder: Path) -> Ring:
    found = Ring(store, folder)
    found.add("good", noise=0.0, train_end="2024-01-20T00:00:00")
    found.add("bad", noise=0.9, train_end="2024-01-20T00:00:00")
    return found


def crowned(ring: Ring, name: str) -> str:
    version = ring.versions[name]
    Registry(ring.store, "demo").promote(version, expected=None)
    keep_settings(ring.store, "demo", version, MonitoringConfig())
    return version


def test_one_that_is_better_on_what_was_really_asked_is_no_worse(ring):
    champion = crowned(ring, "bad")
    ring.log("bad")
    found = challenge(ring.store, "demo", ring.wait(ring.versions["good"], champion), champion)
    assert (found.rows, found.outcome) == (600, "no worse")
    assert found.message.startswith("ROC AUC 0.9")
    assert f"of the champion {champion} on the newest 600 labelled requests: no worse" in found.message


def test_one_that_is_worse_is_found_out(ring):
    champion = crowned(ring, "good")
    ring.log("good")
    found = challenge(ring.store, "demo", ring.wait(ring.versions["bad"], champion), champion)
    assert (found.rows, found.outcome) == (600, "worse")


def test_only_requests_count_that_neither_has_learned_from(ring):
    champion = crowned(ring, "good")
    ring.log("good")
    later = (START + 2 * DAY).replace(tzinfo=None)
    version = ring.add("newer", noise=0.5, train_end=later.isoformat())
    found = challenge(ring.store, "demo", ring.wait(version, champion), champion)
    assert found.rows in (199, 200)  # those of the third day
    version = ring.add("newest", noise=0.6, train_end=(later + timedelta(minutes=50)).isoformat())
    found = challenge(ring.store, "demo", ring.wait(version, champion), champion)
    assert (found.rows < 100, found.outcome) == (True, "unclear")
    assert f"{found.rows} labelled requests are newer than what both learned; 100 are needed" in found.message


def test_days_that_are_labelled_in_part_wait_while_the_lag_is_not_known(ring):
    champion = crowned(ring, "bad")
    ring.log("bad", days=1)
    asked = requests(ring.scorer("bad"), 200, start=START + DAY, span=HOUR, seed=1)
    put_log(ring.store, asked)
    some = pa.table({"request_id": asked["request_id"].slice(0, 150), "label": ["true"] * 150})
    Labels(ring.store, "demo", make_schema()).append(some, source="test", arrival=START + 2 * DAY)
    found = challenge(ring.store, "demo", ring.wait(ring.versions["good"], champion), champion)
    assert (found.rows, found.outcome) == (200, "no worse")
    version = ring.add("newer", noise=0.5, train_end=(START + HOUR).replace(tzinfo=None).isoformat())
    found = challenge(ring.store, "demo", ring.wait(version, champion), champion)
    assert (found.rows, found.outcome) == (0, "unclear")
    assert found.message.endswith("; 150 are left out whose labels are not mature")


def test_without_labels_nothing_is_known(ring):
    champion = crowned(ring, "good")
    found = challenge(ring.store, "demo", ring.wait(ring.versions["bad"], champion), champion)
    assert (found.rows, found.outcome, found.message) == (0, "unclear", "no labels of 'demo' have arrived yet")
