"""Three lines of quality for a window of answers: measured, estimated, and what past estimates were off by.

The measured line is the truth, and late; the estimated one is there at once, and wrong when features and target come to
be related in another way. Each makes up for the other's fault: where both are known, their difference is compared with
what it was before. The estimate learns from the newest mature window as well as from the reference; the difference is
judged by an estimator that knows the reference alone, or it would learn the change that it is to find.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from components.monitor.quality.estimators import Estimator, Known
from components.monitor.quality.measured import CONFIDENCE, as_evidence, measure
from components.monitor.quality.model import QualityModel
from components.monitor.quality.relation import has_changed
from components.monitor.quality.rows import HAPPENED, Rows, answered, known_features, read_rows
from components.monitor.quality.slices import widened_gaps
from components.shared.config import LabelsConfig
from components.shared.decisions.evidence import Estimate, Quality
from components.shared.evaluation import Gap, Slice
from components.shared.inference_rows import RECEIVED, REQUEST_ID, REQUEST_ROW, logged_name
from components.shared.judging import Judged
from components.shared.labels.joining import Joined, join
from components.shared.labels.maturity import Answered, Floats, LabelLag, is_mature, label_lag
from components.shared.labels.targets import read_targets
from components.shared.metrics import TABLE
from components.shared.package.schema import Schema

_MOST_CALIBRATING = 20_000  # rows of a window that an estimator learns from


@dataclass(frozen=True, slots=True)
class History:
    """What is known from before the window.

    Attributes:
        windows: Answers of earlier windows of the version, the oldest first, as logged; a sample of each is enough.
        qualities: How good the answers of earlier windows were found, the oldest first; one of each window.
    """

    windows: Sequence[pa.Table] = ()
    qualities: Sequence[Quality] = ()


@dataclass(frozen=True, slots=True)
class WindowQuality:
    """How good the answers of a window were.

    Attributes:
        quality: What decisions are taken on; None where nothing is known of the version's quality before.
        joined: The answers with their labels, and what became of the labels.
        unreadable: Labels that are none of the model's classes, or no numbers.
        unanswered: Rows whose answer the log does not tell.
        lag: How late labels come.
        slices: The metric by slice, measured.
        gaps: The largest gap of each column; the intervals hold for all of them together.
    """

    quality: Quality | None
    joined: Joined
    unreadable: int
    unanswered: int
    lag: LabelLag
    slices: tuple[Slice, ...] = ()
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class _Window:
    """The rows at hand, how late their labels come, and how many rows each label stands for."""

    rows: Rows
    lag: LabelLag
    weights: Floats
    now: float


def quality_of(
    answers: pa.Table,
    labels: pa.Table,
    history: History,
    model: QualityModel,
    settings: LabelsConfig,
    *,
    now: datetime,
) -> WindowQuality:
    """Find out how good the answers of a window were.

    Args:
        answers: The window's rows of one version, as logged (`inference_rows.log_schema`); all, or a random sample. By
            event time `HAPPENED` says when each was.
        labels: As they are known now: `Labels.known_at(now)`.
        history: What is known from before.
        model: The version.
        settings: When a window is mature.
        now: The moment as of which labels are known, with a time zone.
    """
    joined = join(answers, labels, model.schema)
    rows = read_rows(joined.table, model.schema)
    lag, newest = _looked_back(history, rows, labels, model.schema, settings, now=now)
    of_rows = rows.answered(model.schema)
    known = of_rows.labelled
    weights = lag.weights(of_rows.received[known], of_rows.classes[known], now.timestamp())
    window = _Window(rows, lag, weights, now.timestamp())
    whole, parts = measure(rows, weights, model, fewest=settings.minimum_rows)
    return WindowQuality(
        quality=_quality(window, whole, newest, history, model, settings),
        joined=joined,
        unreadable=rows.targets.unreadable,
        unanswered=rows.unanswered,
        lag=lag,
        slices=tuple(part.as_slice(CONFIDENCE) for part in parts),
        gaps=widened_gaps(parts, CONFIDENCE),
    )


def _quality(
    window: _Window,
    whole: Judged | None,
    newest: Rows | None,
    history: History,
    model: QualityModel,
    settings: LabelsConfig,
) -> Quality | None:
    reference = model.reference_quality
    if reference is None:
        return None
    low, high = reference.interval(CONFIDENCE) or (None, None)
    rows, total = window.rows, window.rows.table.num_rows
    labelled = len(rows.targets.rows)
    mature = is_mature(labelled, total, window.lag, coverage=settings.coverage, minimum=settings.minimum_rows)
    off = _off(rows, window.weights, model) if whole else None
    return Quality(
        metric=model.metric,
        higher_is_better=not TABLE[model.metric].lower_is_better,
        reference=reference.value,
        reference_low=low,
        reference_high=high,
        measured=as_evidence(whole.estimates[model.metric]) if whole else None,
        estimated=_estimated(rows, newest, model),
        labelled=labelled / total if total else 0.0,
        expected=window.lag.expected(rows.answered(model.schema).received, window.now),
        mature=mature,
        off=off,
        relation_changed=bool(mature and off and _relation_changed(off, history, model)),
    )


def _estimated(rows: Rows, newest: Rows | None, model: QualityModel) -> Estimate | None:
    """The metric by an estimator that has learned from the reference rows and the newest mature window."""
    columns = model.columns(rows.table.column_names)
    estimator = model.estimator(columns)
    known = model.reference_rows(columns)
    if known and newest and set(columns) <= set(newest.table.column_names):
        recent = _known(newest, columns, np.ones(len(newest.targets.rows)), model.schema)
        estimator = Estimator.fit(model.metric, known.with_rows(recent))
    if estimator is None or not rows.table.num_rows:
        return None
    return as_evidence(estimator.estimate(rows.answers, known_features(rows.table, model.schema, columns)))


def _off(rows: Rows, weights: Floats, model: QualityModel) -> Estimate | None:
    """Measured minus estimated quality on the labelled rows, by an estimator that learned from the reference alone."""
    columns = model.columns(rows.table.column_names)
    estimator = model.estimator(columns)
    if estimator is None:
        return None
    return as_evidence(estimator.off_by(_known(rows, columns, weights, model.schema)))


def _relation_changed(off: Estimate, history: History, model: QualityModel) -> bool:
    """Whether the estimate's error is larger than those of earlier windows whose relation had not changed."""
    before = [found for one in model.reference_off if (found := as_evidence(one))]
    before += [
        past.off
        for past in history.qualities
        if past.off and past.mature and past.metric == model.metric and not past.relation_changed
    ]
    reference = model.reference_quality
    return has_changed(model.metric, before, off, reference=reference.value if reference else 0.0)


def _known(rows: Rows, columns: tuple[str, ...], weights: Floats, schema: Schema) -> Known:
    """The labelled rows of a window; of very many a sample."""
    chosen = np.arange(len(rows.targets.rows))
    if len(chosen) > _MOST_CALIBRATING:
        chosen = np.sort(np.random.default_rng(0).choice(chosen, _MOST_CALIBRATING, replace=False))
    places = rows.targets.rows[chosen]
    frame = known_features(rows.table.take(pa.array(places)), schema, columns)
    return Known(rows.answers.subset(places), rows.targets.values[chosen], frame, weights[chosen])


def _looked_back(
    history: History, rows: Rows, labels: pa.Table, schema: Schema, settings: LabelsConfig, *, now: datetime
) -> tuple[LabelLag, Rows | None]:
    """How late labels come, learned from all windows, and the rows of the newest earlier window that is mature."""
    windows = [window for window in history.windows if window.num_rows]
    before = _answered(windows, labels, schema) if windows else []
    since = (now - timedelta(days=settings.history_days)).timestamp()
    parts = [part for part in before if part.received.max() >= since]
    lag = label_lag(Answered.together([*parts, rows.answered(schema)]), now.timestamp())
    for window, part in zip(reversed(windows), reversed(before), strict=True):
        labelled = int(np.count_nonzero(part.labelled))
        if is_mature(labelled, window.num_rows, lag, coverage=settings.coverage, minimum=settings.minimum_rows):
            return lag, read_rows(join(window, labels, schema).table, schema)
    return lag, None


def _answered(windows: Sequence[pa.Table], labels: pa.Table, schema: Schema) -> list[Answered]:
    """When the answers of windows were and their labels came, found by one join of them all."""
    wanted = [*(logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)), HAPPENED, *schema.keys]
    names = [name for name in dict.fromkeys(wanted) if all(name in window.column_names for window in windows)]
    together = pa.concat_tables([window.select(names) for window in windows], promote_options="permissive")
    joined = join(together, labels, schema).table
    found = answered(joined, read_targets(joined, schema), schema)
    borders = np.cumsum([window.num_rows for window in windows])[:-1]
    columns = (np.split(column, borders) for column in (found.received, found.arrived, found.classes))
    return [Answered(*parts) for parts in zip(*columns, strict=True)]
