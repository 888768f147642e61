"""Publishing and deploying on this machine, killed by SIGKILL at a random moment, again and again.

Everything is real: the object store, the model servers, the kill. After each one the champion is the version before,
which serves, or the new one, which has served and serves; and whatever is done next (the same again, a version that
fails, a roll-back) leaves one server, which is the champion's, and loses nothing from the history.
"""

import os
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from components.deploy.deploy import deploy_on
from components.deploy.local_endpoint import LocalEndpoint
from components.deploy.promotion import of_verdict
from components.deploy.replay import ask
from components.deploy.rollback import roll_back
from components.publish.publish import publish_version
from components.shared.config import ServingConfig
from components.shared.errors import DeployError, PackageError
from components.shared.package.model_package import GOLDEN, Manifest, read_golden, verify
from components.shared.registry.history import Entry
from components.shared.registry.judgement import Judgement
from components.shared.registry.registry import Registry
from components.shared.store import Store
from tests.deployments import add_version, copy_package, write_verdict

NAME = "demo"
_SETTLE_SECONDS = 30.0


@dataclass
class Kills:
    """A store and a machine that serves.

    Attributes:
        store: The object store, empty.
        folder: For packages and for what serves.
        package: A package; others that answer alike are made of it.
        port: Where to serve.
        seed: For the moments and for what is done next.
    """

    store: Store
    folder: Path
    package: Path
    port: int
    seed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _made: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.registry = Registry(self.store, NAME)
        self.endpoint = LocalEndpoint(self.folder / "serving", NAME)
        self.broken = add_version(self.store, NAME, self.package, folder=self.folder, number=-1, broken=GOLDEN)

    def run(self, times: int) -> None:
        """Kill so many runs; the duration of the first ones, which are not killed, says when.

        A run that was over before its moment came is none of them.
        """
        self.publish_and_deploy(self.new_version()[0])  # a first version, which takes its own time
        start = time.monotonic()
        self.publish_and_deploy(self.new_version()[0])
        seconds = time.monotonic() - start
        while (killed := self.outcomes["killed"]) < times:
            self.kill_one(self.random.uniform(0, 1.3 * seconds))
            if self.outcomes["killed"] > killed and self.outcomes["killed"] % 10 == 0:
                print(f"{self.outcomes['killed']} of {times} kills: {dict(self.outcomes)}", flush=True)

    def kill_one(self, seconds: float) -> None:
        """Kill a run after some seconds, look at what it left, do something next, and look again."""
        history = self.registry.history()
        before = history[-1].version
        package, manifest = self.new_version()
        killed = self.kill_child(lambda: self.publish_and_deploy_alone(package), seconds)
        champion = self.champion()
        self.outcomes["killed" if killed else "not killed"] += 1
        if killed:
            self.outcomes["champion moved" if champion != before else "champion not moved"] += 1
        assert champion in (before, manifest.version)
        assert champion in self.answering(), "the champion does not serve"
        self.next_deed(package, manifest)
        self.look_again(history)

    def publish_and_deploy(self, package: Path) -> None:
        """As the stages do."""
        manifest, champion = verify(package), self.registry.champion()
        verdict = write_verdict(
            package.with_suffix(".json"), manifest.version, champion=champion.version if champion else None
        )
        publish_version(self.store, NAME, model=package, evaluated=package, verdict=verdict)
        self.deploy(manifest.version, Judgement.read(verdict, manifest.version))

    def publish_and_deploy_alone(self, package: Path) -> None:
        """The same in a child process, with connections of its own: what is half-sent on one is its alone."""
        self.store = Store(self.store.settings)
        self.registry = Registry(self.store, NAME)
        self.publish_and_deploy(package)

    def deploy(self, version: str, judged: Judgement) -> None:
        begin = of_verdict(version, judged)
        folder = self.folder / "serving"
        deploy_on(self.store, NAME, ServingConfig(port=self.port), begin=begin, folder=folder, namespace="")

    def next_deed(self, package: Path, manifest: Manifest) -> None:
        """What a person, a schedule or Kubernetes does after a kill."""
        deed = self.random.choice(["again", "a failing one", "roll-back"])
        self.outcomes[deed] += 1
        if deed == "again":
            self.publish_and_deploy(package)
            assert self.champion() == manifest.version
        elif deed == "a failing one":
            with suppress(DeployError):
                self.deploy(self.broken, Judgement(promoted=True, champion=self.champion()))
                raise AssertionError("a broken version was deployed")
        else:
            try:
                roll_back(self.store, NAME, folder=self.folder / "serving")
            except PackageError:  # the first version has none before it, and a refused roll-back touches no server
                self.outcomes["roll-back refused"] += 1
                self.publish_and_deploy(package)

    def look_again(self, history: list[Entry]) -> None:
        """One server, the champion's; and nothing is lost."""
        state = self.endpoint.running()
        assert state is not None
        assert state.version == self.champion()
        assert self.answering() == {state.version}
        until = time.monotonic() + _SETTLE_SECONDS  # one that was asked to leave finishes what it was asked
        while self.servers() != [state.pid] and time.monotonic() < until:
            time.sleep(0.1)
        assert self.servers() == [state.pid]
        now = self.registry.history()
        assert now[: len(history)] == history
        assert self.broken not in {entry.version for entry in now}

    # Means

    def new_version(self) -> tuple[Path, Manifest]:
        self._made += 1
        package = copy_package(self.package, self.folder / f"package-{self._made}", name=NAME, number=self._made)
        return package, verify(package)

    def champion(self) -> str:
        found = self.registry.champion()
        assert found is not None
        return found.version

    def answering(self) -> set[str]:
        """The versions that answer at the endpoint's port: two share it for a moment."""
        row = read_golden(self.package)[0].row
        url = f"http://127.0.0.1:{self.port}/v1/models/{NAME}:predict"
        return {str(ask(url, [row])["model_version"]) for _ in range(24)}

    def servers(self) -> list[int]:
        """Every model server of this folder, whether remembered or not."""
        mine = f"--model_dir={self.folder}"
        found = [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]
        return [process.pid for process in found if any(part.startswith(mine) for part in process.info["cmdline"])]

    @staticmethod
    def kill_child(act: Callable[[], None], seconds: float) -> bool:
        """Do something in a child process, and kill that after some seconds; False when it was done before."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the child only goes on alone
            child = os.fork()
        if not child:
            code = 1
            try:
                act()
                code = 0
            finally:
                os._exit(code)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                assert status == 0
                return False
            time.sleep(min(0.005, max(0.0, deadline - time.monotonic())))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return True
