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
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.shared import inference_rows
from components.shared.config import InferenceLogConfig
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, Scorer, joined
from components.shared.tasks import TASKS
from components.shared.tasks.choosing import choose_classes
from images.predictor import figures
from images.predictor.figures import is_complete
from images.predictor.inference_log import InferenceLog
from images.predictor.metrics import Meters

if TYPE_CHECKING:
    import pyarrow as pa

LOG = logging.getLogger("fullcircle.predictor")

_ROWS_AT_ONCE = 2_048
_MOST_WAITING_ROWS = 200_000
_MOST_WAITING_VALUES = 5_000_000
_LONGEST_PAUSE = 0.5  # seconds; figures of rows are this much behind at most


Extras = dict[str, list[str | None]]


@dataclass(slots=True)
class Answered:
    """Requests that were answered together.

    Attributes:
        inputs: Their rows.
        scores: The answers.
        requests: Each one's id, when it arrived (in seconds since 1970), its number of rows, and the values of keys and
            time column that came along.
    """

    inputs: Inputs
    scores: NDArray[np.float32]
    requests: Sequence[tuple[bytes, float, int, Extras]]

    def sampled(self, share: float) -> "Answered":
        """Some of the requests, by chance."""
        if share >= 1.0:
            return self
        return self.only(np.random.default_rng().random(len(self.requests)) < share)

    def only(self, chosen: NDArray[np.bool_]) -> "Answered":
        """Some of the requests, each chosen or not."""
        rows = np.repeat(chosen, [rows for _, _, rows, _ in self.requests])
        return Answered(
            self.inputs.rows(rows),
            self.scores[rows],
            [item for item, keep in zip(self.requests, chosen, strict=True) if keep],
        )


class Recorder:
    """Counts answered rows and logs them.

    Args:
        scorer: The model that answers.
        settings: What is logged.
        meters: Where rows are counted.
        log: Where logged rows go; None when nothing is logged.
    """

    def __init__(self, scorer: Scorer, settings: InferenceLogConfig, meters: Meters, log: InferenceLog | None) -> None:
        self.scorer = scorer
        self.schema = scorer.schema
        self._sample = settings.sample if log else 0.0
        self._leave_out = frozenset(settings.leave_out)
        self._log = log
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
        self._log_schema: pa.Schema | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()
        if self._log:
            self._log.start()

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
        """Count what nobody will log; called by two threads, of which each request is one's."""
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
        answered = _together(some)
        try:
            self._tally.add(answered.inputs, answered.scores)
        except Exception:
            LOG.exception("%d answered rows could not be counted", rows)
        if self._log and (chosen := answered.sampled(self._sample)).requests:
            self._put_in_log(self._log, chosen)

    def _put_in_log(self, log: InferenceLog, chosen: Answered) -> None:
        try:
            batch = self._batch(chosen)
        except Exception:
            LOG.exception("%d answered rows could not be logged", len(chosen.inputs))
            self._drop(chosen)
        else:
            first = min(received for _, received, _, _ in chosen.requests)
            log.add(batch, datetime.fromtimestamp(first, UTC))

    def _batch(self, answered: Answered) -> "pa.RecordBatch":
        import pyarrow as pa

        if self._log_schema is None:
            self._log_schema = inference_rows.log_schema(self.schema, self._leave_out)
        columns = self._columns(answered)
        arrays = [_array(columns[field.name](), field.type) for field in self._log_schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self._log_schema)

    def _columns(self, answered: Answered) -> dict[str, Any]:
        """For each column of the log, a function that gives its values."""
        schema, inputs, scores, requests = self.schema, answered.inputs, answered.scores, answered.requests
        counts = np.array([rows for _, _, rows, _ in requests])
        request_of = np.repeat(np.arange(len(requests)), counts)
        columns: dict[str, Any] = {}
        for place, feature in enumerate(schema.numbers):
            columns[feature.name] = lambda p=place, f=feature: _logged_numbers(inputs.numbers[:, p], f)
        for place, feature in enumerate(schema.categories):
            columns[feature.name] = lambda p=place, f=feature: _logged_texts(inputs.categories[:, p], f)
        for place, feature in enumerate(schema.timestamps):
            columns[feature.name] = lambda p=place: _logged_times(inputs.times[:, p])
        for name in schema.extras:
            columns[name] = lambda n=name: _extra_texts(requests, n)
        about: dict[str, Any] = {
            inference_rows.REQUEST_ID: lambda: _taken([name.decode() for name, _, _, _ in requests], request_of),
            inference_rows.REQUEST_ROW: lambda: _numbers_within(counts),
            inference_rows.RECEIVED: lambda: np.array([received * 1e6 for _, received, _, _ in requests]).astype(
                "datetime64[us]"
            )[request_of],
            inference_rows.MODEL_VERSION: lambda: _taken([self.scorer.version], np.zeros(len(inputs), dtype=np.int64)),
            inference_rows.PREDICTION: lambda: self.scorer.answer.logged(scores, schema),
        }
        columns |= {inference_rows.logged_name(name, schema): values for name, values in about.items()}
        for place, name in enumerate(inference_rows.probability_names(schema)):
            columns[name] = lambda p=place: scores[:, p]
        return columns


def _together(answered: Sequence[Answered]) -> Answered:
    """Several as one."""
    return Answered(
        joined([item.inputs for item in answered]),
        np.concatenate([item.scores for item in answered]),
        [request for item in answered for request in item.requests],
    )


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


def _numbers_within(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """0, 1, … within each request, one after another."""
    starts = np.cumsum(counts) - counts
    return (np.arange(counts.sum()) - np.repeat(starts, counts)).astype(np.int32)


def _extra_texts(requests: Sequence[tuple[bytes, float, int, Extras]], name: str) -> list[str | None]:
    return [text for _, _, rows, extras in requests for text in extras.get(name) or [None] * rows]


def _logged_numbers(values: NDArray[Any], feature: Feature) -> Any:
    if feature.kind == "number":
        return values
    import pyarrow as pa

    missing = np.isnan(values)
    whole = np.where(missing, 0, np.clip(values, -(2.0**63), 2.0**63 - 1024)).astype(np.int64)
    return pa.array(whole.astype(bool) if feature.kind == "boolean" else whole, mask=missing)


def _logged_texts(values: NDArray[np.object_], feature: Feature) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.array(values, pa.string())
    return pc.if_else(pc.not_equal(texts, ""), texts, None) if feature.nullable else texts


def _logged_times(values: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    return pa.array(values, mask=values == MISSING_TIME).cast(pa.timestamp("s"))


def _taken(texts: list[str], places: NDArray[np.int64]) -> Any:
    """For each place the text that stands there."""
    import pyarrow as pa

    return pa.array(texts, pa.string()).take(pa.array(places))


def _array(values: Any, kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, type=kind, from_pandas=True)
