"""What this process may use: CPU cores and memory, by the container's quota where there is one.

A container with a quota of one core sees all cores of its node. Libraries that start a thread for each of them wait for
one another, and a table engine that takes its share of the node's memory is killed. So every stage asks here instead of
the machine.
"""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_GIBIBYTE = 1024**3
_ROWS_FOR_THREADS = 10_000


def cpu_count() -> int:
    """Cores this process may keep busy: the smaller of its affinity and its cgroup quota, at least 1.

    `FULLCIRCLE_CPUS` lowers it, such as where several tasks share the cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    stated = int(os.environ.get("FULLCIRCLE_CPUS") or cores)
    return max(1, min(cores, stated, _quota()))


# Example: `150000 100000`, 150 ms of each 100 ms, is a core and a half, of which one can be kept busy.
def _quota(cgroup: Path = _CGROUP) -> int:
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return 1_000_000
    return 1_000_000 if quota == "max" else max(1, int(quota) // int(period))


def memory_budget(cgroup: Path = _CGROUP) -> int:
    """Bytes the table engine may hold before it spills to disk.

    `FULLCIRCLE_MEMORY_MB` says it outright; otherwise half of the container's limit, at most 1 GiB.
    """
    if stated := os.environ.get("FULLCIRCLE_MEMORY_MB"):
        return int(stated) * 1024**2
    try:
        limit = int((cgroup / "memory.max").read_text())
    except (OSError, ValueError):
        limit = 2 * _GIBIBYTE
    return min(limit // 2, _GIBIBYTE)


def training_threads(rows: int) -> int:
    """Threads that fitting to so many rows is worth: on few, they wait for one another longer than they work."""
    return 1 if rows < _ROWS_FOR_THREADS else cpu_count()
