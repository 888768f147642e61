"""HTTP/1.1 on `httptools` (llhttp) and `uvloop`, for a server whose answer is usually ready at once.

An ASGI server starts a task, makes an event and writes twice for each request, which costs more than a prediction.
Here a request that has arrived is handed to a plain function; what it returns is written in one piece. A handler that
needs longer returns nothing and replies later. `docs/endpoint.md` has what the kept server reaches.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Sequence
from email.utils import formatdate

from images.predictor.messages import Handler
from images.predictor.transports.base import Limits, Transport
from images.predictor.transports.http_connection import Connection
from images.predictor.transports.sockets import share, unusable

LOG = logging.getLogger("fullcircle.predictor")

_SWEEP_SECONDS = 0.5


class HttpTransport(Transport):
    """HTTP/1.1 at bound sockets: at the first one, or at the second one once it has taken over.

    Args:
        sockets: Where to answer.
        limits: What clients may ask.
    """

    def __init__(self, sockets: Sequence[socket.socket], limits: Limits) -> None:
        super().__init__(limits)
        self.handler: Handler
        self.connections: set[Connection] = set()
        self.now = time.monotonic()
        self.date = _date()
        self._sockets = sockets
        self._listeners: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def serve(self, handler: Handler) -> None:
        """Begin to answer at the first socket."""
        self.handler = handler
        await self._listen(self._sockets[0])
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def take_over(self) -> None:
        """Answer at the last socket, and at the first one no longer."""
        await self._listen(self._sockets[-1])
        self._listeners[0].close()

    async def _listen(self, found: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        host, port = found.getsockname()[:2]
        try:
            self._listeners.append(await loop.create_server(lambda: Connection(self), sock=found, backlog=2048))
        except OSError as error:  # somebody was quicker, after both had bound it
            raise unusable(error, host, port) from error
        share(found)

    async def _take_last(self, listening: socket.socket) -> None:
        """Accept who has connected already: closing the socket would reset their connections."""
        loop = asyncio.get_running_loop()
        while listening.fileno() >= 0:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            await loop.connect_accepted_socket(lambda: Connection(self), accepted)

    async def _sweep(self) -> None:
        """Close connections whose client lets the server wait; runs until it is cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.now = time.monotonic()
            self.date = _date()
            for connection in [item for item in self.connections if item.deadline < self.now]:
                self._expire(connection)

    @staticmethod
    def _expire(connection: "Connection") -> None:
        """Close one connection; that one cannot be closed must not let all others stay for ever."""
        try:
            connection.expire()
        except Exception:
            LOG.exception("a connection past its time could not be closed in order; it is cut")
            connection.abort()

    async def close(self, seconds: float, *, idle_seconds: float = 0.0) -> None:
        """Accept nothing more, let what has arrived be answered, then close all connections."""
        self.closing = True
        for listening, listener in zip(self._sockets, self._listeners, strict=False):
            await self._take_last(listening)
            listener.close()
        idle_until = time.monotonic() + idle_seconds
        while self.connections and time.monotonic() < idle_until:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.close_when_idle()
        deadline = time.monotonic() + seconds
        while self.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.abort()
        if self._sweeper:
            self._sweeper.cancel()


def _date() -> bytes:
    return formatdate(usegmt=True).encode()
