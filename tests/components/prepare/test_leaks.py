"""Features that give the answer away."""

import numpy as np
import pytest

from components.shared.tasks import TASKS

N = 4_000
RANDOM = np.random.default_rng(0)
NOISE = RANDOM.normal(size=N)
LABEL = RANDOM.random(N) < 0.3
GROUP = RANDOM.integers(0, 3, N)
VALUE = RANDOM.normal(size=N) * 10
UNIQUE = np.char.add("id", np.arange(N).astype(str))


def suspects(found):
    return {leak.feature for leak in found.summary.leaks}


def test_leaks_of_two_classes(prepared):
    data = {
        "noise": NOISE,
        "some": NOISE + LABEL,
        "rank": LABEL * 10.0 + NOISE,
        "reversed": -(LABEL * 10.0 + NOISE),
        "null when true": np.where(LABEL, np.nan, NOISE),
        "far from zero": np.where(LABEL, 5 * np.sign(NOISE), 0) + NOISE / 10,
        "text": np.where(LABEL, "late", "in time"),
        "code": UNIQUE,
        "y": LABEL,
    }
    found = prepared(data)
    assert suspects(found) == {"rank", "reversed", "null when true", "far from zero", "text"}
    assert all(leak.metric == "ROC AUC" and leak.score >= 0.99 for leak in found.summary.leaks)
    assert any("'text' alone gives the target away (ROC AUC 1.000)" in warning for warning in found.summary.warnings)


def test_leaks_of_several_classes(prepared):
    names = np.array(["a", "b", "c"])[GROUP]
    data = {"noise": NOISE, "number": GROUP * 1.0, "upper": np.char.upper(names), "code": UNIQUE, "y": names}
    assert suspects(prepared(data, {"task": "multiclass"})) == {"number", "upper"}


def test_leaks_of_a_number(prepared):
    data = {
        "noise": NOISE,
        "scaled": VALUE * 3 + 1 + NOISE / 100,
        "cubed": np.square(np.clip(VALUE, -15, 15)) * np.sign(VALUE),
        "rounded": np.char.add("v", np.round(np.clip(VALUE, -25, 25) / 4).astype(int).astype(str)),
        "code": UNIQUE,
        "y": VALUE,
    }
    found = prepared(data, {"task": "regression"}, leak_threshold=0.95)
    assert suspects(found) >= {"scaled", "cubed", "rounded"}
    assert not suspects(found) & {"noise", "code"}
    assert found.summary.leaks[0].metric == "R²"


@pytest.mark.parametrize(("threshold", "expected"), [(0.6, {"some"}), (0.95, set())])
def test_the_threshold_decides(prepared, threshold, expected):
    assert suspects(prepared({"noise": NOISE, "some": NOISE + LABEL, "y": LABEL}, leak_threshold=threshold)) == expected


def test_a_handful_of_rows_is_not_judged(prepared):
    y = [i % 2 == 0 for i in range(26)]
    assert prepared({"x": [i * (1.0 if v else -1.0) for i, v in enumerate(y)], "y": y}).summary.leaks == []


DAYS = np.arange(N)
START = np.datetime64("2020-01-01T00:00:00")
TIMES = START + DAYS.astype("timedelta64[D]")


def test_a_trend_over_time_is_no_leak_but_told_with_what_helps(prepared):
    data = {"at": TIMES, "noise": NOISE, "y": DAYS + NOISE}
    found = prepared(data, {"task": "regression"})
    assert found.summary.leaks == []
    (warning,) = found.summary.warnings
    assert warning.startswith("The target follows the time 'at' (R² 1.000): a trend that a model can use")
    assert "set problem.time_column to 'at' and keep it in problem.features" in warning
    by_time = {"task": "regression", "time_column": "at", "features": ["at", "noise"]}
    followed = prepared(data, by_time)
    assert followed.summary.method == "chronological"
    assert followed.summary.warnings == []
    assert "at" in followed.schema.columns


def test_a_time_that_is_there_for_one_class_only_gives_it_away(prepared):
    found = prepared({"cancelled": np.where(LABEL, TIMES, np.datetime64("NaT")), "noise": NOISE, "y": LABEL})
    assert suspects(found) == {"cancelled"}
    assert any(
        "Whether there is a value for the feature 'cancelled' alone gives the target away (ROC AUC 1.000)" in warning
        for warning in found.summary.warnings
    )


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_time_between_two_moments_can_give_the_target_away(prepared, task):
    hours = np.where(LABEL, 50, 20) + RANDOM.integers(0, 20, N)
    shuffled = RANDOM.permutation(TIMES)
    target = LABEL if TASKS[task].has_positive_class else hours * 1.0
    found = prepared({"sent": shuffled, "came": shuffled + hours.astype("timedelta64[h]"), "y": target}, {"task": task})
    (leak,) = found.summary.leaks
    assert (leak.other, leak.feature, leak.by) == ("sent", "came", "difference")
    assert any(
        "The time from 'sent' to 'came' alone gives the target away" in warning for warning in found.summary.warnings
    )
