"""What transports and protocols say to one another: requests, answers, and refusals in the words of no transport.

A transport (HTTP, gRPC) receives requests and sends answers, and knows no protocol; a protocol (V1, V2, the pages)
reads and writes their content, and knows no transport. Both import this module and not each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

Pairs = list[tuple[bytes, bytes]]

JSON = b"application/json"
_ID_BYTES = frozenset(range(0x21, 0x7F))
_LONGEST_ID = 128


class Reason(Enum):
    """Why a request is refused; each transport has a table of its own statuses for these."""

    INVALID = "it does not fit the protocol or the model's schema"
    NOT_FOUND = "nothing is served under this name"
    NOT_ALLOWED = "what is served under this name cannot be asked in this way"
    LATE = "the client was too slow, or has left"
    TOO_LARGE = "it has too many bytes or rows"
    ENCODING = "it is compressed in an unknown way"
    HEAD_TOO_LARGE = "its headers have too many bytes"
    FAILED = "the server failed"
    BUSY = "the server has too much to do, or is about to end"
    TIMED_OUT = "the answer took too long"


class ProtocolError(Exception):
    """A request that is refused.

    Args:
        reason: Why; the transport turns it into a status.
        message: For the client.
        details: What goes with the answer, such as how long to wait: headers of HTTP, metadata of gRPC.
    """

    def __init__(self, reason: Reason, message: str, details: Pairs | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.details = details or []


class Request:
    """A request that has arrived as a whole.

    Attributes:
        method: `GET`, `POST`, …; of gRPC always `POST`.
        path: As it was sent, bytes.
        headers: Names in lower case.
        request_id: The client's, or one that the transport made.
        arrived: Seconds since 1970.
        seconds: How long its client waits for the answer, as far as it said so.
        client_left: It sends nothing more, or is gone: who closes and who only ends look the same.
    """

    __slots__ = ("arrived", "body", "client_left", "headers", "keep_alive", "method", "path", "request_id", "seconds")

    def __init__(self) -> None:
        self.method = ""
        self.path = b""
        self.headers: Pairs = []
        self.body = b""
        self.keep_alive = True
        self.request_id = b""
        self.arrived = 0.0
        self.seconds = float("inf")
        self.client_left = False

    def header(self, name: bytes) -> bytes:
        """The last value of a header, by its lower-case name; empty when it is not there."""
        for key, value in reversed(self.headers):
            if key == name:
                return value
        return b""


@dataclass(slots=True)
class Response:
    """What is answered.

    Attributes:
        body: The content; without one, a refusal is written as the transport writes errors.
        content_type: For transports that name it.
        headers: What goes with it.
        error: Why the request was refused, or why this is not the answer that was hoped for; None when all is well.
    """

    body: bytes = b""
    content_type: bytes = JSON
    headers: Pairs | None = None
    error: ProtocolError | None = None


Reply = Callable[[Request, Response], None]


class Handler(Protocol):
    """What a transport hands its requests to."""

    def handle(self, request: Request, reply: Reply) -> Response | None:
        """Answer at once, or return None and call `reply` once and later, from the event loop; must not raise."""

    def refused(self, reason: Reason) -> None:
        """Count a request that the transport refused itself."""


def is_request_id(value: bytes) -> bool:
    """Whether a client's id of a request is taken over: short, and of visible ASCII characters."""
    return 0 < len(value) <= _LONGEST_ID and _ID_BYTES.issuperset(value)
