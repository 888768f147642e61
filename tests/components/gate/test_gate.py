"""Every check of the gate, and the verdict."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.gate.gate import Candidate, check_baseline, check_thresholds, judge
from components.gate.slices import check_slices
from components.shared.config import SliceRule, Threshold
from components.shared.errors import PackageError, StoreError
from components.shared.evaluation import Scores
from components.shared.store import Store, StoreSettings
from tests.components.gate.conftest import evaluation, rules, slices

Make = Callable[..., Candidate]


def test_a_first_good_model_is_promoted(candidate: Make, store: Store) -> None:
    verdict = judge(candidate(), rules(), store)
    assert verdict.promoted
    assert not verdict.forced
    assert verdict.reasons == []
    assert verdict.champion is None
    assert [check.name for check in verdict.checks] == ["baseline", "champion", "package_size", "latency"]
    assert "first model" in verdict.checks[1].detail


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_pass_too(candidate: Make, store: Store, task: str) -> None:
    assert judge(candidate(task), rules(), store).promoted


@pytest.mark.parametrize(
    ("threshold", "holds"),
    [
        ({"minimum": 0.9}, [True]),
        ({"minimum": 0.91}, [False]),
        ({"maximum": 0.9}, [True]),
        ({"minimum": 0.1, "maximum": 0.5}, [True, False]),
    ],
)
def test_thresholds(threshold: dict[str, float], holds: list[bool]) -> None:
    found = list(check_thresholds(evaluation(), {"roc_auc": Threshold.model_validate(threshold)}))
    assert [check.holds for check in found] == holds
    assert found[0].name == "threshold:roc_auc"
    assert "it is 0.9" in found[0].detail


def test_a_metric_that_cannot_be_told_reaches_no_threshold() -> None:
    found = evaluation(scores=Scores(values={"roc_auc": None}))
    (check,) = check_thresholds(found, {"roc_auc": Threshold(minimum=0.1)})
    assert not check.holds
    assert "cannot tell" in check.detail
    assert not check_baseline(found, "roc_auc").holds


@pytest.mark.parametrize(("value", "holds"), [(0.51, True), (0.5, False), (0.4, False)])
def test_the_baseline_has_to_be_beaten(value: float, holds: bool) -> None:
    found = evaluation(scores=Scores(values={"roc_auc": value}))
    assert check_baseline(found, "roc_auc").holds is holds


def test_the_baseline_of_errors_is_beaten_by_less(candidate: Make, store: Store) -> None:
    worse = evaluation("regression", scores=Scores(values={"rmse": 1.1}))
    verdict = judge(candidate("regression", found=worse), rules(), store)
    assert [check.name for check in verdict.checks if not check.holds] == ["baseline"]
    assert judge(candidate("regression", found=worse), rules(beat_baseline=False), store).promoted


def test_the_worst_slice_is_held_against_the_floor() -> None:
    found = evaluation(**slices({"a": 0.9, "b": 0.6, "c": None}))
    rule = SliceRule(floor=0.65)
    (check,) = check_slices(found, rule, "roc_auc")
    assert not check.holds
    assert check.value == 0.6
    assert "colour = b has 0.6 (2 slices judged, 1 too small to judge)" in check.detail
    (check,) = check_slices(found, SliceRule(floor=0.6), "roc_auc")
    assert check.holds
    assert "the worst: colour = b has 0.6" in check.detail


@pytest.mark.parametrize(
    ("others", "spread", "holds"),
    [(0, 0.04, False), (0, 0.06, True), (20, 0.04, True), (20, 0.03, False)],
)
def test_a_slice_is_below_the_floor_when_chance_does_not_explain_it(others: int, spread: float, holds: bool) -> None:
    """The more slices are looked at, the more of them are low by chance."""
    values = {"b": 0.6} | {f"a{index}": 0.9 for index in range(others)}
    (check,) = check_slices(evaluation(**slices(values, spread=spread)), SliceRule(floor=0.65), "roc_auc")
    assert check.holds is holds
    assert ("by no more than chance explains" in check.detail) is holds
    assert check.unsure is holds
    assert ("for all 21 slices together at 95% (Bonferroni)" in check.detail) is (others == 20)
    assert check.value == 0.6


def test_of_slices_without_a_difference_few_runs_find_one() -> None:
    """Twenty slices, all truly at the floor: one is below it in nearly every run, and is taken for it in few."""
    random, failed, below = np.random.default_rng(0), 0, 0
    for _ in range(200):
        found = {f"s{index}": 0.8 + 0.02 * random.normal() for index in range(20)}
        (check,) = check_slices(evaluation(**slices(dict(found), spread=0.02 * 1.96)), SliceRule(floor=0.8), "roc_auc")
        failed += not check.holds
        below += min(found.values()) < 0.8
    assert below > 195
    assert failed / 200 < 0.06


def test_small_slices_and_untold_metrics_are_ignored() -> None:
    (check,) = check_slices(evaluation(**slices({"a": None})), SliceRule(floor=0.65), "roc_auc")
    assert check.holds
    (check,) = check_slices(evaluation(**slices({"a": 0.9})), SliceRule(metric="accuracy", floor=0.65), "roc_auc")
    assert check.holds
    assert "1 that cannot tell it" in check.detail


def test_the_floor_of_an_error_is_a_ceiling() -> None:
    found = evaluation(**slices({"a": 0.9, "b": 0.2}))
    for item in found.slices:
        assert item.scores is not None
        item.scores.values["log_loss"] = item.scores.values["roc_auc"]
    (check,) = check_slices(found, SliceRule(metric="log_loss", floor=0.5), "roc_auc")
    assert not check.holds
    assert check.value == 0.9
    assert "in no slice above 0.5" in check.detail


@pytest.mark.parametrize(("gap", "holds"), [(0.1, True), (0.24, True), (0.3, False), (None, True)])
def test_the_largest_gap_is_limited(gap: float | None, holds: bool) -> None:
    (check,) = check_slices(evaluation(**slices({}, gap=gap)), SliceRule(largest_gap=0.2), "roc_auc")
    assert check.holds is holds
    assert check.value == gap
    assert ("larger by no more than chance explains" in check.detail) is (gap == 0.24)
    assert check.unsure is (gap == 0.24)


def test_the_more_pairs_are_compared_the_wider_is_a_gaps_interval() -> None:
    one = evaluation(**slices({}, gap=0.3)).gaps[0]
    for pairs, holds in ((1, False), (200, True)):
        found = evaluation(gaps=[one.model_copy(update={"interval": (0.22, 0.38), "compared": pairs})])
        (check,) = check_slices(found, SliceRule(largest_gap=0.2), "roc_auc")
        assert check.holds is holds


def test_no_slice_rule_checks_nothing() -> None:
    assert list(check_slices(evaluation(**slices({"a": 0.1})), SliceRule(), "roc_auc")) == []


def test_size_and_latency_have_budgets(candidate: Make, store: Store) -> None:
    verdict = judge(candidate(), rules(package_megabytes=1e-6, row_milliseconds=1e-6), store)
    assert not verdict.promoted
    assert [check.name for check in verdict.checks if not check.holds] == ["package_size", "latency"]
    size = next(check.value for check in verdict.checks if check.name == "package_size")
    assert size == pytest.approx(sum(path.stat().st_size for path in candidate().files().values()) / 1e6)
    assert "raise gate.row_milliseconds" in verdict.reasons[1]


@pytest.mark.parametrize(("force", "mode"), [(True, "block"), (False, "warn"), (True, "warn")])
def test_a_failing_candidate_can_be_let_through_and_it_is_recorded(
    candidate: Make, store: Store, force: bool, mode: str
) -> None:
    verdict = judge(candidate(), rules(package_megabytes=1e-6, mode=mode), store, force=force)
    assert verdict.promoted
    assert (verdict.forced, verdict.warned) == (force, not force)
    assert "MB allowed" in verdict.reasons[0]


def test_force_is_not_recorded_when_it_was_not_needed(candidate: Make, store: Store) -> None:
    verdict = judge(candidate(), rules(), store, force=True)
    assert verdict.promoted
    assert not verdict.forced


def test_an_unreachable_store_is_an_error_not_a_first_model(candidate: Make) -> None:
    nowhere = Store(StoreSettings(endpoint="http://127.0.0.1:9", access_key="key", secret_key="secret"), retries=0)
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:9"):
        judge(candidate(), rules(), nowhere, force=True)


def test_a_missing_file_of_the_package_is_an_error(candidate: Make, store: Store) -> None:
    made = candidate()
    (made.evaluated / "card.html").unlink()
    with pytest.raises(PackageError, match=r"needs .*card\.html"):
        judge(made, rules(), store)


def test_a_broken_pointer_is_an_error(candidate: Make, store: Store) -> None:
    store.put_bytes("models/demo/champion.json", b"nonsense")
    with pytest.raises(PackageError, match="no champion pointer"):
        judge(candidate(), rules(), store)


def test_the_verdict_is_written_whole(candidate: Make, store: Store, tmp_path: Path) -> None:
    verdict: Any = judge(candidate(), rules(), store)
    verdict.write(tmp_path / "new" / "verdict.json")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["verdict.json"]


def test_a_limit_reads_as_it_was_written_and_a_value_apart_from_it() -> None:
    found = evaluation(scores=Scores(values={"accuracy": 0.99989, "roc_auc": 0.89999}))
    rules = {"accuracy": Threshold(minimum=0.9999), "roc_auc": Threshold(minimum=0.9)}
    accuracy, area = check_thresholds(found, rules)  # type: ignore[arg-type]
    assert accuracy.detail == "Accuracy has to be at least 99.99%: it is 99.989%."
    assert area.detail == "ROC AUC has to be at least 0.9: it is 0.89999."
    (floor,) = check_slices(evaluation(**slices({"a": 0.89999})), SliceRule(floor=0.9), "roc_auc")
    assert "in no slice below 0.9: colour = a has 0.89999" in floor.detail
    baseline = evaluation(scores=Scores(values={"roc_auc": 0.50001}), baseline=Scores(values={"roc_auc": 0.5}))
    assert "0.50001 is better than 0.5 of the dummy" in check_baseline(baseline, "roc_auc").detail
