import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from components.monitor.drift import DriftFindings
from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import compare, gather
from components.monitor.statistics.comparing import adjusted
from components.shared.config import MonitoringConfig

TESTS = {"numeric": {"method": "ks", "threshold": 0.05}, "categorical": {"method": "chisquare", "threshold": 0.05}}
PSI = {"numeric": {"method": "psi", "threshold": 0.1}, "categorical": {"method": "psi", "threshold": 0.1}}


def frame(rows: int, *, seed: int, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    columns: dict[str, object] = {f"n{place}": random.normal(shift, 1, rows).astype(np.float32) for place in range(5)}
    columns["long tail"] = np.exp(random.normal(shift, 2, rows)).astype(np.float32)
    columns["flag"] = (random.random(rows) < 0.3 + shift / 3).astype(np.float32)
    shares = np.array([4 - 3 * shift, 3, 2, 1 + 3 * shift]) / 10
    columns["letter"] = random.choice(list("abcd"), rows, p=shares).astype(object)
    columns["many"] = np.minimum(random.zipf(1.5, rows), 300).astype(str).astype(object)
    return pd.DataFrame(columns)


def found(
    before: pd.DataFrame, now: pd.DataFrame, importance: dict[str, float] | None = None, **settings: object
) -> DriftFindings:
    numeric = frozenset(name for name in before if before[name].dtype != object)
    reference = reference_statistics(before, numeric=numeric)
    current = gather([table_of(now)], reference.bins)
    return compare(reference, current, MonitoringConfig.model_validate(settings), importance=importance)


@pytest.mark.parametrize("settings", [{}, TESTS, PSI])
@pytest.mark.parametrize("rows", [100, 1_000])
def test_few_clean_windows_have_any_column_that_drifted(settings, rows):
    """By thresholds alone most windows of 100 rows would have several: the distances of few rows are large."""
    windows = 60
    alarms = exceeding = 0
    for seed in range(windows):
        findings = found(frame(2_000, seed=seed), frame(rows, seed=10_000 + seed), **settings)
        alarms += bool(findings.drifted_columns)
        assert not findings.drifted
        exceeding += sum(
            finding.value is not None
            and (finding.value < finding.threshold if settings is TESTS else finding.value >= finding.threshold)
            for finding in findings.columns
        )
    assert exceeding > windows * 0.9
    assert alarms <= 9  # of 60: 5 % of them are expected, and more than 15 % in one of a thousand such tests


@pytest.mark.parametrize("settings", [{}, TESTS])
def test_windows_that_changed_are_found(settings):
    for seed in range(10):
        findings = found(frame(2_000, seed=seed), frame(500, seed=100 + seed, shift=0.5), **settings)
        assert findings.drifted
        assert {"n0", "n1", "n2", "n3", "n4", "flag", "letter"} <= set(findings.drifted_columns)


def test_p_values_are_adjusted_as_benjamini_and_hochberg_do():
    values = {"a": 0.001, "b": None, "c": 0.04, "d": 0.03, "e": 0.9}
    expected = false_discovery_control([0.001, 0.04, 0.03, 0.9])
    assert adjusted(values) == pytest.approx(dict(zip("acde", expected, strict=True)))
    assert adjusted({}) == adjusted({"a": None}) == {}


def unused(findings: DriftFindings) -> list[str]:
    return [finding.column for finding in findings.columns if finding.drifted and not finding.used]


def test_drift_of_a_feature_that_the_model_ignores_is_no_alarm():
    before, now = frame(2_000, seed=0), frame(1_000, seed=1)
    for name in ("n0", "n1", "n2", "long tail"):
        now[name] += np.float32(50)
    importance = {"n0": 0.0, "n1": 0.2, "n2": 0.6, "n3": 0.1, "n4": 0.005, "flag": 0.0, "letter": 0.0, "many": 0.095}
    findings = found(before, now, importance, drift_share=0.6)
    assert findings.drifted_columns == ["long tail", "n2", "n1"]  # the first is not named, as the prediction
    assert unused(findings) == ["n0"]
    assert [finding.column for finding in findings.columns][:4] == ["long tail", "n2", "n1", "n0"]
    assert findings.drifted_share == pytest.approx(3 / 5)  # of long tail, n1, n2, n3, many
    assert findings.drifted
    assert not found(before, now, importance | {"n1": 0.0}, drift_share=0.6).drifted
    assert unused(found(before, now, importance, least_importance=0.0)) == []


def test_the_same_rows_are_no_drift_whatever_the_threshold():
    strict = {"method": "wasserstein", "threshold": 1e-9}
    assert found(frame(500, seed=0), frame(500, seed=0), numeric=strict).drifted_columns == []
