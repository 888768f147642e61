"""HTTP by a kept server, uvicorn on httptools and uvloop, with the endpoint as an ASGI application.

Uvicorn receives and sends; who serves, for how long, and when it ends stays with the program. What ASGI leaves to the
application is here: limits of bodies, the time a request may take to arrive, and ids of requests. What it leaves to the
server is uvicorn's: it answers bytes that are no HTTP with a text instead of JSON.
"""

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from images.predictor.messages import Handler, ProtocolError, Reason, Request, Response, is_request_id
from images.predictor.transports.base import BUSY, Limits, Transport
from images.predictor.transports.http_answers import http_answer
from images.predictor.transports.sockets import share, unusable

LOG = logging.getLogger("fullcircle.predictor")

_IDLE_SECONDS = 75
_SWEEP_SECONDS = 0.1
_HEADER_BYTES = 32 * 1024
_HEADER_FIELDS = 100
_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]


class UvicornTransport(Transport):
    """Uvicorn at bound sockets: at the first one, or at the second one once it has taken over.

    Args:
        sockets: Where to answer.
        limits: What clients may ask.
    """

    def __init__(self, sockets: Sequence[socket.socket], limits: Limits) -> None:
        super().__init__(limits)
        self.handler: Handler
        self._sockets = sockets
        config = Config(
            self._answer, interface="asgi3", http=_protocol(limits.request_seconds), ws="none", lifespan="off",
            proxy_headers=False, log_config=None,
            access_log=False, server_header=False, timeout_keep_alive=_IDLE_SECONDS, backlog=2048,
        )  # fmt: skip
        config.load()
        self._server = Server(config)
        self._server.lifespan = config.lifespan_class(config)
        self._listeners: list[asyncio.Server] = []
        self._background: list[asyncio.Task[None]] = []
        self._receiving: dict[asyncio.Task[Any] | None, float] = {}  # until when a request has to arrive

    async def serve(self, handler: Handler) -> None:
        """Begin to answer at the first socket."""
        self.handler = handler
        await self._listen(self._sockets[0])
        loop = asyncio.get_running_loop()
        self._background = [loop.create_task(self._server.main_loop()), loop.create_task(self._sweep())]

    async def take_over(self) -> None:
        """Answer at the last socket, and at the first one no longer."""
        first = self._server.servers
        await self._listen(self._sockets[-1])
        for listener in first:
            listener.close()

    async def _listen(self, found: socket.socket) -> None:
        host, port = found.getsockname()[:2]
        try:
            await self._server.startup(sockets=[found])
        except OSError as error:  # somebody was quicker, after both had bound it
            raise unusable(error, host, port) from error
        share(found)

    async def close(self, seconds: float, *, idle_seconds: float = 0.0) -> None:
        """Accept nothing more, let what has arrived be answered, then close all connections."""
        self.closing = True
        state = self._server.server_state
        for listener in self._server.servers:
            listener.close()
        idle_until = time.monotonic() + idle_seconds
        while state.connections and time.monotonic() < idle_until:
            await asyncio.sleep(0.01)
        self._server.config.timeout_graceful_shutdown = max(1, round(seconds))
        self._server.should_exit = True
        await self._server.shutdown()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in self._background:
            task.cancel()

    async def _sweep(self) -> None:
        """Give up requests that do not arrive in time; a timer for each would cost more than this."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            for task in [task for task, until in self._receiving.items() if task and until < now]:
                task.cancel()

    # The ASGI application

    async def _answer(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        request = _head(scope)
        request.request_id = request.request_id or self.make_id()
        try:
            request.body = await self._body(request, receive)
        except ProtocolError as error:
            self.handler.refused(error.reason)
            await self._send(request, Response(error=error), send, last=True)
        except ConnectionError:
            return  # nobody waits for an answer
        else:
            request.arrived = time.time()
            await self._send(request, await self._handled(request, receive), send)
        finally:
            self.waiting_bytes -= len(request.body)

    async def _body(self, request: Request, receive: _Receive) -> bytes:
        """The whole body, within the limits.

        Raises:
            ProtocolError: It is too large, too slow, or comes when there are too many.
            ConnectionError: The client left.
        """
        self._check_head(request)
        seconds, task = self.limits.request_seconds, asyncio.current_task()
        self._receiving[task] = time.monotonic() + seconds
        try:
            return await self._received(receive)
        except asyncio.CancelledError:
            if self._receiving[task] > time.monotonic():  # it was not the sweep
                raise
            raise ProtocolError(Reason.LATE, f"The request did not arrive within {seconds:g} s.") from None
        finally:
            del self._receiving[task]

    def _check_head(self, request: Request) -> None:
        size = sum(len(name) + len(value) for name, value in request.headers) + len(request.path)
        if size > _HEADER_BYTES or len(request.headers) > _HEADER_FIELDS:
            raise ProtocolError(
                Reason.HEAD_TOO_LARGE,
                f"The head of a request may have {_HEADER_FIELDS} headers and {_HEADER_BYTES} bytes; this has more.",
            )
        if len(self._server.server_state.connections) > self.limits.connections:
            raise ProtocolError(Reason.BUSY, "Too many connections; try again in a moment.", BUSY)
        length = request.header(b"content-length")
        if length.isdigit() and (error := self.too_large(int(length))):
            raise error

    async def _received(self, receive: _Receive) -> bytes:
        parts, size, more = [], 0, True
        try:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                part, more = message["body"], message["more_body"]
                parts.append(part)
                size += len(part)
                self.waiting_bytes += len(part)
                if error := self.too_large(size) or self.too_busy():
                    raise error
        except BaseException:
            self.waiting_bytes -= size
            raise
        return b"".join(parts)

    async def _handled(self, request: Request, receive: _Receive) -> Response:
        """The handler's answer, now or later; notes when the client leaves meanwhile."""
        later: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(_: Request, response: Response) -> None:
            if not later.done():
                later.set_result(response)

        answer = self.handler.handle(request, reply)
        if answer is not None:
            return answer
        await asyncio.sleep(0)  # small requests are scored at the end of this turn of the event loop
        if later.done():
            return later.result()
        leaving: asyncio.Future[Any] = asyncio.ensure_future(receive())
        await asyncio.wait({later, leaving}, return_when=asyncio.FIRST_COMPLETED)
        request.client_left = leaving.done()
        try:
            return await later
        finally:
            leaving.cancel()

    async def _send(self, request: Request, response: Response, send: _Send, *, last: bool = False) -> None:
        status, body, more = http_answer(response)
        headers = [
            (b"content-type", response.content_type), (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.request_id), *more,
        ]  # fmt: skip
        if last or self.closing:
            headers.append((b"connection", b"close"))
        try:
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        except RuntimeError as error:  # uvloop's, of a client that has stopped sending: uvicorn closes on it
            LOG.info("an answer could not be sent: %s", error)


def _head(scope: _Scope) -> Request:
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


def _protocol(seconds: float) -> type[HttpToolsProtocol]:
    """Uvicorn's protocol with a limit to how long the head of a first request may take, which it has not."""

    class Connection(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(seconds, self._expire)

        def _expire(self) -> None:
            if self.cycle is None:
                self.transport.close()

    return Connection
