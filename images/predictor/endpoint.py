"""The endpoint: what is answered at which path."""

import asyncio
import json
import logging
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from components.shared.config import ServingConfig
from components.shared.errors import InputError
from components.shared.package.proof import HEADER, proof_token
from components.shared.package.schema import Feature
from components.shared.package.scoring import Inputs, Scorer, joined
from components.shared.shapley import StoppedError
from images.predictor import docs, figures, metrics
from images.predictor.explain import Explainer, Explanation
from images.predictor.http_server import HttpError, Reply, Request, Response, error_response
from images.predictor.metrics import Histogram, Meters
from images.predictor.query import Query
from images.predictor.recorder import Answered, Extras, Recorder
from images.predictor.v1 import V1
from images.predictor.v2 import DATATYPES, HEADER_LENGTH, V2

LOG = logging.getLogger("fullcircle.predictor")

# What a core scores while a client elsewhere would not notice; larger requests go to a thread of their own.
_INLINE_BYTES = 64 * 1024
_THREADS = 2
_PROOF_HEADER = HEADER.lower().encode()
_EXTENSIONS = ["binary_tensor_data"]


class Endpoint:
    """Answers the requests for one model.

    Args:
        name: Name of the model in paths.
        scorer: The model.
        package: The folder of its package.
        settings: Limits.
        meters: Where requests are counted.
        recorder: Takes note of answered rows.
    """

    def __init__(
        self, name: str, scorer: Scorer, package: Path, *, settings: ServingConfig, meters: Meters, recorder: Recorder
    ) -> None:
        self.name = name
        self.scorer = scorer
        self.settings = settings
        self.meters = meters
        self.recorder = recorder
        self.ready = True
        self._explainer = Explainer(scorer, package)
        self._proof = proof_token(package).encode()
        self._body_bytes = int(settings.body_megabytes * 1e6)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="large-requests")
        self._queued = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._together: list[_Waiting] = []
        limits: dict[str, Any] = {"extra": settings.extra_columns, "rows": settings.rows}
        v1 = V1(scorer, **limits)
        self._record_tensors = v1.tensors
        self._v1 = _Protocol("v1", _V1Codec(v1), name, meters)
        self._v2 = _Protocol("v2", _V2Codec(V2(name, scorer, **limits)), name, meters)
        self._rows = meters.cell(figures.ROWS, name)
        self._queue_gauge = meters.cell(figures.QUEUED, name)
        self._others = {status: meters.cell(figures.REQUESTS, "other", str(status)) for status in figures.STATUSES}
        self._predictions = self._prediction_paths()
        self._pages = self._page_paths(docs.Docs(name, scorer, package))

    def handle(self, request: Request, reply: Reply) -> Response | None:
        """Answer a request, at once or through `reply`; never raises."""
        route = self._predictions.get(request.path)
        if route is not None and request.method == "POST":
            return self._predict(request, reply, *route)
        return self._other(request, reply)

    def refused(self, status: int) -> None:
        """Count a request that was refused before it got here."""
        self.meters.cells[self._others[status]] += 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # Predictions

    def _prediction_paths(self) -> dict[bytes, tuple["_Protocol", bool]]:
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        paths = {
            f"{v1}:predict": (self._v1, False),
            f"{v1}:explain": (self._v1, True),
            f"{v2}/infer": (self._v2, False),
            f"{v2}/versions/{self.scorer.version}/infer": (self._v2, False),
        }
        return {path.encode(): route for path, route in paths.items()}

    def _predict(self, request: Request, reply: Reply, protocol: "_Protocol", explain: bool) -> Response | None:
        body = request.body
        if explain or len(body) > _INLINE_BYTES or request.header(b"content-encoding"):
            return self._in_thread(request, reply, protocol, explain)
        start = perf_counter()
        try:
            query = protocol.codec.read(request, body)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            return self._failed(request, protocol, error)
        if query.explain:
            return self._in_thread(request, reply, protocol, explain)
        protocol.preprocess.observe(perf_counter() - start)
        if not self._together:
            asyncio.get_running_loop().call_soon(self._score_together)
        self._together.append(_Waiting(request, reply, protocol, query, start))
        return None

    def _score_together(self) -> None:
        """Score the requests of one turn of the event loop: many rows cost the model little more than one."""
        waiting, self._together = self._together, []
        try:
            scored = perf_counter()
            # Rows of records come first among the tensors, and with that among the answers.
            waiting.sort(key=lambda item: item.query.inputs is not None)
            inputs = self._tensors([item.query for item in waiting])
            scores = self._scored(inputs)
            seconds = perf_counter() - scored
        except Exception as error:  # noqa: BLE001, whatever it is, the clients get answers
            self._score_apart(waiting, error)
            return
        self._answer_together(waiting, inputs, scores, seconds)

    def _score_apart(self, waiting: list["_Waiting"], error: Exception) -> None:
        """Let no request fail because of another one that cannot be scored."""
        for item in waiting:
            try:
                inputs = self._tensors([item.query]) if len(waiting) > 1 else None
                scores = self._scored(inputs) if inputs is not None else None
            except Exception as own:  # noqa: BLE001, whatever it is, the client gets an answer
                error, inputs, scores = own, None, None
            if inputs is None or scores is None:
                item.reply(item.request, self._failed(item.request, item.protocol, error))
            else:
                self._answer_together([item], inputs, scores, 0.0)
        del error  # its traceback refers to this frame

    def _answer_together(
        self, waiting: list["_Waiting"], inputs: Inputs, scores: NDArray[np.float32], seconds: float
    ) -> None:
        cells, place = self.meters.cells, 0
        requests: list[tuple[bytes, float, int, Extras]] = []
        answered = np.ones(len(inputs), dtype=bool)
        of_clients = []
        for item in waiting:
            request, protocol, query = item.request, item.protocol, item.query
            rows = len(query)
            start = perf_counter()
            try:
                response = protocol.codec.write(query, scores[place : place + rows], None)
                cells[protocol.ok] += 1
                requests.append((request.request_id, request.arrived, rows, query.extras))
                of_clients.append(not self._proves(request))
            except Exception as error:  # noqa: BLE001, whatever it is, this client gets an answer, and so do the others
                response = self._failed(request, protocol, error)
                answered[place : place + rows] = False
            end = perf_counter()
            place += rows
            protocol.postprocess.observe(end - start)
            protocol.seconds.observe(end - item.start)
            item.reply(request, response)
        self._v1.predict.observe(seconds, len(waiting))
        if len(requests) < len(waiting):  # who got no predictions was not answered: neither counted nor logged
            inputs, scores = inputs.rows(answered), scores[answered]
        cells[self._rows] += len(scores)
        self._record(Answered(inputs, scores, requests), of_clients)

    def _proves(self, request: Request) -> bool:
        """Whether the deployer asks, to prove this version, and not a client; see `components.shared.package.proof`."""
        token = request.header(_PROOF_HEADER)
        return bool(token) and compare_digest(token, self._proof)

    def _record(self, answered: Answered, of_clients: Sequence[bool]) -> None:
        """Take note of what clients asked; the requests that prove a version are nothing to learn from."""
        if not all(of_clients):
            answered = answered.only(np.array(of_clients))
        if answered.requests:
            self.recorder.record(answered)

    def _scored(self, inputs: Inputs) -> NDArray[np.float32]:
        """Scores of rows.

        Raises:
            InputError: A row has none: its numbers are too large for the model's arithmetic.
        """
        scores = self.scorer.score(inputs)
        finite = np.isfinite(scores)
        if not finite.all():
            row = int(np.flatnonzero(~finite.reshape(len(inputs), -1).all(axis=1))[0])
            raise InputError(f"Row {row}: the model has no finite answer; its numbers are too large to calculate with.")
        return scores

    def _tensors(self, queries: Sequence[Query]) -> Inputs:
        records = [record for query in queries for record in query.records]
        parts = [query.inputs for query in queries if query.inputs is not None]
        if not parts:
            return self._record_tensors(records)
        if records:
            parts.insert(0, self._record_tensors(records))
        return joined(parts)

    def _in_thread(self, request: Request, reply: Reply, protocol: "_Protocol", explain: bool) -> Response | None:
        if self._queued >= self.settings.queue:
            busy = HttpError(
                503,
                f"{self._queued} large requests are waiting already; try again in a moment, or send fewer rows.",
                [(b"retry-after", b"1")],
            )
            return self._failed(request, protocol, busy)
        self._queued += 1
        self.meters.cells[self._queue_gauge] = self._queued
        task = asyncio.get_running_loop().create_task(self._wait(request, reply, protocol, explain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def _wait(self, request: Request, reply: Reply, protocol: "_Protocol", explain: bool) -> None:
        """Have a large request worked on in a thread, for as long as the settings allow."""
        start = perf_counter()
        loop = asyncio.get_running_loop()
        future = self._threads.submit(self._work, request, protocol, explain)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left_queue))
        try:
            done = await asyncio.wait_for(asyncio.wrap_future(future), timeout=self.settings.request_seconds)
        except TimeoutError:
            seconds = self.settings.request_seconds
            request.client_left = True  # nobody waits for what the thread still does
            slow = HttpError(504, f"The answer took longer than {seconds:g} s: send fewer rows at a time.")
            reply(request, self._failed(request, protocol, slow))
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            reply(request, self._failed(request, protocol, error))
            # It refers to this frame, and this frame by way of the future to it: the body would outlive the request.
            error.__traceback__ = None
        else:
            for histogram, seconds in done.steps:  # counted here, because only the event loop counts these
                histogram.observe(seconds)
            protocol.seconds.observe(perf_counter() - start)
            self.meters.cells[protocol.ok] += 1
            self.meters.cells[self._rows] += len(done.answered.scores)
            self._record(done.answered, [not self._proves(request)])
            reply(request, done.response)

    def _left_queue(self) -> None:
        self._queued -= 1
        self.meters.cells[self._queue_gauge] = self._queued

    def _work(self, request: Request, protocol: "_Protocol", explain: bool) -> "_Done":
        start = perf_counter()
        query = protocol.codec.read(request, self._decompressed(request))
        inputs = self._tensors([query])
        read = perf_counter()
        scores = self._scored(inputs)
        scored = perf_counter()
        steps = [(protocol.preprocess, read - start), (protocol.predict, scored - read)]
        explanation: Explanation | None = None
        if explain or query.explain:
            explanation = self._explainer.explain(inputs, is_stopped=lambda: request.client_left)
            steps.append((protocol.explain, perf_counter() - scored))
        explained = perf_counter()
        response = protocol.codec.write(query, scores, explanation)
        steps.append((protocol.postprocess, perf_counter() - explained))
        answered = Answered(inputs, scores, [(request.request_id, request.arrived, len(scores), query.extras)])
        return _Done(answered, response, steps)

    def _decompressed(self, request: Request) -> bytes:
        encoding = request.header(b"content-encoding").strip().lower()
        if encoding in (b"", b"identity"):
            return request.body
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise HttpError(
                415,
                f"Content-Encoding {encoding.decode(errors='replace')[:60]!r} is not known; expected gzip or deflate.",
                [(b"accept-encoding", b"gzip, deflate")],
            )
        inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, by its first bytes
        try:
            body = inflater.decompress(request.body, self._body_bytes + 1)
        except zlib.error as error:
            raise HttpError(400, f"The body is no {encoding.decode()}: {error}.") from error
        if len(body) > self._body_bytes:
            raise HttpError(
                413, f"The body is larger than {self._body_bytes:,} bytes once decompressed: send fewer rows."
            )
        if not inflater.eof or inflater.unused_data:
            raise HttpError(400, f"The {encoding.decode()} body is cut short, or something follows it.")
        return body

    def _failed(self, request: Request, protocol: "_Protocol", error: Exception) -> Response:
        if isinstance(error, InputError):
            error = HttpError(400, str(error))
        elif isinstance(error, StoppedError):
            error = HttpError(408, "The client ended the connection before its explanation was ready.")
        elif not isinstance(error, HttpError):
            LOG.error("request failed", exc_info=error, extra=_about(request, 500))
            error = HttpError(
                500, "The server failed to answer; its log says why, under the request id of this answer."
            )
        _log_refused(request, error)
        self.meters.cells[protocol.cells[error.status]] += 1
        return error_response(error)

    # Everything else

    def _other(self, request: Request, reply: Reply) -> Response | None:
        path = request.path.partition(b"?")[0]
        if path[:4].lower() == b"http":  # in full, as it is written to proxies
            path = b"/" + path.split(b"/", 3)[-1] if path.count(b"/") > 2 else b"/"
        if b"%" in path:
            path = unquote_to_bytes(path)
        route = self._predictions.get(path)
        if route is not None and request.method == "POST":
            return self._predict(request, reply, *route)
        page = self._pages.get(path)
        try:
            if page is not None and request.method in ("GET", "HEAD"):
                response = page()
            elif page is None and route is None:
                raise self._unknown(path)
            else:
                allowed = b"GET, HEAD" if page is not None else b"POST"
                raise HttpError(
                    405, f"{request.method} is not possible here; use {allowed.decode()}.", [(b"allow", allowed)]
                )
        except HttpError as error:
            _log_refused(request, error)
            response = error_response(error)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            return self._failed(request, self._v1, error)
        self.meters.cells[self._others[response.status]] += 1
        return response

    def _unknown(self, path: bytes) -> HttpError:
        shown = path.decode(errors="replace")[:200]
        for prefix in ("/v1/models/", "/v2/models/"):
            if shown.startswith(prefix):
                asked = shown.removeprefix(prefix).replace(":", "/").split("/")[0]
                if asked != self.name:
                    return HttpError(404, f"Model {asked!r} is not served here; expected {self.name!r}.")
                if "/versions/" in shown:
                    return HttpError(
                        404, f"This version of {asked!r} is not served here; version {self.scorer.version} is."
                    )
        return HttpError(404, f"There is nothing at {shown!r}; /docs lists what there is.")

    def _page_paths(self, pages: docs.Docs) -> dict[bytes, Callable[[], Response]]:
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        version = f"{v2}/versions/{self.scorer.version}"
        metadata = _json(model_metadata(self.name, self.scorer))
        fixed = {
            "/": _json({"status": "alive"}),
            "/v1/models": _json({"models": [self.name]}),
            "/v2": _json({"name": "fullcircle", "version": "1", "extensions": _EXTENSIONS}),
            "/v2/health/live": _json({"live": True}),
            "/v2/models": _json({"models": [self.name]}),
            v2: metadata,
            version: metadata,
            **pages.files(),
        }
        made: dict[str, Callable[[], Response]] = {path: _always(response) for path, response in fixed.items()}
        made[v1] = lambda: self._readiness({"name": self.name, "ready": self.ready})
        made["/v2/health/ready"] = lambda: self._readiness({"ready": self.ready})
        made[f"{v2}/ready"] = made[f"{version}/ready"] = lambda: self._readiness(
            {"name": self.name, "ready": self.ready}
        )
        made["/metrics"] = lambda: Response(200, self.meters.render(), metrics.CONTENT_TYPE)
        return {path.encode(): page for path, page in made.items()}

    def _readiness(self, content: dict[str, Any]) -> Response:
        return Response(200 if self.ready else 503, json.dumps(content).encode())


@dataclass(slots=True)
class _Waiting:
    """A request that has been read and is to be scored."""

    request: Request
    reply: Reply
    protocol: "_Protocol"
    query: Query
    start: float


@dataclass(slots=True)
class _Done:
    """A large request that has been worked on, and the seconds of each step."""

    answered: Answered
    response: Response
    steps: list[tuple[Histogram, float]]


class _Protocol:
    """A protocol with its counters."""

    def __init__(self, label: str, codec: "_V1Codec | _V2Codec", model: str, meters: Meters) -> None:
        self.codec = codec
        self.cells = {status: meters.cell(figures.REQUESTS, label, str(status)) for status in figures.STATUSES}
        self.ok = self.cells[200]
        self.seconds = meters.histogram(figures.REQUEST_SECONDS, label)
        steps: dict[str, Histogram] = {
            step: meters.histogram(figures.step_seconds(step), model) for step in figures.STEPS
        }
        self.preprocess, self.predict = steps["preprocess"], steps["predict"]
        self.postprocess, self.explain = steps["postprocess"], steps["explain"]


class _V1Codec:
    def __init__(self, v1: V1) -> None:
        self._v1 = v1

    def read(self, request: Request, body: bytes) -> Query:
        del request
        return self._v1.read(body)

    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        del query
        return Response(200, self._v1.write(scores, explanation))


class _V2Codec:
    def __init__(self, v2: V2) -> None:
        self._v2 = v2

    def read(self, request: Request, body: bytes) -> Query:
        return self._v2.read(body, request.header(HEADER_LENGTH))

    def write(self, query: Query, scores: NDArray[np.float32], explanation: Explanation | None) -> Response:
        content, length = self._v2.write(query, scores, explanation)
        if length is None:
            return Response(200, content)
        return Response(200, content, b"application/octet-stream", [(HEADER_LENGTH, b"%d" % length)])


def model_metadata(name: str, scorer: Scorer) -> dict[str, Any]:
    """The V2 metadata of a model; types, ranges and categories stand in the parameters of its inputs."""
    schema = scorer.schema
    return {
        "name": name,
        "versions": [scorer.version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": f.name, "datatype": DATATYPES[f.kind], "shape": [-1], "parameters": _described(f)}
            for f in schema.features
        ],
        "outputs": scorer.answer.metadata(schema),
    }


def _described(feature: Feature) -> dict[str, Any]:
    return feature.model_dump(exclude_defaults=True, exclude={"name"}) | {"nullable": feature.nullable}


def _log_refused(request: Request, error: HttpError) -> None:
    """Note a request that was not answered as its client wished; the log's throttle limits those that are its fault."""
    if error.status == 500:  # noted already, with its cause
        return
    level = logging.ERROR if error.status > 500 else logging.INFO
    LOG.log(level, "refused: %s", str(error)[:500], extra=_about(request, error.status))


def _about(request: Request, status: int) -> dict[str, Any]:
    path = request.path[:200].decode(errors="replace")
    return {"request_id": request.request_id.decode(), "status": status, "path": path}


def _json(content: Any) -> Response:
    return Response(200, json.dumps(content).encode())


def _always(response: Response) -> Callable[[], Response]:
    return lambda: response
