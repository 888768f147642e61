"""The candidate against the champion on the same rows: the test part, which this run's training did not touch."""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.gate.verdict import Check
from components.shared import bootstrap, frames, metrics
from components.shared.bootstrap import Floats, Sample
from components.shared.config import ChampionRule, EvaluationConfig, Metric
from components.shared.errors import DataError, PackageError
from components.shared.evaluation import LABELS, interval_text, metric_text
from components.shared.package.model_package import MANIFEST, TRAINING, Lineage, Manifest, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scored import Scored, load_scorer, score_test
from components.shared.pages.reports import format_count, format_share
from components.shared.registry.history import Entry
from components.shared.store import Store

_REMEDY = "Start the run with force_promotion=true to replace the champion without a comparison."


class IncomparableError(Exception):
    """The champion cannot be scored on the candidate's test rows; the message says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared, and how much worse the candidate may be."""

    metric: Metric
    rule: ChampionRule
    evaluation: EvaluationConfig


def compare(champion: Entry, store: Store, *, name: str, model: Path, splits: Path, question: Question) -> Check:
    """Hold the candidate against the champion by a paired bootstrap on the same rows.

    The check fails when the candidate is significantly worse by more than is allowed, that is when the confidence
    interval of its loss lies wholly beyond `allowed_loss`; and when the champion cannot be compared at all.

    Args:
        champion: The pointer to the version that serves.
        store: Where its package is.
        name: Name of the model.
        model: The candidate's folder.
        splits: The folder that prepare writes.
        question: What is compared.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    ours = score_test(splits, load_scorer(model))
    try:
        with tempfile.TemporaryDirectory(prefix="fullcircle-champion-") as temporary:
            folder = Path(temporary, "package")
            manifest = _fetch(store, champion.version, name=name, folder=folder)
            theirs = _score_champion(folder, splits, ours)
    except IncomparableError as reason:
        detail = f"The champion {champion.version} cannot be compared: {reason} {_REMEDY}"
        return Check(name="champion", value=None, limit=question.rule.allowed_loss, holds=False, detail=detail)
    found = _judge(champion.version, ours, theirs, question=question)
    caution = _caution(manifest.lineage, model, splits, schema=ours.schema)
    return found.model_copy(update={"detail": found.detail + caution})


def _fetch(store: Store, version: str, *, name: str, folder: Path) -> Manifest:
    """Download the champion's package and check it before anything of it is loaded."""
    prefix = version_prefix(name, version)
    if not store.exists(prefix + MANIFEST):
        raise IncomparableError(f"{store.uri(prefix)} has no {MANIFEST}.")
    store.get_folder(prefix, folder)
    try:
        manifest = verify(folder)
    except PackageError as error:
        raise IncomparableError(str(error).replace(str(folder), store.uri(prefix).rstrip("/"))) from error
    if manifest.version != version:
        raise IncomparableError(f"{store.uri(prefix)} holds version {manifest.version}.")
    return manifest


def _score_champion(folder: Path, splits: Path, ours: Scored) -> NDArray[np.float32]:
    """The champion's answers to the test part, its classes in the candidate's order."""
    theirs = Schema.read(folder)
    _check_same_question(theirs, ours.schema)
    columns = set(pq.read_schema(frames.part_path(splits, "test")).names)
    if missing := [name for name in theirs.columns if name not in columns]:
        raise IncomparableError(f"it needs {', '.join(map(repr, missing[:10]))}, which the test part does not have.")
    try:
        scores = score_test(splits, load_scorer(folder)).scores
    except PackageError as error:
        raise IncomparableError(f"its model cannot be loaded ({error}).") from error
    except (DataError, pa.ArrowException) as error:
        raise IncomparableError(f"it cannot read the test part ({error}).") from error
    return _in_order_of(scores, theirs, ours.schema)


def _check_same_question(theirs: Schema, ours: Schema) -> None:
    """Refuse a champion that answers another question."""
    if (theirs.task, theirs.target) != (ours.task, ours.target):
        asked, now = (f"{schema.target!r} ({schema.task})" for schema in (theirs, ours))
        raise IncomparableError(f"it predicts {asked}, the candidate {now}.")
    before, after = (sorted(schema.labels) for schema in (theirs, ours))
    if before != after:
        raise IncomparableError(f"its classes are {', '.join(before)}; the candidate's are {', '.join(after)}.")


def _in_order_of(scores: NDArray[np.float32], theirs: Schema, ours: Schema) -> NDArray[np.float32]:
    if theirs.classes == ours.classes:
        return scores
    return scores[:, [theirs.labels.index(label) for label in ours.labels]]


def _judge(version: str, ours: Scored, theirs: NDArray[np.float32], *, question: Question) -> Check:
    """The paired bootstrap and its outcome."""
    metric, allowed = question.metric, question.rule.allowed_loss
    values, loss, losses = _losses(ours, theirs, question)
    interval = bootstrap.interval(losses, question.evaluation.confidence)
    name = LABELS[metric]
    if interval is None or not np.isfinite(loss):
        detail = f"The test part cannot tell {name}, so the candidate cannot be compared with {version}. {_REMEDY}"
        return Check(name="champion", value=None, limit=allowed, holds=False, detail=detail)
    holds = interval[0] <= allowed
    compared = (
        f"{name} {metric_text(metric, values[0])} against {metric_text(metric, values[1])} of the champion {version} "
        f"on the same {format_count(len(ours.target))} rows: "
    )
    size = metric_text(metric, abs(loss))
    difference = "the same" if loss == 0 else f"{size} {'worse' if loss > 0 else 'better'}"
    spread = f"{format_share(question.evaluation.confidence)} interval of the loss {interval_text(metric, interval)}"
    outcome = "no significant loss" if holds else "significantly worse"
    detail = f"{compared}{difference}; {outcome} ({spread}, {metric_text(metric, allowed)} allowed)."
    return Check(name="champion", value=loss, limit=allowed, holds=holds, detail=detail)


def _losses(ours: Scored, theirs: NDArray[np.float32], question: Question) -> tuple[tuple[float, float], float, Floats]:
    """Both values, how much worse the candidate is, and that on each resample; positive is worse."""
    metric, rows, settings = question.metric, len(ours.target), question.evaluation
    samples = [
        Sample(ours.schema.task, ours.target, scores=scores, threshold=ours.schema.threshold, only=[metric])
        for scores in (ours.scores, theirs)
    ]
    candidate, champion = (bootstrap.observed(sample, rows)[metric] for sample in samples)
    resampled = bootstrap.resample(samples, rows, settings.resamples)
    sign = metrics.gain(metric, 1.0, 0.0)
    losses = sign * (resampled[1][metric] - resampled[0][metric])
    return (candidate, champion), sign * (champion - candidate), losses


def _caution(lineage: Lineage, model: Path, splits: Path, *, schema: Schema) -> str:
    """A sentence when the champion, made from other data, may have learned from some of the test rows; else nothing."""
    ours = Lineage.model_validate(json.loads((model / TRAINING).read_bytes())["lineage"])
    if ours.content_hash == lineage.content_hash or _ends_before(lineage, splits, schema):
        return ""
    return " The champion was made from other data and may have learned from some of these rows, which flatters it."


def _ends_before(lineage: Lineage, splits: Path, schema: Schema) -> bool:
    """Whether the champion's data window ends before the test part begins."""
    if not schema.time_column or not lineage.window_end:
        return False
    times = pq.read_table(frames.part_path(splits, "test"), columns=[schema.time_column]).column(0)
    first = pc.min(times.cast(pa.timestamp("s"), safe=False)).as_py()
    end = datetime.fromisoformat(lineage.window_end)
    end = end.astimezone(UTC).replace(tzinfo=None) if end.tzinfo else end
    return bool(first is not None and end <= first.replace(tzinfo=None))
