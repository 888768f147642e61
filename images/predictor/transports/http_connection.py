"""One connection of HTTP/1.1: parses with `httptools` (llhttp), answers in order, and closes when it has to.

Clients that are slow, too large or do not speak HTTP are refused with the same JSON as every other error.
"""

import asyncio
import logging
import time
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING

import httptools

from images.predictor.messages import ProtocolError, Reason, Request, Response, is_request_id
from images.predictor.transports.base import BUSY
from images.predictor.transports.http_answers import http_answer

if TYPE_CHECKING:
    from images.predictor.transports.http import HttpTransport

LOG = logging.getLogger("fullcircle.predictor")

_HEADER_BYTES = 32 * 1024
_HEADER_FIELDS = 100
_IDLE_SECONDS = 75.0
_LINGER_SECONDS = 3.0
_NEVER = float("inf")
_WRITE_BUFFER_BYTES = 1024 * 1024
_PIPELINED_REQUESTS = 32
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}
_TAKEN = Request()


def _without_offer(request: Request, version: str) -> bytes:
    """The head of a request that offers another protocol, without the offer."""
    lines = [f"{request.method} ".encode() + request.path + f" HTTP/{version}".encode()]
    for name, value in request.headers:
        if name == b"connection":
            value = b", ".join(part for part in value.split(b",") if part.strip().lower() != b"upgrade")  # noqa: PLW2901
        if name != b"upgrade":
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", b""])


def _read_as(error: Exception) -> ProtocolError:
    """What to tell a client whose bytes could not be read as a request."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, ProtocolError):
        return cause
    if cause is error:
        return ProtocolError(Reason.INVALID, f"This is not an HTTP/1.1 request: {error}.")
    LOG.error("a request could not be taken in", exc_info=cause)
    return ProtocolError(Reason.FAILED, "The server failed to take in the request.")


class Connection(asyncio.Protocol):
    """One client; requests are answered in the order they came."""

    __slots__ = (
        "_body", "_body_bytes", "_busy", "_dead", "_ended", "_handled", "_head_bytes", "_idle_bytes", "_offered",
        "_paused", "_receiving", "_refusal", "_seen_bytes", "_waiting", "deadline", "parser", "request", "server",
        "transport",
    )  # fmt: skip

    def __init__(self, server: "HttpTransport") -> None:
        self.server = server
        self.transport: asyncio.Transport
        self.parser = httptools.HttpRequestParser(self)
        self.request = Request()
        self.deadline = 0.0
        self._waiting: deque[Request] = deque()
        self._receiving = False  # a request has begun to arrive
        self._busy = False  # a request of this connection is being worked on
        self._handled = _TAKEN  # that request
        self._dead = False  # nothing that still comes from the client counts
        self._paused = False  # the client does not take its answers
        self._offered = False  # the request offers another protocol
        self._ended = False  # the client sends nothing more
        self._refusal: ProtocolError | None = None  # to be told once the requests before it are answered
        self._head_bytes = 0
        self._body: bytes | bytearray = b""
        self._body_bytes = 0
        self._seen_bytes = 0  # of head and body, after the packet before this one
        self._idle_bytes = 0  # received since, without more of either

    # The transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, unless there are too many connections."""
        self.transport = transport  # type: ignore[assignment]  # it is a TCP transport
        self.transport.set_write_buffer_limits(_WRITE_BUFFER_BYTES)
        server = self.server
        server.connections.add(self)
        self.deadline = server.now + server.limits.request_seconds
        if len(server.connections) > server.limits.connections:
            self._refuse(ProtocolError(Reason.BUSY, "Too many connections; try again in a moment.", BUSY))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what has not been answered."""
        del exc
        self._dead = True
        self._handled.client_left = True
        self._release()
        del self.parser  # it refers back: the two would stay until a collection
        for request in self._waiting:
            self.server.waiting_bytes -= len(request.body)
        self._waiting.clear()
        self.server.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived."""
        if self._dead or self._refusal:
            return
        read = 0
        try:
            self.parser.feed_data(data)
            if self._receiving:
                self._check_progress(len(data))
        except httptools.HttpParserUpgrade as upgrade:
            read = upgrade.args[0]
        except (httptools.HttpParserError, ProtocolError) as error:
            self._refuse(_read_as(error))
        if self._offered:
            self._stay(data[read:])

    def eof_received(self) -> bool:
        """Whether the connection stays open for what is still to be answered."""
        self._ended = True
        self._handled.client_left = True
        return self._busy or bool(self._waiting)  # who has only stopped sending still gets the answer

    def pause_writing(self) -> None:
        """Take nothing more from a client that does not take its answers."""
        self._paused = True
        self.transport.pause_reading()
        self.deadline = self.server.now + self.server.limits.request_seconds

    def resume_writing(self) -> None:
        """Go on with a client that takes its answers again."""
        self._paused = False
        if not self._dead:
            self._rest()
            self._next()

    # The parser's calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        self.request = Request()
        self._receiving = True
        self._head_bytes = 0
        self._seen_bytes = 0
        self._idle_bytes = 0
        self.deadline = self.server.now + self.server.limits.request_seconds

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        self.request.path += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.request.headers.append((name.lower(), value))
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Look at the headers the server itself heeds."""
        request = self.request
        request.method = self.parser.get_method().decode()
        request.keep_alive = self.parser.should_keep_alive()
        if self.parser.should_upgrade():
            self._offered = request.method != "CONNECT"
            request.keep_alive = self._offered  # what follows a CONNECT is for somebody else
        expects = False
        for name, value in request.headers:
            if name == b"x-request-id" and is_request_id(value):
                request.request_id = value
            elif name == b"content-length":
                self._check_size(int(value))
            elif name == b"expect" and value.lower() == b"100-continue":
                expects = True
        if expects and not self._offered and self.parser.get_http_version() != "1.0":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._body_bytes += len(body)
        self.server.waiting_bytes += len(body)
        if not self._body:
            self._body = body
        else:  # in one piece: of a body in tiny chunks the list of them would take many times its size
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)
            self._body += body
        self._check_size(self._body_bytes)
        if error := self.server.too_busy():
            raise error

    def on_message_complete(self) -> None:
        """Handle a request, or keep it until those before it are answered."""
        if self._offered:
            return
        request = self.request
        if not request.request_id:
            request.request_id = self.server.make_id()
        request.arrived = time.time()
        self.request = _TAKEN  # whoever answers it holds it now, and lets go of its body
        body = self._body
        if body:
            request.body = body if isinstance(body, bytes) else bytes(body)
            self._body = b""
            self._body_bytes = 0
        self._receiving = False
        if self._busy or self._paused or self._dead:
            self._waiting.append(request)
            if not self._dead:
                self.transport.pause_reading()
            if len(self._waiting) > _PIPELINED_REQUESTS:
                raise ProtocolError(
                    Reason.INVALID, f"More than {_PIPELINED_REQUESTS} requests were sent ahead of their answers."
                )
        else:
            self._handle(request)

    # What becomes of a request

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > _HEADER_BYTES or len(self.request.headers) > _HEADER_FIELDS:
            raise ProtocolError(
                Reason.HEAD_TOO_LARGE,
                f"The head of a request may have {_HEADER_FIELDS} headers and {_HEADER_BYTES} bytes; this has more.",
            )

    def _check_progress(self, size: int) -> None:
        """Refuse a client that sends on and on without getting further: a header or an extension without end."""
        seen = self._head_bytes + self._body_bytes
        self._idle_bytes = self._idle_bytes + size if seen == self._seen_bytes else 0
        self._seen_bytes = seen
        if self._idle_bytes > _HEADER_BYTES:
            raise ProtocolError(Reason.HEAD_TOO_LARGE, f"A header may have {_HEADER_BYTES} bytes; this one has more.")

    def _stay(self, rest: bytes) -> None:
        """Go on in HTTP/1.1 with a client that offered another protocol, as RFC 9110 has it; CONNECT was the last.

        The parser has stopped after the head: it reads it again, without the offer, and what follows.
        """
        while self._offered and not (self._dead or self._refusal):
            self._offered = False
            rest = _without_offer(self.request, self.parser.get_http_version()) + rest
            self.parser = httptools.HttpRequestParser(self)
            try:
                self.parser.feed_data(rest)
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(_read_as(error))

    def _check_size(self, size: int) -> None:
        if error := self.server.too_large(size):
            raise error

    def _handle(self, request: Request) -> None:
        self._busy = True
        try:
            answer = self.server.handler.handle(request, self._reply)
        except Exception:
            LOG.exception("a request could not be handled")
            self.server.handler.refused(Reason.FAILED)
            answer = Response(error=ProtocolError(Reason.FAILED, "The server failed to answer."))
        if answer is None:
            self.deadline = _NEVER  # the handler has a time-out of its own
            self._handled = request
            request.client_left = self._ended
        else:
            self._busy = False
            self._answer(request, answer)

    def _reply(self, request: Request, response: Response) -> None:
        self._busy = False
        self._handled = _TAKEN
        self._answer(request, response)
        if self._waiting or self._refusal or self._ended:
            self._next()

    def _next(self) -> None:
        """Go on with what has arrived meanwhile."""
        while self._waiting and not (self._busy or self._paused or self._dead):
            self._handle(self._waiting.popleft())
        if self._busy or self._paused or self._dead:
            return
        if self._refusal:
            self._tell(self._refusal)
        elif self._ended:
            self._end()
        else:
            self.transport.resume_reading()

    def _rest(self) -> None:
        """Wait for the client: for the rest of a request, or for another one."""
        limit = self.server.limits.request_seconds if self._receiving else _IDLE_SECONDS
        self.deadline = self.server.now + limit

    def _answer(self, request: Request, response: Response) -> None:
        server = self.server
        server.waiting_bytes -= len(request.body)
        if self.transport.is_closing():
            return
        keep_alive = request.keep_alive and not (server.closing and not self._waiting)
        status, body, headers = http_answer(response)
        head = [
            _STATUS_LINES[status], b"content-type: ", response.content_type,
            b"\r\ncontent-length: ", b"%d" % len(body), b"\r\ndate: ", server.date, b"\r\nx-request-id: ",
            request.request_id,
        ]  # fmt: skip
        for name, value in headers:
            head += (b"\r\n", name, b": ", value)
        head.append(b"\r\n\r\n" if keep_alive else b"\r\nconnection: close\r\n\r\n")
        if request.method != "HEAD":
            head.append(body)
        if not self._paused:
            self._rest()
        self.transport.write(b"".join(head))
        if not keep_alive:
            self._end()

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what could not be received as a whole, and close: nothing after it can be told apart."""
        self._release()
        self._receiving = False
        if self._dead:  # the client was told that the answer before was the last
            return
        self.server.handler.refused(error.reason)
        if self._busy or self._waiting:
            self._refusal = error
        else:
            self._tell(error)

    def _tell(self, error: ProtocolError) -> None:
        refused = Request()
        refused.keep_alive = False
        refused.request_id = self.server.make_id()
        self._dead = True
        self._answer(refused, Response(error=error))

    def _release(self) -> None:
        self.server.waiting_bytes -= self._body_bytes
        self._body_bytes = 0
        self._body = b""

    def _end(self) -> None:
        """Close so that the client can still read the answer: closing while it sends would reset the connection."""
        sending = (self._dead or self._receiving or bool(self._waiting)) and not self._ended
        self._dead = True
        self.deadline = self.server.now + _LINGER_SECONDS
        if sending and not self.transport.is_closing():
            self.transport.write_eof()
            self.transport.resume_reading()
        else:
            self.transport.close()

    # The server's calls

    def expire(self) -> None:
        """Close a connection whose client has let the server wait for too long."""
        self.deadline = _NEVER
        if self._dead or self._paused:
            self.abort()
        elif self._busy or self._waiting:
            pass  # it is the client that waits
        elif self._receiving:
            seconds = self.server.limits.request_seconds
            self._refuse(ProtocolError(Reason.LATE, f"The request did not arrive within {seconds:g} s."))
        else:
            self._end()

    def close_when_idle(self) -> None:
        """Close now, or once the request that is being received or answered has been answered."""
        if not (self._busy or self._waiting or self._receiving or self._dead):
            self._end()

    def abort(self) -> None:
        """Close without another word."""
        self._dead = True
        self.transport.abort()
