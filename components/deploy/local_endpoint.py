"""The endpoint of a laptop: the model server as its own process, remembered in a state file.

A deployment can be killed at any line, and a server outlives the run that started it. So each step leaves a file that
says which process is what, and the next deployment first settles what it finds: the champion's server stays, others
end. A new version takes over the port while the one before still has it, so that no client is refused.
"""

import fcntl
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from components.deploy.deployed import Deployed
from components.deploy.local_server import Start, end_server, end_strays, prove_server, settings_of, start_server
from components.deploy.local_shadow import LocalShadow
from components.deploy.replay import replay_golden
from components.deploy.server_state import ServerState
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.package.model_package import read_golden
from components.shared.processes import free_port, port_is_free, uninterrupted, write_private

_POLL_SECONDS = 0.02


# Version A serves and B replaces it. What a kill after each step leaves, and what the next deployment makes of it:
#
#   step                                 files besides server.json (A)   champion   the next deployment
#   B is started on a spare port         candidate.json (B)              A          ends B
#   B is proven, and takes the port too  candidate.json (B)              A          ends B, though both answer
#   written: A leaves, B is next         and leaving.json, next.json     A          ends B
#   the registry's champion moves        the same                        B          keeps B, ends A
#   next.json becomes server.json (B)    leaving.json (A)                B          keeps B, ends A
#   A ends                               none                            B          finds B alone
class LocalEndpoint:
    """One model's endpoint on this machine.

    Args:
        folder: Folder of all endpoints; this one's state, log and packages are below `folder/name`.
        name: Name of the model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.name = name
        self.shadow = LocalShadow(self.folder, name)

    @property
    def log(self) -> Path:
        """What the serving server prints."""
        return self.folder / "server.log"

    @property
    def candidate_log(self) -> Path:
        """What the server that is being proven prints."""
        return self.folder / "candidate.log"

    @property
    def state_file(self) -> Path:
        """Which process serves."""
        return self.folder / "server.json"

    @property
    def candidate_file(self) -> Path:
        """Which process is being proven; left behind only by a deployment that was killed."""
        return self.folder / "candidate.json"

    @property
    def next_file(self) -> Path:
        """What the state file is going to say; left behind only by a deployment that was killed, and never read."""
        return self.folder / "next.json"

    @property
    def leaving_file(self) -> Path:
        """Which process ends because another one serves now; left behind only by a deployment that was killed."""
        return self.folder / "leaving.json"

    @property
    def versions(self) -> Path:
        """The packages that were brought here, one folder a version."""
        return self.folder / "versions"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change the endpoint.

        Raises:
            DeployError: The folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / "server.lock").open("w")
        except OSError as error:
            raise DeployError(
                f"The endpoint's files cannot be written in {self.folder}: {error}. Make it writable."
            ) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def deploy(
        self, version: str, package: Path, serving: ServingConfig, *, champion: str, promote: Callable[[], None]
    ) -> Deployed:
        """Serve a package at a stable port, proven by its golden requests; to be called within `locked`.

        A first version is started where it will serve. A later one is proven beside the one that serves, on another
        port, and only then takes over the port; the one before finishes what it was asked and ends.

        Serving comes first, then the promotion, then the end of the server before: what fails until the promotion, and
        the promotion itself, leaves the one before serving. A deployment that is killed leaves at most two servers that
        share the port; the next one keeps that of the champion and ends the other.

        Args:
            version: The version's id.
            package: Its folder, below `versions`.
            serving: Port and time-out.
            champion: The version that is champion now; empty for none.
            promote: Makes the version the champion; called once it serves, and what it raises undoes the deployment.

        Raises:
            DeployError: The version did not come up or answered wrongly; what served before still does.
        """
        start = time.monotonic()
        golden = len(read_golden(package))
        self._settle(champion)
        before = ServerState.of_running(self.state_file)
        if before and self._is_served(before, version, package, serving):
            promote()
            return Deployed(name=self.name, version=version, url=before.url, restarted=False, golden_requests=golden)
        if before:
            state = self._replace(before, version, package, serving, promote=promote)
        else:
            state = self._first(version, package, serving)
            self._succeed(None, state, promote)
        self.shadow.end(version)  # it serves now
        self._forget_packages({version, before.version} if before else {version})
        return Deployed(
            name=self.name,
            version=version,
            url=state.url,
            replaced=before.version if before and before.version != version else "",
            golden_requests=golden,
            seconds=round(time.monotonic() - start, 3),
        )

    def stop(self) -> bool:
        """End the server; False when none was running."""
        if not self.folder.exists():
            return False
        with self.locked():
            found = self._all_running()
            for state in found:
                end_server(state)
            end_strays(self.versions)
            self.shadow.end()
            for file in (self.candidate_file, self.next_file, self.leaving_file):
                file.unlink(missing_ok=True)
            return bool(found)

    def running(self) -> ServerState | None:
        """The server that answers at the endpoint's port, or None.

        Raises:
            DeployError: The state file cannot be read, so that this is not known.
        """
        return ServerState.of_running(self.state_file) or next(
            (state for state in self._all_running() if state.listens()), None
        )

    @staticmethod
    def _is_served(state: ServerState, version: str, package: Path, serving: ServingConfig) -> bool:
        wanted = (version, serving.port, settings_of(serving))
        found = (state.version, state.wanted_port, state.settings)
        return found == wanted and not replay_golden(state.url, package, version=version, rows=serving.rows)

    def _first(self, version: str, package: Path, serving: ServingConfig) -> ServerState:
        return self._proven(self._start_for(version, package, self._port(serving), serving=serving, log=self.log))

    def _replace(
        self,
        before: ServerState,
        version: str,
        package: Path,
        serving: ServingConfig,
        *,
        promote: Callable[[], None],
    ) -> ServerState:
        if before.wanted_port != serving.port:  # the one before is not in the way
            state = self._first(version, package, serving)
            self._succeed(before, state, promote)
            return state
        standby = self._spare_port(before)
        candidate = self._proven(
            self._start_for(version, package, before.port, serving=serving, log=self.candidate_log, standby=standby)
        )
        with self._discarded_on_failure(candidate):
            self._take_over(candidate, serving)
        state = candidate.model_copy(update={"standby": 0})
        self._succeed(before, state, promote)
        self.candidate_log.replace(self.log)
        return state

    def _succeed(self, before: ServerState | None, state: ServerState, promote: Callable[[], None]) -> None:
        """Promote a server that serves, remember it, and end the one before.

        What could fail is written before the promotion; after it a file is renamed, and nothing is interrupted.
        """
        with self._discarded_on_failure(state):
            if before:
                write_private(self.leaving_file, before.model_dump())
            write_private(self.next_file, state.model_dump())
        with uninterrupted():
            with self._discarded_on_failure(state):
                promote()
            self._remember_next()
        if before:
            end_server(before)
            self.leaving_file.unlink(missing_ok=True)

    def _remember_next(self) -> None:
        self.next_file.replace(self.state_file)
        self.candidate_file.unlink(missing_ok=True)

    @contextmanager
    def _discarded_on_failure(self, candidate: ServerState) -> Iterator[None]:
        """End a candidate when something fails or is interrupted; the server before, if there is one, serves on."""
        try:
            yield
        except BaseException:
            self._discard(candidate)
            raise

    def _discard(self, candidate: ServerState) -> None:
        end_server(candidate)
        for file in (self.candidate_file, self.next_file, self.leaving_file):
            file.unlink(missing_ok=True)

    @staticmethod
    def _take_over(candidate: ServerState, serving: ServingConfig) -> None:
        """Let a proven server answer at the port of the one before, beside it until that one ends: nobody is refused.

        Raises:
            DeployError: It does not.
        """
        process = candidate.process()
        deadline = time.monotonic() + serving.start_seconds
        try:
            if process:
                process.send_signal(signal.SIGUSR1)
            while process and candidate.process() and time.monotonic() < deadline:
                if candidate.listens():
                    return
                time.sleep(_POLL_SECONDS)
        except psutil.NoSuchProcess:
            pass
        raise DeployError(
            f"Version {candidate.version} of {candidate.name!r} was proven, but does not take over port "
            f"{candidate.port}. Run again; the version before serves on."
        )

    def _start_for(
        self, version: str, package: Path, port: int, *, serving: ServingConfig, log: Path, standby: int = 0
    ) -> Start:
        shadow_port = self.shadow.port_for(serving, port)
        return Start(self.name, version, package, serving, port, log, standby=standby, shadow_port=shadow_port)

    def _proven(self, start: Start) -> ServerState:
        """Start a server, and end it unless it becomes ready and answers its golden requests.

        Raises:
            DeployError: It did not become ready in time, died, or answered wrongly.
        """
        state = start_server(start)
        with self._discarded_on_failure(state):
            write_private(self.candidate_file, state.model_dump())
            prove_server(state, start)
        return state

    def _port(self, serving: ServingConfig) -> int:
        """The port of last time, unless another one is asked for since then or it is taken."""
        last = ServerState.read(self.state_file)
        if last and last.wanted_port == serving.port and port_is_free(last.port):
            return last.port
        try:
            return free_port(serving.port)
        except OSError as error:
            raise DeployError(f"The endpoint needs a port: {error}. Free one, or set serving.port.") from error

    @staticmethod
    def _spare_port(before: ServerState) -> int:
        try:
            return free_port(before.port + 1 if before.port < 65535 else 1024)
        except OSError as error:
            raise DeployError(f"The new version needs a second port to be proven: {error}. Free one.") from error

    def _settle(self, champion: str) -> None:
        """Leave one server where a deployment that was killed has left several.

        Of those that answer at the endpoint's port it is the champion's; else it is the one that is remembered. So a
        version that was promoted serves on even if the deployment was killed before it could remember that, and one
        that was not is gone.

        Args:
            champion: The version that is champion; empty for none.
        """
        if champion:
            self.shadow.end(champion)
        serving, found = ServerState.of_running(self.state_file), self._all_running()
        kept = next((state for state in found if state.version == champion and state.listens()), serving)
        if kept and kept != serving:
            write_private(self.state_file, kept.model_copy(update={"standby": 0}).model_dump())
        for state in found:
            if not (kept and state.is_same(kept)):
                end_server(state)
        end_strays(self.versions, kept)
        for file in (self.candidate_file, self.next_file, self.leaving_file):
            file.unlink(missing_ok=True)

    def _all_running(self) -> list[ServerState]:
        """The servers that run: the one that is remembered, and what killed deployments have left."""
        found: list[ServerState] = []
        for file in (self.state_file, self.candidate_file, self.leaving_file):
            state = ServerState.of_running(file)
            if state and not any(map(state.is_same, found)):
                found.append(state)
        return found

    def _forget_packages(self, kept: set[str]) -> None:
        """Remove the packages of versions that neither serve nor served last."""
        for package in self.versions.glob("*"):
            if package.name not in kept:
                shutil.rmtree(package, ignore_errors=True)
