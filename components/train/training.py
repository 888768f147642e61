"""Training the final model: the best family and parameters, fitted again on all rows but the test part's."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from components.shared.config import LOWER_IS_BETTER, SearchConfig, TrainConfig
from components.shared.errors import DataError
from components.shared.families import BASELINE, make_pipeline
from components.shared.frames import Part, check_learnable, load_part
from components.shared.package.model_package import Lineage
from components.shared.package.schema import Schema
from components.shared.resources import cpu_count
from components.shared.trials import FamilyTrials
from components.train import onnx_export, parity
from components.train.package import write_package
from components.train.record import TrainingRecord, make_record, with_train_end


@dataclass(frozen=True, slots=True)
class Trained:
    """What became of it.

    Attributes:
        record: As written into the package.
        parity: How far the served graph agrees with scikit-learn.
    """

    record: TrainingRecord
    parity: parity.Agreement

    @property
    def message(self) -> str:
        """One line for people."""
        record = self.record
        return (
            f"{record.family} ({record.metric} {record.scores[record.family]:.4f}) fitted on {record.rows:,} rows; "
            f"ONNX agrees on {self.parity.share:.2%} of {self.parity.rows:,} test rows"
        )


def train_model(
    found: Sequence[FamilyTrials],
    splits: Path,
    package: Path,
    *,
    search: SearchConfig,
    training: TrainConfig,
    lineage: Lineage,
) -> Trained:
    """Fit the best model found and write its package.

    Args:
        found: What tuning found, one a family.
        splits: The folder that prepare writes.
        package: The folder to make.
        search: Order of the families and seed.
        training: The preprocessing and what the package holds.
        lineage: Where the rows came from.

    Raises:
        DataError: The rows cannot be learned from, or no family but the baseline was tuned.
        ParityError: ONNX and scikit-learn disagree.
    """
    schema = Schema.read(splits)
    ordered = sorted(found, key=lambda trials: search.families.index(trials.family))
    best = choose(ordered)
    pipeline = make_pipeline(
        best.family, best.best.parameters, schema, search=search, training=training, threads=cpu_count()
    )
    rows = fit(pipeline, splits, schema)
    model = onnx_export.export(pipeline, schema)
    agreement = parity.check(model, pipeline, schema, part=load_part(splits, "test", schema), settings=training)
    learned = with_train_end(lineage, splits, schema)
    record = make_record(best, ordered, search=search, training=training, lineage=learned, rows=rows)
    write_package(package, pipeline, model, splits=splits, settings=training, record=record)
    return Trained(record, agreement)


def choose(found: Iterable[FamilyTrials]) -> FamilyTrials:
    """The family with the best score on the validation part, the baseline left out; the first of equals.

    Raises:
        DataError: There is none.
    """
    candidates = [trials for trials in found if trials.family != BASELINE]
    if not candidates:
        raise DataError("No model family was tuned but the baseline: name at least one other in search.families.")
    if candidates[0].metric in LOWER_IS_BETTER:
        return min(candidates, key=lambda trials: trials.best.score)
    return max(candidates, key=lambda trials: trials.best.score)


def fit(pipeline: Pipeline, splits: Path, schema: Schema) -> int:
    """Fit a pipeline on the training and the validation part; the number of rows.

    The validation part has done its work when the model is chosen, and holds the newest rows before the test part.
    """
    part = _joined([load_part(splits, "train", schema), load_part(splits, "validation", schema)])
    check_learnable(part, schema)
    # OpenMP does not know of the quota; and on narrow matrices BLAS threads only wait for one another
    with warnings.catch_warnings(), threadpool_limits({"openmp": cpu_count(), "blas": 1}):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the search judged this limit of iterations
        pipeline.fit(part.frame, part.target)
    return len(part.target)


def _joined(parts: list[Part]) -> Part:
    frame = pd.concat([part.frame for part in parts], ignore_index=True, copy=False)
    return Part(frame, np.concatenate([part.target for part in parts]))
