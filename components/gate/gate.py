"""Whether a candidate may serve: every check, and the verdict."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.gate.budgets import check_latency, check_size
from components.gate.comparison import Question, compare
from components.gate.verdict import Check, Verdict, decide
from components.shared.config import (
    DEFAULT_METRIC,
    LOWER_IS_BETTER,
    EvaluationConfig,
    GateConfig,
    Metric,
    SearchConfig,
    SliceRule,
    Threshold,
)
from components.shared.errors import PackageError
from components.shared.evaluation import LABELS, Evaluation, interval_text, metric_text, value_text
from components.shared.metrics import gain
from components.shared.package.model_package import CARD, METRICS, TRAINED_FILES, file_hash, version_of
from components.shared.pages.reports import format_count
from components.shared.registry.registry import Registry
from components.shared.store import Store


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
    metric = rules.search.metric or DEFAULT_METRIC[evaluation.task]
    champion, compared = _check_champion(candidate, rules, store, metric=metric)
    checks = [
        *check_thresholds(evaluation, rules.gate.thresholds),
        *([check_baseline(evaluation, metric)] if rules.gate.beat_baseline else []),
        compared,
        *check_slices(evaluation, rules.gate.slices, metric),
        check_size(candidate.files().values(), rules.gate.package_megabytes),
        check_latency(candidate.model, candidate.splits, rules.gate.row_milliseconds),
    ]
    warn = rules.gate.mode == "warn"
    return decide(checks, champion=champion, candidate=candidate.version(), force=force, warn=warn)


def check_thresholds(evaluation: Evaluation, thresholds: dict[Metric, Threshold]) -> Iterator[Check]:
    """Hold metrics of the test part against their limits, one check a limit."""
    for metric, threshold in thresholds.items():
        value = evaluation.scores.values.get(metric)
        for word, limit in (("least", threshold.minimum), ("most", threshold.maximum)):
            if limit is not None:
                holds = value is not None and (value >= limit if word == "least" else value <= limit)
                name = LABELS[metric]
                found = "the test part cannot tell it" if value is None else f"it is {metric_text(metric, value)}"
                detail = f"{name} has to be at {word} {metric_text(metric, limit)}: {found}."
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
    detail = f"{name} {metric_text(metric, value)} is {outcome} {metric_text(metric, baseline)} of the dummy baseline."
    return Check(name="baseline", value=value, limit=baseline, holds=holds, detail=detail)


def _check_champion(candidate: Candidate, rules: Rules, store: Store, *, metric: Metric) -> tuple[str | None, Check]:
    """The champion's version, if there is one, and how the candidate compares with it."""
    store.ensure_bucket()
    champion = Registry(store, candidate.name).champion()
    allowed = rules.gate.champion.allowed_loss
    if champion is None:
        detail = f"The first model of {candidate.name!r}: there is no champion to compare with."
        return None, Check(name="champion", value=None, limit=None, holds=True, detail=detail)
    if champion.version == candidate.version():
        detail = f"The candidate is the champion, version {champion.version}: same data, same settings, same model."
        return champion.version, Check(name="champion", value=0.0, limit=allowed, holds=True, detail=detail)
    question = Question(rules.gate.champion.metric or metric, rules.gate.champion, rules.evaluation)
    check = compare(
        champion, store, name=candidate.name, model=candidate.model, splits=candidate.splits, question=question
    )
    return champion.version, check


# Slices


def check_slices(evaluation: Evaluation, rule: SliceRule, metric: Metric) -> Iterator[Check]:
    """Hold the worst slice against the floor, and the largest gap of a column against its limit."""
    metric = rule.metric or metric
    if rule.floor is not None:
        yield _check_floor(evaluation, metric, rule.floor)
    if rule.largest_gap is not None:
        yield _check_gap(evaluation, metric, rule.largest_gap)


def _check_floor(evaluation: Evaluation, metric: Metric, floor: float) -> Check:
    told = [
        (value, f"{item.column} = {value_text(item.value)}")
        for item in evaluation.slices
        if item.scores is not None and (value := item.scores.values.get(metric)) is not None
    ]
    aside = _left_aside(evaluation, len(told))
    word = "above" if metric in LOWER_IS_BETTER else "below"
    required = f"{LABELS[metric]} may be in no slice {word} {metric_text(metric, floor)}"
    if not told:
        return Check(name="slice_floor", value=None, limit=floor, holds=True, detail=f"{required}: {aside}.")
    ranked = sorted(told, key=lambda item: gain(metric, item[0], floor))
    failing = [f"{where} has {metric_text(metric, value)}" for value, where in ranked if gain(metric, value, floor) < 0]
    worst = f"the worst is {ranked[0][1]} with {metric_text(metric, ranked[0][0])}"
    more = f" and {len(failing) - 5} more" if len(failing) > 5 else ""
    found = f"{', '.join(failing[:5])}{more}" if failing else worst
    detail = f"{required}: {found} ({aside})."
    return Check(name="slice_floor", value=ranked[0][0], limit=floor, holds=not failing, detail=detail)


def _left_aside(evaluation: Evaluation, judged: int) -> str:
    small = sum(item.scores is None for item in evaluation.slices)
    untold = len(evaluation.slices) - small - judged
    others = [f"{format_count(small)} too small to judge"] if small else []
    others += [f"{format_count(untold)} that cannot tell it"] if untold else []
    return ", ".join([f"{format_count(judged)} slices judged", *others])


def _check_gap(evaluation: Evaluation, metric: Metric, limit: float) -> Check:
    gaps = [gap for gap in evaluation.gaps if gap.metric == metric and gap.gap is not None]
    required = f"{LABELS[metric]} may differ between the slices of a column by at most {metric_text(metric, limit)}"
    if not gaps:
        detail = f"{required}: no column has two slices that can be judged."
        return Check(name="slice_gap", value=None, limit=limit, holds=True, detail=detail)
    largest = max(gaps, key=lambda gap: gap.gap or 0.0)
    size = largest.gap or 0.0
    interval = f", interval {interval_text(metric, largest.interval)}" if largest.interval else ""
    found = (
        f"the largest gap is {metric_text(metric, size)}, by {largest.column} between {value_text(largest.best)} and "
        f"{value_text(largest.worst)}{interval}"
    )
    return Check(name="slice_gap", value=size, limit=limit, holds=size <= limit, detail=f"{required}: {found}.")
