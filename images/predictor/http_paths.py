"""What HTTP answers at which path: predictions of V1 and V2, what the model is, figures and pages.

A prediction has to be found quickly, so its paths stand in a table and are tried first, as they were sent; anything
else may take longer. All answers of pages are made once, when the server starts, but for readiness and figures. Whoever
asks for another model or version is told what is served here instead of a bare 404.
"""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from components.shared.request_figures import OTHER
from images.predictor import metrics
from images.predictor.endpoint import Counted, Endpoint, log_refused, request_cells
from images.predictor.messages import ProtocolError, Reason, Reply, Request, Response
from images.predictor.protocols.docs import Docs
from images.predictor.protocols.metadata import SERVER, model_metadata
from images.predictor.protocols.v1 import V1, V1Codec
from images.predictor.protocols.v2 import V2, V2Codec

_NOT_READY = ProtocolError(Reason.BUSY, "The server is about to end.")


class HttpPaths:
    """The handler of the HTTP transports.

    Args:
        endpoint: Answers requests for predictions.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.scorer = endpoint.scorer
        self.meters = endpoint.meters
        self._others = request_cells(endpoint.meters, OTHER)
        self.v1 = Counted("v1", V1Codec(V1(self.scorer, **endpoint.limits)), endpoint)
        self.v2 = Counted("v2", V2Codec(V2(self.name, self.scorer, **endpoint.limits)), endpoint)
        self._predictions = self._prediction_paths()
        self._pages = self._page_paths(Docs(self.name, self.scorer, endpoint.package))

    def handle(self, request: Request, reply: Reply) -> Response | None:
        """Answer a request, at once or through `reply`; never raises."""
        route = self._predictions.get(request.path)
        if route is not None and request.method == "POST":
            return self.endpoint.predict(request, reply, *route)
        return self._other(request, reply)

    def refused(self, reason: Reason) -> None:
        """Count a request that the transport refused."""
        self.meters.cells[self._others[reason]] += 1

    def _prediction_paths(self) -> dict[bytes, tuple[Counted, bool]]:
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        paths = {
            f"{v1}:predict": (self.v1, False),
            f"{v1}:explain": (self.v1, True),
            f"{v2}/infer": (self.v2, False),
            f"{v2}/versions/{self.scorer.version}/infer": (self.v2, False),
        }
        return {path.encode(): route for path, route in paths.items()}

    def _other(self, request: Request, reply: Reply) -> Response | None:
        path = request.path.partition(b"?")[0]
        if b"%" in path:
            path = unquote_to_bytes(path)
        route = self._predictions.get(path)
        if route is not None and request.method == "POST":
            return self.endpoint.predict(request, reply, *route)
        page = self._pages.get(path)
        try:
            if page is not None and request.method in ("GET", "HEAD"):
                response = page()
            elif page is None and route is None:
                raise self._unknown(path)
            else:
                allowed = b"GET, HEAD" if page is not None else b"POST"
                raise ProtocolError(
                    Reason.NOT_ALLOWED,
                    f"{request.method} is not possible here; use {allowed.decode()}.",
                    [(b"allow", allowed)],
                )
        except ProtocolError as error:
            log_refused(request, error)
            response = Response(error=error)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            return self.endpoint.failed(request, self.v1, error)
        self.meters.cells[self._others[response.error.reason if response.error else None]] += 1
        return response

    def _unknown(self, path: bytes) -> ProtocolError:
        shown = path.decode(errors="replace")[:200]
        for prefix in ("/v1/models/", "/v2/models/"):
            if shown.startswith(prefix):
                asked = shown.removeprefix(prefix).replace(":", "/").split("/")[0]
                if asked != self.name:
                    return ProtocolError(
                        Reason.NOT_FOUND, f"Model {asked!r} is not served here; expected {self.name!r}."
                    )
                if "/versions/" in shown:
                    return ProtocolError(
                        Reason.NOT_FOUND,
                        f"This version of {asked!r} is not served here; version {self.scorer.version} is.",
                    )
        return ProtocolError(Reason.NOT_FOUND, f"There is nothing at {shown!r}; /docs lists what there is.")

    def _page_paths(self, pages: Docs) -> dict[bytes, Callable[[], Response]]:
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        version = f"{v2}/versions/{self.scorer.version}"
        metadata = _json(model_metadata(self.name, self.scorer))
        fixed = {
            "/": _json({"status": "alive"}),
            "/v1/models": _json({"models": [self.name]}),
            "/v2": _json(SERVER),
            "/v2/health/live": _json({"live": True}),
            "/v2/models": _json({"models": [self.name]}),
            v2: metadata,
            version: metadata,
            **pages.files(),
        }
        made: dict[str, Callable[[], Response]] = {path: _always(response) for path, response in fixed.items()}
        made[v1] = lambda: self._readiness({"name": self.name, "ready": self.endpoint.ready})
        made["/v2/health/ready"] = lambda: self._readiness({"ready": self.endpoint.ready})
        made[f"{v2}/ready"] = made[f"{version}/ready"] = lambda: self._readiness(
            {"name": self.name, "ready": self.endpoint.ready}
        )
        made["/metrics"] = lambda: Response(self.meters.render(), metrics.CONTENT_TYPE)
        return {path.encode(): page for path, page in made.items()}

    def _readiness(self, content: dict[str, Any]) -> Response:
        ready = self.endpoint.ready
        return Response(json.dumps(content).encode(), error=None if ready else _NOT_READY)


def _json(content: Any) -> Response:
    return Response(json.dumps(content).encode())


def _always(response: Response) -> Callable[[], Response]:
    return lambda: response
