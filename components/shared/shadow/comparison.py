"""A candidate's answers to copies of requests, held against those that clients were given: agreement, time, quality.

Rows are paired by request id and place in the request. Intervals are by a bootstrap of whole requests, because the rows
of one are alike, and paired, because both versions answered the same rows.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.shared.bootstrap import Draws, effective_blocks
from components.shared.bootstrap import Estimate as Resampled
from components.shared.decisions.evidence import Estimate
from components.shared.errors import InputError
from components.shared.evaluation import metric_text
from components.shared.inference_rows import (
    LATENCY,
    PREDICTION,
    RECEIVED,
    REQUEST_ID,
    REQUEST_ROW,
    logged_name,
    probability_names,
)
from components.shared.labels.layout import LabelColumns
from components.shared.labels.targets import read_targets
from components.shared.metrics import LABELS, TABLE, Answers
from components.shared.metrics.weights import Floats, Indices
from components.shared.names import MetricName
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS

_RESAMPLES = 1000
_CONFIDENCE = 0.95
_SAME = 1e-6  # numbers that differ by no more are the same answer


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Latency(_Frozen):
    """Milliseconds from the arrival of a request at a version's server to its answer."""

    p50: float
    p99: float
    longest: float


class PairedQuality(_Frozen):
    """How good both versions' answers to the same labelled rows were.

    Attributes:
        metric: Name of the metric.
        higher_is_better: Its direction.
        rows: Labelled rows that both answered.
        champion: The metric of the version that serves.
        candidate: The metric of the candidate.
        gain: How much better the candidate is, in the metric's unit, with its 95 % interval; negative when it is worse.
    """

    metric: MetricName
    higher_is_better: bool
    rows: int
    champion: float
    candidate: float
    gain: Estimate

    @property
    def message(self) -> str:
        """A part of a line for people."""
        candidate, champion = (metric_text(self.metric, value) for value in (self.candidate, self.champion))
        return f"{LABELS[self.metric]} {candidate} instead of {champion}"


class ShadowComparison(_Frozen):
    """What is known of a candidate by copies of requests.

    Attributes:
        model: Name of the model.
        champion: The version that serves.
        candidate: The version that was sent copies.
        start: When the first of the paired requests arrived; None without any.
        end: When the last one did.
        requests: Paired requests.
        rows: Paired rows.
        needed: Rows that are enough (`serving.shadow.rows`).
        alone: Rows of the candidate without an answer of the champion in the log: it was lost, or of another version.
        repeated: Rows of either version whose request id and place occur more than once; they are left out.
        agreement: Share of rows with the same label; of numbers, with the same value.
        distance: Mean distance between the answers: of numbers in the target's unit; of classes the part of the
            probability that moved from one class to another, from 0 to 1.
        champion_latency: Of the version that serves, one value a request.
        candidate_latency: Of the candidate, measured by its own server in the same way.
        quality: On labelled rows; None without enough of them.
    """

    model: str
    champion: str
    candidate: str
    start: datetime | None = None
    end: datetime | None = None
    requests: int = 0
    rows: int = 0
    needed: int
    alone: int = 0
    repeated: int = 0
    agreement: Estimate | None = None
    distance: Estimate | None = None
    champion_latency: Latency | None = None
    candidate_latency: Latency | None = None
    quality: PairedQuality | None = None

    @property
    def enough(self) -> bool:
        """Whether both have answered as many rows as the configuration asks for."""
        return self.rows >= self.needed

    @property
    def message(self) -> str:
        """One line for people."""
        if self.agreement is None or self.candidate_latency is None or self.champion_latency is None:
            return f"{self.candidate} and {self.champion} have no logged request in common"
        text = (
            f"{self.candidate} answers {self.agreement.value:.1%} of {self.rows:,} rows as {self.champion} does, in "
            f"{self.candidate_latency.p99:.3g} ms (p99) instead of {self.champion_latency.p99:.3g} ms"
        )
        if self.quality:
            text += f"; {self.quality.message}"
        return text if self.enough else f"{text}; {self.needed:,} rows are asked for"


@dataclass(frozen=True, slots=True)
class Side:
    """A version and what it answered.

    Attributes:
        version: The version.
        schema: Its columns and classes.
        answers: Rows of its log, as `reading` gives them; of the champion with the column of labels, where there are
            any (`labels.joining`).
    """

    version: str
    schema: Schema
    answers: pa.Table


def compare_shadow(
    model: str, champion: Side, candidate: Side, *, metric: MetricName, needed: int, minimum_labels: int = 100
) -> ShadowComparison:
    """Compare two versions by their answers to the same requests.

    Args:
        model: Name of the model.
        champion: The version that serves.
        candidate: The version that was sent copies.
        metric: By what quality is measured.
        needed: Rows that are enough.
        minimum_labels: Fewest labelled rows on which quality is measured.

    Raises:
        InputError: The versions predict different things.
    """
    task = TASKS[champion.schema.task]
    if (champion.schema.task, champion.schema.labels) != (candidate.schema.task, candidate.schema.labels):
        raise InputError(
            f"Versions {champion.version} and {candidate.version} of {model!r} predict different things; their answers "
            "cannot be compared."
        )
    pairs = _paired(champion, candidate)
    found = ShadowComparison(
        model=model,
        champion=champion.version,
        candidate=candidate.version,
        needed=needed,
        rows=len(pairs.left),
        alone=pairs.alone,
        repeated=pairs.repeated,
    )
    if not len(pairs.left):
        return found
    served, shadow = champion.answers.take(pairs.left), candidate.answers.take(pairs.right)
    answers = _answers(served, champion.schema), _answers(shadow, candidate.schema)
    distance = task.answer.distance(*(one.scores.astype(np.float32) for one in answers))
    same = np.asarray(answers[0].answered == answers[1].answered) if task.has_classes else distance <= _SAME
    draws = Draws(pairs.request_of, _RESAMPLES)
    received = pd.to_datetime(served[logged_name(RECEIVED, champion.schema)].to_pandas())
    return found.model_copy(
        update={
            "start": received.min().to_pydatetime().astimezone(UTC),
            "end": received.max().to_pydatetime().astimezone(UTC),
            "requests": int(pairs.request_of.max()) + 1,
            "agreement": _mean(draws, same),
            "distance": _mean(draws, distance),
            "champion_latency": _latency(served, champion.schema, pairs.request_of),
            "candidate_latency": _latency(shadow, candidate.schema, pairs.request_of),
            "quality": _quality(served, answers, champion.schema, draws, metric=metric, minimum=minimum_labels),
        }
    )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Positions of the rows that both versions answered, and the request of each pair, numbered from 0."""

    left: Indices
    right: Indices
    request_of: Indices
    alone: int
    repeated: int


def _paired(champion: Side, candidate: Side) -> _Pairs:
    left, repeated_left = _unrepeated(champion)
    right, repeated_right = _unrepeated(candidate)
    together = right.merge(left, on=["id", "row"], how="left", suffixes=("_right", "_left"))
    known = together[together["place_left"].notna()].sort_values("place_left")
    return _Pairs(
        left=known["place_left"].to_numpy(dtype=np.int64),
        right=known["place_right"].to_numpy(dtype=np.int64),
        request_of=known["id"].factorize()[0].astype(np.int64),
        alone=len(together) - len(known),
        repeated=repeated_left + repeated_right,
    )


def _unrepeated(side: Side) -> tuple[pd.DataFrame, int]:
    """Id, row and place of a version's rows, without those that occur more than once, and how many these are."""
    found = pd.DataFrame(
        {
            "id": side.answers[logged_name(REQUEST_ID, side.schema)].to_pandas(),
            "row": side.answers[logged_name(REQUEST_ROW, side.schema)].to_pandas(),
            "place": np.arange(side.answers.num_rows),
        }
    )
    repeated = found.duplicated(["id", "row"], keep=False)
    return found[~repeated], int(repeated.sum())


def _answers(table: pa.Table, schema: Schema) -> Answers:
    """What a version said: the scores, and of classes the one that it answered, by its own threshold."""
    predicted = table[logged_name(PREDICTION, schema)]
    if not TASKS[schema.task].has_classes:
        return Answers(predicted.to_numpy().astype(np.float64))
    scores = np.column_stack([table[name].to_numpy() for name in probability_names(schema)]).astype(np.float64)
    places = {label: place for place, label in enumerate(schema.labels)}
    answered = np.array([places[label] for label in predicted.to_pylist()], dtype=np.int64)
    return Answers(scores, schema.threshold, answered)


def _mean(draws: Draws, values: NDArray[np.generic]) -> Estimate:
    weights = draws.weights
    means = weights.sum(values.astype(np.float64)) / weights.sum()
    # The first resample is the rows themselves.
    return _estimate(Resampled(float(means[0]), means[1:], effective_blocks(weights)))


def _estimate(found: Resampled) -> Estimate:
    low, high = found.interval(_CONFIDENCE) or (found.value, found.value)
    return Estimate(value=found.value, low=low, high=high)


def _latency(table: pa.Table, schema: Schema, request_of: Indices) -> Latency:
    _, first = np.unique(request_of, return_index=True)
    taken: Floats = table[logged_name(LATENCY, schema)].to_numpy()[first].astype(np.float64)
    p50, p99 = np.quantile(taken, [0.5, 0.99])
    return Latency(p50=float(p50), p99=float(p99), longest=float(taken.max()))


def _quality(
    served: pa.Table,
    answers: tuple[Answers, Answers],
    schema: Schema,
    draws: Draws,
    *,
    metric: MetricName,
    minimum: int,
) -> PairedQuality | None:
    if LabelColumns(schema).label not in served.column_names:
        return None
    targets = read_targets(served, schema)
    if len(targets.rows) < max(1, minimum):
        return None
    whole = np.zeros(served.num_rows, dtype=targets.values.dtype)
    whole[targets.rows] = targets.values
    champion, candidate = (
        draws.estimates(schema.task, whole, one, rows=targets.rows, only=[metric])[metric] for one in answers
    )
    if not (np.isfinite(champion.value) and np.isfinite(candidate.value)):
        return None
    lower = TABLE[metric].lower_is_better
    return PairedQuality(
        metric=metric,
        higher_is_better=not lower,
        rows=len(targets.rows),
        champion=champion.value,
        candidate=candidate.value,
        gain=_estimate((candidate - champion).times(-1.0 if lower else 1.0)),
    )
