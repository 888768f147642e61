"""What the evaluate stage leaves behind: `metrics.json`, the model card, and what the KFP UI draws.

The folder with `metrics.json` and the card goes on to the gate, which judges by it, and from there into the published
package; a half-written one would be published as if it were whole. The classes of KFP's artifacts are described here as
protocols, because a stage's logic does not import kfp.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.evaluate.card import Background, card
from components.evaluate.evaluation import evaluate
from components.shared.config import EvaluationConfig
from components.shared.evaluation import Evaluation, interval_text, metric_text
from components.shared.files import replacing
from components.shared.formatting import format_count
from components.shared.metrics import LABELS
from components.shared.package.model_package import CARD


@dataclass(frozen=True, slots=True)
class Paths:
    """Where the stage reads and writes.

    Attributes:
        splits: Folder of the prepared parts.
        model: Folder that train wrote.
        validation: The validation's report, JSON.
        report: Folder to make, with `metrics.json` and `card.html`.
        card: Page to write.
    """

    splits: Path
    model: Path
    validation: Path
    report: Path
    card: Path


class MetricsArtifact(Protocol):
    """What KFP's Metrics artifact offers."""

    def log_metric(self, metric: str, value: float) -> None:
        """Record one number."""


class CurvesArtifact(Protocol):
    """What KFP's ClassificationMetrics artifact offers."""

    def log_roc_curve(self, fpr: list[float], tpr: list[float], threshold: list[float]) -> None:
        """Record a ROC curve."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[float]]) -> None:
        """Record a confusion matrix."""


def write_report(name: str, settings: EvaluationConfig, paths: Paths) -> Evaluation:
    """Evaluate, and write the report folder and the card; neither appears half-written.

    Raises:
        ConfigError: A slice column is not in the table.
        DataError: The test part is empty, or the model answers NaN.
        PackageError: The training record cannot be read.
    """
    found = evaluate(name, settings, splits=paths.splits, model=paths.model)
    page = card(found, Background.read(paths.splits, paths.model, validation=paths.validation))
    with replacing(paths.report) as partial:
        partial.mkdir()
        found.write(partial)
        page.write(partial / CARD)
        shutil.rmtree(paths.report, ignore_errors=True)
    page.write(paths.card)
    return found


def log_metrics(evaluation: Evaluation, artifact: MetricsArtifact) -> None:
    """Hand every metric that the test part can tell to KFP."""
    for metric, value in evaluation.scores.values.items():
        if value is not None:
            artifact.log_metric(metric, value)


def log_curves(evaluation: Evaluation, artifact: CurvesArtifact) -> None:
    """Hand the ROC curve and the confusion matrix to KFP; nothing for regression."""
    if evaluation.overall_roc is not None:
        roc = evaluation.overall_roc
        artifact.log_roc_curve(roc.x, roc.y, roc.thresholds)
    if evaluation.confusion is not None:
        artifact.log_confusion_matrix(evaluation.confusion.classes, evaluation.confusion.counts)


def headline(evaluation: Evaluation) -> str:
    """One line for people."""
    metric, scores = evaluation.metric, evaluation.scores
    value = metric_text(metric, scores.values[metric])
    baseline = metric_text(metric, evaluation.baseline.values[metric])
    interval = interval_text(metric, scores.intervals.get(metric))
    rows = f"{format_count(evaluation.rows)} test rows"
    return f"{LABELS[metric]} {value} ({interval}) on {rows}, baseline {baseline}"
