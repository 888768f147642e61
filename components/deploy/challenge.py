"""A candidate against the champion on the newest labelled requests, which neither of them has learned from.

Both are asked again, so that nothing depends on which of them answered, and compared as the gate compares: paired, on
the same rows, by a bootstrap of blocks of time, with the same margin.
"""

import tempfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.shared import frames, metrics
from components.shared.blocks import time_blocks
from components.shared.bootstrap import Draws
from components.shared.errors import DataError
from components.shared.evaluation import metric_text
from components.shared.inference_rows import RECEIVED, logged_name
from components.shared.inferiority import Comparison, Outcome, allowed_loss, compare_losses
from components.shared.labels.labelled import LabelledRequests, Period, read_labelled, start_of
from components.shared.labels.moments import event_moments
from components.shared.labels.store import last_arrival
from components.shared.metrics import LABELS, Answers
from components.shared.names import MetricName
from components.shared.package.model_package import Manifest
from components.shared.package.schema import Schema
from components.shared.package.scored import load_scorer
from components.shared.package.scoring import Scorer, score_rows
from components.shared.registry.monitoring import read_settings
from components.shared.registry.pending import Pending
from components.shared.registry.registry import Registry
from components.shared.store import Store
from components.shared.tasks import TASKS

WEEKS = 12.0  # of the log that are looked back on


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the newest labelled requests say of a candidate.

    Attributes:
        rows: Labelled requests that neither version has learned from.
        outcome: Whether the candidate is shown to be no worse, or to be worse, by more than is allowed; `unclear`
            where the rows cannot tell.
        message: The same for people, with the numbers.
    """

    rows: int
    outcome: Outcome
    message: str


@dataclass(frozen=True, slots=True)
class _Side:
    """A version that is asked."""

    scorer: Scorer
    manifest: Manifest

    @classmethod
    def fetch(cls, registry: Registry, version: str, folder: Path) -> "_Side":
        manifest = registry.fetch(version, folder / version)
        return cls(load_scorer(folder / version), manifest)

    @property
    def schema(self) -> Schema:
        return self.scorer.schema

    def answers(self, rows: pa.Table) -> Answers:
        """What it says of logged rows, by its own threshold.

        Raises:
            DataError: The log lacks a column that it needs, or has one that it cannot read.
        """
        scores = score_rows(self.scorer, frames.inputs(frames.features(rows, self.schema), self.schema))
        metrics.check_finite(scores)
        return Answers(scores, self.schema.threshold)


def challenge(store: Store, model: str, pending: Pending, champion: str) -> Challenge:
    """Compare a version that waits with the champion.

    Args:
        store: The object store, with keys that may read `models/`, `inference/` and `labels/`.
        model: Name of the model.
        pending: The version that waits.
        champion: The version that serves.

    Raises:
        PackageError: A version is altered or incomplete.
        StoreError: The object store cannot be reached or refuses.
    """
    registry, end = Registry(store, model), last_arrival(store, model)
    if end is None:
        return Challenge(0, "unclear", f"no labels of {model!r} have arrived yet")
    with tempfile.TemporaryDirectory(prefix="fullcircle-challenge-") as folder:
        ours, theirs = (_Side.fetch(registry, version, Path(folder)) for version in (pending.version, champion))
        if (ours.schema.task, ours.schema.labels) != (theirs.schema.task, theirs.schema.labels):
            return Challenge(0, "unclear", f"it predicts something else than the champion {champion}")
        settings = read_settings(store, model, champion).labels
        period = Period(start_of(end, WEEKS), end)
        found = read_labelled(store, model, theirs.schema, period, known_at=end, coverage=settings.coverage)
        found = _unlearned(found, ours, theirs)
        rows = found.table.num_rows
        if rows < settings.minimum_rows:
            needed = f"{settings.minimum_rows:,} are needed (monitoring.labels.minimum_rows)"
            young = f"; {found.young:,} are left out whose labels are not mature" if found.young else ""
            message = f"{rows:,} labelled requests are newer than what both learned; {needed}{young}"
            return Challenge(rows, "unclear", message)
        try:
            return _compared(pending, champion, found, ours, theirs)
        except DataError as error:
            return Challenge(rows, "unclear", f"it cannot answer what was logged: {error}")


def _unlearned(found: LabelledRequests, ours: _Side, theirs: _Side) -> LabelledRequests:
    """The requests whose time is later than everything that either version learned from.

    Without a time column the times of single rows are not known: then requests received after both versions were made.
    """
    timed = theirs.schema.time_column and all(side.manifest.lineage.train_end for side in (ours, theirs))
    if timed:
        moments = event_moments(found.table, theirs.schema)
        learned = [side.manifest.lineage.train_end for side in (ours, theirs)]
    else:
        moments = found.table[logged_name(RECEIVED, theirs.schema)]
        learned = [side.manifest.created for side in (ours, theirs)]
    plain = pa.timestamp("us")
    newest = pa.scalar(max(map(_plain, learned)), plain)
    places = np.flatnonzero(pc.greater(moments.cast(plain), newest).fill_null(False).to_numpy())
    return replace(found, table=found.table.take(places), targets=found.targets[places])


def _plain(text: str) -> datetime:
    """A moment without a zone, which is UTC."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _compared(pending: Pending, champion: str, found: LabelledRequests, ours: _Side, theirs: _Side) -> Challenge:
    schema, rule = theirs.schema, pending.gate.champion
    metric: MetricName = rule.metric or TASKS[schema.task].default_metric
    times = found.table[logged_name(RECEIVED, schema)].combine_chunks()
    blocks = time_blocks(times, RECEIVED)
    draws = Draws(blocks.of, pending.evaluation.resamples, run_length=blocks.run_length)
    candidate, before = (
        draws.estimates(schema.task, found.targets, side.answers(found.table), only=[metric])[metric]
        for side in (ours, theirs)
    )
    loss = (before - candidate).times(metrics.gain(metric, 1.0, 0.0))
    margin = allowed_loss(metric, rule, before.value)
    compared = compare_losses(loss, pending.evaluation.confidence, margin)
    rows = found.table.num_rows
    if compared is None:
        return Challenge(rows, "unclear", f"{rows:,} labelled requests cannot tell {LABELS[metric]}")
    shown = (
        f"{LABELS[metric]} {metric_text(metric, candidate.value)} against {metric_text(metric, before.value)} of the "
        f"champion {champion} on the newest {rows:,} labelled requests"
    )
    return Challenge(rows, compared.outcome, f"{shown}: {_in_words(metric, compared)}")


def _in_words(metric: MetricName, compared: Comparison) -> str:
    low, high = (metric_text(metric, end) for end in compared.interval)
    spread = f"interval of the loss {low} to {high}, {metric_text(metric, compared.margin)} allowed"
    words = {
        "no worse": "no worse by more than is allowed",
        "worse": "worse by more than is allowed",
        "unclear": "they cannot tell whether it is worse by more than is allowed",
    }
    return f"{words[compared.outcome]} ({spread})"
