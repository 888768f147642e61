"""Load on an HTTP server: each latency is kept, nothing is pipelined, and each answer is looked at.

One thread, plain sockets and `select`: what the generator itself costs stays small beside what it measures, and waiting
for the next request to be due takes no processor time, of which an object store on the same core needs some.
"""

import gc
import itertools
import select
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

CONNECTIONS = 8
_RECEIVE_BYTES = 1 << 20
_PATIENCE = 30.0  # seconds without any answer
_OK = b"HTTP/1.1 200"
_LENGTH = b"content-length:"


class LoadError(RuntimeError):
    """The server closed a connection, stopped answering, or does not speak plain HTTP/1.1."""


@dataclass(slots=True)
class Load:
    """What came of a load.

    Attributes:
        seconds: From the first request to the last answer.
        latencies: Seconds of each request that was answered with 200. Of paced load from when the request was due: the
            time it waited for a free connection counts.
        errors: Answers with another status than 200.
        answers: The different bodies by number of the request.
    """

    seconds: float = 0.0
    latencies: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    errors: int = 0
    answers: dict[int, set[bytes]] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds

    def milliseconds(self, percent: float) -> float:
        """A percentile of the latencies."""
        return float(np.percentile(self.latencies, percent, method="higher")) * 1000


def post(path: str, body: bytes, *, headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (("Content-Type", "application/json"), *headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


def run_load(
    port: int,
    requests: Sequence[bytes],
    *,
    seconds: float,
    connections: int = CONNECTIONS,
    rate: float | None = None,
    seed: int = 0,
) -> Load:
    """Send requests in rotation, each connection one at a time.

    Args:
        port: Of a server on this machine.
        requests: As they go over the wire.
        seconds: For how long requests are sent.
        connections: How many, all kept alive.
        rate: Requests a second, arriving at random (a Poisson process); by default each connection asks again as soon
            as it is answered.
        seed: Of the random arrivals.

    Raises:
        LoadError: The server does not answer as HTTP servers do.
    """
    clients = [_Client(port) for _ in range(connections)]
    try:
        with _without_collection():
            arrivals = _arrivals(rate, seconds, seed) if rate else None
            return _drive(clients, requests, arrivals, seconds)
    finally:
        for client in clients:
            client.socket.close()


class _Client:
    """One connection."""

    __slots__ = ("_parts", "due", "number", "socket")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due = 0.0
        self.number = 0
        self._parts = b""

    def send(self, number: int, request: bytes, due: float) -> None:
        self.number = number
        self.due = due
        self.socket.sendall(request)

    def receive(self) -> tuple[bool, bytes] | None:
        """Whether the answer is good, and its body; None while parts of it are missing."""
        received = self.socket.recv(_RECEIVE_BYTES)
        if not received:
            raise LoadError("The server closed a connection.")
        data = self._parts + received if self._parts else received
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) < (whole := end + 4 + _content_length(data[:end])):
            self._parts = data
            return None
        if len(data) > whole:
            raise LoadError(f"The server sent {len(data) - whole} bytes more than it announced.")
        self._parts = b""
        return data.startswith(_OK), data[end + 4 :]


def _content_length(head: bytes) -> int:
    head = head.lower()
    place = head.find(_LENGTH)
    if place < 0:
        raise LoadError(f"The server answers without a Content-Length: {head[:200]!r}")
    return int(head[place + len(_LENGTH) :].partition(b"\r\n")[0])


def _drive(clients: list[_Client], requests: Sequence[bytes], arrivals: Iterator[float] | None, seconds: float) -> Load:
    load, latencies = Load(), []
    answers: dict[int, set[bytes]] = defaultdict(set)
    by_socket = {client.socket.fileno(): client for client in clients}
    sockets, idle = list(by_socket), list(clients)
    numbers = itertools.cycle(range(len(requests)))
    start = now = perf_counter()
    end = start + seconds
    due = start + next(arrivals, seconds) if arrivals else start
    while (due if arrivals else now) < end or len(idle) < len(clients):
        while idle and due <= now and (due if arrivals else now) < end:
            number = next(numbers)
            idle.pop().send(number, requests[number], due if arrivals else perf_counter())
            if arrivals:
                due = start + next(arrivals, seconds)
        now = perf_counter()
        pause = max(0.0, due - now) if arrivals and idle and due < end else _PATIENCE
        ready = select.select(sockets, (), (), pause)[0]
        for one in ready:
            client = by_socket[one]
            received = client.receive()
            if received is None:
                continue
            now = perf_counter()
            good, body = received
            if good:
                latencies.append(now - client.due)
                answers[client.number].add(body)
            else:
                load.errors += 1
            idle.append(client)
        now = perf_counter()
        if not ready and pause == _PATIENCE:
            raise LoadError(f"The server has not answered for {_PATIENCE:g} s.")
    load.seconds = now - start
    load.latencies = np.array(latencies)
    load.answers = dict(answers)
    return load


def _arrivals(rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds after the start at which requests are due; the last ones are beyond the end."""
    expected = rate * seconds
    gaps = np.random.default_rng(seed).exponential(1 / rate, int(expected + 10 * expected**0.5 + 10))
    return iter(np.cumsum(gaps).tolist())


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the garbage collector from pausing the generator."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
