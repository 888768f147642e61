"""What a version says about itself that its quality is held against: metric, slices, and rows with known labels.

A window's quality means something only beside what it was when the version was made. The reference rows are part of the
package, and are used only if the model did not learn from them; on rows it knows, every model looks good. Estimators
are kept by the columns they look at, as fitting one is what takes time.
"""

import json
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from components.monitor.quality.estimators import Estimator, Known, off_in_parts
from components.monitor.quality.rows import known_features
from components.shared.blocks import Blocks, single_rows, table_blocks
from components.shared.bootstrap import Draws, Estimate
from components.shared.errors import PackageError, in_short
from components.shared.evaluation import Evaluation, Slice
from components.shared.frames import features, inputs
from components.shared.frames import labels as targets_of
from components.shared.metrics import Answers
from components.shared.names import MetricName
from components.shared.package.model_package import METRICS, REFERENCE, TRAINING, reference_origin
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer, score_rows
from components.shared.tasks import TASKS

RESAMPLES = 500


class QualityModel:
    """A version, as far as its quality is concerned.

    Args:
        schema: Its columns and classes.
        metric: The metric by which it was chosen.
        reference: The reference rows of its package, which it has not learned from; None where it has.
        slices: The slices that it was evaluated by.
        blocks: Which reference rows belong together; by default each stands alone.
    """

    def __init__(
        self,
        schema: Schema,
        metric: MetricName,
        reference: Known | None,
        slices: tuple[Slice, ...],
        blocks: Blocks | None = None,
    ) -> None:
        self.schema = schema
        self.metric = metric
        self.reference = reference
        self.slices = slices
        self._blocks = blocks
        self._estimators: dict[tuple[str, ...], Estimator | None] = {}

    @classmethod
    def load(cls, package: Path, *, version: str = "") -> "QualityModel":
        """Read a verified model package.

        Args:
            package: Its folder.
            version: The model's version.

        Raises:
            PackageError: It is incomplete or of another format.
        """
        scorer = Scorer.load(package, version=version)
        rows, blocks = _reference(package, scorer)
        return cls(scorer.schema, _metric(package, scorer.schema), rows, _slices(package), blocks)

    @cached_property
    def reference_quality(self) -> Estimate | None:
        """The metric on the reference rows; None where there are none that the model has not learned from."""
        if self.reference is None:
            return None
        rows, blocks = self.reference, self._blocks or single_rows(len(self.reference.target))
        draws = Draws(blocks.of, RESAMPLES, run_length=blocks.run_length, weights=rows.weights)
        found = draws.estimates(self.schema.task, rows.target, rows.answers, only=[self.metric])[self.metric]
        return found if np.isfinite(found.value) else None

    @cached_property
    def reference_off(self) -> tuple[Estimate, ...]:
        """What estimates of parts of the reference rows are off by."""
        return tuple(off_in_parts(self.metric, self.reference)) if self.reference else ()

    def estimator(self, columns: tuple[str, ...]) -> Estimator | None:
        """An estimator that has learned from the reference rows; None where they are too few, or none can be made.

        Args:
            columns: The features that it may look at.
        """
        if columns not in self._estimators:
            known = self.reference_rows(columns)
            self._estimators[columns] = Estimator.fit(self.metric, known) if known else None
        return self._estimators[columns]

    def reference_rows(self, columns: tuple[str, ...]) -> Known | None:
        """The reference rows with some of their features; None where there are none."""
        rows = self.reference
        return Known(rows.answers, rows.target, rows.frame[list(columns)], rows.weights) if rows else None

    def columns(self, names: list[str]) -> tuple[str, ...]:
        """The features among a table's columns that an estimator looks at: none where probabilities are enough."""
        if TASKS[self.schema.task].has_classes:
            return ()
        return tuple(name for name in self.schema.columns if name in names)


def _metric(package: Path, schema: Schema) -> MetricName:
    try:
        record = json.loads((package / TRAINING).read_bytes())
        found: MetricName = record.get("metric") or TASKS[schema.task].default_metric
    except (OSError, ValueError, AttributeError) as error:
        raise PackageError(
            f"{package / TRAINING} cannot be read: {in_short(error)}. Publish the model again."
        ) from error
    return found


def _reference(package: Path, scorer: Scorer) -> tuple[Known | None, Blocks | None]:
    """The reference rows and their blocks; rows that the model was fitted on, as before, are no measure of anything."""
    schema = scorer.schema
    table = pq.read_table(package / REFERENCE)
    if reference_origin(package).part == "train" or not table.num_rows or schema.target not in table.column_names:
        return None, None
    table = table.filter(table[schema.target].is_valid())
    frame = features(table, schema)
    answers = Answers(score_rows(scorer, inputs(frame, schema)), schema.threshold)
    known = known_features(table, schema, schema.columns)
    return Known(answers, targets_of(table, schema), known, np.ones(len(frame))), table_blocks(table, schema)


def _slices(package: Path) -> tuple[Slice, ...]:
    """The slices of the evaluation; none where the package has no evaluation."""
    if (package / METRICS).stat().st_size <= len(b"{}\n"):
        return ()
    return tuple(Evaluation.read(package).slices)
