import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from components.monitor.joint import _area, joint_drift

NUMERIC = frozenset({"a", "b"})


def frame(rows: int, *, seed: int, turned: bool = False) -> pd.DataFrame:
    """Two numbers that rise together, or against one another: each alone looks the same."""
    random = np.random.default_rng(seed)
    a = random.normal(size=rows)
    b = (-a if turned else a) * 0.9 + random.normal(size=rows) * 0.44
    return pd.DataFrame({"a": a, "b": b, "c": random.choice(np.array(["x", "y", None], dtype=object), rows)})


def test_columns_that_belong_together_in_another_way_are_found():
    found = joint_drift(frame(2_000, seed=0), frame(800, seed=1, turned=True), threshold=0.55, numeric=NUMERIC)
    assert found is not None
    assert found.drifted
    assert found.auc.value > 0.8
    assert found.auc.low < found.auc.value < found.auc.high


def test_rows_of_one_distribution_cannot_be_told_apart():
    alarms = 0
    for seed in range(20):
        found = joint_drift(frame(600, seed=seed), frame(200, seed=100 + seed), threshold=0.55, numeric=NUMERIC)
        assert found is not None
        alarms += found.drifted
    assert alarms <= 2


def test_too_few_rows_teach_nothing():
    assert joint_drift(frame(600, seed=0), frame(39, seed=1), threshold=0.55, numeric=NUMERIC) is None


def test_the_area_is_scikit_learns_and_its_variance_that_of_repeated_samples():
    def sample(seed: int) -> tuple[np.ndarray, np.ndarray]:
        random = np.random.default_rng(seed)
        return random.normal(size=80).round(1), random.normal(0.5, 1, 120).round(1)

    negatives, positives = sample(0)
    truth = np.repeat([0, 1], [80, 120])
    assert _area(negatives, positives)[0] == pytest.approx(roc_auc_score(truth, np.concatenate([negatives, positives])))
    areas, variances = np.array([_area(*sample(seed)) for seed in range(400)]).T
    assert variances.mean() == pytest.approx(areas.var(), rel=0.25)
