"""One trial on its way up the ladder: fitted and scored on each rung until it falls behind or the time is up.

Fitting every trial on all rows is where a search's time goes, and most trials are seen to be poor long before that. A
trial knows how to take its next step and what it scored so far; `search` decides after each step whether it goes on.
The number of rounds is found by the trial itself, by stopping early, so the sampler need not search for it.
"""

import time
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from components.shared import metrics
from components.shared.config import FamilyName, Metric, SearchConfig, TaskName
from components.shared.errors import DataError
from components.shared.families import FAMILIES, Parameters, Rows, best_rounds, make_estimator
from components.shared.families.base import Family
from components.shared.resources import training_threads
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import ScoreArray
from components.shared.thresholds import choose_threshold
from components.tune.ladder import Ladder, Scored

_ROUNDS = 100  # that rows allow, however few they are; else one for each


@dataclass(frozen=True, slots=True)
class Problem:
    """What every trial of a family shares.

    Attributes:
        threshold: Binary only: from where the positive class is answered; None where it is still to be chosen.
        finds_rounds: Whether each trial finds out how many rounds serve it.
    """

    family: FamilyName
    task: TaskName
    metric: Metric
    threshold: float | None
    ladder: Ladder
    search: SearchConfig
    balanced: bool
    finds_rounds: bool


class Climb:
    """A trial.

    Attributes:
        parameters: With the rounds found, once they are.
        score: On the rungs climbed; None before the first.
        rungs: How many were climbed.
        rows: Rows from which the model learned on the last of them.
    """

    def __init__(self, problem: Problem, parameters: Parameters) -> None:
        self.problem = problem
        self.parameters = parameters
        self.score: float | None = None
        self.rungs = 0
        self.rows = 0
        self._scores: list[float] = []

    def step(self) -> float:
        """Climb a rung; the score so far.

        Raises:
            DataError: The rows cannot tell the metric.
        """
        pairs = self.problem.ladder.rungs[self.rungs]
        threads = max(training_threads(len(pair.train.target)) for pair in pairs)
        # OpenMP does not know of the quota; and on narrow matrices BLAS threads only wait for one another
        with warnings.catch_warnings(), threadpool_limits({"openmp": threads, "blas": 1}):
            warnings.simplefilter("ignore", ConvergenceWarning)  # such a model is judged by its score like any other
            self._scores = self._folds(pairs) if self.problem.ladder.folded else self._share(*pairs)
        finite = [score for score in self._scores if np.isfinite(score)]
        if not finite:
            rows = sum(len(pair.unseen.target) for pair in pairs)
            raise DataError(f"{self.problem.metric} cannot be computed on the validation part's {rows:,} rows")
        self.score = float(np.mean(finite))
        self.rungs += 1
        self.rows = round(float(np.mean([len(pair.train.target) for pair in pairs])))
        return self.score

    def _share(self, pair: Scored) -> list[float]:
        estimator = self._estimator(pair)
        if self.problem.finds_rounds:
            self._set_rounds([self._fit_early(estimator, pair)])
        else:
            self._family.fit(estimator, pair.train)
        return [self._judged(estimator, pair.unseen)]

    def _folds(self, pairs: tuple[Scored, ...]) -> list[float]:
        """Rounds are found on the first rung's folds and then kept: else each fold would be scored at its own best."""
        if self.problem.finds_rounds and not self._scores:
            self._set_rounds([self._fit_early(self._estimator(pair), pair) for pair in pairs])
        scores = list(self._scores)
        for pair in pairs:
            estimator = self._estimator(pair)
            self._family.fit(estimator, pair.train)
            scores.append(self._judged(estimator, pair.unseen))
        return scores

    @property
    def _family(self) -> Family:
        return FAMILIES[self.problem.family]

    def _estimator(self, pair: Scored) -> BaseEstimator:
        problem = self.problem
        return make_estimator(
            problem.family,
            problem.task,
            self.parameters,
            seed=problem.search.seed,
            threads=training_threads(len(pair.train.target)),
            balanced=problem.balanced,
        )

    def _fit_early(self, estimator: BaseEstimator, pair: Scored) -> NDArray[np.float64]:
        rows = len(pair.train.target)
        most = min(self.problem.search.rounds, max(_ROUNDS, rows))
        return self._family.fit_early(estimator, pair.train, pair.unseen, most=most)

    def _set_rounds(self, losses: list[NDArray[np.float64]]) -> None:
        self.parameters = {**self.parameters, self._family.rounds: best_rounds(losses)}

    def _judged(self, estimator: BaseEstimator, unseen: Rows) -> float:
        problem = self.problem
        answer = getattr(estimator, TASKS[problem.task].answer.method)(unseen.features)
        return metrics.score(
            problem.metric,
            problem.task,
            unseen.target,
            answer,
            threshold=self._threshold(unseen, answer),
            weights=unseen.weights,
        )

    def _threshold(self, unseen: Rows, answer: ScoreArray) -> float:
        """The one that is fixed; or, where the metric depends on it, the best for these rows."""
        problem = self.problem
        if problem.threshold is not None:
            return problem.threshold
        by = metrics.TABLE[problem.metric].threshold_by
        if by is None or not TASKS[problem.task].has_positive_class:
            return 0.5
        return choose_threshold(unseen.target, answer[:, 1], unseen.weights, metric=by)


def is_late(deadline: float) -> bool:
    """Whether a moment of the monotonic clock has passed."""
    return time.monotonic() > deadline
