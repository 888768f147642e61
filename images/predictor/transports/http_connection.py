"""What uvicorn's connection leaves open: clients that are slow, send without end, or expect more than it does.

Deadlines and limits end such connections, with the same JSON as every other error where the client can still read it.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from images.predictor.messages import ProtocolError, Reason, Response
from images.predictor.transports.base import BUSY
from images.predictor.transports.http_answers import http_answer
from images.predictor.transports.http_peer import NEVER, Peer

if TYPE_CHECKING:
    from images.predictor.transports.http import HttpTransport

LOG = logging.getLogger("fullcircle.predictor")

_HEADER_BYTES = 32 * 1024
_HEADER_FIELDS = 100
_PIPELINED_REQUESTS = 32


class Connection(HttpToolsProtocol):
    """One client; requests are answered in the order they came.

    Args:
        config: Uvicorn's settings.
        server_state: What its connections share.
        app_state: Holds the `transport` whose connection it is; requests find their `peer` there, too.
    """

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.owner: HttpTransport = app_state["transport"]
        self._offered = False  # the request offers another protocol
        self._head_bytes = 0
        self._idle_bytes = 0  # received without more of a head or a body

    # The transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many connections."""
        limits = self.owner.limits
        self.peer = Peer(transport, limits.request_seconds, self.pipeline)
        super().connection_made(self.peer)
        self.peer.wait()
        if len(self.connections) > limits.connections:
            self._refuse(ProtocolError(Reason.BUSY, "Too many connections; try again in a moment.", BUSY))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what has not been answered."""
        self.peer.closing = True
        self.peer.leave()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self.pipeline.clear()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open for what is still to be answered."""
        self.peer.leave()
        never_whole = self._is_handed_on and not self.pipeline
        return self._is_answering and not (self.peer.closing or never_whole)

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived; an offer of another protocol is ignored, as RFC 9110 has it."""
        self._unset_keepalive_if_required()
        while data and not (self.peer.closing or self.peer.refusal):
            self._idle_bytes += len(data)
            try:
                self.parser.feed_data(data)
                data = b""
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_offer() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self._refuse(_read_as(error))
            else:
                if self.peer.receiving and self._idle_bytes > _HEADER_BYTES:
                    self._refuse(_head_too_large())

    def pause_writing(self) -> None:
        """Wait for a client that does not take its answers."""
        super().pause_writing()
        self.peer.paused = True
        self.peer.wait()

    def resume_writing(self) -> None:
        """Go on with a client that takes its answers again."""
        super().resume_writing()
        self.peer.paused = False
        self._rest()

    # The parser's calls

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["state"]["peer"] = self.peer
        self._offered = False
        self._head_bytes = self._idle_bytes = 0
        self.peer.receiving = True
        self._rest()

    def on_url(self, url: bytes) -> None:
        """Take a part of the path."""
        super().on_url(url)
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        """Begin to answer, or keep the request until those before it are answered."""
        self._idle_bytes = 0
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._offered = True
            return
        self.url = _origin_form(self.url)
        self.expect_100_continue = self.expect_100_continue and self.parser.get_http_version() == "1.1"
        super().on_headers_complete()
        if len(self.pipeline) > _PIPELINED_REQUESTS:
            raise ProtocolError(
                Reason.INVALID, f"More than {_PIPELINED_REQUESTS} requests were sent ahead of their answers."
            )

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Have the request answered."""
        if not self._offered:
            self.peer.receiving = False
            self._rest()
            super().on_message_complete()

    # Uvicorn's calls

    def on_response_complete(self) -> None:
        """Go on with the next request, if one has arrived."""
        super().on_response_complete()
        if self.peer.closing:
            return
        self.peer.resume_reading()
        self._rest()
        if not self._is_answering:
            if self.peer.refusal:
                self._tell(self.peer.refusal)
            elif self.peer.ended:
                self.peer.close()

    def shutdown(self) -> None:
        """Close now, or once the request that is being received or answered has been answered."""
        if not self.peer.receiving:
            super().shutdown()

    # What becomes of a client

    @property
    def _is_answering(self) -> bool:
        """Whether the client waits for the server."""
        return bool(self.pipeline) or (bool(self.cycle) and not self.cycle.response_complete)

    @property
    def _is_handed_on(self) -> bool:
        """Whether the application already works on a request whose body has not arrived as a whole."""
        return self.peer.receiving and bool(self.cycle) and self.cycle.scope is self.scope

    def _rest(self) -> None:
        """Set the client's deadline for the rest of a request; none while it is idle: uvicorn closes idle clients."""
        if self.peer.paused or self.peer.closing:
            return  # it has a deadline already, which more requests must not put off
        if self.peer.receiving:
            self.peer.wait()
        else:
            self.peer.deadline = NEVER

    def _count_head(self, size: int) -> None:
        self._idle_bytes = 0
        self._head_bytes += size
        if self._head_bytes > _HEADER_BYTES or len(self.headers) > _HEADER_FIELDS:
            raise _head_too_large()

    def _without_offer(self) -> bytes:
        """The head of a request without its `Upgrade` headers, to be read by a new parser as an ordinary request."""
        version = self.parser.get_http_version()
        lines = [self.parser.get_method() + b" " + self.url + f" HTTP/{version}".encode()]
        for name, value in self.headers:
            if name == b"connection":
                value = b", ".join(part for part in value.split(b",") if part.strip().lower() != b"upgrade")  # noqa: PLW2901
            if name != b"upgrade":
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, error: ProtocolError) -> None:
        """Read nothing more, and send the client the reason after the answers to its earlier requests."""
        self.peer.refusal = error
        if self._is_handed_on:
            self.cycle.message_event.set()  # wakes the application, which waits for the body and then sends the reason
        elif not self._is_answering:
            self._tell(error)

    def _tell(self, error: ProtocolError) -> None:
        self.peer.refusal = error
        self.owner.handler.refused(error.reason)
        status, body, more = http_answer(Response(error=error))
        headers = [
            *self.server_state.default_headers, (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)), (b"x-request-id", self.owner.make_id()), *more,
            (b"connection", b"close"),
        ]  # fmt: skip
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.peer.write(STATUS_LINE[status] + head + b"\r\n" + body)
        self.peer.close()

    def expire(self) -> None:
        """Close a connection whose client has let the server wait for too long."""
        self.peer.deadline = NEVER
        if self.peer.closing or self.peer.paused:
            self.peer.abort()
        elif self._is_answering:
            pass  # the client waits, or the application tells
        elif self.peer.receiving:
            self._refuse(self.owner.too_late())
        else:
            self.peer.close()


def _head_too_large() -> ProtocolError:
    return ProtocolError(
        Reason.HEAD_TOO_LARGE,
        f"The head of a request may have {_HEADER_FIELDS} headers and {_HEADER_BYTES} bytes; this has more.",
    )


def _read_as(error: Exception) -> ProtocolError:
    """What to tell a client whose bytes could not be read as a request."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(cause, ProtocolError):
        return cause
    if isinstance(cause, httptools.HttpParserError | UnicodeDecodeError):
        return ProtocolError(Reason.INVALID, f"This is not an HTTP/1.1 request: {cause}.")
    LOG.error("a request could not be taken in", exc_info=cause)
    return ProtocolError(Reason.FAILED, "The server failed to take in the request.")


def _origin_form(target: bytes) -> bytes:
    """Path and query of a target, which may be written in full, as it is to proxies."""
    if target[:4].lower() != b"http":
        return target
    return b"/" + target.split(b"/", 3)[-1] if target.count(b"/") > 2 else b"/"
