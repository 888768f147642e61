"""What is decided on rows held out: the rounds, a calibrator, and of two classes the threshold.

Each of the three would look best on rows that the model knows, so all are decided on rows held out (`held_out`), and in
this order: the threshold is one of the probabilities that are served, so calibration comes before it. The test part has
no say, or the evaluation would judge its own choice. What other thresholds would have given is recorded for the card.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from components.shared.calibration import Calibrator
from components.shared.config import ProblemConfig, TrainConfig
from components.shared.families import Parameters
from components.shared.package.schema import FIXED, Schema
from components.shared.thresholds import Floats, can_choose, choose_threshold, metric_of, outcomes
from components.train.calibrating import CalibrationRecord, calibrate
from components.train.held_out import HeldOut, Rehearsal

_POINTS = 199  # of the curves that the card draws


class ThresholdRecord(BaseModel):
    """How a threshold came about, and what others would have given on the same rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    by: str = Field(description="`fixed`, a metric's name, `costs`, or empty where the rows could not tell.")
    costs: dict[str, float] | None = None
    part: str = Field(description="`validation`, or `folds` of training and validation part.")
    rows: int
    value: float | None = Field(default=None, description="The metric, or the mean cost of a row, at the threshold.")
    value_at_half: float | None = Field(default=None, description="The same at 0.5.")
    thresholds: list[float] = Field(default=[], description="Where the curves are given.")
    precision: list[float] = []
    recall: list[float] = []
    metric: list[float] = Field(default=[], description="The metric it was chosen by; F1 when fixed or by costs.")
    cost: list[float] = Field(default=[], description="Mean cost of a row, where costs are given.")


@dataclass(frozen=True, slots=True)
class Decisions:
    """What the final model is made with, besides its family.

    Attributes:
        parameters: Of the estimator, with rounds for the rows it will learn from.
        calibrator: What follows the estimator, if anything.
        calibration: How that came about; None for numbers.
        threshold: Of two classes only.
    """

    parameters: Parameters
    calibrator: Calibrator | None = None
    calibration: CalibrationRecord | None = None
    threshold: ThresholdRecord | None = None

    def served(self, schema: Schema) -> Schema:
        """The schema as it is served: with the threshold."""
        if self.threshold is None:
            return schema
        return schema.model_copy(update={"threshold": self.threshold.threshold, "threshold_by": self.threshold.by})


def decide(rehearsal: Rehearsal, problem: ProblemConfig, training: TrainConfig) -> Decisions:
    """Calibrate first: the threshold is one of the probabilities that are served."""
    held_out = rehearsal.held_out
    if held_out is None:
        return Decisions(rehearsal.parameters)
    calibration = calibrate(held_out, training)
    calibrator, scores = calibration.calibrator, held_out.scores
    if calibrator is not None:
        scores = calibrator.transform(scores)
    threshold = threshold_of(held_out, scores, problem) if scores.shape[1] == 2 else None
    return Decisions(rehearsal.parameters, calibrator, calibration.record, threshold)


def threshold_of(held_out: HeldOut, scores: Floats, problem: ProblemConfig) -> ThresholdRecord:
    """Choose the threshold, or take the fixed one.

    Args:
        held_out: Rows that the model did not learn from.
        scores: Their probabilities as they will be served: calibrated if the model is.
        problem: What the configuration asks for.
    """
    rule, probabilities = problem.threshold_by, scores[:, 1]
    fixed = None if problem.threshold == "auto" else problem.threshold
    known = {"part": held_out.rows, "rows": len(held_out.target)}
    if not can_choose(held_out.target, held_out.weights):
        return ThresholdRecord(threshold=0.5 if fixed is None else fixed, by="" if fixed is None else FIXED, **known)
    metric, costs = metric_of(rule), rule.costs
    chosen = fixed or choose_threshold(held_out.target, probabilities, held_out.weights, metric=metric, costs=costs)
    places = np.unique([*np.linspace(0, 1, _POINTS + 2)[1:-1], chosen, 0.5])
    found = outcomes(held_out.target, probabilities, held_out.weights, thresholds=places)
    worth = found.metric(metric) if costs is None else found.cost(costs)
    return ThresholdRecord(
        threshold=chosen,
        by=FIXED if fixed else "costs" if costs else metric,
        costs=None if costs is None else costs.model_dump(),
        value=_rounded(worth[places == chosen][0]),
        value_at_half=_rounded(worth[places == 0.5][0]),
        thresholds=[_rounded(place) for place in places],
        precision=[_rounded(value) for value in found.precision],
        recall=[_rounded(value) for value in found.recall],
        metric=[_rounded(value) for value in found.metric(metric)],
        cost=[] if costs is None else [_rounded(value) for value in found.cost(costs)],
        **known,
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
