"""Tests of fitting in steps."""

import numpy as np
import pytest

from components.shared.families import Rows, make_estimator
from components.tune.stepwise import SHARES, fit_in_steps, marks
from tests.components.modelling import QUICK


def rows(classes: int) -> Rows:
    random = np.random.default_rng(0)
    target = np.arange(300) % classes if classes else random.normal(size=300)
    return Rows((random.normal(size=(300, 3)) + target[:, None]).astype(np.float32), target)


@pytest.mark.parametrize(("classes", "task"), [(2, "binary"), (3, "multiclass"), (0, "regression")])
@pytest.mark.parametrize("family", list(QUICK))
def test_the_last_step_is_the_estimator_fitted_at_once(family, classes, task):
    data = rows(classes)
    seen = []
    grown = make_estimator(family, task, QUICK[family])
    fit_in_steps(family, grown, data, observe=lambda step, done, score: seen.append((step, done, score(data.features))))
    whole = make_estimator(family, task, QUICK[family]).fit(data.features, data.target)
    expected = whole.predict(data.features) if task == "regression" else whole.predict_proba(data.features)
    np.testing.assert_allclose(seen[-1][2], expected, atol=1e-6)
    assert [step for step, _, _ in seen] == ([2] if family == "dummy" else [0, 1, 2])
    assert [done for _, done, _ in seen] == ([2, 4, 8] if family not in ("linear", "dummy") else [0] * len(seen))


def test_what_the_observer_raises_ends_the_fit():
    class EnoughError(Exception):
        pass

    def observe(step, done, score):
        raise EnoughError

    for family in QUICK:
        with pytest.raises(EnoughError):
            fit_in_steps(family, make_estimator(family, "binary", QUICK[family]), rows(2), observe=observe)


@pytest.mark.parametrize(("rounds", "expected"), [(100, [25, 50, 100]), (1, [1, 1, 1]), (3, [1, 2, 3])])
def test_marks_are_shares_of_the_rounds(rounds, expected):
    assert marks(rounds) == expected
    assert len(SHARES) == 3
