"""Off the request path: counting what was asked and answered, and handing it to the inference log.

The event loop only appends to a queue. A thread takes from it many requests at a time, so that its work is done on
whole columns: a fraction of a microsecond a row.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from components.shared.config import InferenceLogConfig
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, Scorer
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from images.predictor import figures
from images.predictor.answered import Answered, together
from images.predictor.batches import Batches
from images.predictor.figures import is_complete
from images.predictor.inference_log import InferenceLog
from images.predictor.metrics import Meters
from images.predictor.shadow import ShadowTraffic

LOG = logging.getLogger("fullcircle.predictor")

_ROWS_AT_ONCE = 2_048
_MOST_WAITING_ROWS = 200_000
_MOST_WAITING_VALUES = 5_000_000
_LONGEST_PAUSE = 0.5  # seconds; figures of rows are this much behind at most


class Recorder:
    """Counts answered rows and logs them.

    Args:
        scorer: The model that answers.
        settings: What is logged.
        meters: Where rows are counted.
        log: Where logged rows go; None when nothing is logged.
        shadow: Sends copies of logged requests to a candidate; None for no copies.
    """

    def __init__(
        self,
        scorer: Scorer,
        settings: InferenceLogConfig,
        meters: Meters,
        log: InferenceLog | None,
        *,
        shadow: ShadowTraffic | None = None,
    ) -> None:
        self.scorer = scorer
        self.schema = scorer.schema
        self._sample = settings.sample if log else 0.0
        self._batches = Batches(scorer, settings.leave_out)
        self._log = log
        self._shadow = shadow
        self._tally = _Tally(self.schema, meters)
        self._meters = meters
        self._queue: deque[Answered] = deque()
        self._most_waiting = min(_MOST_WAITING_ROWS, _MOST_WAITING_VALUES // max(1, len(scorer.schema.features)))
        self._put = 0  # rows, counted by the event loop
        self._taken = 0  # rows, counted by the thread
        self._wake = threading.Event()
        self._closing = False
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        if self._log:
            self._log.start()
        if self._shadow:
            self._shadow.start()

    def record(self, answered: Answered) -> None:
        """Take note of answered requests; to be called from one thread only, and never waits."""
        rows = len(answered.inputs.numbers)
        waiting = self._put - self._taken
        if waiting + rows > self._most_waiting and waiting:
            self._drop(answered.sampled(self._sample))
            return
        self._put += rows
        self._queue.append(answered)
        if self._ended:  # a large request that was answered only now: nobody takes it any more
            self._drop_left()
        elif waiting >= _ROWS_AT_ONCE and not self._wake.is_set():
            self._wake.set()

    def _drop_left(self) -> None:
        """Count the requests left in the queue as dropped; safe from two threads: each request is counted once."""
        with suppress(IndexError):
            while True:
                self._drop(self._queue.popleft().sampled(self._sample))

    def _drop(self, answered: Answered) -> None:
        if rows := len(answered.inputs):
            self._meters.add(rows, figures.LOG_ROWS, "dropped")

    def close(self, seconds: float) -> None:
        """Count and log what is left, within the given time; what is not logged by then is counted as dropped."""
        deadline = time.monotonic() + seconds
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        self._ended = True
        self._drop_left()
        if self._shadow:
            self._shadow.close()
        if self._log:
            self._log.close(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            self._wake.wait(_LONGEST_PAUSE)
            self._wake.clear()
            closing = self._closing
            while self._queue:
                self._take()
            if self._log:
                self._meters.cells[self._meters.cell(figures.LOG_WAITING_BYTES)] = self._log.waiting_bytes
            if closing:
                return

    def _take(self) -> None:
        """Work on the next requests, as many as make a good batch."""
        some: list[Answered] = []
        rows = 0
        while self._queue and rows < _ROWS_AT_ONCE:
            some.append(self._queue.popleft())
            rows += len(some[-1].inputs)
        self._taken += rows
        answered = together(some)
        try:
            self._tally.add(answered.inputs, answered.scores)
        except Exception:
            LOG.exception("%d answered rows could not be counted", rows)
        if self._log and (chosen := answered.sampled(self._sample)).requests:
            self._put_in_log(self._log, chosen)
            if self._shadow:
                self._shadow.offer(chosen)

    def _put_in_log(self, log: InferenceLog, chosen: Answered) -> None:
        try:
            batch = self._batches.of(chosen)
        except Exception:
            LOG.exception("%d answered rows could not be logged", len(chosen.inputs))
            self._drop(chosen)
        else:
            first = min(request.arrived for request in chosen.requests)
            log.add(batch, datetime.fromtimestamp(first, UTC))


class _Tally:
    """Counts values, column by column."""

    def __init__(self, schema: Schema, meters: Meters) -> None:
        self.schema = schema
        self.meters = meters
        self._known = [
            frozenset([*feature.categories, *([""] if feature.nullable else [])])
            if is_complete(feature.categories, feature.cardinality)
            else None
            for feature in schema.categories
        ]
        self._low, self._high = _ranges(schema.numbers)
        self._earliest, self._latest = _ranges(schema.timestamps)

    def add(self, inputs: Inputs, scores: NDArray[np.float32]) -> None:
        """Count the rows of some requests."""
        numbers, schema = inputs.numbers, self.schema
        self._count(figures.OUT_OF_RANGE, schema.numbers, ((numbers < self._low) | (numbers > self._high)).sum(axis=0))
        self._count(figures.MISSING, schema.numbers, np.isnan(numbers).sum(axis=0))
        times = inputs.times
        absent = times == MISSING_TIME
        beyond = ((times < self._earliest) | (times > self._latest)) & ~absent
        self._count(figures.OUT_OF_RANGE, schema.timestamps, beyond.sum(axis=0))
        self._count(figures.MISSING, schema.timestamps, absent.sum(axis=0))
        for place, feature in enumerate(schema.categories):
            self._categories(feature, self._known[place], inputs.categories[:, place].tolist())
        self._predictions(scores)

    def _categories(self, feature: Feature, known: frozenset[str] | None, values: list[str]) -> None:
        counts = Counter(values)
        if feature.nullable and (missing := counts[""]):
            self.meters.cells[self.meters.cell(figures.MISSING, feature.name)] += missing
        if known is not None and (unseen := counts.keys() - known):
            self.meters.cells[self.meters.cell(figures.UNSEEN, feature.name)] += sum(counts[value] for value in unseen)

    def _count(self, name: str, features: Sequence[Feature], counts: NDArray[np.int64]) -> None:
        for place in np.flatnonzero(counts).tolist():
            self.meters.cells[self.meters.cell(name, features[place].name)] += int(counts[place])

    def _predictions(self, scores: NDArray[np.float32]) -> None:
        if not TASKS[self.schema.task].has_classes:
            histogram = self.meters.histogram(figures.PREDICTED_VALUES)
            bounds = np.array([*histogram.bounds, np.inf])
            values = scores[np.isfinite(scores)]
            counts = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds))
            histogram.add(counts.tolist(), float(values.sum(dtype=np.float64)))
            return
        classes = choose_classes(scores, threshold=self.schema.threshold)
        counts = np.bincount(classes, minlength=len(self.schema.classes)).tolist()
        for label, count in zip(self.schema.labels, counts, strict=True):
            self.meters.cells[self.meters.cell(figures.PREDICTIONS, label)] += count


def _ranges(features: Sequence[Feature]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest values of the training part; endless where it had none."""
    low = [-np.inf if feature.minimum is None else feature.minimum for feature in features]
    high = [np.inf if feature.maximum is None else feature.maximum for feature in features]
    return np.array(low, dtype=np.float64), np.array(high, dtype=np.float64)
