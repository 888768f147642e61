"""When a candidate is no worse, when it is worse, and when the rows cannot tell."""

import math
from typing import Any

import numpy as np
import pytest

from components.shared.bootstrap import Estimate
from components.shared.config import ChampionRule
from components.shared.inferiority import Comparison, allowed_loss, compare_losses


@pytest.mark.parametrize(
    ("loss", "interval", "outcome", "passing"),
    [
        (-0.02, (-0.04, 0.004), "no worse", {"promote_if_not_worse", "block", "promote"}),
        (0.001, (-0.002, 0.005), "no worse", {"promote_if_not_worse", "block", "promote"}),
        (0.03, (0.006, 0.05), "worse", set()),
        (0.03, (0.005, 0.05), "unclear", {"promote"}),
        (0.0, (-0.03, 0.03), "unclear", {"promote_if_not_worse", "promote"}),
        (0.001, (-0.03, 0.03), "unclear", {"promote"}),
    ],
)
def test_the_interval_decides(loss: float, interval: Any, outcome: str, passing: set[str]) -> None:
    found = Comparison(loss, interval, 0.005)
    assert found.outcome == outcome
    words = ("promote_if_not_worse", "block", "promote")
    assert {word for word in words if found.passes(ChampionRule(when_unclear=word))} == passing


def test_what_cannot_be_told_is_not_compared() -> None:
    assert compare_losses(Estimate(math.nan, np.zeros(10), 10), 0.95, 0.1) is None
    assert compare_losses(Estimate(0.0, np.full(10, math.nan), 10), 0.95, 0.1) is None


def test_the_margin_is_the_metrics_own_unless_said() -> None:
    assert allowed_loss("roc_auc", ChampionRule(), 0.8) == 0.005
    # Of an error it is a share: dollars, seconds and hours have no margin in common.
    assert allowed_loss("rmse", ChampionRule(), 300.0) == pytest.approx(3.0)
    assert allowed_loss("rmse", ChampionRule(allowed_loss=7), 300.0) == 7
    assert allowed_loss("roc_auc", ChampionRule(allowed_loss=0), 0.8) == 0
