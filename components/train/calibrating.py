"""Whether calibration helps, judged on rows that neither the model nor the calibrator learned from.

A calibrator learns two things: how the model exaggerates, which lasts, and how frequent the classes are, which need
not where the rows held out are a later period. Flights are the example: 25% are late in the months learned from, 15% in
the two of the validation part, 26% in the two after; calibrated to the 15%, the Brier score rises from 0.171 to 0.186.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from components.shared import metrics
from components.shared.calibration import CALIBRATORS, Calibrator, Method
from components.shared.config import TrainConfig
from components.train.held_out import HeldOut

_BLOCKS = 5
_FEWEST_ROWS = 50
_FEWEST_OF_A_CLASS = 10
_ISOTONIC_ROWS = 1_000  # of the rarer class: below, the curve follows chance

Floats = NDArray[np.float64]


class Reliability(BaseModel):
    """How far probabilities are from the shares observed, on rows held out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    log_loss: float
    brier: float
    predicted: list[float] = Field(description="Mean probability by bins of about equally many rows.")
    observed: list[float] = Field(description="Observed share in the same bins; of several classes, all together.")


class CalibrationRecord(BaseModel):
    """What was found out about calibration, and what was done."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str = Field(description="`sigmoid`, `isotonic` or `none`.")
    reason: str
    rows: int = Field(description="Rows it was judged and fitted on.")
    before: Reliability | None = None
    after: Reliability | None = Field(
        default=None, description="Each fifth of the rows by a calibrator fitted to the others."
    )


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibrator to put behind the model, if any."""

    calibrator: Calibrator | None
    record: CalibrationRecord


def calibrate(held_out: HeldOut, training: TrainConfig) -> Calibration:
    """Decide on a calibrator and fit it.

    Args:
        held_out: Probabilities of rows that the model did not learn from.
        training: What the configuration asks for.
    """
    asked, balanced = training.calibration, training.class_weight == "balanced"
    if asked == "none":
        return _none(held_out, "the configuration says so")
    counts = np.bincount(held_out.target, minlength=held_out.scores.shape[1])
    if len(held_out.target) < _FEWEST_ROWS or counts.min() < _FEWEST_OF_A_CLASS:
        if asked == "auto" and not balanced:
            return _none(held_out, "there are too few rows to tell whether it would help")
        method: Method = "sigmoid" if asked == "auto" else asked
        return _fitted(held_out, method, f"{_because(asked, balanced=balanced)}; too few rows to judge it", None)
    tried = {method: _out_of_block(held_out, method) for method in _methods(asked, held_out, int(counts.min()))}
    method = min(tried, key=lambda name: _losses(held_out, tried[name]).mean())
    if asked == "auto" and not balanced and held_out.later and _has_moved(held_out):
        return _none(
            held_out,
            "the shares of the classes moved between the rows learned from and these later ones, and what moved once "
            "may move again: a calibrator would fix the shares of this period",
        )
    if asked == "auto" and not balanced and not _helps(held_out, tried[method]):
        return _none(held_out, f"{method} did not make the log loss smaller on rows it was not fitted to")
    return _fitted(held_out, method, _because(asked, balanced=balanced), tried[method])


def _because(asked: str, *, balanced: bool) -> str:
    if asked != "auto":
        return "the configuration says so"
    if balanced:
        return "class_weight: balanced shifts all probabilities"
    return "it made the log loss smaller on rows it was not fitted to"


def _methods(asked: str, held_out: HeldOut, rarest: int) -> list[Method]:
    if asked == "isotonic":
        return ["isotonic"]
    curve = asked == "auto" and held_out.scores.shape[1] == 2 and rarest >= _ISOTONIC_ROWS
    return ["sigmoid", "isotonic"] if curve else ["sigmoid"]


def _out_of_block(held_out: HeldOut, method: Method) -> Floats:
    """Each fifth of the rows, which stand in the order of time if there is one, by a calibrator fitted to the rest."""
    rows = np.arange(len(held_out.target))
    found = np.empty_like(held_out.scores)
    for block in np.array_split(rows, _BLOCKS):
        others = np.setdiff1d(rows, block, assume_unique=True)
        weights = None if held_out.weights is None else held_out.weights[others]
        calibrator = CALIBRATORS[method]().fit(held_out.scores[others], held_out.target[others], weights)
        found[block] = calibrator.transform(held_out.scores[block])
    return found


def _helps(held_out: HeldOut, calibrated: Floats) -> bool:
    """Whether the log loss falls by more than the standard error of that fall over blocks of rows.

    Rows next to each other may go together, so the blocks are what is counted, not the rows.
    """
    gains = _losses(held_out, held_out.scores) - _losses(held_out, calibrated)
    means = np.array([block.mean() for block in np.array_split(gains, 4 * _BLOCKS)])
    return bool(means.mean() > means.std(ddof=1) / np.sqrt(len(means)))


def _has_moved(held_out: HeldOut) -> bool:
    """Whether some class is more or less frequent than predicted, by more than blocks of rows differ.

    A model fitted by its log loss predicts the shares of the period that it learned from. Where a later period has
    others, the difference is not a fault of the model that lasts, but drift.
    """
    gaps = held_out.scores - np.eye(held_out.scores.shape[1])[held_out.target]
    if held_out.weights is not None:
        gaps = gaps * (held_out.weights * (len(gaps) / held_out.weights.sum()))[:, None]
    means = np.array([block.mean(axis=0) for block in np.array_split(gaps, 4 * _BLOCKS)])
    errors = means.std(axis=0, ddof=1) / np.sqrt(len(means))
    return bool((np.abs(means.mean(axis=0)) > 3 * errors).any())


def _losses(held_out: HeldOut, scores: Floats) -> Floats:
    """Log loss of each row, times its weight."""
    probabilities = metrics.normalise(scores)
    losses: Floats = -np.log(probabilities[np.arange(len(scores)), held_out.target])
    if held_out.weights is None:
        return losses
    return np.asarray(losses * held_out.weights * (len(losses) / held_out.weights.sum()))


def _none(held_out: HeldOut, reason: str) -> Calibration:
    record = CalibrationRecord(
        method="none", reason=reason, rows=len(held_out.target), before=reliability(held_out, held_out.scores)
    )
    return Calibration(None, record)


def _fitted(held_out: HeldOut, method: Method, reason: str, judged: Floats | None) -> Calibration:
    calibrator = CALIBRATORS[method]().fit(held_out.scores, held_out.target, held_out.weights)
    record = CalibrationRecord(
        method=method,
        reason=reason,
        rows=len(held_out.target),
        before=reliability(held_out, held_out.scores),
        after=None if judged is None else reliability(held_out, judged),
    )
    return Calibration(calibrator, record)


def reliability(held_out: HeldOut, scores: Floats) -> Reliability:
    """Log loss, Brier score and the reliability curve of probabilities of held-out rows."""
    answers = metrics.Answers(scores)
    hits = np.eye(scores.shape[1])[held_out.target]
    kept = slice(1, None) if scores.shape[1] == 2 else slice(None)
    hits, shown = hits[:, kept], scores[:, kept]
    weights = None if held_out.weights is None else np.repeat(held_out.weights, hits.shape[1])
    bins = metrics.calibration(hits.reshape(-1), shown.reshape(-1), weights=weights)
    return Reliability(
        log_loss=_rounded(metrics.TABLE["log_loss"].value(held_out.target, answers, held_out.weights)),
        brier=_rounded(metrics.TABLE["brier"].value(held_out.target, answers, held_out.weights)),
        predicted=[_rounded(item.predicted) for item in bins],
        observed=[_rounded(item.observed) for item in bins],
    )


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
