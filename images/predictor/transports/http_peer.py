"""The client at the other end of a connection: what goes to it, and until when it has to do what is waited for.

uvicorn writes to what it takes for its socket. This stands in between, because ending a connection is where answers get
lost: who closes while the client still sends resets it, and the client never reads why it was refused. Every wait for a
client has a deadline, so that a slow or silent one cannot hold the server.
"""

import asyncio
from collections import deque
from typing import Any

from images.predictor.messages import ProtocolError, Request

NEVER = float("inf")
_LINGER_SECONDS = 3.0


class Peer(asyncio.Transport):
    """What uvicorn writes to, in place of the socket's transport.

    It differs in how it closes: a socket that is closed while its client sends is reset, and the client may not get to
    read the answer. And it does not go on reading while requests wait that were sent ahead of their answers.

    Attributes:
        deadline: When the connection is given up, by the clock of the event loop.
        receiving: Whether a request has begun to arrive, and not as a whole.
        paused: Whether the client does not take its answers.
        ended: Whether the client sends nothing more.
        closing: Whether nothing that still comes from the client counts.
        refusal: What the client is told about what it sent last; nothing after that can be told apart.
        asked: The request that is being worked on.
        pipeline: Requests that were sent ahead of their answers.
    """

    def __init__(self, transport: asyncio.Transport, seconds: float, pipeline: "deque[Any]") -> None:
        super().__init__()
        self._transport = transport
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self.deadline = NEVER
        self.receiving = False
        self.paused = False
        self.ended = False
        self.closing = False
        self.refusal: ProtocolError | None = None
        self.asked: Request | None = None
        self.pipeline = pipeline

    def leave(self) -> None:
        """Note that the client sends nothing more; whether it still reads answers cannot be told."""
        self.ended = True
        if self.asked:
            self.asked.client_left = True

    def wait(self) -> None:
        """Start the client's deadline anew: from now on it may let the server wait for the configured time."""
        self.deadline = self._loop.time() + self._seconds

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """The socket, its addresses, and more."""
        return self._transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self.closing or self._transport.is_closing()

    def write(self, data: Any) -> None:
        """Send bytes, unless the connection ends."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Let what the client sends wait."""
        if not self.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take what the client sends, unless it is ahead of its answers."""
        if not self.pipeline and not self.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """End the connection, once the client has taken what it was sent: only who does not within its time is cut."""
        if self.is_closing():
            return
        self.closing = True
        self.wait()
        sends = (self.receiving or bool(self.refusal) or bool(self.pipeline)) and not self.ended
        if not sends:
            self._transport.close()
            return
        if not self._transport.get_write_buffer_size():
            self.deadline = self._loop.time() + _LINGER_SECONDS
        self._transport.write_eof()
        self._transport.resume_reading()

    def abort(self) -> None:
        """End the connection at once."""
        self.closing = True
        self._transport.abort()
