"""gRPC on grpcio, in the event loop of the HTTP server, so that requests of both are scored together.

What a method means is the handler's: here calls are bytes in and bytes out. A call is received as a stream of one
message, because only then the time that it may take to arrive can be limited.
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # the library would write lines of its own between those of the log

import grpc
import grpc.aio

from images.predictor.messages import Handler, Pairs, ProtocolError, Reason, Request, Response, is_request_id
from images.predictor.transports.base import Limits, Transport
from images.predictor.transports.sockets import unusable

GRPC_STATUS = {
    Reason.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Reason.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Reason.NOT_ALLOWED: grpc.StatusCode.UNIMPLEMENTED,
    Reason.LATE: grpc.StatusCode.CANCELLED,
    Reason.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.ENCODING: grpc.StatusCode.UNIMPLEMENTED,
    Reason.HEAD_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Reason.FAILED: grpc.StatusCode.INTERNAL,
    Reason.BUSY: grpc.StatusCode.UNAVAILABLE,
    Reason.TIMED_OUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_REQUEST_ID = b"x-request-id"
_MESSAGE_LENGTH = 2000  # longer ones could make the metadata too large for a client


class GrpcTransport(Transport):
    """gRPC without TLS at one port, which several processes may share.

    Args:
        host: Address to answer at.
        port: Port to answer at.
        limits: What clients may ask.
        at_once: Whether to answer from the start; otherwise from when another server is taken over from.
    """

    def __init__(self, host: str, port: int, limits: Limits, *, at_once: bool = True) -> None:
        super().__init__(limits)
        self._host = host
        self._port = port
        self._at_once = at_once
        self._server: grpc.aio.Server | None = None

    async def serve(self, handler: Handler) -> None:
        """Begin to answer, unless the port is to be taken over later."""
        self.handler = handler
        if self._at_once:
            await self._start()

    async def take_over(self) -> None:
        """Answer beside the server that does so far."""
        if self._server is None:
            await self._start()

    async def _start(self) -> None:
        server = grpc.aio.server(
            options=[("grpc.so_reuseport", 1), ("grpc.max_receive_message_length", self.limits.body_bytes)],
            maximum_concurrent_rpcs=self.limits.connections,
        )
        server.add_generic_rpc_handlers((_Calls(self._answer),))
        host = f"[{self._host}]" if ":" in self._host else self._host
        try:
            server.add_insecure_port(f"{host}:{self._port}")
        except RuntimeError as error:
            raise unusable(OSError(str(error)), self._host, self._port) from error
        await server.start()
        self._server = server

    async def close(self, seconds: float, *, idle_seconds: float = 0.0) -> None:
        """Accept no more calls, and let those that have arrived be answered."""
        del idle_seconds  # clients are told that the server goes away, and connect to another one
        if self._server:
            await self._server.stop(seconds)

    async def _answer(self, path: str, context: Any) -> bytes:
        request = _head(path, context)
        request.request_id = request.request_id or self.make_id()
        try:
            request.body = await self._received(context)
            self.waiting_bytes += len(request.body)
            if error := self.too_large(len(request.body)) or self.too_busy():
                raise error
        except ProtocolError as error:
            self.handler.refused(error.reason)
            self.waiting_bytes -= len(request.body)
            return await _send(request, Response(error=error), context)
        try:
            request.arrived = time.time()
            return await _send(request, await self.handled(request), context)
        finally:
            self.waiting_bytes -= len(request.body)

    async def _received(self, context: Any) -> bytes:
        """The message of a call.

        Raises:
            ProtocolError: It did not come in time, or not at all.
        """
        try:
            async with asyncio.timeout(self.limits.request_seconds):
                received: Any = await context.read()
        except TimeoutError:
            raise self.too_late() from None
        if received is grpc.aio.EOF:
            raise ProtocolError(Reason.INVALID, "The call holds no message; expected one.")
        return bytes(received)


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpcio has no types
    """Hands calls of every method to one function."""

    def __init__(self, answer: Callable[[str, Any], Awaitable[bytes]]) -> None:
        self._answer = answer

    def service(self, details: Any) -> Any:
        """What answers a call."""

        async def call(_: Any, context: Any) -> bytes:
            return await self._answer(details.method, context)

        return grpc.stream_unary_rpc_method_handler(call)


def _head(path: str, context: Any) -> Request:
    request = Request()
    request.method = "POST"
    request.path = path.encode()
    for name, value in context.invocation_metadata() or ():
        content = value if isinstance(value, bytes) else value.encode()
        if name == "x-request-id" and is_request_id(content):
            request.request_id = content
        elif name != "content-encoding":  # HTTP's; what gRPC compresses, its library has decompressed
            request.headers.append((name.encode(), content))
    left = context.time_remaining()
    if left is not None:
        request.seconds = max(0.0, left)
    return request


async def _send(request: Request, response: Response, context: Any) -> bytes:
    error = response.error
    pairs: Pairs = [(_REQUEST_ID, request.request_id), *(error.details if error else ())]
    metadata = tuple((name.decode(), value.decode()) for name, value in pairs)
    if error is not None:
        await context.abort(GRPC_STATUS[error.reason], str(error)[:_MESSAGE_LENGTH], metadata)
    context.set_trailing_metadata(metadata)
    return response.body
