"""What every transport does: it receives requests, hands each to a handler, and sends its answer.

A transport receives bytes from strangers. It bounds what they can hold: the size of a body, all bodies together, the
number of connections, and how long each may take; and it can hand an address over to the next server without refusing
anybody. What the bodies mean it does not know, so the same protocols serve HTTP and gRPC.
"""

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count

from images.predictor.messages import Handler, ProtocolError, Reason, Request, Response

LOG = logging.getLogger("fullcircle.predictor")

BUSY = [(b"retry-after", b"1")]


@dataclass(frozen=True)
class Limits:
    """What clients may ask of a transport.

    Attributes:
        body_bytes: Largest body.
        waiting_bytes: Most bytes of all bodies that are being received or worked on.
        connections: Most connections at a time.
        request_seconds: Longest time for a request to arrive, and for an answer to be taken.
    """

    body_bytes: int
    waiting_bytes: int
    connections: int = 2000
    request_seconds: float = 30.0


class Transport(ABC):
    """A server of one kind, at one address or at two of which the second is taken over from another server.

    Args:
        limits: What clients may ask.

    Attributes:
        handler: Who answers, once it serves.
        waiting_bytes: Of all bodies that are being received or worked on.
        closing: Whether clients are asked to leave, and to come back to another server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.handler: Handler
        self.waiting_bytes = 0
        self.closing = False
        self._ids = count()
        self._id_prefix = os.urandom(8).hex()

    @abstractmethod
    async def serve(self, handler: Handler) -> None:
        """Begin to answer; returns once clients can connect.

        Raises:
            OSError: The address cannot be used.
        """

    @abstractmethod
    async def take_over(self) -> None:
        """Answer at the last address from now on, beside whoever still does, and at the first one no longer.

        Raises:
            OSError: The address cannot be used.
        """

    @abstractmethod
    async def close(self, seconds: float, *, idle_seconds: float = 0.0) -> None:
        """Accept nothing more, let what has arrived be answered, then close all connections.

        Args:
            seconds: How long answers may take.
            idle_seconds: How long before that clients may use a connection they keep open once more.
        """

    async def handled(self, request: Request) -> Response:
        """The handler's answer, now or later; notes when nobody waits for it any more."""
        later: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(_: Request, response: Response) -> None:
            if not later.done():
                later.set_result(response)

        try:
            answer = self.handler.handle(request, reply)
            return await later if answer is None else answer
        except asyncio.CancelledError:
            request.client_left = True
            raise
        except Exception:
            LOG.exception("a request could not be handled")
            self.handler.refused(Reason.FAILED)
            return Response(error=ProtocolError(Reason.FAILED, "The server failed to answer."))

    def make_id(self) -> bytes:
        """A request id that no other server makes."""
        return f"{self._id_prefix}-{next(self._ids):x}".encode()

    def too_large(self, size: int) -> ProtocolError | None:
        """Why a body of so many bytes is refused, if it is."""
        limit = self.limits.body_bytes
        if size <= limit:
            return None
        return ProtocolError(
            Reason.TOO_LARGE,
            f"The body is larger than the {limit:,} bytes that are allowed: send fewer rows at a time.",
        )

    def too_late(self) -> ProtocolError:
        """Why a request that has not arrived in time is refused."""
        seconds = self.limits.request_seconds
        return ProtocolError(Reason.LATE, f"The request did not arrive within {seconds:g} s.")

    def too_busy(self) -> ProtocolError | None:
        """The refusal to send while too many bytes of bodies are held; None while there is room."""
        if self.waiting_bytes <= self.limits.waiting_bytes:
            return None
        return ProtocolError(Reason.BUSY, "The server is busy with other requests; try again in a moment.", BUSY)
