"""The search of one model family: which parameters score best on rows that were not learned from.

The first trial is always the family's defaults; the sampler models what it has seen, and trials that fall behind end
on a low rung of the ladder (see `ladder`). Same data, same seed: same trials, unless the clock cuts the search short.
A trial that the clock ended on a low rung has learned from fewer rows than the others: it is marked as cut, and is the
best only where no trial was completed.
"""

import time
from pathlib import Path
from typing import Any

import optuna
from threadpoolctl import threadpool_limits

from components.shared.config import FamilyName, FittingConfig, ParameterSpace, SearchConfig
from components.shared.errors import ConfigError, DataError
from components.shared.families import FAMILIES, Space, default_parameters, extremes, search_space
from components.shared.files import write_text
from components.shared.metrics import gain
from components.shared.package.schema import FIXED, Schema
from components.shared.resources import cpu_count
from components.shared.tasks import TASKS
from components.shared.trials import Best, FamilyTrials, State, Trial
from components.tune.climb import Climb, Problem, is_late
from components.tune.ladder import FACTOR, make_ladder

_RANDOM_TRIALS = 10  # most trials drawn at random before the sampler models what it has seen


def tune_family(family: FamilyName, splits: Path, *, search: SearchConfig, training: FittingConfig) -> FamilyTrials:
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
    # OpenMP does not know of the quota; and on narrow matrices BLAS threads only wait for one another
    with threadpool_limits({"openmp": cpu_count(), "blas": 1}):
        problem = load_problem(family, splits, schema, search=search, training=training)
        trials = run_trials(problem, space, deadline=started + search.budget.seconds)
    best = _best(trials, problem)
    return FamilyTrials(
        family=family,
        metric=problem.metric,
        rows=problem.ladder.sampled,
        finds_rounds=problem.finds_rounds,
        best=best,
        trials=trials,
        warnings=_warnings(best, trials, search),
    )


def load_problem(
    family: FamilyName, splits: Path, schema: Schema, *, search: SearchConfig, training: FittingConfig
) -> Problem:
    """Read and preprocess the rows, and settle what trials are compared by."""
    return Problem(
        family=family,
        task=schema.task,
        metric=search.metric or TASKS[schema.task].default_metric,
        threshold=schema.threshold if schema.threshold_by == FIXED else None,
        ladder=make_ladder(family, splits, schema, search=search, training=training),
        search=search,
        balanced=training.class_weight == "balanced",
        finds_rounds=FAMILIES[family].stops_early and FAMILIES[family].rounds not in search.space.get(family, {}),
    )


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
    wanted = problem.search.budget.trials if space else 1
    trials: list[Trial] = []
    while len(trials) < wanted and (not trials or not is_late(deadline)):
        asked = study.ask()
        parameters = {**defaults, **{name: suggest(asked, name, allowed) for name, allowed in space.items()}}
        trials.append(_run_trial(study, asked, Climb(problem, parameters), deadline))
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
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    lower = gain(problem.metric, 0.0, 1.0) > 0
    return optuna.create_study(direction="minimize" if lower else "maximize", sampler=sampler, pruner=pruner)


def _run_trial(study: optuna.Study, asked: optuna.Trial, climb: Climb, deadline: float) -> Trial:
    started = time.monotonic()
    failures: tuple[type[Exception], ...] = (DataError, *FAMILIES[climb.problem.family].errors)
    detail = ""
    try:
        state = _climbed(asked, climb, deadline)
    except failures as error:
        state, detail = "failed", " ".join(str(error).split()) or type(error).__name__
    if state in ("pruned", "cut"):
        why = "fell behind" if state == "pruned" else "cut short by the budget"
        detail = f"{why} on rung {climb.rungs} of {len(climb.problem.ladder.rungs)}"
    _tell(study, asked, state, climb.score)
    return Trial(
        number=asked.number,
        state=state,
        parameters=climb.parameters,
        score=None if state == "failed" else climb.score,
        rows=climb.rows,
        seconds=round(time.monotonic() - started, 3),
        detail=detail,
    )


# Rungs 1, 2 and 3 are told to the pruner as 1, 3 and 9, by which it counts rungs. Example: of the scores 0.70, 0.72,
# 0.69, 0.74 on rung 1, as they come: the first goes on, being alone; 0.72 is the best of two and goes on; 0.69 ends;
# 0.74 goes on.
def _climbed(asked: optuna.Trial, climb: Climb, deadline: float) -> State:
    """Climb as far as the trial gets."""
    last = len(climb.problem.ladder.rungs)
    while True:
        score = climb.step()
        asked.report(score, FACTOR ** (climb.rungs - 1))
        if climb.rungs == last:
            return "complete"
        if asked.should_prune():
            return "pruned"
        if is_late(deadline):
            return "cut"


def _tell(study: optuna.Study, asked: optuna.Trial, state: State, score: float | None) -> None:
    states = {
        "complete": optuna.trial.TrialState.COMPLETE,
        "pruned": optuna.trial.TrialState.PRUNED,
        "cut": optuna.trial.TrialState.PRUNED,
        "failed": optuna.trial.TrialState.FAIL,
    }
    study.tell(asked, score if state == "complete" else None, state=states[state])


def _best(trials: list[Trial], problem: Problem) -> Best:
    """The best complete trial; where there is none, the one that the clock cut on the highest rung."""
    for state in ("complete", "cut"):
        reached = [trial for trial in trials if trial.state == state and trial.score is not None]
        if reached:
            rows = max(trial.rows for trial in reached)
            highest = [trial for trial in reached if trial.rows == rows]
            best = max(highest, key=lambda trial: gain(problem.metric, trial.score or 0.0, 0.0))
            return Best(
                parameters=best.parameters, score=best.score or 0.0, rows=problem.ladder.rows, cut=state == "cut"
            )
    last = trials[-1]
    message = (
        f"All {len(trials)} trials of {problem.family} failed; the last one, with {last.parameters}: {last.detail}."
    )
    if problem.search.space.get(problem.family):
        raise ConfigError(f"search.space.{problem.family}: {message} Check the values given there.")
    raise DataError(f"{message} Leave the family out of search.families, or look at the data's profile.")


def _warnings(best: Best, trials: list[Trial], search: SearchConfig) -> list[str]:
    """Where the clock, not the sampler, decided."""
    if best.cut:
        return [
            f"No trial was completed within {search.budget.seconds:g} s, so its score comes from fewer rows than those "
            "of other families: raise search.budget.seconds, or lower search.rows."
        ]
    failed = [trial for trial in trials if trial.state == "failed"]
    if 2 * len(failed) > len(trials):
        return [f"{len(failed)} of {len(trials)} trials failed; the last one: {failed[-1].detail}."]
    return []


def write_trials(found: FamilyTrials, path: Path) -> None:
    """Write the trials as JSON; the file appears only when complete."""
    write_text(path, found.model_dump_json(indent=2) + "\n")
