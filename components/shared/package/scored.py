"""The test part, scored with a served ONNX graph: what evaluation and gate ask their questions of.

Evaluation and gate have to judge the very same answers, on the same rows and by the same graph that will serve; a
figure of the one would otherwise not explain the other's decision. The champion is scored by its own schema, which may
have other columns.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.shared import frames
from components.shared.errors import DataError
from components.shared.metrics import Answers, check_finite
from components.shared.package.schema import Schema
from components.shared.package.scoring import Inputs, Scorer, score_rows
from components.shared.resources import cpu_count
from components.shared.tasks.arrays import TargetArray


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows of the test part and what a model says of them.

    Attributes:
        scorer: The model.
        inputs: The rows as tensors.
        target: Class indices or values, shape (rows,).
        scores: Probabilities, shape (rows, classes), or values, shape (rows,).
        weights: How much each row counts, shape (rows,); None where all rows count the same.
    """

    scorer: Scorer
    inputs: Inputs
    target: TargetArray
    scores: NDArray[np.float32]
    weights: NDArray[np.float64] | None = None

    @property
    def schema(self) -> Schema:
        """Columns and classes."""
        return self.scorer.schema

    @property
    def answers(self) -> Answers:
        """What the model says, classes chosen at its own threshold."""
        return Answers(self.scores, self.schema.threshold)


def score_test(splits: Path, scorer: Scorer) -> Scored:
    """Score the test part by the model's own schema.

    Args:
        splits: The folder that prepare writes.
        scorer: The model.

    Raises:
        DataError: The part is empty or does not fit the schema, or the model answers NaN or infinity.
    """
    part = frames.load_part(splits, "test", scorer.schema)
    if not len(part.target):
        raise DataError(
            "The test part has no rows, so the model cannot be judged. Raise prepare.split.test or widen the window."
        )
    inputs = frames.inputs(part.frame, scorer.schema)
    scores = score_rows(scorer, inputs)
    check_finite(scores)
    return Scored(scorer, inputs, part.target, scores, part.weights)


def load_scorer(folder: Path) -> Scorer:
    """Load a model's folder for scoring many rows, on all cores this process may use."""
    return Scorer.load(folder, threads=cpu_count())
