"""Wall time and peak memory of a command with everything it starts, servers that outlive it included.

Memory is the proportional set size: a page that several processes share, as forked tasks do, counts once.
"""

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL = 0.2  # seconds between two samples
_SHARE = 0.03  # most of one core that sampling may take
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command took.

    Attributes:
        started: `time.monotonic()` when it was started.
        seconds: Wall time until it ended.
        peak: Largest sum of the processes' memory, in bytes.
        peak_processes: What it was made of: bytes by command and process id.
        cpu: Processor seconds of all processes, as far as sampling has seen them.
    """

    started: float
    seconds: float
    peak: int
    peak_processes: dict[str, int]
    cpu: float


class CommandError(RuntimeError):
    """A measured command ended with another exit code than 0."""


def measure(
    command: Sequence[str], *, cwd: Path, log: Path, environment: Mapping[str, str] | None = None, memory: bool = True
) -> Measured:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        cwd: Folder it runs in.
        log: File for what it prints.
        environment: Variables besides this process's own.
        memory: Whether to sample memory too.

    Raises:
        CommandError: It failed; the message ends with the last lines of its log.
    """
    with log.open("w", encoding="utf-8") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        try:
            with MemorySampler(process.pid, active=memory) as sampler:
                code = process.wait()
                seconds = time.monotonic() - started
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise CommandError("\n".join([f"{' '.join(command)} ended with exit code {code}; the end of {log}:", *lines]))
    return Measured(started, seconds, sampler.peak, sampler.peak_processes, sampler.cpu)


@dataclass(slots=True)
class _Process:
    """A line of the process table."""

    pid: int
    parent: int
    session: int
    started: int
    cpu: float
    command: str


@dataclass
class MemorySampler:
    """Samples the memory of a process tree in a thread.

    A process belongs to the tree when its parent does, or its session began in the tree: once found it stays found,
    also when its parent is gone.

    Args:
        root: Process id of the first process.
        active: Whether to sample at all.
    """

    root: int
    active: bool = True
    peak: int = 0
    peak_processes: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Processor seconds by process id and start time, because ids are used again.
        self._known: dict[tuple[int, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "MemorySampler":
        """Begin to sample."""
        if self.active:
            self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop sampling."""
        self._stop.set()
        if self.active:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stop.wait(pause):
            cpu = time.thread_time()
            self.sample()
            pause = max(_INTERVAL, (time.thread_time() - cpu) / _SHARE)

    def sample(self) -> None:
        """Look once."""
        found = {f"{process.command} {process.pid}": proportional_size(process.pid) for process in self._members()}
        if (total := sum(found.values())) > self.peak:
            self.peak, self.peak_processes = total, found

    @property
    def cpu(self) -> float:
        """Processor seconds of all processes seen, as of when each was last seen."""
        return sum(self._known.values())

    def _members(self) -> list[_Process]:
        table = _process_table()
        inside = {process.pid for process in table if (process.pid, process.started) in self._known} | {self.root}
        size = 0
        while size < len(inside):
            size = len(inside)
            inside |= {process.pid for process in table if process.parent in inside or process.session in inside}
        members = [process for process in table if process.pid in inside]
        self._known |= {(process.pid, process.started): process.cpu for process in members}
        return members


def _process_table() -> list[_Process]:
    found = (_read_process(int(entry.name)) for entry in os.scandir(_PROC) if entry.name.isdigit())
    return [process for process in found if process]


def _read_process(pid: int) -> _Process | None:
    try:
        command, _, rest = (_PROC / str(pid) / "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
    except OSError:  # it has ended
        return None
    fields = rest.split()
    cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return _Process(
        pid=pid, parent=int(fields[1]), session=int(fields[3]), started=int(fields[19]), cpu=cpu, command=command
    )


def proportional_size(pid: int) -> int:
    """Memory of a process in bytes, of pages it shares its part; 0 when it has ended."""
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # it has ended, or is ending
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:")), 0)
