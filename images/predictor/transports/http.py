"""HTTP/1.1 by uvicorn on httptools and uvloop, with the endpoint as an ASGI application.

Uvicorn reads requests and writes answers; who serves, for how long, and when it ends stays with the program. What ASGI
leaves to the application is here: limits of bodies, ids of requests, and how errors look. What uvicorn leaves open,
above all clients that let the server wait, is in `http_connection`.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any, cast

from uvicorn import Config, Server

from images.predictor.messages import Handler, ProtocolError, Request, Response, is_request_id
from images.predictor.transports.base import Limits, Transport
from images.predictor.transports.http_answers import http_answer
from images.predictor.transports.http_connection import Connection
from images.predictor.transports.http_peer import Peer
from images.predictor.transports.sockets import share, unusable

LOG = logging.getLogger("fullcircle.predictor")

_IDLE_SECONDS = 75
_SWEEP_SECONDS = 0.5
_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class HttpTransport(Transport):
    """HTTP/1.1 at bound sockets: at the first one, or at the last one once it has taken over.

    Args:
        sockets: Where to answer.
        limits: What clients may ask.
    """

    def __init__(self, sockets: Sequence[socket.socket], limits: Limits) -> None:
        super().__init__(limits)
        self._sockets = sockets
        self._config = Config(
            self._answer, interface="asgi3", http=Connection, ws="none", lifespan="off", proxy_headers=False,
            log_config=None, access_log=False, server_header=False, timeout_keep_alive=_IDLE_SECONDS,
        )  # fmt: skip
        self._config.load()
        self._server = Server(self._config)
        self._listeners: list[asyncio.Server] = []
        self._background: list[asyncio.Task[None]] = []

    @property
    def connections(self) -> set[Connection]:
        """Those that are open."""
        return cast("set[Connection]", self._server.server_state.connections)

    async def serve(self, handler: Handler) -> None:
        """Begin to answer at the first socket."""
        self.handler = handler
        await self._listen(self._sockets[0])
        loop = asyncio.get_running_loop()
        self._background = [loop.create_task(self._server.main_loop()), loop.create_task(self._sweep())]

    async def take_over(self) -> None:
        """Answer at the last socket, and at the first one no longer."""
        await self._listen(self._sockets[-1])
        self._listeners[0].close()

    async def _listen(self, found: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        host, port = found.getsockname()[:2]
        try:
            self._listeners.append(await loop.create_server(self._connection, sock=found, backlog=2048))
        except OSError as error:  # another process began to listen first, after both had bound the port
            raise unusable(error, host, port) from error
        share(found)

    def _connection(self) -> Connection:
        return Connection(self._config, self._server.server_state, {"transport": self})

    async def _take_last(self, listening: socket.socket) -> None:
        """Accept clients that have already connected: closing the socket would reset their connections."""
        loop = asyncio.get_running_loop()
        while listening.fileno() >= 0:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            await loop.connect_accepted_socket(self._connection, accepted)

    async def _sweep(self) -> None:
        """Close connections whose client lets the server wait; runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = loop.time()
            for connection in [item for item in self.connections if item.peer.deadline < now]:
                _expire(connection)

    async def close(self, seconds: float, *, idle_seconds: float = 0.0) -> None:
        """Accept nothing more, let what has arrived be answered, then close all connections."""
        self.closing = True
        for listening, listener in zip(self._sockets, self._listeners, strict=False):
            await self._take_last(listening)
            listener.close()
        await self._until_closed(idle_seconds)
        for connection in list(self.connections):
            connection.shutdown()
        await self._until_closed(seconds)
        for connection in list(self.connections):
            connection.peer.abort()
        await asyncio.sleep(0)  # the connections hear of it
        tasks = [*self._background, *self._server.server_state.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_closed(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self.connections and time.monotonic() < until:
            await asyncio.sleep(0.01)

    # The ASGI application

    async def _answer(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request; see https://asgi.readthedocs.io/en/latest/specs/www.html."""
        request, peer = _head(scope), scope["state"]["peer"]
        request.request_id = request.request_id or self.make_id()
        try:
            request.body = await self._body(request, peer, receive)
            request.arrived = time.time()
            await self._send(request, await self._handled(request, peer), peer, send)
        except ProtocolError as error:
            self.handler.refused(error.reason)
            await self._send(request, Response(error=error), peer, send, last=True)
        except ConnectionError:
            pass  # nobody waits for an answer
        except asyncio.CancelledError:
            LOG.info("a request was given up: the server ends", extra={"request_id": request.request_id.decode()})
        finally:
            self.waiting_bytes -= len(request.body)

    async def _body(self, request: Request, peer: Peer, receive: _Receive) -> bytes:
        """The whole body.

        Raises:
            ProtocolError: It is too large, too slow, broken, or comes when there are too many.
            ConnectionError: The client left.
        """
        length = request.header(b"content-length")
        if length.isdigit() and (error := self.too_large(int(length))):
            raise error
        try:
            async with asyncio.timeout_at(peer.deadline if peer.receiving else None):
                return await self._received(peer, receive)
        except TimeoutError:
            raise self.too_late() from None

    async def _received(self, peer: Peer, receive: _Receive) -> bytes:
        body = bytearray()  # in one piece: of a body in tiny chunks a list would take many times its size
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                part = message["body"]
                self.waiting_bytes += len(part)
                body += part
                more = message["more_body"]
                if error := (more and peer.refusal) or self.too_large(len(body)) or self.too_busy():
                    raise error
                if not more:
                    return part if len(part) == len(body) else bytes(body)
        except BaseException:
            self.waiting_bytes -= len(body)
            raise

    async def _handled(self, request: Request, peer: Peer) -> Response:
        peer.asked = request
        try:
            return await self.handled(request)
        finally:
            peer.asked = None

    async def _send(self, request: Request, response: Response, peer: Peer, send: _Send, *, last: bool = False) -> None:
        status, body, more = http_answer(response)
        headers = [
            (b"content-type", response.content_type), (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.request_id), *more,
        ]  # fmt: skip
        if last or (self.closing and not peer.pipeline):
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _head(scope: _Message) -> Request:
    request = Request()
    request.method = scope["method"]
    request.path = scope["raw_path"]
    if query := scope["query_string"]:
        request.path += b"?" + query
    request.headers = scope["headers"]
    sent = request.header(b"x-request-id")
    if is_request_id(sent):
        request.request_id = sent
    return request


def _expire(connection: Connection) -> None:
    """Close one connection; that one cannot be closed must not let all others stay for ever."""
    try:
        connection.expire()
    except Exception:
        LOG.exception("a connection past its time could not be closed in order; it is cut")
        connection.peer.abort()
