"""One endpoint behind each transport, and a client for each that asks the same and tells the same of the answer."""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from components.shared.config import InferenceLogConfig, ServingConfig
from components.shared.package.model_package import GoldenRequest, read_golden
from components.shared.package.schema import Schema
from components.shared.request_figures import REQUESTS
from images.predictor import figures
from images.predictor.endpoint import Endpoint
from images.predictor.figures import Described, families
from images.predictor.grpc_methods import GrpcMethods
from images.predictor.http_paths import HttpPaths
from images.predictor.messages import Handler, Reason
from images.predictor.metrics import Meters
from images.predictor.package import load_package
from images.predictor.protocols.open_inference import SERVICE, message
from images.predictor.protocols.tensors import DATATYPES
from images.predictor.recorder import Recorder
from images.predictor.transports.base import Limits, Transport
from images.predictor.transports.grpc import GRPC_STATUS, GrpcTransport
from images.predictor.transports.http import HttpTransport
from images.predictor.transports.http_answers import HTTP_STATUS
from tests.images.predictor.wire import Client as HttpClient
from tests.images.predictor.wire import bound_socket

TRANSPORTS = ("http", "grpc")
NAME = "demo"
_REASONS = {status: reason for reason, status in HTTP_STATUS.items()}
_FIELDS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}


@dataclass
class Answer:
    """What a client is told: why it was refused, or the outputs by name."""

    reason: Reason | None
    error: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass
class Served:
    """An endpoint behind one transport."""

    kind: str
    port: int
    endpoint: Endpoint
    transport: Transport
    meters: Meters
    golden: list[GoldenRequest]

    @property
    def protocol(self) -> str:
        """Label of its predictions in the figures."""
        return "grpc" if self.kind == "grpc" else "v2"

    def counted(self, protocol: str, reason: Reason | None) -> float:
        return self.meters.total(REQUESTS, protocol, str(figures.STATUS_OF[reason]))

    def columns(self, rows: int) -> dict[str, list[Any]]:
        """Values by column, of golden rows over and over."""
        found = [self.golden[number % len(self.golden)].row for number in range(rows)]
        return {feature.name: [row[feature.name] for row in found] for feature in self.endpoint.scorer.schema.features}

    def tensors(self, rows: int, **changed: list[Any]) -> list[dict[str, Any]]:
        kinds = {feature.name: feature.kind for feature in self.endpoint.scorer.schema.features}
        columns = {**self.columns(rows), **changed}
        return [
            {"name": name, "shape": [len(values)], "datatype": DATATYPES[kinds[name]], "data": values}
            for name, values in columns.items()
        ]

    def client(self) -> "Client":
        return GrpcCalls(self.port) if self.kind == "grpc" else HttpCalls(self.port)


class Client(ABC):
    """Asks a server."""

    def __init__(self, port: int) -> None:
        self.port = port

    @abstractmethod
    async def infer(
        self,
        tensors: list[dict[str, Any]],
        *,
        model: str = NAME,
        request_id: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> Answer:
        """Predictions of rows, or why there are none."""

    @abstractmethod
    async def ready(self) -> bool:
        """Whether the server says that it is."""

    @abstractmethod
    async def begin(self) -> Any:
        """Begin a request that never arrives as a whole; gives what its answer is waited for with."""

    @abstractmethod
    async def leave(self) -> None:
        """Go away, whatever is still to be answered."""


class HttpCalls(Client):
    connection: HttpClient | None = None

    async def connect(self) -> HttpClient:
        self.connection = HttpClient(*await asyncio.open_connection("127.0.0.1", self.port))
        return self.connection

    async def infer(
        self,
        tensors: list[dict[str, Any]],
        *,
        model: str = NAME,
        request_id: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> Answer:
        body = json_request(tensors, parameters)
        more = f"X-Request-Id: {request_id}\r\n" if request_id else ""
        head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n"
        client = await self.connect()
        answer = await client.ask(head.encode() + body)
        client.writer.close()
        if answer.status != 200:
            return Answer(_REASONS[answer.status], answer.error, metadata=answer.headers)
        outputs = {output["name"]: output["data"] for output in json.loads(answer.body)["outputs"]}
        return Answer(None, outputs=outputs, metadata=answer.headers)

    async def ready(self) -> bool:
        client = await self.connect()
        answer = await client.ask(b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n")
        client.writer.close()
        assert json.loads(answer.body)["ready"] is (answer.status == 200)
        return answer.status == 200

    async def begin(self) -> Any:
        client = await self.connect()
        await client.send(b"POST /v2/models/demo/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nabc")

        async def rest() -> Answer:
            answer = await client.answer()
            client.writer.close()
            return Answer(_REASONS[answer.status], answer.error)

        return rest

    async def leave(self) -> None:
        while self.connection is None:
            await asyncio.sleep(0.01)
        self.connection.writer.transport.abort()


class GrpcCalls(Client):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")

    async def call(self, method: str, asked: Any, *, request_id: str = "", **more: Any) -> tuple[Any, dict[str, str]]:
        """The answer to a call, and the metadata that came with it."""
        ask = self.channel.unary_unary(f"/{SERVICE}/{method}")
        call = ask(asked.SerializeToString(), metadata=(("x-request-id", request_id),) if request_id else (), **more)
        content = await call
        metadata = {str(name): str(value) for name, value in await call.trailing_metadata()}
        return message(f"{method}Response").FromString(content), metadata

    async def infer(
        self,
        tensors: list[dict[str, Any]],
        *,
        model: str = NAME,
        request_id: str = "",
        parameters: dict[str, Any] | None = None,
    ) -> Answer:
        asked = grpc_request(tensors, parameters, model=model)
        try:
            answer, metadata = await self.call("ModelInfer", asked, request_id=request_id)
        except grpc.aio.AioRpcError as error:
            return refused(error)
        outputs = {}
        for output in answer.outputs:
            values = getattr(output.contents, output.contents.ListFields()[0][0].name)
            outputs[output.name] = [item.decode() if isinstance(item, bytes) else item for item in values]
        return Answer(None, outputs=outputs, metadata=metadata)

    async def ready(self) -> bool:
        answer, _ = await self.call("ServerReady", message("ServerReadyRequest")())
        return bool(answer.ready)

    async def begin(self) -> Any:
        call = self.channel.stream_unary(f"/{SERVICE}/ModelInfer")()
        await call.wait_for_connection()

        async def rest() -> Answer:
            try:
                await call
            except asyncio.CancelledError:  # what grpcio raises when the server says CANCELLED
                return Answer(Reason.LATE, str(await call.details()))
            except grpc.aio.AioRpcError as error:
                return refused(error)
            raise AssertionError("it was answered")

        return rest

    async def leave(self) -> None:
        await self.channel.close(0)


def refused(error: grpc.aio.AioRpcError) -> Answer:
    reasons = {status: reason for reason, status in reversed(GRPC_STATUS.items())}
    metadata = {str(name): str(value) for name, value in error.trailing_metadata()}
    return Answer(reasons[error.code()], str(error.details()), metadata=metadata)


def json_request(tensors: list[dict[str, Any]], parameters: dict[str, Any] | None = None) -> bytes:
    """The body of a V2 request over HTTP."""
    return json.dumps({"inputs": tensors, "parameters": parameters}).encode()


def grpc_request(tensors: list[dict[str, Any]], parameters: dict[str, Any] | None = None, *, model: str = NAME) -> Any:
    """The ModelInferRequest with the same tensors."""
    asked = message("ModelInferRequest")(model_name=model)
    for name, value in (parameters or {}).items():
        asked.parameters[name].bool_param = value
    for tensor in tensors:
        item = asked.inputs.add(name=tensor["name"], shape=tensor["shape"], datatype=tensor["datatype"])
        getattr(item.contents, _FIELDS[tensor["datatype"]]).extend(typed(tensor["datatype"], tensor["data"]))
    return asked


def typed(datatype: str, values: list[Any]) -> list[Any]:
    """Values as gRPC's messages hold them: a missing number is NaN, a missing text is empty."""
    if datatype == "BYTES":
        return [str(value or "").encode() for value in values]
    return [np.nan if value is None else value for value in values] if datatype == "FP64" else values


@asynccontextmanager
async def serving(
    kind: str, package: Path, limits: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Served]:
    """An endpoint behind a transport of one kind."""
    scorer, manifest = load_package(package)
    meters = Meters(families(Described(NAME, manifest.version, Schema.read(package), (1.0, 2.0))))
    recorder = Recorder(scorer, InferenceLogConfig(enabled=False), meters, None)
    recorder.start()
    given = ServingConfig(**settings)
    endpoint = Endpoint(NAME, scorer, package, settings=given, meters=meters, recorder=recorder)
    allowed = Limits(
        **{"body_bytes": int(given.body_megabytes * 1e6), "waiting_bytes": 64_000_000,
           "request_seconds": given.request_seconds, **(limits or {})}
    )  # fmt: skip
    bound = bound_socket()
    port = int(bound.getsockname()[1])
    transport: Transport
    handler: Handler = HttpPaths(endpoint)
    if kind == "grpc":
        bound.close()
        transport, handler = GrpcTransport("127.0.0.1", port, allowed), GrpcMethods(endpoint)
    else:
        transport = HttpTransport([bound], allowed)
    await transport.serve(handler)
    try:
        yield Served(kind, port, endpoint, transport, meters, read_golden(package))
    finally:
        with suppress(Exception):
            await transport.close(3.0)
        endpoint.close()
        await asyncio.to_thread(recorder.close, 2.0)
    assert transport.waiting_bytes == 0
