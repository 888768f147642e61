"""The candidate against the champion on the same rows: the test part, which this run's training did not touch.

The champion's own figures were measured on the rows of its time and prove nothing here, so its package is fetched and
asked anew. Both models answer the same rows, and the bootstrap draws the same blocks for both: what makes a block hard
for both is not in the difference, which is why a small loss can be told from chance. A champion that cannot be compared
lets no candidate pass: an unanswered question is not a yes, and somebody can force the promotion.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.gate.requests import check_requests
from components.gate.verdict import Check
from components.shared import frames, metrics
from components.shared.blocks import find_blocks
from components.shared.bootstrap import Draws, Estimate
from components.shared.config import ChampionRule, EvaluationConfig, Metric
from components.shared.errors import DataError, PackageError
from components.shared.evaluation import against_text, limit_text, metric_text
from components.shared.formatting import format_count, format_share
from components.shared.inferiority import Comparison, allowed_loss, compare_losses
from components.shared.metrics import LABELS, Answers
from components.shared.package.model_package import MANIFEST, TRAINING, Lineage, Manifest, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scored import Scored, load_scorer, score_test
from components.shared.registry.history import Entry
from components.shared.store import Store

_REMEDY = "Start the run with force_promotion=true to replace the champion without a comparison."


class IncomparableError(Exception):
    """The champion cannot be scored on the candidate's test rows; the message says why."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is compared, how much worse the candidate may be, and whether it has to take the champion's requests."""

    metric: Metric
    rule: ChampionRule
    evaluation: EvaluationConfig
    same_requests: bool


def compare(champion: Entry, store: Store, *, name: str, model: Path, splits: Path, question: Question) -> list[Check]:
    """Hold the candidate against the champion: its answers, by a paired bootstrap on the same rows, and its requests.

    The check `champion` holds when the confidence interval of the candidate's loss lies within the margin, fails when
    it lies wholly beyond it, and does what `gate.champion.when_unclear` says in between
    (`components.shared.inferiority`). It fails too when the champion cannot be compared at all. Each model answers by
    its own threshold. The check `requests` holds when clients of the champion would not be refused
    (`components.gate.requests`).

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
            schema = Schema.read(folder)
            theirs = _score_champion(folder, splits, ours, schema=schema)
    except IncomparableError as reason:
        detail = f"The champion {champion.version} cannot be compared: {reason} {_REMEDY}"
        return [Check(name="champion", value=None, limit=question.rule.allowed_loss, holds=False, detail=detail)]
    found = _judge(champion.version, ours, theirs, splits=splits, question=question)
    caution = _caution(manifest.lineage, model, splits, schema=ours.schema)
    compared = found.model_copy(update={"detail": found.detail + caution})
    if not question.same_requests:
        return [compared]
    return [compared, check_requests(schema, ours.schema, champion.version)]


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


def _score_champion(folder: Path, splits: Path, ours: Scored, *, schema: Schema) -> Answers:
    """The champion's answers to the test part, by its own threshold, its classes in the candidate's order."""
    _check_same_question(schema, ours.schema)
    columns = set(pq.read_schema(frames.part_path(splits, "test")).names)
    if missing := [name for name in schema.columns if name not in columns]:
        raise IncomparableError(f"it needs {', '.join(map(repr, missing[:10]))}, which the test part does not have.")
    try:
        answers = score_test(splits, load_scorer(folder)).answers
    except PackageError as error:
        raise IncomparableError(f"its model cannot be loaded ({error}).") from error
    except (DataError, pa.ArrowException) as error:
        raise IncomparableError(f"it cannot read the test part ({error}).") from error
    return _in_order_of(answers, schema, ours.schema)


def _check_same_question(theirs: Schema, ours: Schema) -> None:
    """Refuse a champion that answers another question."""
    if (theirs.task, theirs.target) != (ours.task, ours.target):
        asked, now = (f"{schema.target!r} ({schema.task})" for schema in (theirs, ours))
        raise IncomparableError(f"it predicts {asked}, the candidate {now}.")
    before, after = (sorted(schema.labels) for schema in (theirs, ours))
    if before != after:
        raise IncomparableError(f"its classes are {', '.join(before)}; the candidate's are {', '.join(after)}.")


# Example: the champion's classes are [no, yes], the candidate's [yes, no]. The champion's columns are taken in the
# order 1, 0.
def _in_order_of(answers: Answers, theirs: Schema, ours: Schema) -> Answers:
    if theirs.labels == ours.labels:
        return answers
    return answers.reordered([theirs.labels.index(label) for label in ours.labels])


def _judge(version: str, ours: Scored, theirs: Answers, *, splits: Path, question: Question) -> Check:
    """The paired bootstrap and its outcome."""
    metric, rule, confidence = question.metric, question.rule, question.evaluation.confidence
    candidate, champion = _estimates(ours, theirs, splits, question)
    margin = allowed_loss(metric, rule, champion.value)
    loss = (champion - candidate).times(metrics.gain(metric, 1.0, 0.0))
    found = compare_losses(loss, confidence, margin)
    if found is None:
        detail = f"The test part cannot tell {LABELS[metric]}, so the candidate cannot be compared with {version}. "
        return Check(name="champion", value=None, limit=rule.allowed_loss, holds=False, detail=detail + _REMEDY)
    rows = f"{format_count(len(ours.target))} rows"
    shown = [
        against_text(metric, one.value, other.value) for one, other in ((candidate, champion), (champion, candidate))
    ]
    compared = (
        f"{LABELS[metric]} {shown[0]} against {shown[1]} of the "
        f"champion {version} on the same {rows}: {_difference(metric, found.loss)}"
    )
    ends = " to ".join(against_text(metric, end, margin) for end in found.interval)
    allowed = metric_text(metric, margin) if rule.allowed_loss is None else limit_text(metric, margin)
    spread = f"{format_share(confidence)} interval of the loss {ends}, {allowed} allowed"
    holds = found.passes(rule)
    detail = f"{compared}; {_outcome(found, rule, rows=rows, spread=spread)}"
    unsure = found.outcome == "unclear"
    return Check(name="champion", value=found.loss, limit=margin, holds=holds, detail=detail, unsure=unsure)


def _estimates(ours: Scored, theirs: Answers, splits: Path, question: Question) -> tuple[Estimate, Estimate]:
    """The metric of the candidate and of the champion, on the same resamples of the test part's blocks."""
    blocks = find_blocks(splits, "test", ours.schema)
    draws = Draws(blocks.of, question.evaluation.resamples, run_length=blocks.run_length, weights=ours.weights)
    metric = question.metric
    candidate, champion = (
        draws.estimates(ours.schema.task, ours.target, answers, only=[metric])[metric]
        for answers in (ours.answers, theirs)
    )
    return candidate, champion


def _difference(metric: Metric, loss: float) -> str:
    if loss == 0:
        return "the same"
    return f"{metric_text(metric, abs(loss))} {'worse' if loss > 0 else 'better'}"


def _outcome(found: Comparison, rule: ChampionRule, *, rows: str, spread: str) -> str:
    """What the comparison shows, and what follows from it, in a sentence or two."""
    if found.outcome == "no worse":
        return f"shown to be no worse by more than is allowed ({spread})."
    if found.outcome == "worse":
        return f"significantly worse by more than is allowed ({spread})."
    untold = f"these {rows} cannot tell whether it is worse by more than is allowed ({spread})"
    if rule.when_unclear == "promote":
        return f"{untold}. It passes all the same: gate.champion.when_unclear is `promote`."
    if rule.when_unclear == "promote_if_not_worse" and found.loss <= 0:
        return f"{untold}. It passes because it is no worse on them (gate.champion.when_unclear)."
    why = "it is worse on them" if rule.when_unclear == "promote_if_not_worse" else "`block`"
    return (
        f"{untold}. It is kept out: {why} (gate.champion.when_unclear). More test rows tell more; "
        "gate.champion.allowed_loss says which loss nobody minds."
    )


def _caution(lineage: Lineage, model: Path, splits: Path, *, schema: Schema) -> str:
    """A sentence of caution when the champion may have learned from some of the test rows; else empty."""
    ours = Lineage.model_validate(json.loads((model / TRAINING).read_bytes())["lineage"])
    same_parts = ours.content_hash == lineage.content_hash and lineage.train_end in ("", ours.train_end)
    if same_parts or _learned_before(lineage, splits, schema):
        return ""
    return " The champion was made from other data and may have learned from some of these rows, which flatters it."


# Example: the champion's training ended at 2013-09-30T23:00, and the first row of the test part is of 2013-10-01T00:15.
# Then it cannot have learned from a test row, whatever table it was made from. One that was trained to 2013-10-05 may
# have.
def _learned_before(lineage: Lineage, splits: Path, schema: Schema) -> bool:
    """Whether all that the champion learned from is older than the test part."""
    if not schema.time_column:
        return False
    first = frames.time_range(splits, ["test"], schema.time_column)[0]
    if lineage.train_end:
        return bool(first and _moment(lineage.train_end) < _moment(first))
    # A version made before `train_end` was recorded: its window ends after what it learned from, not before.
    return bool(first and lineage.window_end and _moment(lineage.window_end) <= _moment(first))


def _moment(text: str) -> datetime:
    """A moment without a zone, which is UTC."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
