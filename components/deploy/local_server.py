"""The model server as a process of this machine: started, proven by its golden requests, and ended.

It gets the store's keys, for its log, and nothing of the task that started it: it outlives that task. `local_endpoint`
decides when there is a server; here is how one is made, proven and ended. Servers are also found by the folder of their
package on their command line, because a deployment that is killed right after a start has not yet written which it was.
"""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from components.deploy.replay import replay_golden, wait_until_ready
from components.deploy.server_state import HOST, ServerState, prediction_url
from components.shared.config import ServingConfig
from components.shared.errors import DeployError
from components.shared.processes import end, log_tail, spawn

_PROJECT = Path(__file__).resolve().parents[2]
_OF_THE_STORE = ("AWS_", "FULLCIRCLE_BUCKET")
_NOT_FOR_THE_SERVER = ("_KFP_",)  # it is no KFP task
_GRACE_SECONDS = 10.0  # for requests that are being answered, and for the log


@dataclass(frozen=True, slots=True)
class Start:
    """What a server is started with.

    Attributes:
        name: Name of the model.
        version: The version it serves.
        package: Folder of the version's package.
        serving: Settings of the server.
        port: Where it answers, or is going to once it is proven.
        log: What it prints.
        standby: Where it answers until then; 0 when it answers at `port` from the start.
        shadow_port: Where a candidate answers that it sends copies of requests to; 0 for no copies.
        is_shadow: Whether it is such a candidate itself.
    """

    name: str
    version: str
    package: Path
    serving: ServingConfig
    port: int
    log: Path
    standby: int = 0
    shadow_port: int = 0
    is_shadow: bool = False

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        arguments = {
            "model_name": self.name,
            "model_dir": self.package,
            "http_host": HOST,
            "http_port": self.port,
            "standby_port": self.standby,
            "grace_seconds": _GRACE_SECONDS,
            "settings": self.serving.server_settings,
            "shadow": self.name if self.is_shadow else "",
            "shadow_url": prediction_url(self.shadow_port, self.name) if self.shadow_port else "",
        }
        # -P: what lies in the working folder is no part of the server.
        program = [sys.executable, "-P", "-m", "images.predictor"]
        return program + [f"--{key}={value}" for key, value in arguments.items()]


def start_server(start: Start) -> ServerState:
    """Start a server.

    Raises:
        DeployError: The program cannot be started.
    """
    try:
        process = spawn(start.command, start.log, environment=_environment())
    except OSError as error:
        raise DeployError(f"The model server cannot be started: {error}.") from error
    return ServerState(
        name=start.name,
        version=start.version,
        port=start.port,
        standby=start.standby,
        shadow_port=start.shadow_port,
        wanted_port=start.serving.port,
        settings=settings_of(start.serving),
        pid=process.pid,
        created=process.created,
    )


def prove_server(state: ServerState, start: Start) -> None:
    """Wait until a server is ready and answers its golden requests.

    Raises:
        DeployError: It did not become ready in time, died, or answered wrongly.
    """
    serving, log = start.serving, start.log
    if not wait_until_ready(state.url, seconds=serving.start_seconds, alive=lambda: state.process() is not None):
        why = f"was not ready within {serving.start_seconds:g} s" if state.process() else "ended while starting"
        raise DeployError(f"Version {state.version} of {state.name!r} {why}. The end of {log}:\n{log_tail(log)}")
    if wrong := replay_golden(state.url, start.package, version=state.version, rows=serving.rows):
        raise DeployError(
            f"Version {state.version} of {state.name!r} answers {len(wrong)} golden requests wrongly; "
            f"it does not serve. {wrong[0]}"
        )


def end_server(state: ServerState) -> None:
    """End a server, unless it has ended.

    Raises:
        DeployError: It does not end.
    """
    process = state.process()
    if process and not end(process, seconds=_GRACE_SECONDS + 2):
        raise DeployError(f"The model server at port {state.port} does not end. End it with `kill -9 {state.pid}`.")


def end_strays(versions: Path, kept: ServerState | None = None) -> None:
    """End all servers of a folder's packages but one, also those that no state file names.

    A deployment that was killed may have started a server before it could write that down.

    Args:
        versions: Folder of the packages.
        kept: The server that stays; None to end all.
    """
    mine = f"--model_dir={versions}/"
    for process in psutil.process_iter(["cmdline"]):
        is_mine = any(argument.startswith(mine) for argument in process.info["cmdline"] or [])
        if is_mine and (kept is None or process.pid != kept.pid):
            end(process, seconds=_GRACE_SECONDS + 2)


def settings_of(serving: ServingConfig) -> str:
    """What a server is started with, besides its version: the configuration, and a fingerprint of the store's keys."""
    store = sorted(item for item in os.environ.items() if item[0].startswith(_OF_THE_STORE))
    return f"{serving.server_settings} {hashlib.sha256(repr(store).encode()).hexdigest()[:16]}"


def _environment() -> dict[str, str]:
    """The server's environment: this one's, the store's keys included, and the project's code."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(_NOT_FOR_THE_SERVER)}
    return {
        **environment,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(_PROJECT), environment.get("PYTHONPATH", "")])),
    }
