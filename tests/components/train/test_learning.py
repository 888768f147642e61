"""What models learn from missing values and from moments, from the table to the served graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from components.shared.config import FamilyName, SearchConfig, TrainConfig
from components.shared.families import FAMILIES, default_parameters, make_pipeline
from components.shared.frames import inputs, load_part
from components.shared.package.scoring import Scorer
from components.train.onnx_export import export
from tests.components.prepare.helpers import Prepared, run

N = 1_500
DAYS = np.arange(800)
SHARES = {"few": (0.6, 0.1), "many": (0.1, 0.4), "at": (0.1, 0.4)}  # missing where the label is true, and false


def served(found: Prepared, family: FamilyName, **training: Any) -> tuple[np.ndarray, np.ndarray]:
    """What the served graph answers on the test part, and the truth."""
    schema = found.schema
    train, test = (load_part(found.folder, part, schema) for part in ("train", "test"))
    parameters = default_parameters(family, schema.task, {})
    settings = TrainConfig.model_validate(training)
    pipeline = make_pipeline(family, parameters, schema, search=SearchConfig(), training=settings)
    with threadpool_limits(1):
        pipeline.fit(train.frame, train.target)
    model = export(pipeline, schema).SerializeToString()
    return Scorer(ort.InferenceSession(model), schema).score(inputs(test.frame, schema)), test.target


def is_telling(folder: Path) -> Prepared:
    """Two numbers and a time, of which it only matters whether they are missing; `few` is 0, 1 or 2 otherwise."""
    random = np.random.default_rng(0)
    label = random.random(N) < 0.4
    gone = [random.random(N) < np.where(label, *shares) for shares in SHARES.values()]
    times = np.datetime64("2020-01-01T00:00:00") + random.integers(0, 9**7, N).astype("timedelta64[s]")
    times[gone[2]] = np.datetime64("NaT")
    few, many = np.where(gone[0], np.nan, random.integers(0, 3, N)), np.where(gone[1], np.nan, random.normal(size=N))
    return run(folder, {"few": few, "many": many, "at": times, "y": label}, {}, {})


def best_score(found: Prepared) -> float:
    """ROC AUC of who knows how often each column is missing in each class."""
    odds = np.zeros(len(found.values("y", "test")))
    for name, (share, other) in SHARES.items():
        gone = np.array([value is None or value != value for value in found.values(name, "test")])  # noqa: PLR0124
        odds += np.where(gone, np.log(share / other), np.log((1 - share) / (1 - other)))
    return float(roc_auc_score(found.values("y", "test"), odds))


@pytest.mark.parametrize("family", FAMILIES)
def test_that_a_value_is_missing_is_learned(tmp_path: Path, family: FamilyName):
    found = is_telling(tmp_path)
    scores, truth = served(found, family)
    assert roc_auc_score(truth, scores[:, 1]) > best_score(found) - 0.07 > 0.78


@pytest.mark.parametrize("family", ["linear", "lightgbm"])
def test_medians_alone_lose_it_and_indicators_keep_it(tmp_path: Path, family: FamilyName):
    found = is_telling(tmp_path)
    lost, kept = (
        roc_auc_score(truth, scores[:, 1])
        for scores, truth in (served(found, family, missing=how) for how in ("median", "indicator"))
    )
    assert kept > lost + 0.05


def grows(folder: Path, problem: dict[str, Any]) -> Prepared:
    random = np.random.default_rng(0)
    dates = np.datetime64("2020-01-01T00:00:00") + DAYS.astype("timedelta64[D]")
    sales = 100 + DAYS * 0.5 + 5 * np.isin(DAYS % 7, [3, 4]) + random.normal(0, 2, len(DAYS))
    return run(folder, {"date": dates, "sales": sales}, {"target": "sales", "task": "regression", **problem}, {})


@pytest.mark.parametrize("family", ["linear", "hist_gradient_boosting", "lightgbm"])
def test_a_trend_over_time_is_learned(tmp_path: Path, family: FamilyName):
    values, truth = served(grows(tmp_path, {}), family)
    assert np.sqrt(np.mean((values - truth) ** 2)) < 5


def test_a_linear_model_continues_a_trend(tmp_path: Path):
    found = grows(tmp_path, {"time_column": "date", "features": ["date"]})
    assert found.summary.method == "chronological"
    values, truth = served(found, "linear")
    assert np.sqrt(np.mean((values - truth) ** 2)) < 5


def test_what_lies_between_two_moments_is_learned(tmp_path: Path):
    random = np.random.default_rng(0)
    sent = np.datetime64("2020-01-01T00:00:00") + random.integers(0, 10**8, N).astype("timedelta64[s]")
    hours = random.integers(1, 60, N)
    data = {"sent": sent, "promised": sent + hours.astype("timedelta64[h]"), "y": hours + random.normal(0, 3, N)}
    values, truth = served(run(tmp_path, data, {"task": "regression"}, {}), "hist_gradient_boosting")
    assert np.sqrt(np.mean((values - truth) ** 2)) < 4.5
