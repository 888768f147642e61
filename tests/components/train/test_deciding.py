"""Tests of what is decided on rows held out: calibration, then the threshold."""

import numpy as np
import pytest

from components.shared.calibration import SigmoidCalibrator
from components.shared.config import ErrorCosts, ProblemConfig, ThresholdRule, TrainConfig
from components.shared.package.schema import Schema
from components.train.calibrating import calibrate
from components.train.deciding import decide, threshold_of
from components.train.held_out import HeldOut, Rehearsal

AUTO = TrainConfig()
PROBLEM = ProblemConfig(target="y", task="binary")


def held_out(
    rows: int, seed: int = 0, *, slope: float = 1.0, shift: float = 0.0, weights: np.ndarray | None = None
) -> HeldOut:
    """Rows of two classes whose logits are `slope` times the true ones plus `shift`."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1.5, 1.2, rows)
    target = (random.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    positive = 1 / (1 + np.exp(-(slope * logits + shift)))
    return HeldOut(target, np.column_stack([1 - positive, positive]), weights, "validation")


def test_what_is_calibrated_already_is_mostly_left_alone():
    """Simulation: of 60 models that are right, few are touched, and those few hardly."""
    found = [calibrate(held_out(600, seed), AUTO) for seed in range(60)]
    touched = [item.calibrator for item in found if item.calibrator is not None]
    assert len(touched) <= 15
    for calibrator in touched:
        fresh = held_out(2_000, 99)
        assert np.abs(calibrator.transform(fresh.scores) - fresh.scores).mean() < 0.05


def test_what_is_not_is_calibrated_and_that_helps_on_fresh_rows():
    """Simulation: 20 overconfident models; the log loss on rows that nobody has seen."""
    gains = []
    for seed in range(20):
        found = calibrate(held_out(600, seed, slope=2.5, shift=0.5), AUTO)
        assert found.record.method == "sigmoid"
        assert found.calibrator is not None
        fresh = held_out(2_000, 500 + seed, slope=2.5, shift=0.5)
        rows = np.arange(2_000)
        before, after = (
            -np.log(scores[rows, fresh.target]).mean()
            for scores in (fresh.scores, found.calibrator.transform(fresh.scores))
        )
        gains.append(before - after)
        assert found.record.before is not None
        assert found.record.after is not None
        assert found.record.after.log_loss < found.record.before.log_loss
        assert found.record.after.brier < found.record.before.brier
    assert min(gains) > 0


def test_a_curve_that_no_sigmoid_has_gets_an_isotonic_one_from_enough_rows():
    random = np.random.default_rng(1)
    positive = random.random(8_000)
    truth = np.where(positive < 0.5, 0.2, np.where(positive < 0.8, 0.45, 0.9))
    target = (random.random(8_000) < truth).astype(np.int64)
    rows = HeldOut(target, np.column_stack([1 - positive, positive]), None, "validation")
    assert calibrate(rows, AUTO).record.method == "isotonic"
    few = HeldOut(target[:1_000], rows.scores[:1_000], None, "validation")
    assert calibrate(few, AUTO).record.method in ("none", "sigmoid")


def test_balanced_weights_are_always_undone_and_settings_obeyed():
    right = held_out(600, 3)
    balanced = calibrate(right, TrainConfig(class_weight="balanced"))
    assert balanced.record.method == "sigmoid"
    assert balanced.record.reason == "class_weight: balanced shifts all probabilities"
    assert calibrate(right, TrainConfig(class_weight="balanced", calibration="none")).calibrator is None
    assert calibrate(right, TrainConfig(calibration="isotonic")).record.method == "isotonic"
    assert calibrate(right, TrainConfig(calibration="sigmoid")).record.method == "sigmoid"
    few = held_out(30, 3)
    assert calibrate(few, AUTO).record.reason == "there are too few rows to tell whether it would help"
    assert isinstance(calibrate(few, TrainConfig(class_weight="balanced")).calibrator, SigmoidCalibrator)


def test_rows_of_weight_nothing_do_not_decide():
    wrong, right = held_out(600, 4, slope=3.0), held_out(600, 5)
    target = np.concatenate([right.target, wrong.target])
    scores = np.concatenate([right.scores, wrong.scores])
    order = np.random.default_rng(0).permutation(1_200)
    weights = np.repeat([1.0, 0.0], 600)
    weighed = HeldOut(target[order], scores[order], weights[order], "validation")
    assert calibrate(HeldOut(target[order], scores[order], None, "validation"), AUTO).record.method == "sigmoid"
    assert calibrate(weighed, AUTO).record.method == "none"


def test_the_threshold_is_one_of_the_calibrated_probabilities():
    rows = held_out(4_000, 6, slope=1.0, shift=3.0)
    found = decide(Rehearsal(rows, {"C": 1.0}), PROBLEM, AUTO)
    assert found.calibrator is not None
    assert found.threshold is not None
    plain = threshold_of(rows, rows.scores, PROBLEM)
    assert plain.threshold > 0.7 > found.threshold.threshold
    moved = found.calibrator.transform(np.array([[1 - plain.threshold, plain.threshold]]))[0, 1]
    assert found.threshold.threshold == pytest.approx(moved, abs=0.02)
    served = found.served(Schema(task="binary", target="y", classes=[False, True], features=[]))
    assert (served.threshold, served.threshold_by) == (found.threshold.threshold, "f1")


def test_the_record_tells_how_the_threshold_was_chosen():
    rows = held_out(2_000, 7)
    record = threshold_of(rows, rows.scores, PROBLEM)
    assert (record.by, record.part, record.rows, record.costs) == ("f1", "validation", 2_000, None)
    assert record.value is not None
    assert record.value_at_half is not None
    assert record.value == pytest.approx(max(record.metric), abs=0.01)
    assert record.value > record.value_at_half + 0.05
    assert record.threshold in record.thresholds
    assert len(record.thresholds) == len(record.precision) == len(record.recall) == len(record.metric)
    costs = ProblemConfig(
        target="y",
        task="binary",
        threshold_by=ThresholdRule(costs=ErrorCosts(false_positive=1, false_negative=5)),
    )
    cheap = threshold_of(rows, rows.scores, costs)
    assert (cheap.by, cheap.costs) == ("costs", {"false_positive": 1.0, "false_negative": 5.0})
    assert cheap.value == pytest.approx(min(cheap.cost), abs=0.01)
    fixed = threshold_of(rows, rows.scores, ProblemConfig(target="y", task="binary", threshold=0.3))
    assert (fixed.threshold, fixed.by) == (0.3, "fixed")
    one = HeldOut(np.zeros(9, dtype=np.int64), rows.scores[:9], None, "validation")
    assert (threshold_of(one, one.scores, PROBLEM).threshold, threshold_of(one, one.scores, PROBLEM).by) == (0.5, "")


def test_a_period_with_other_shares_is_not_what_to_calibrate_to():
    moved = held_out(2_000, 8, shift=1.0)
    later = HeldOut(moved.target, moved.scores, None, "validation", later=True)
    assert calibrate(moved, AUTO).record.method == "sigmoid"
    assert calibrate(later, AUTO).record.method == "none"
    assert "may move again" in calibrate(later, AUTO).record.reason
    assert calibrate(later, TrainConfig(calibration="sigmoid")).record.method == "sigmoid"
    assert calibrate(later, TrainConfig(class_weight="balanced")).record.method == "sigmoid"


def test_what_a_model_exaggerates_is_mended_in_a_later_period_too():
    logits = np.random.default_rng(9).normal(0, 1.2, 3_000)  # half of the rows, so that the shares stay
    target = (np.random.default_rng(10).random(3_000) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    positive = 1 / (1 + np.exp(-2.5 * logits))
    later = HeldOut(target, np.column_stack([1 - positive, positive]), None, "validation", later=True)
    assert calibrate(later, AUTO).record.method == "sigmoid"
