"""Ports for servers that tests start by themselves.

A port that the kernel gave out and got back may be given to somebody else before the server listens there: to another
test that runs at the same time, or to a connection. These ports are below those that Linux gives out by itself
(`net.ipv4.ip_local_port_range`, from 32768), and every process of pytest has its own.
"""

import os
from itertools import cycle, islice

from components.shared.processes import port_is_free

_FIRST, _EACH, _PROCESSES = 12_000, 2_000, 10
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_own_first = _FIRST + (os.getppid() + _worker) % _PROCESSES * _EACH  # workers have one parent, and so different ports
_own_end = _own_first + _EACH
_coming = cycle(range(_own_first, _own_end))


def free_port(room: int = 1) -> int:
    """A port that nobody uses, and that no other call gets soon: the first of `room` such ports.

    Raises:
        OSError: So many ports in a row are not free.
    """
    for first in islice(_coming, _EACH):
        if first + room <= _own_end and all(port_is_free(port) for port in range(first, first + room)):
            next(islice(_coming, room - 1, room - 1), None)  # the others of the room
            return first
    raise OSError(f"no {room} ports in a row are free between {_own_first} and {_own_end}")
