"""The endpoint: rows that were asked for are scored, explained, counted and logged, whichever protocol they came by.

Small requests are read where they arrive and scored together with those that arrive in the same turn of the event
loop; large ones, compressed ones and explanations have threads of their own, for as long as the settings allow.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hmac import compare_digest
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.shared.config import ServingConfig
from components.shared.errors import InputError
from components.shared.package.proof import HEADER, proof_token
from components.shared.package.scoring import Inputs, Scorer, joined
from components.shared.request_figures import REQUEST_SECONDS, REQUESTS
from components.shared.shapley import StoppedError
from images.predictor import figures
from images.predictor.answered import Answered, AnsweredRequest
from images.predictor.explain import Explainer, Explanation
from images.predictor.messages import ProtocolError, Reason, Reply, Request, Response
from images.predictor.metrics import Histogram, Meters
from images.predictor.protocols.base import Codec
from images.predictor.protocols.content_encoding import decompressed
from images.predictor.protocols.query import Query
from images.predictor.protocols.records import Records
from images.predictor.recorder import Recorder

LOG = logging.getLogger("fullcircle.predictor")

# What a core scores while a client elsewhere would not notice; larger requests go to a thread of their own.
_INLINE_BYTES = 64 * 1024
_THREADS = 2
_PROOF_HEADER = HEADER.lower().encode()


class Endpoint:
    """Answers requests for the predictions of one model.

    Args:
        name: Name of the model.
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
        self.package = package
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
        self._record_tensors = Records(scorer.schema).tensors
        self._rows = meters.cell(figures.ROWS, name)
        self._queue_gauge = meters.cell(figures.QUEUED, name)

    @property
    def limits(self) -> dict[str, Any]:
        """The settings that protocols need: what to do with extra columns, and the most rows of a request."""
        return {"extra": self.settings.extra_columns, "rows": self.settings.rows}

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def predict(self, request: Request, reply: Reply, protocol: "Counted", explain: bool = False) -> Response | None:
        """Answer a request for predictions, at once or through `reply`; never raises.

        Args:
            request: What was asked.
            reply: Takes the answer, when none is returned.
            protocol: Reads the request and writes the answer.
            explain: Whether explanations are asked for by the name of what was called.
        """
        body = request.body
        if explain or len(body) > _INLINE_BYTES or request.header(b"content-encoding"):
            return self._in_thread(request, reply, protocol, explain)
        start = perf_counter()
        try:
            query = protocol.codec.read(request, body)
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            return self.failed(request, protocol, error)
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
        """Score requests one by one, after scoring them together has failed, so that only the faulty ones fail."""
        for item in waiting:
            try:
                inputs = self._tensors([item.query]) if len(waiting) > 1 else None
                scores = self._scored(inputs) if inputs is not None else None
            except Exception as own:  # noqa: BLE001, whatever it is, the client gets an answer
                error, inputs, scores = own, None, None
            if inputs is None or scores is None:
                item.reply(item.request, self.failed(item.request, item.protocol, error))
            else:
                self._answer_together([item], inputs, scores, 0.0)
        del error  # its traceback refers to this frame

    def _answer_together(
        self, waiting: list["_Waiting"], inputs: Inputs, scores: NDArray[np.float32], seconds: float
    ) -> None:
        cells, place = self.meters.cells, 0
        requests: list[AnsweredRequest] = []
        answered = np.ones(len(inputs), dtype=bool)
        of_clients = []
        for item in waiting:
            request, protocol, query = item.request, item.protocol, item.query
            rows = len(query)
            start = perf_counter()
            try:
                response = protocol.codec.write(query, scores[place : place + rows], None)
                cells[protocol.cells[None]] += 1
                taken = perf_counter() - item.start
                requests.append(AnsweredRequest(request.request_id, request.arrived, rows, query.extras, taken))
                of_clients.append(not self._proves(request))
            except Exception as error:  # noqa: BLE001, whatever it is, this client gets an answer, and so do the others
                response = self.failed(request, protocol, error)
                answered[place : place + rows] = False
            end = perf_counter()
            place += rows
            protocol.postprocess.observe(end - start)
            protocol.seconds.observe(end - item.start)
            item.reply(request, response)
        waiting[0].protocol.predict.observe(seconds, len(waiting))
        if len(requests) < len(waiting):  # who got no predictions was not answered: neither counted nor logged
            inputs, scores = inputs.rows(answered), scores[answered]
        cells[self._rows] += len(scores)
        self._record(Answered(inputs, scores, requests), of_clients)

    def _proves(self, request: Request) -> bool:
        """Whether a request is the deployer's, which proves this version; see `components.shared.package.proof`."""
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

    def _in_thread(self, request: Request, reply: Reply, protocol: "Counted", explain: bool) -> Response | None:
        if self._queued >= self.settings.queue:
            busy = ProtocolError(
                Reason.BUSY,
                f"{self._queued} large requests are waiting already; try again in a moment, or send fewer rows.",
                [(b"retry-after", b"1")],
            )
            return self.failed(request, protocol, busy)
        self._queued += 1
        self.meters.cells[self._queue_gauge] = self._queued
        task = asyncio.get_running_loop().create_task(self._wait(request, reply, protocol, explain))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    async def _wait(self, request: Request, reply: Reply, protocol: "Counted", explain: bool) -> None:
        """Have a large request worked on in a thread, for as long as the settings allow."""
        start = perf_counter()
        loop = asyncio.get_running_loop()
        longest = min(self.settings.request_seconds, request.seconds)
        future = self._threads.submit(self._work, request, protocol, explain, start)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._left_queue))
        try:
            done = await asyncio.wait_for(asyncio.wrap_future(future), timeout=longest)
        except TimeoutError:
            request.client_left = True  # tells the thread that nobody waits for its result
            slow = ProtocolError(
                Reason.TIMED_OUT, f"The answer took longer than {longest:.3g} s: send fewer rows at a time."
            )
            reply(request, self.failed(request, protocol, slow))
        except Exception as error:  # noqa: BLE001, whatever it is, the client gets an answer
            reply(request, self.failed(request, protocol, error))
            # Error and frame refer to each other by way of the future: this cycle would keep the body in memory.
            error.__traceback__ = None
        else:
            for histogram, seconds in done.steps:  # counted here, because only the event loop counts these
                histogram.observe(seconds)
            protocol.seconds.observe(perf_counter() - start)
            self.meters.cells[protocol.cells[None]] += 1
            self.meters.cells[self._rows] += len(done.answered.scores)
            self._record(done.answered, [not self._proves(request)])
            reply(request, done.response)

    def _left_queue(self) -> None:
        self._queued -= 1
        self.meters.cells[self._queue_gauge] = self._queued

    def _work(self, request: Request, protocol: "Counted", explain: bool, arrived: float) -> "_Done":
        start = perf_counter()
        query = protocol.codec.read(request, decompressed(request, self._body_bytes))
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
        taken = perf_counter() - arrived
        about = AnsweredRequest(request.request_id, request.arrived, len(scores), query.extras, taken)
        return _Done(Answered(inputs, scores, [about]), response, steps)

    def failed(self, request: Request, protocol: "Counted", error: Exception) -> Response:
        """Log and count a request that is not answered as its client wished, and say why."""
        if isinstance(error, InputError):
            error = ProtocolError(Reason.INVALID, str(error))
        elif isinstance(error, StoppedError):
            error = ProtocolError(Reason.LATE, "The client ended the connection before its explanation was ready.")
        elif not isinstance(error, ProtocolError):
            LOG.error("request failed", exc_info=error, extra=_about(request, figures.STATUS_OF[Reason.FAILED]))
            error = ProtocolError(
                Reason.FAILED, "The server failed to answer; its log says why, under the request id of this answer."
            )
        log_refused(request, error)
        protocol.count(error)
        return Response(error=error)


@dataclass(slots=True)
class _Waiting:
    """A request that has been read and is to be scored."""

    request: Request
    reply: Reply
    protocol: "Counted"
    query: Query
    start: float


@dataclass(slots=True)
class _Done:
    """A large request that has been worked on, and the seconds of each step."""

    answered: Answered
    response: Response
    steps: list[tuple[Histogram, float]]


class Counted:
    """A protocol with its counters.

    Args:
        label: Of the protocol in the figures.
        codec: Reads and writes it.
        endpoint: Whose requests are counted.
    """

    def __init__(self, label: str, codec: Codec, endpoint: Endpoint) -> None:
        meters, name = endpoint.meters, endpoint.name
        self.codec = codec
        self.meters = meters
        self.cells = request_cells(meters, label)
        self.seconds = meters.histogram(REQUEST_SECONDS, label)
        steps: dict[str, Histogram] = {
            step: meters.histogram(figures.step_seconds(step), name) for step in figures.STEPS
        }
        self.preprocess, self.predict = steps["preprocess"], steps["predict"]
        self.postprocess, self.explain = steps["postprocess"], steps["explain"]

    def count(self, error: ProtocolError) -> None:
        """Count a request that was refused."""
        self.meters.cells[self.cells[error.reason]] += 1


def request_cells(meters: Meters, label: str) -> dict[Reason | None, int]:
    """Where requests of a protocol are counted: by why they were refused, and those that were answered by None."""
    return {reason: meters.cell(REQUESTS, label, str(status)) for reason, status in figures.STATUS_OF.items()}


def log_refused(request: Request, error: ProtocolError) -> None:
    """Note a request that was not answered as its client wished; the log's throttle limits those that are its fault."""
    if error.reason is Reason.FAILED:  # noted already, with its cause
        return
    level = logging.ERROR if error.reason in (Reason.BUSY, Reason.TIMED_OUT) else logging.INFO
    LOG.log(level, "refused: %s", str(error)[:500], extra=_about(request, figures.STATUS_OF[error.reason]))


def _about(request: Request, status: int) -> dict[str, Any]:
    path = request.path[:200].decode(errors="replace")
    return {"request_id": request.request_id.decode(), "status": status, "path": path}
