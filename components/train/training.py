"""Training the final model: the best family and parameters, fitted again on all rows but the test part's.

Before that, the same model is fitted without the rows that it is then asked about: their answers say how many rounds
it needs, whether its probabilities have to be calibrated, and from which of them the positive class is answered.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from components.shared.calibration import CalibratedModel
from components.shared.config import ProblemConfig, SearchConfig, TrainConfig
from components.shared.evaluation import metric_text
from components.shared.families import MODEL
from components.shared.frames import Part, check_learnable, load_part
from components.shared.metrics import LABELS, gain
from components.shared.package.model_package import Lineage
from components.shared.package.schema import FIXED, Schema
from components.shared.resources import training_threads
from components.shared.trials import FamilyTrials
from components.train import onnx_export, parity
from components.train.deciding import decide
from components.train.held_out import Task, fit_pipeline, rehearse
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
        score = f"{LABELS[record.metric]} {metric_text(record.metric, record.scores[record.family])}"
        return (
            f"{record.family} ({score}) fitted on {record.rows:,} rows; "
            f"{self._decisions()}ONNX agrees on {self.parity.share:.2%} of {self.parity.rows:,} test rows"
        )

    def _decisions(self) -> str:
        """What was chosen besides the parameters."""
        calibration, threshold = self.record.calibration, self.record.threshold
        decisions = []
        if calibration is not None and calibration.method != "none":
            decisions.append(f"calibrated ({calibration.method})")
        if threshold is not None and threshold.by not in ("", FIXED):
            decisions.append(f"threshold {threshold.threshold:g} by {threshold.by}")
        return "".join(f"{item}; " for item in decisions)


def train_model(
    found: Sequence[FamilyTrials],
    splits: Path,
    package: Path,
    *,
    search: SearchConfig,
    training: TrainConfig,
    problem: ProblemConfig,
    lineage: Lineage,
) -> Trained:
    """Fit the best model found and write its package.

    Args:
        found: What tuning found, one a family.
        splits: The folder that prepare writes.
        package: The folder to make.
        search: Order of the families and seed.
        training: The preprocessing, calibration and what the package contains.
        problem: How the threshold is chosen.
        lineage: Where the rows came from.

    Raises:
        DataError: The rows cannot be learned from.
        ParityError: ONNX and scikit-learn disagree.
    """
    schema = Schema.read(splits)
    ordered = sorted(found, key=lambda trials: search.families.index(trials.family))
    best = choose(ordered)
    part = _learned_from(splits, schema)
    with _quiet(len(part.target)):
        task = Task(best, splits, schema, search, training, rows=len(part.target))
        decisions = decide(rehearse(task), problem, training)
        pipeline = task.pipeline(decisions.parameters)
        if decisions.calibrator is not None:
            pipeline.set_params(**{MODEL: CalibratedModel(pipeline[MODEL], decisions.calibrator)})
        fit_pipeline(pipeline, part)
    model = onnx_export.export(pipeline, schema)
    agreement = parity.check(model, pipeline, schema, part=load_part(splits, "test", schema), settings=training)
    record = make_record(
        best,
        ordered,
        search=search,
        training=training,
        lineage=with_train_end(lineage, splits, schema),
        rows=len(part.target),
        decisions=decisions,
    )
    write_package(
        package, pipeline, model, splits=splits, schema=decisions.served(schema), settings=training, record=record
    )
    return Trained(record, agreement)


def choose(found: Sequence[FamilyTrials]) -> FamilyTrials:
    """The family with the best score; the first of equals.

    One whose every trial was cut short by the clock was scored with fewer rows than the others, and wins only where
    that is true of all.
    """
    completed = [trials for trials in found if not trials.best.cut]
    candidates = completed or list(found)
    return max(candidates, key=lambda trials: gain(trials.metric, trials.best.score, 0.0))


def _learned_from(splits: Path, schema: Schema) -> Part:
    """The training and the validation part.

    The validation part has done its work when the model is chosen, and has the newest rows before the test part.
    """
    parts = [load_part(splits, "train", schema), load_part(splits, "validation", schema)]
    weights = [part.weights for part in parts if part.weights is not None]
    joined = Part(
        pd.concat([part.frame for part in parts], ignore_index=True, copy=False),
        np.concatenate([part.target for part in parts]),
        np.concatenate(weights) if weights else None,
    )
    check_learnable(joined, schema)
    return joined


@contextmanager
def _quiet(rows: int) -> Iterator[None]:
    """Fit with the cores there are, without warnings of what the search judged already."""
    # OpenMP does not know of the quota; and on narrow matrices BLAS threads only wait for one another
    with warnings.catch_warnings(), threadpool_limits({"openmp": training_threads(rows), "blas": 1}):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
