"""The search of one model family: which parameters score best on the validation part.

Trials learn from a random sample of the training part that holds every class, and are scored on as many rows of the
validation part at most. The preprocessing is fitted once, because no searched parameter touches it. The first trial
is always the family's defaults. Same data, same seed: same trials, unless the clock cuts the search short.
"""

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from components.shared import metrics
from components.shared.config import (
    DEFAULT_METRIC,
    LOWER_IS_BETTER,
    FamilyName,
    Metric,
    ParameterSpace,
    SearchConfig,
    Task,
    TrainConfig,
)
from components.shared.errors import ConfigError, DataError
from components.shared.families import (
    BASELINE,
    FAMILIES,
    Parameters,
    Rows,
    Space,
    default_parameters,
    extremes,
    make_estimator,
    search_space,
)
from components.shared.frames import Part, check_learnable, features, labels, part_path
from components.shared.package.schema import Schema
from components.shared.preprocessing import make_preprocessor
from components.shared.resources import cpu_count
from components.shared.trials import Best, FamilyTrials, Trial
from components.tune.stepwise import fit_in_steps

_UNPRUNED = 2  # trials that run to their end before any is compared with them
_RANDOM_TRIALS = 10  # most trials drawn at random before the sampler models what it has seen


@dataclass(frozen=True, slots=True)
class Problem:
    """What every trial of a family shares."""

    family: FamilyName
    task: Task
    metric: Metric
    train: Rows
    validation: Rows
    search: SearchConfig
    balanced: bool


class _Stopped(Exception):  # noqa: N818, a signal, not an error
    """Ends a trial from within."""

    def __init__(self, *, pruned: bool) -> None:
        super().__init__()
        self.pruned = pruned


def tune_family(family: FamilyName, splits: Path, *, search: SearchConfig, training: TrainConfig) -> FamilyTrials:
    """Search a family's parameters within the budget.

    Args:
        family: Which.
        splits: The folder that prepare writes.
        search: Metric, budget, rows, seed and spaces.
        training: The preprocessing.

    Raises:
        ConfigError: The space names an unknown parameter or a value its estimator refuses.
        DataError: No trial succeeded.
    """
    started = time.monotonic()
    schema = Schema.read(splits)
    space = search_space(family, schema.task, search.space.get(family, {}))
    problem = load_problem(family, splits, schema, search=search, training=training)
    # OpenMP does not know of the quota; and on narrow matrices BLAS threads only wait for one another
    with threadpool_limits({"openmp": cpu_count(), "blas": 1}):
        trials = run_trials(problem, space, deadline=started + search.budget.seconds)
    return FamilyTrials(
        family=family,
        metric=problem.metric,
        rows=len(problem.train.target),
        best=_best(trials, problem),
        trials=trials,
    )


def load_problem(
    family: FamilyName, splits: Path, schema: Schema, *, search: SearchConfig, training: TrainConfig
) -> Problem:
    """Sample the rows and preprocess them."""
    seen = sample(splits, "train", schema, rows=search.rows, seed=search.seed)
    unseen = sample(splits, "validation", schema, rows=search.rows, seed=search.seed)
    check_learnable(seen, schema)
    preprocessor = make_preprocessor(schema, training, linear=FAMILIES[family].linear, seed=search.seed)
    return Problem(
        family=family,
        task=schema.task,
        metric=search.metric or DEFAULT_METRIC[schema.task],
        train=Rows(preprocessor.fit_transform(seen.frame, seen.target), seen.target),
        validation=Rows(preprocessor.transform(unseen.frame), unseen.target),
        search=search,
        balanced=training.class_weight == "balanced",
    )


def sample(splits: Path, part: str, schema: Schema, *, rows: int, seed: int) -> Part:
    """At most `rows` rows of a part in random order; for classes, the first ones are one of each class there is."""
    table = pq.read_table(part_path(splits, part), columns=[*schema.columns, schema.target])
    order = np.random.default_rng(seed).permutation(table.num_rows)
    if schema.task != "regression":
        firsts = np.unique(labels(table, schema)[order], return_index=True)[1]
        order = np.concatenate([order[firsts], np.delete(order, firsts)])
    chosen = table.take(order[:rows])
    return Part(features(chosen, schema), labels(chosen, schema))


def run_trials(problem: Problem, space: Space, *, deadline: float) -> list[Trial]:
    """Run trials until the budget is spent.

    Args:
        problem: Rows, metric and settings.
        space: What is searched; without any there is one trial.
        deadline: On the monotonic clock, in seconds: no trial but the first starts after it.
    """
    study = _study(problem)
    defaults = default_parameters(problem.family, problem.task, space)
    study.enqueue_trial({name: defaults[name] for name in space})
    wanted = 1 if problem.family == BASELINE or not space else problem.search.budget.trials
    trials: list[Trial] = []
    while len(trials) < wanted and (not trials or time.monotonic() < deadline):
        asked = study.ask()
        parameters = {**defaults, **{name: suggest(asked, name, allowed) for name, allowed in space.items()}}
        trials.append(_run_trial(study, asked, parameters, problem=problem, deadline=deadline))
    return trials


def suggest(trial: optuna.Trial, name: str, space: ParameterSpace) -> Any:
    """A value of the space, chosen by the sampler."""
    if space.choices:
        return trial.suggest_categorical(name, space.choices)
    low, high = extremes(space)
    if space.integer:
        return trial.suggest_int(name, low, high, log=space.log)  # type: ignore[arg-type]  # a range has numbers
    return trial.suggest_float(name, low, high, log=space.log)  # type: ignore[arg-type]


def _study(problem: Problem) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trials, seed = problem.search.budget.trials, problem.search.seed
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(_RANDOM_TRIALS, max(2, trials // 3)))
    pruner = (
        optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED)
        if problem.search.pruning
        else optuna.pruners.NopPruner()
    )
    lower = problem.metric in LOWER_IS_BETTER
    return optuna.create_study(direction="minimize" if lower else "maximize", sampler=sampler, pruner=pruner)


def _run_trial(
    study: optuna.Study, asked: optuna.Trial, parameters: Parameters, *, problem: Problem, deadline: float
) -> Trial:
    started = time.monotonic()
    watch = _Watch(problem, asked, deadline)
    estimator = make_estimator(
        problem.family,
        problem.task,
        parameters,
        seed=problem.search.seed,
        threads=cpu_count(),
        balanced=problem.balanced,
    )
    state, detail = "complete", ""
    failures: tuple[type[Exception], ...] = (DataError, *FAMILIES[problem.family].errors)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # such a model is judged by its score like any other
            fit_in_steps(problem.family, estimator, problem.train, observe=watch)
    except _Stopped as stopped:
        state, detail = ("pruned", "fell behind") if stopped.pruned else ("complete", "cut short by the budget")
        parameters = parameters if stopped.pruned else {**parameters, **watch.reached}
    except failures as error:
        state, detail = "failed", " ".join(str(error).split()) or type(error).__name__
    _tell(study, asked, state, watch.score)
    return Trial(
        number=asked.number,
        state=state,
        parameters=parameters,
        score=None if state == "failed" else watch.score,
        seconds=round(time.monotonic() - started, 3),
        detail=detail,
    )


def _tell(study: optuna.Study, asked: optuna.Trial, state: str, score: float | None) -> None:
    states = {
        "complete": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL,
    }
    study.tell(asked, score if state == "complete" else None, state=states[state])


class _Watch:
    """Scores a trial after each step, and ends it when it falls behind or the time is up.

    Attributes:
        score: After the last step.
        reached: The parameter that counts rounds, with those done when the trial was ended.
    """

    def __init__(self, problem: Problem, trial: optuna.Trial, deadline: float) -> None:
        self.problem = problem
        self.trial = trial
        self.deadline = deadline
        self.score: float | None = None
        self.reached: Mapping[str, int] = {}

    def __call__(self, step: int, rounds: int, score_rows: Callable[[NDArray[np.float32]], NDArray[Any]]) -> None:
        """Take note of a step."""
        problem = self.problem
        scores = score_rows(problem.validation.features)
        self.score = metrics.score(problem.metric, problem.task, problem.validation.target, scores)
        if not math.isfinite(self.score):
            raise DataError(f"{problem.metric} cannot be computed on the validation part's {len(scores):,} rows")
        self.trial.report(self.score, step)
        if rounds:
            self.reached = {FAMILIES[problem.family].rounds: rounds}
        if self.trial.should_prune():
            raise _Stopped(pruned=True)
        if time.monotonic() > self.deadline:
            raise _Stopped(pruned=False)


def _best(trials: list[Trial], problem: Problem) -> Best:
    complete = [
        (trial.score, trial.parameters) for trial in trials if trial.state == "complete" and trial.score is not None
    ]
    if complete:
        pick = min if problem.metric in LOWER_IS_BETTER else max
        score, parameters = pick(complete, key=lambda one: one[0])
        return Best(parameters=parameters, score=score)
    last = trials[-1]
    message = (
        f"All {len(trials)} trials of {problem.family} failed; the last one, with {last.parameters}: {last.detail}."
    )
    if problem.search.space.get(problem.family):
        raise ConfigError(f"search.space.{problem.family}: {message} Check the values given there.")
    raise DataError(f"{message} Leave the family out of search.families, or look at the data's profile.")


def write_trials(found: FamilyTrials, path: Path) -> None:
    """Write the trials as JSON; the file appears only when complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
