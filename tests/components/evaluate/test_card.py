"""The model card in the cases that a plain run does not show."""

from typing import Any

import pytest

from components.evaluate.card import Background, card
from components.shared.evaluation import Contribution, Evaluation, Gap, Importance, Resampled, Scores, Shap, Slice
from components.shared.package.schema import Feature, Schema

SCHEMA = Schema(
    task="binary",
    target="late",
    classes=[False, True],
    features=[
        Feature(name="<b>x</b>", kind="number", nullable=False),
        Feature(name="colour", kind="category", nullable=True, cardinality=20, categories=[f"c{i}" for i in range(20)]),
    ],
)


def make(**changes: Any) -> Evaluation:
    settings: dict[str, Any] = {
        "name": "demo",
        "task": "binary",
        "target": "late",
        "metric": "roc_auc",
        "rows": 10,
        "threshold": 0.5,
        "confidence": 0.9,
        "resamples": 100,
        "scores": Scores(values={"roc_auc": 0.7, "accuracy": 0.6, "f1": None, "log_loss": 0.5}),
        "baseline": Scores(values={"roc_auc": 0.5, "accuracy": 0.6, "f1": None, "log_loss": 0.4}),
    }
    return Evaluation(**settings | changes)


def render(evaluation: Evaluation, **background: Any) -> str:
    settings: dict[str, Any] = {"schema": SCHEMA, "training": {}, "validation": {}, "split": {}}
    return card(evaluation, Background(**settings | background)).render()


def test_a_bare_evaluation_has_a_card() -> None:
    page = render(make())
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "the same" in page
    assert "worse" in page
    assert "(20 values)" in page


def test_the_card_says_what_was_resampled() -> None:
    assert "bootstrap resamples of single rows at 90% confidence" in render(make())
    days = Resampled(kind="day", column="time_hour", count=55)
    page = render(make(resampled_by=days, slices=[Slice(column="colour", value="a", rows=2)]))
    assert "100 bootstrap resamples of 55 days of &#39;time_hour&#39; at 90% confidence" in page
    assert "Slices within fewer than 8 days are resampled by single rows." in page


def test_the_largest_of_many_gaps_is_no_finding_by_itself() -> None:
    gap = Gap(column="colour", metric="roc_auc", best="a", worst="b", gap=0.2, interval=(0.05, 0.35), compared=1)
    assert "By colour it does worst on b" in render(make(gaps=[gap]))
    assert "By colour it does worst on b" not in render(make(gaps=[gap.model_copy(update={"compared": 45})]))


def test_slices_gaps_and_small_slices_are_told() -> None:
    scores = Scores(values={"roc_auc": 0.7, "accuracy": 0.6, "f1": None, "log_loss": 0.5})
    small = [Slice(column="colour", value=f"s{index}", rows=2) for index in range(25)]
    found = make(
        slices=[Slice(column="colour", value=None, rows=9, scores=scores), *small],
        gaps=[Gap(column="colour", metric="roc_auc", best=None, worst="", gap=0.2, interval=(0.1, 0.3))],
    )
    page = render(found)
    assert "Gap in ROC AUC: 0.2 (interval 0.1 to 0.3), best (missing), worst (empty)." in page
    assert "and 5 more" in page
    assert "By colour it does worst on (empty): ROC AUC is 0.2 below that of (missing)." in page
    assert "too few rows to be judged" in page


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Contribution(feature="x", mean_absolute=0.1, direction=0.9), "raised by larger values (rank correlation 0.9)"),
        (Contribution(feature="x", mean_absolute=0.1, direction=-0.9), "lowered by larger values"),
        (Contribution(feature="x", mean_absolute=0.1, direction=0.1), "no single direction"),
        (
            Contribution(feature="x", mean_absolute=0.1, raises="", lowers="b"),
            "raised most by (missing), lowered most by b",
        ),
    ],
)
def test_directions_are_in_words(item: Contribution, text: str) -> None:
    shap = Shap(base=[0.1], rows=5, background=4, contributions=[item])
    page = render(make(shap=shap, importance=[Importance(feature="x", drop=0.1, deviation=0.0)]))
    assert text in page


def test_features_without_effect_have_no_direction() -> None:
    items = [Contribution(feature="x", mean_absolute=0.0, direction=1.0), Contribution(feature="y", mean_absolute=0.1)]
    page = render(make(shap=Shap(base=[0.1], rows=5, background=4, contributions=items)))
    assert "What moves the prediction" not in page


def test_training_and_data_are_told() -> None:
    page = render(
        make(mape_rows_left_out=1),
        training={
            "family": "random_forest",
            "parameters": {"depth": 3, "odd": [1, 2]},
            "scores": {"random_forest": 0.7},
            "seed": 5,
            "lineage": {"rows": 12, "sources": {"flights": "s3://bucket/key"}},
        },
        validation={"checks": [{"name": "a", "holds": True}, {"name": "odd_rule", "holds": False, "failed_rows": 3}]},
        split={"method": "chronological", "parts": {"test": {"rows": 10, "first": "2024-01-01", "last": "2024-02-01"}}},
    )
    for expected in (
        "random forest",
        "[1, 2]",
        "s3://bucket/key",
        "chronological split",
        "from 2024-01-01 to 2024-02-01",
    ):
        assert expected in page
    assert "MAPE leaves out 1 row whose" in page


THRESHOLD: dict[str, Any] = {
    "threshold": 0.247,
    "by": "f1",
    "costs": None,
    "part": "validation",
    "rows": 4_000,
    "value": 0.48,
    "value_at_half": 0.27,
    "thresholds": [0.1, 0.247, 0.5],
    "precision": [0.3, 0.4, 0.7],
    "recall": [0.9, 0.6, 0.2],
    "metric": [0.45, 0.48, 0.27],
    "cost": [],
}


def test_the_threshold_is_drawn_with_how_it_was_chosen() -> None:
    page = render(make(threshold=0.247), training={"threshold": THRESHOLD})
    assert "True is answered from probability 0.247 on, where F1 is largest: 0.48, and 0.27 at 0.5." in page.replace(
        "true is", "True is"
    )
    assert "4,000 rows of the validation part, by the model before it learned from them" in page
    assert "chosen: 0.247" in page
    assert "Cost by threshold" not in page
    costs = {"costs": {"false_positive": 1.0, "false_negative": 5.0}, "by": "costs", "cost": [0.5, 0.4, 0.6]}
    page = render(make(), training={"threshold": THRESHOLD | costs | {"part": "folds"}})
    assert "where errors cost least (1 a false alarm, 5 a miss)" in page
    assert "Cost by threshold" in page
    assert "each by a model that had not learned from it" in page
    page = render(make(), training={"threshold": THRESHOLD | {"by": "fixed"}})
    assert "as the configuration says: F1 is 0.48 there" in page


def test_calibration_is_drawn_before_and_after() -> None:
    before = {"log_loss": 0.4169, "brier": 0.1275, "predicted": [0.1, 0.5], "observed": [0.06, 0.3]}
    after = {"log_loss": 0.4017, "brier": 0.1214, "predicted": [0.07, 0.33], "observed": [0.07, 0.3]}
    record = {"method": "sigmoid", "reason": "it helped", "rows": 4_000, "before": before, "after": after}
    page = render(make(), training={"calibration": record})
    assert "Mapped to observed shares by a sigmoid: it helped. Judged on 4,000 rows" in page
    assert "0.4169" in page
    assert "0.4017" in page
    assert "Reliability on rows held out" in page
    alone = record | {"method": "none", "reason": "it did not help", "after": None}
    page = render(make(), training={"calibration": alone})
    assert "Left as the model gives them: it did not help." in page


def test_a_family_that_was_cut_short_is_marked() -> None:
    training = {
        "scores": {"linear": 0.7, "random_forest": 0.6},
        "trials": {"linear": 10},
        "incomplete": ["random_forest"],
    }
    assert "random forest (cut short: scored with fewer rows)" in render(make(), training=training)


def test_what_reading_and_searching_warned_of_is_on_the_card():
    training = {
        "lineage": {"warnings": ["3 values of 'age' are no numbers."]},
        "search_warnings": {"lightgbm": ["No trial was completed within 1 s."]},
    }
    page = render(make(), training=training)
    assert "Ingest: 3 values of &#39;age&#39; are no numbers." in page
    assert "Tune (lightgbm): No trial was completed within 1 s." in page
    assert ">Warnings<" not in render(make())
