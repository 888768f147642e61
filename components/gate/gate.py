"""Whether a candidate may serve: every check, and the verdict.

All checks are made, even when the first one fails, so that a person sees at once everything that stands in the way. The
figures come from the evaluation; only what it cannot know is measured here: the champion on the same rows, size and
speed. A store that does not answer fails the stage; taken for "no champion" it would let any candidate pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.gate.budgets import check_latency, check_size
from components.gate.comparison import Question, compare
from components.gate.slices import check_slices
from components.gate.verdict import Check, Verdict, decide
from components.shared.config import (
    EvaluationConfig,
    GateConfig,
    Metric,
    SearchConfig,
    Threshold,
)
from components.shared.errors import PackageError
from components.shared.evaluation import Evaluation, against_text, limit_text
from components.shared.files import file_hash
from components.shared.metrics import LABELS, gain
from components.shared.package.model_package import CARD, METRICS, TRAINED_FILES, version_of
from components.shared.registry.registry import Registry
from components.shared.store import Store
from components.shared.tasks import TASKS


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of the gate, and of the stages whose figures it judges."""

    gate: GateConfig
    search: SearchConfig
    evaluation: EvaluationConfig

    @classmethod
    def from_json(cls, *, gate: str, search: str, evaluation: str) -> "Rules":
        """Read the sections of the configuration from JSON."""
        return cls(
            GateConfig.model_validate_json(gate),
            SearchConfig.model_validate_json(search),
            EvaluationConfig.model_validate_json(evaluation),
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """Where the candidate is.

    Attributes:
        name: Name of the model.
        model: Folder that train wrote.
        evaluated: Folder that evaluate wrote.
        splits: Folder that prepare wrote.
    """

    name: str
    model: Path
    evaluated: Path
    splits: Path

    def files(self) -> dict[str, Path]:
        """The files that will be published, by name.

        Raises:
            PackageError: One is missing.
        """
        files = {name: self.model / name for name in TRAINED_FILES}
        files |= {name: self.evaluated / name for name in (METRICS, CARD)}
        if missing := [str(path) for path in files.values() if not path.is_file()]:
            raise PackageError(f"The model package needs {', '.join(missing)}. Run the stage that writes it again.")
        return files

    def version(self) -> str:
        """The id that the candidate would be published as."""
        return version_of({name: file_hash(path) for name, path in self.files().items()})


def judge(candidate: Candidate, rules: Rules, store: Store, *, force: bool = False) -> Verdict:
    """Decide whether a candidate is promoted.

    Args:
        candidate: Where it is.
        rules: What it has to fulfil.
        store: Where the champion is.
        force: Promote whatever the checks say; the verdict records it.

    Returns:
        The verdict with every check.

    Raises:
        PackageError: A file of the candidate is missing, or the champion's history is damaged.
        StoreError: The object store cannot be reached or refuses; never taken for "no champion".
    """
    evaluation = Evaluation.read(candidate.evaluated)
    metric = rules.search.metric or TASKS[evaluation.task].default_metric
    champion, compared = _check_against_champion(candidate, rules, store, metric=metric)
    checks = [
        *check_thresholds(evaluation, rules.gate.thresholds),
        *([check_baseline(evaluation, metric)] if rules.gate.beat_baseline else []),
        *compared,
        *check_slices(evaluation, rules.gate.slices, metric),
        check_size(candidate.files().values(), rules.gate.package_megabytes),
        check_latency(candidate.model, candidate.splits, rules.gate.row_milliseconds),
    ]
    return decide(
        checks,
        champion=champion,
        candidate=candidate.version(),
        force=force,
        warn=rules.gate.mode == "warn",
        approval=rules.gate.approval != "none",
    )


def check_thresholds(evaluation: Evaluation, thresholds: dict[Metric, Threshold]) -> Iterator[Check]:
    """Hold metrics of the test part against their limits, one check a limit."""
    for metric, threshold in thresholds.items():
        value = evaluation.scores.values.get(metric)
        for word, limit in (("least", threshold.minimum), ("most", threshold.maximum)):
            if limit is not None:
                holds = value is not None and (value >= limit if word == "least" else value <= limit)
                name = LABELS[metric]
                found = (
                    "the test part cannot tell it" if value is None else f"it is {against_text(metric, value, limit)}"
                )
                detail = f"{name} has to be at {word} {limit_text(metric, limit)}: {found}."
                yield Check(name=f"threshold:{metric}", value=value, limit=limit, holds=holds, detail=detail)


def check_baseline(evaluation: Evaluation, metric: Metric) -> Check:
    """Hold the candidate against answering without looking at a feature."""
    value, baseline = evaluation.scores.values.get(metric), evaluation.baseline.values.get(metric)
    name = LABELS[metric]
    if value is None or baseline is None:
        detail = f"The test part cannot tell {name}, so it is not known whether the model beats the dummy baseline."
        return Check(name="baseline", value=value, limit=baseline, holds=False, detail=detail)
    holds = gain(metric, value, baseline) > 0
    outcome = "better than" if holds else "no better than"
    shown = against_text(metric, value, baseline), against_text(metric, baseline, value)
    detail = f"{name} {shown[0]} is {outcome} {shown[1]} of the dummy baseline."
    return Check(name="baseline", value=value, limit=baseline, holds=holds, detail=detail)


def _check_against_champion(
    candidate: Candidate, rules: Rules, store: Store, *, metric: Metric
) -> tuple[str | None, list[Check]]:
    """The champion's version, if there is one, and what the candidate has to fulfil beside it."""
    store.ensure_bucket()
    champion = Registry(store, candidate.name).champion()
    allowed = rules.gate.champion.allowed_loss
    if champion is None:
        detail = f"The first model of {candidate.name!r}: there is no champion to compare with."
        return None, [Check(name="champion", value=None, limit=None, holds=True, detail=detail)]
    if champion.version == candidate.version():
        detail = f"The candidate is the champion, version {champion.version}: same data, same settings, same model."
        return champion.version, [Check(name="champion", value=0.0, limit=allowed, holds=True, detail=detail)]
    gate = rules.gate
    question = Question(gate.champion.metric or metric, gate.champion, rules.evaluation, gate.same_requests)
    checks = compare(
        champion, store, name=candidate.name, model=candidate.model, splits=candidate.splits, question=question
    )
    return champion.version, checks
