"""A version is champion only after it has served: over deployments that fail, are killed, and overtake one another.

The machine runs the real publishing, deployment, registry and roll-back on a real S3 server; KServe alone is a stand-in
(`kubernetes.py`). Each run is a thread that waits before each request to the store or to the cluster, so that several
are interleaved request by request; one that is killed takes effect no more, its tidying up included.
"""

import itertools
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from components.deploy.dark_launch import DarkLaunch
from components.deploy.deploy import deploy_on
from components.deploy.promotion import of_verdict
from components.deploy.rollback import roll_back
from components.deploy.serving_namespace import ServingNamespace
from components.shared.config import DarkLaunchConfig, ServingConfig
from components.shared.errors import DeployError, FullcircleError, PackageError, StoreError
from components.shared.package.model_package import Manifest, read_golden, verify
from components.shared.registry.history import Entry, rollback_target
from components.shared.registry.judgement import Judgement
from components.shared.registry.registry import MovedError, Registry
from components.shared.store import Store, StoreSettings
from tests.components.deploy.kubernetes import FakeCluster, KServe, kserve
from tests.deployments import copy_package

NAME = "demo"
SEQUENCES = int(os.environ.get("FULLCIRCLE_SEQUENCES", "10"))
STEPS = 30
SERVING = ServingConfig(dark_launch=DarkLaunchConfig(requests=0), start_seconds=5, pull_seconds=5)
FAILURES = [None, None, None, "candidate", "endpoint", "last act not done", "last act done, answer lost"]


class KilledError(BaseException):
    """What a killed run raises at each attempt to do something more."""


class Run(threading.Thread):
    """A run that goes on only when it is told to."""

    def __init__(self, act: Callable[["Run"], None]) -> None:
        super().__init__(daemon=True)
        self.act = act
        self.alone = True
        self.found = ""
        self.failed: BaseException | None = None
        self.over = False
        self._dead = False
        self._go, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self.start()
        assert self._waits.acquire(timeout=60)

    def run(self) -> None:
        try:
            self.step("start")
            self.act(self)
        except (FullcircleError, KilledError) as error:
            self.failed = error
        finally:
            self.over = True
            self._waits.release()

    def step(self, what: str) -> None:
        """Wait for leave to do the next thing."""
        del what
        if self._dead:
            raise KilledError
        self._waits.release()
        self._go.acquire()
        if self._dead:
            raise KilledError

    def advance(self, steps: int = 10**6) -> None:
        while steps and not self.over:
            self._go.release()
            assert self._waits.acquire(timeout=60)
            steps -= 1

    def kill(self) -> None:
        self._dead = True
        end = time.monotonic() + 60
        while self.is_alive() and time.monotonic() < end:
            self._go.release()  # the history is read by several threads, each of which may wait
            self.join(0.05)
        assert not self.is_alive()


class SteppedStore(Store):
    """The store as a run sees it."""

    run: Run
    failure: str | None = None

    def read_with_etag(self, key: str) -> tuple[bytes, str] | None:
        self.run.step("read")
        return super().read_with_etag(key)

    def list(self, prefix: str = "", *, start_after: str = "") -> Any:
        self.run.step("list")
        return super().list(prefix, start_after=start_after)

    def put_file(self, key: str, path: Path) -> None:
        self.run.step("put")
        super().put_file(key, path)

    def create(self, key: str, data: bytes) -> bool:
        self.run.step("create")
        if "/history/" in key and self.failure == "last act not done":
            raise StoreError("the store is away")
        created = super().create(key, data)
        if "/history/" in key and self.failure == "last act done, answer lost":
            raise StoreError("the answer was lost")
        return created


class Place:
    """What all sequences share: a bucket, packages, and servers that answer."""

    def __init__(self, store: Store, packages: list[tuple[Path, Manifest]], servers: KServe) -> None:
        self.store = store
        self.packages = packages
        self.servers = servers
        servers.answers = {
            manifest.version: [item.answer for item in read_golden(package)] for package, manifest in packages
        }

    def clear(self) -> None:
        self.servers.services, self.servers.served, self.servers.wrong = {}, set(), set()
        for item in self.store.list(f"models/{NAME}/"):
            if "/history/" in item.key or item.key.endswith(("manifest.json", "champion.json")):
                self.store.delete(item.key)


class Promotions(RuleBasedStateMachine):
    place: Place
    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.happened["sequences"] += 1
        self.place.clear()
        self.registry = Registry(self.place.store, NAME)
        self.runs: list[Run] = []
        self.seen: list[Entry] = []

    @initialize(earlier=st.booleans())
    def begin(self, earlier: bool) -> None:
        """Perhaps with a champion of an earlier release, which served, whatever became of its endpoint."""
        if earlier:
            package, manifest = self.place.packages[0]
            self.registry.publish(package, manifest)
            content = f'{{"version": "{manifest.version}", "previous": null, "moved": "2024-02-01T00:00:00+00:00"}}'
            self.place.store.put_bytes(f"models/{NAME}/champion.json", content.encode())
            self.place.servers.served.add(manifest.version)

    def teardown(self) -> None:
        for run in self.runs:
            run.kill()

    # What happens

    @rule(number=st.integers(0, 4), failure=st.sampled_from(FAILURES), steps=st.integers(0, 60))
    @precondition(lambda self: len(self.runs) < 3)
    def run_of_the_pipeline(self, number: int, failure: str | None, steps: int) -> None:
        """The gate has let a version through: publish it, and deploy it."""
        package, manifest = self.place.packages[number]
        champion = self.registry.champion()
        judged = Judgement(promoted=True, champion=champion.version if champion else None)

        def act(run: Run) -> None:
            store = self.store_of(run, failure)
            with self.failing(failure, manifest.version):
                Registry(store, NAME).publish(package, manifest)
                deploy_on(store, NAME, SERVING, begin=of_verdict(manifest.version, judged), folder=None, namespace="")

        self.begin_run(act, steps)

    @rule(failure=st.sampled_from(FAILURES), steps=st.integers(0, 60), named=st.none() | st.integers(0, 4))
    @precondition(lambda self: len(self.runs) < 3)
    def person_rolls_back(self, failure: str | None, steps: int, named: int | None) -> None:
        version = "" if named is None else self.place.packages[named][1].version

        def act(run: Run) -> None:
            history = self.registry.history()
            target = ""
            with suppress(PackageError):
                target = rollback_target(history, NAME, wanted=version)
            with self.failing(failure, target):
                roll_back(self.store_of(run, failure), NAME, version=version)

        self.begin_run(act, steps)

    @rule(which=st.integers(0, 2), steps=st.integers(1, 60))
    @precondition(lambda self: self.runs)
    def run_goes_on(self, which: int, steps: int) -> None:
        run = self.runs[which % len(self.runs)]
        run.advance(steps)
        self.collect()

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: self.runs)
    def run_ends(self, which: int) -> None:
        self.runs[which % len(self.runs)].advance()
        self.collect()

    @rule(which=st.integers(0, 2))
    @precondition(lambda self: self.runs)
    def run_is_killed(self, which: int) -> None:
        run = self.runs.pop(which % len(self.runs))
        run.kill()
        self.happened["killed"] += 1

    # What is true

    @invariant()
    def the_champion_has_always_served(self) -> None:
        champion = self.registry.champion()
        assert champion is None or champion.version in self.place.servers.served

    @invariant()
    def nothing_is_lost_from_the_history(self) -> None:
        history = self.registry.history()
        assert history[: len(self.seen)] == self.seen
        assert {entry.version for entry in history} <= self.place.servers.served
        for before, entry in itertools.pairwise(history):
            assert entry.replaced == before.version != entry.version
        self.seen = history

    @invariant()
    def a_roll_back_names_a_version_that_served(self) -> None:
        with suppress(PackageError):
            target = rollback_target(self.seen, NAME)
            assert target in self.place.servers.served
            assert target != self.seen[-1].version

    # Means

    def begin_run(self, act: Callable[[Run], None], steps: int) -> None:
        run = Run(act)
        run.found = self.place.servers.version(NAME) or ""
        self.runs.append(run)
        for other in self.runs:
            other.alone = len(self.runs) == 1
        run.advance(steps)
        self.collect()

    def collect(self) -> None:
        """What has ended leaves the endpoint as the champion's, unless another run was about.

        One that was refused before it changed anything leaves the endpoint as it found it: another version than the
        champion may serve there, of a run that was killed.
        """
        for run in [run for run in self.runs if run.over]:
            self.runs.remove(run)
            run.join(60)
            self.happened[type(run.failed).__name__ if run.failed else "done"] += 1
            champion = self.registry.champion()
            serves = self.place.servers.version(NAME)
            untouched = isinstance(run.failed, PackageError) and serves == run.found
            if run.alone and champion and not untouched:
                assert serves in (champion.version, None), run.failed
            if run.failed is None:
                assert champion is not None
            assert isinstance(run.failed, DeployError | PackageError | StoreError | None)

    def store_of(self, run: Run, failure: str | None) -> SteppedStore:
        store = SteppedStore(self.place.store.settings)
        store.run, store.failure = run, failure
        return store

    def failing(self, failure: str | None, version: str) -> Any:
        return _failing(self.place.servers, failure, version)


class _failing:  # noqa: N801, used like a function
    """Servers of a version that answer wrongly, for as long as a run lasts."""

    def __init__(self, servers: KServe, failure: str | None, version: str) -> None:
        self.servers, self.what = servers, (failure or "", version)

    def __enter__(self) -> None:
        if self.what[0] in ("candidate", "endpoint"):
            self.servers.wrong.add(self.what)

    def __exit__(self, *_: object) -> None:
        self.servers.wrong.discard(self.what)


@pytest.fixture(scope="module")
def place(s3: StoreSettings, packages: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    store = Store(replace(s3, bucket=f"test-{uuid.uuid4().hex[:12]}"))
    store.ensure_bucket()
    folder = tmp_path_factory.mktemp("packages")
    made = [copy_package(packages(), folder / str(number), name=NAME, number=number) for number in range(5)]
    with kserve() as servers:
        yield Place(store, [(package, verify(package)) for package in made], servers)


@pytest.fixture
def quick(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster of the run that asks for one, without pauses."""

    def connect(namespace: str = "") -> FakeCluster:
        run = threading.current_thread()
        return FakeCluster(place.servers, run.step if isinstance(run, Run) else lambda _: None)

    def rehearsal(*_: object) -> Any:
        return lambda serves: lambda url: DarkLaunch(ran=True, version="")

    monkeypatch.setattr(ServingNamespace, "connect", connect)
    monkeypatch.setattr("components.deploy.cluster_deployment._rehearsal", rehearsal)
    monkeypatch.setattr("components.deploy.readiness._POLL_SECONDS", 0.001)
    monkeypatch.setattr("components.deploy.cluster_proof.is_reachable", lambda url: True)


@pytest.mark.slow
def test_the_champion_has_always_served(place: Place, quick: None) -> None:
    class Machine(Promotions):
        happened: ClassVar[Counter[str]] = Counter()

    Machine.place = place
    Machine.TestCase.settings = settings(
        max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None,
        suppress_health_check=list(HealthCheck), derandomize="FULLCIRCLE_SEQUENCES" not in os.environ,
    )  # fmt: skip
    Machine.TestCase("runTest").runTest()
    print(dict(Machine.happened))
    assert Machine.happened["sequences"] >= SEQUENCES
    assert all(Machine.happened[what] for what in ("done", "killed", "DeployError", "PackageError"))


def test_two_failures_in_a_row_leave_the_version_that_served(place: Place, quick: None) -> None:
    """As it was seen: A serves; X and Y, compared with A, are published; both deployments fail. A stays champion."""
    machine = type("Machine", (Promotions,), {"place": place})()
    machine.run_of_the_pipeline(0, None, 1000)
    a = place.packages[0][1].version
    machine.run_of_the_pipeline(1, "endpoint", 1)
    machine.run_of_the_pipeline(2, "endpoint", 1)
    for _ in range(2):
        machine.run_ends(0)
    assert [entry.version for entry in machine.registry.history()] == [a]
    assert place.servers.version(NAME) == a
    states = {found.version: found.state for found in machine.registry.versions()}
    assert states == {a: "champion", **{p[1].version: "stored, never served" for p in place.packages[1:3]}}


def test_of_two_runs_at_once_the_second_is_told(place: Place, quick: None) -> None:
    machine = type("Machine", (Promotions,), {"place": place})()
    machine.run_of_the_pipeline(0, None, 1000)
    machine.run_of_the_pipeline(1, None, 1)
    machine.run_of_the_pipeline(2, None, 1)
    first, second = machine.runs
    first.advance()
    second.advance()
    assert first.failed is None
    assert isinstance(second.failed, MovedError)
    assert place.servers.version(NAME) == place.packages[1][1].version
