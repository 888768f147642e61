"""A candidate beside the endpoint of a laptop: it answers copies of requests at a port of its own, and nobody else.

The server that serves was started with that port (`ServerState.shadow_port`) and looks there every two seconds, so
that nothing of it changes when a candidate comes or goes. The candidate's package lies in a folder of its own: a
deployment, which ends all other servers of `versions`, leaves it alone.
"""

import shutil
from pathlib import Path

from components.deploy.local_server import Start, end_server, end_strays, prove_server, start_server
from components.deploy.server_state import ServerState
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.processes import free_port, port_is_free, write_private

_PORTS_BETWEEN = 100  # so that a version that is proven beside the one that serves never has a candidate's port
_LAST_PORT = 65_535


class LocalShadow:
    """The candidate of one model's endpoint on this machine.

    Args:
        folder: The endpoint's own folder.
        name: Name of the model.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.state_file = folder / "shadow.json"
        self.log = folder / "shadow.log"
        self.versions = folder / "shadow"

    def running(self) -> ServerState | None:
        """The candidate's server; None when there is none.

        Raises:
            DeployError: The state file cannot be read, so that this is not known.
        """
        return ServerState.of_running(self.state_file)

    def port_for(self, serving: ServingConfig, port: int) -> int:
        """Where candidates are going to answer, for the server that is to copy requests to them; 0 for no copies.

        Args:
            serving: Says whether requests are copied.
            port: Where that server answers.

        Raises:
            DeployError: No port is free.
        """
        if not serving.shadow.percent:
            return 0
        if found := self.running():
            return found.port
        wanted = port + _PORTS_BETWEEN
        try:
            return free_port(wanted if wanted + _PORTS_BETWEEN < _LAST_PORT else 1024)
        except OSError as error:
            raise DeployError(f"A candidate beside the endpoint needs a port: {error}. Free one.") from error

    def start(self, version: str, package: Path, serving: ServingConfig, *, port: int) -> ServerState:
        """Start a candidate and prove it; another one that runs is ended first.

        Args:
            version: The candidate's id.
            package: Its folder, below `versions`.
            serving: Settings of the endpoint.
            port: Where the server that serves sends copies to.

        Raises:
            DeployError: The port is taken, or the version did not come up or answered wrongly; then none runs.
        """
        found = self.running()
        if found and (found.version, found.port) == (version, port):
            return found
        self.end()
        if not port_is_free(port):
            raise DeployError(
                f"Candidates of {self.name!r} answer at port {port}, where another program does. End it, or deploy the "
                "endpoint again, which chooses another port."
            )
        start = Start(self.name, version, package, serving.for_candidate, port=port, log=self.log, is_shadow=True)
        try:
            state = start_server(start)
            write_private(self.state_file, state.model_dump())
            prove_server(state, start)
        except BaseException:
            self.end()
            raise
        self._forget_packages(version)
        return state

    def end(self, version: str = "") -> str:
        """End the candidate.

        Args:
            version: Only this one; empty for whichever runs.

        Returns:
            The version that ended; empty when none did.

        Raises:
            DeployError: It does not end.
        """
        found = self.running()
        if version and (found is None or found.version != version):
            return ""
        if found:
            end_server(found)
        end_strays(self.versions)
        self.state_file.unlink(missing_ok=True)
        return found.version if found else ""

    def _forget_packages(self, kept: str) -> None:
        for package in self.versions.glob("*"):
            if package.name != kept:
                shutil.rmtree(package, ignore_errors=True)
