"""Shadow traffic: copies of requests for a candidate that nobody else asks, sent after they have been answered.

The recorder's thread hands on what it logs; a thread of its own, of lower priority, sends each request to the
candidate, one after another, and discards the answer: the candidate's own server logs it, under the same request id.
So a candidate that is slow, fails or is not there costs clients nothing: what waits is bounded, and what comes beyond
is dropped and counted. While no candidate answers at the address, nothing is kept for it.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

import orjson

from components.shared.package.scoring import Scorer
from images.predictor import figures
from images.predictor.answered import Answered
from images.predictor.batches import Batches
from images.predictor.inference_log import lower_priority
from images.predictor.metrics import Meters

if TYPE_CHECKING:
    import urllib3

LOG = logging.getLogger("fullcircle.predictor")

_MOST_WAITING_BYTES = 16_000_000
_TEXT_BYTES = 64  # overhead of a Python string besides its characters
_LOOK_SECONDS = 2.0  # between two looks for a candidate
_CONNECT_SECONDS = 1.0
_END_SECONDS = 0.5


class ShadowTraffic:
    """Sends copies of a share of the logged requests to a candidate.

    Args:
        scorer: The model that answers.
        url: V1 prediction URL of the candidate, when there is one.
        share: Of the logged requests, from 0 to 1.
        seconds: Longest time for an answer of the candidate.
        meters: Where copies are counted.
    """

    def __init__(self, scorer: Scorer, url: str, *, share: float, seconds: float, meters: Meters) -> None:
        self._scorer = scorer
        self._predict = url
        self._model = url.removesuffix(":predict").replace("/v1/models/", "/v2/models/")
        self._share = share
        self._seconds = seconds
        self._meters = meters
        self._batches = Batches(scorer, ())
        self._columns = [*scorer.schema.columns, *scorer.schema.extras]
        self._latency = meters.histogram(figures.SHADOW_SECONDS)
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Answered, int]] = deque()
        self._waiting_bytes = 0
        self._candidate = ""  # the version that answers; empty while none does
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="shadow-traffic", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def offer(self, answered: Answered) -> None:
        """Copy a share of requests, unless no candidate is there; never waits. What does not fit is dropped."""
        if not self._candidate:
            return
        chosen = answered.sampled(self._share)
        if not chosen.requests:
            return
        size = _size(chosen)
        with self._changed:
            if self._waiting_bytes + size > _MOST_WAITING_BYTES or self._closing:
                self._count("dropped", len(chosen.requests))
                return
            self._waiting.append((chosen, size))
            self._waiting_bytes += size
            self._changed.notify()

    def close(self) -> None:
        """End soon; what still waits is dropped and counted, and an answer that is not there is not waited for."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_END_SECONDS)
        self._drop_waiting()

    def _run(self) -> None:
        lower_priority()
        import urllib3

        limits = urllib3.Timeout(connect=_CONNECT_SECONDS, read=self._seconds)
        pool = urllib3.PoolManager(timeout=limits, retries=False, maxsize=1)
        while not self._closing:
            try:
                if self._candidate:
                    self._send_next(pool)
                elif version := self._look(pool):
                    LOG.info("version %s is sent copies of requests", version)
                    self._found(version)
                else:
                    self._pause()
            except Exception:
                LOG.exception("copies of requests could not be sent")
                self._lose()

    def _pause(self) -> None:
        with self._changed:
            if not self._closing:
                self._changed.wait(_LOOK_SECONDS)

    def _look(self, pool: "urllib3.PoolManager") -> str:
        """The version of a candidate that answers at the address; empty for none, and for the version that serves."""
        import urllib3

        try:
            answer = pool.request("GET", self._model)
            versions = orjson.loads(answer.data)["versions"] if answer.status == 200 else []
            version = str(versions[0]) if versions else ""
        except (urllib3.exceptions.HTTPError, ValueError, LookupError, TypeError):
            return ""
        return version if version != self._scorer.version else ""

    def _send_next(self, pool: "urllib3.PoolManager") -> None:
        found = self._next()
        if found is None:
            return
        answered, size = found
        sent = 0
        try:
            for request_id, rows in self._requests(answered):
                if self._closing or not self._candidate:
                    break
                sent += 1
                self._send(pool, request_id, rows)
        finally:
            self._count("dropped", len(answered.requests) - sent)
            with self._changed:
                self._waiting_bytes -= size

    def _next(self) -> tuple[Answered, int] | None:
        """The requests that have waited longest; None when there are none for a while, or never will be."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(_LOOK_SECONDS)
            return self._waiting.popleft() if self._waiting and not self._closing else None

    def _requests(self, answered: Answered) -> Iterator[tuple[bytes, list[dict[str, Any]]]]:
        """Each request's id and rows, as a client of the V1 protocol sends them."""
        rows = self._batches.of(answered).select(self._columns)
        place = 0
        for request in answered.requests:
            yield request.request_id, rows.slice(place, request.rows).to_pylist()
            place += request.rows

    def _send(self, pool: "urllib3.PoolManager", request_id: bytes, rows: list[dict[str, Any]]) -> None:
        import urllib3

        body = orjson.dumps({"instances": rows})
        headers = {"content-type": "application/json", "x-request-id": request_id.decode()}
        start = perf_counter()
        try:
            answer = pool.request("POST", self._predict, body=body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            LOG.warning("the candidate no longer takes copies of requests: %s", error)
            self._count("failed", 1)
            self._lose()
            return
        self._latency.observe(perf_counter() - start)
        self._count("answered" if answer.status == 200 else "refused", 1)

    def _found(self, version: str) -> None:
        self._candidate = version
        self._meters.cells[self._meters.cell(figures.SHADOW_CANDIDATE)] = 1.0

    def _lose(self) -> None:
        """Give up a candidate that does not answer: drop what waits for it, and look for one again after a pause."""
        self._candidate = ""
        self._meters.cells[self._meters.cell(figures.SHADOW_CANDIDATE)] = 0.0
        self._drop_waiting()
        self._pause()

    def _drop_waiting(self) -> None:
        with self._changed:
            self._count("dropped", sum(len(answered.requests) for answered, _ in self._waiting))
            self._waiting_bytes -= sum(size for _, size in self._waiting)
            self._waiting.clear()

    def _count(self, outcome: str, requests: int) -> None:
        if requests:
            self._meters.add(requests, figures.SHADOW_REQUESTS, outcome)


def _size(answered: Answered) -> int:
    """About how many bytes requests take while they wait."""
    inputs = answered.inputs
    texts = sum(map(len, inputs.categories.ravel())) + _TEXT_BYTES * inputs.categories.size
    extras = sum(
        _TEXT_BYTES + len(value or "")
        for request in answered.requests
        for values in request.extras.values()
        for value in values
    )
    return int(inputs.numbers.nbytes + inputs.times.nbytes + texts + extras)
