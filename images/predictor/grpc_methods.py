"""What gRPC answers to which method of the Open Inference Protocol's service.

The same endpoint as over HTTP, in the messages of gRPC: what is asked is read by `protocols.grpc_v2` and answered by
`endpoint`, so both transports give the same answers, limits and figures. Here is only which method leads where.
"""

from collections.abc import Callable
from typing import Any

from components.shared.request_figures import OTHER
from images.predictor.endpoint import Counted, Endpoint, log_refused, request_cells
from images.predictor.messages import ProtocolError, Reason, Reply, Request, Response
from images.predictor.protocols.grpc_v2 import GrpcV2, parsed
from images.predictor.protocols.metadata import SERVER, model_metadata
from images.predictor.protocols.open_inference import SERVICE, message
from images.predictor.protocols.query import short

_Method = Callable[[Any], Any]


class GrpcMethods:
    """The handler of the gRPC transport.

    Args:
        endpoint: Answers requests for predictions.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._codec = GrpcV2(endpoint.name, endpoint.scorer, **endpoint.limits)
        self._infer = Counted("grpc", self._codec, endpoint)
        self._others = request_cells(endpoint.meters, OTHER)
        self._infer_path = f"/{SERVICE}/ModelInfer".encode()
        self._metadata = _metadata(model_metadata(endpoint.name, endpoint.scorer))
        methods: dict[str, _Method] = {
            "ServerLive": lambda _: message("ServerLiveResponse")(live=True),
            "ServerReady": lambda _: message("ServerReadyResponse")(ready=endpoint.ready),
            "ServerMetadata": lambda _: message("ServerMetadataResponse")(**SERVER),
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
        }
        self._methods = {f"/{SERVICE}/{name}".encode(): (name, method) for name, method in methods.items()}

    def handle(self, request: Request, reply: Reply) -> Response | None:
        """Answer a call, at once or through `reply`; never raises."""
        if request.path == self._infer_path:
            return self.endpoint.predict(request, reply, self._infer)
        try:
            response = Response(self._answer(request).SerializeToString())
        except ProtocolError as error:
            log_refused(request, error)
            response = Response(error=error)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            return self.endpoint.failed(request, self._infer, error)
        self.endpoint.meters.cells[self._others[response.error.reason if response.error else None]] += 1
        return response

    def refused(self, reason: Reason) -> None:
        """Count a call that the transport refused."""
        self.endpoint.meters.cells[self._others[reason]] += 1

    def _answer(self, request: Request) -> Any:
        found = self._methods.get(request.path)
        if found is None:
            path = short(request.path.decode(errors="replace"))
            raise ProtocolError(Reason.NOT_ALLOWED, f"There is no method {path}; expected one of {SERVICE}.")
        name, method = found
        return method(parsed(f"{name}Request", request.body))

    def _model_ready(self, asked: Any) -> Any:
        self._codec.check_model(asked.name, asked.version)
        return message("ModelReadyResponse")(ready=self.endpoint.ready)

    def _model_metadata(self, asked: Any) -> Any:
        self._codec.check_model(asked.name, asked.version)
        return self._metadata


def _metadata(described: dict[str, Any]) -> Any:
    """The metadata of a model; what V2 tells in parameters has no place in the messages."""
    tensors = {
        side: [{key: item[key] for key in ("name", "datatype", "shape")} for item in described[side]]
        for side in ("inputs", "outputs")
    }
    return message("ModelMetadataResponse")(**{**described, **tensors})
