"""Tests of the search of one family."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import Budget, ParameterSpace, SearchConfig, TaskName
from components.shared.errors import ConfigError, DataError
from components.shared.evaluation import metric_text
from components.shared.families import FAMILIES as TABLE
from components.shared.families import default_parameters, search_space
from components.shared.metrics import LABELS
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS
from components.shared.trials import Best, FamilyTrials, Trial
from components.tune.climb import Climb
from components.tune.component import tune
from components.tune.ladder import sample, shares
from components.tune.search import _best, load_problem, tune_family, write_trials
from tests.components.modelling import QUICK, TRAINING, make_splits

FAMILIES = list(QUICK)


def quick(family: str, **settings) -> SearchConfig:
    """A search with few rounds."""
    space = {
        "hist_gradient_boosting": {"max_iter": ParameterSpace(low=4, high=10, integer=True)},
        "lightgbm": {"n_estimators": ParameterSpace(low=4, high=10, integer=True)},
        "random_forest": {"n_estimators": ParameterSpace(low=4, high=10, integer=True)},
    }
    return SearchConfig(**{"budget": Budget(trials=3), "rows": 300, "space": space, **settings})


def scores(found: FamilyTrials) -> list[float]:
    """Scores of the complete trials."""
    return [trial.score for trial in found.trials if trial.state == "complete" and trial.score is not None]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_finds_parameters(tmp_path: Path, family, task):
    splits = make_splits(tmp_path, task, columns=["stops", "colour", "booked at"])
    found = tune_family(family, splits, search=quick(family), training=TRAINING)
    assert len(found.trials) == 3
    assert found.metric == TASKS[task].default_metric
    complete = scores(found)
    assert found.warnings == []
    assert found.best.score == (max if TASKS[task].has_positive_class else min)(complete)
    assert found.rows == 300
    assert found.best.rows == 210  # on average, of the folds that roll through 300 rows
    space = search_space(family, task, quick(family).space.get(family, {}))
    assert found.trials[0].parameters == default_parameters(family, task, space)
    shown = f"{LABELS[found.metric]} {metric_text(found.metric, found.best.score)}"
    assert found.message.startswith(f"{family}: {shown}, best of ")


@pytest.mark.parametrize("family", ["linear", "lightgbm"])
def test_the_same_rows_and_seed_give_the_same_trials(tmp_path: Path, family):
    splits = make_splits(tmp_path)
    found, again = (tune_family(family, splits, search=quick(family), training=TRAINING) for _ in range(2))
    assert found.best == again.best
    assert [trial.parameters for trial in found.trials] == [trial.parameters for trial in again.trials]


def test_the_seed_decides_the_trials(tmp_path: Path):
    splits = make_splits(tmp_path)
    first, second = (
        tune_family("linear", splits, search=quick("linear", seed=seed), training=TRAINING) for seed in (0, 1)
    )
    assert first.trials[0].parameters == second.trials[0].parameters
    assert first.trials[1].parameters != second.trials[1].parameters


def test_no_trial_but_the_first_starts_after_the_budget_and_that_one_is_cut_short(tmp_path: Path):
    splits = make_splits(tmp_path)
    search = quick("random_forest", budget=Budget(seconds=1e-9, trials=50))
    found = tune_family("random_forest", splits, search=search, training=TRAINING)
    (only,) = found.trials
    assert only.state == "cut"
    assert only.detail == "cut short by the budget on rung 1 of 2"
    assert only.parameters["n_estimators"] == 10  # it learned from fewer folds, not with fewer trees
    assert found.best.parameters == only.parameters
    assert found.best.cut
    assert found.message.endswith("1 cut, on 300 rows; none was completed: raise search.budget.seconds")
    (warning,) = found.warnings
    assert warning.startswith("No trial was completed within 1e-09 s")


def test_trials_that_fall_behind_are_pruned_unless_told_otherwise(tmp_path: Path):
    splits = make_splits(tmp_path)
    space = {"linear": {"C": ParameterSpace(choices=[1.0, 1e-9])}}
    for pruning in (True, False):
        search = quick("linear", space=space, budget=Budget(trials=8), pruning=pruning)
        found = tune_family("linear", splits, search=search, training=TRAINING)
        states = {trial.state for trial in found.trials}
        assert states == ({"complete", "pruned"} if pruning else {"complete"})
        assert ("pruned" in found.message) == pruning


def test_a_fixed_parameter_is_used_in_every_trial(tmp_path: Path):
    splits = make_splits(tmp_path)
    space = {"hist_gradient_boosting": {"max_iter": ParameterSpace(choices=[3])}}
    search = quick("hist_gradient_boosting", space=space, budget=Budget(trials=3))
    found = tune_family("hist_gradient_boosting", splits, search=search, training=TRAINING)
    assert {trial.parameters["max_iter"] for trial in found.trials} == {3}


def test_the_metric_asked_for_is_optimised(tmp_path: Path):
    splits = make_splits(tmp_path, "regression")
    search = quick("linear", metric="mae")
    found = tune_family("linear", splits, search=search, training=TRAINING)
    assert found.metric == "mae"
    assert found.best.score == min(scores(found))


def test_when_all_trials_fail_the_cause_is_given(tmp_path: Path):
    splits = make_splits(tmp_path, "multiclass")
    space = {"linear": {"solver": ParameterSpace(choices=["liblinear"])}}  # which knows two classes only
    search = quick("linear", space=space, budget=Budget(trials=2))
    with pytest.raises(ConfigError, match=r"search\.space\.linear: All 2 trials of linear failed.*liblinear.*classes"):
        tune_family("linear", splits, search=search, training=TRAINING)


def test_lightgbm_itself_judges_its_values(tmp_path: Path):
    splits = make_splits(tmp_path)
    space = {"lightgbm": {"min_child_weight": ParameterSpace(choices=[0.0]), "max_depth": ParameterSpace(choices=[3])}}
    found = tune_family("lightgbm", splits, search=quick("lightgbm", space=space), training=TRAINING)
    assert {trial.parameters["max_depth"] for trial in found.trials} == {3}
    space = {"lightgbm": {"boosting_type": ParameterSpace(choices=["rf"])}}  # needs bagging
    with pytest.raises(ConfigError, match=r"boosting_type: the value 'rf' is refused"):
        tune_family("lightgbm", splits, search=quick("lightgbm", space=space), training=TRAINING)


def test_a_metric_that_the_validation_part_cannot_tell_fails_the_trials(tmp_path: Path):
    splits = many(tmp_path)
    path = splits / "validation.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(table.column("y")), path)
    with pytest.raises(DataError, match=r"All 3 trials of linear failed.*roc_auc cannot be computed"):
        tune_family("linear", splits, search=quick("linear"), training=TRAINING)


def test_one_class_only_or_a_constant_target_cannot_be_learned(tmp_path: Path):
    splits = make_splits(tmp_path / "classes")
    for part in ("train", "validation"):
        table = pq.read_table(splits / f"{part}.parquet")
        pq.write_table(table.filter(table.column("y")), splits / f"{part}.parquet")
    with pytest.raises(DataError, match=r"No training row of 'y' is of class False"):
        tune_family("linear", splits, search=quick("linear"), training=TRAINING)
    splits = make_splits(tmp_path / "numbers", "regression")
    for part in ("train", "validation"):
        table = pq.read_table(splits / f"{part}.parquet")
        constant = table.set_column(table.column_names.index("y"), "y", [[7.0] * table.num_rows])
        pq.write_table(constant, splits / f"{part}.parquet")
    with pytest.raises(DataError, match=r"The target 'y' is 7\.0 in every row"):
        tune_family("linear", splits, search=quick("linear"), training=TRAINING)


def test_a_sample_is_random_and_begins_with_every_class(tmp_path: Path):
    splits = make_splits(tmp_path, "multiclass")
    schema = Schema.read(splits)
    part = sample(splits, "train", schema, rows=30, seed=1)
    assert set(part.target[:3]) == {0, 1, 2}
    assert len(part.frame) == len(part.target) == 30
    assert not part.frame["booked at"].is_monotonic_increasing
    whole = sample(splits, "train", schema, rows=10_000, seed=1)
    assert np.array_equal(np.sort(whole.frame["booked at"]), np.unique(whole.frame["booked at"]))


def many(tmp_path: Path, task: TaskName = "binary") -> Path:
    """Splits of so many training rows that the validation part is what trials are scored on."""
    return make_splits(tmp_path / task, task, rows=5_000, columns=["stops", "colour", "größe"])


def test_rungs_are_equal_shares_for_every_trial():
    assert shares(30_000, most=3) == [3_333, 10_000, 30_000]
    assert shares(4_000, most=3) == [1_333, 4_000]
    assert shares(2_000, most=3) == [2_000]
    assert shares(30_000, most=1) == [30_000]


@pytest.mark.parametrize("family", ["hist_gradient_boosting", "lightgbm"])
def test_a_low_learning_rate_is_not_behind_for_being_slow(tmp_path: Path, family):
    """On the lowest rung, where trials are pruned, each has the rounds it needs, on rows that are the same for all."""
    splits = many(tmp_path)
    search = SearchConfig(rows=3_500, metric="log_loss")
    problem = load_problem(family, splits, Schema.read(splits), search=search, training=TRAINING)
    defaults = default_parameters(family, "binary", search_space(family, "binary", {}))
    fast, slow = (Climb(problem, {**defaults, "learning_rate": rate}) for rate in (0.3, 0.03))
    assert slow.step() < fast.step()
    rounds: Any = [climb.parameters[TABLE[family].rounds] for climb in (fast, slow)]
    assert 4 * rounds[0] < rounds[1] < 2_000
    assert fast.rows == slow.rows == 1_166
    assert problem.finds_rounds


def test_trials_are_complete_on_all_rows_and_pruned_on_fewer(tmp_path: Path):
    found = tune_family(
        "lightgbm", many(tmp_path), search=SearchConfig(budget=Budget(trials=5), rows=3_500), training=TRAINING
    )
    assert {trial.rows for trial in found.trials if trial.state == "complete"} == {3_500}
    assert {trial.rows for trial in found.trials if trial.state == "pruned"} == {1_166}
    assert (found.rows, found.best.rows, found.finds_rounds) == (3_500, 3_500, True)


def test_rounds_named_in_the_space_are_kept(tmp_path: Path):
    search = SearchConfig(
        budget=Budget(trials=2), rows=3_500, space={"lightgbm": {"n_estimators": ParameterSpace(choices=[5])}}
    )
    found = tune_family("lightgbm", many(tmp_path), search=search, training=TRAINING)
    assert not found.finds_rounds
    assert {trial.parameters["n_estimators"] for trial in found.trials} == {5}
    capped = SearchConfig(budget=Budget(trials=1), rows=3_500, rounds=3)
    assert tune_family("lightgbm", many(tmp_path), search=capped, training=TRAINING).best.parameters[
        "n_estimators"
    ] in (1, 2, 3)


def test_a_trial_that_the_clock_cut_is_best_only_where_none_was_completed():
    problem: Any = SimpleNamespace(metric="roc_auc", ladder=SimpleNamespace(rows=900))
    whole, part, more = (
        Trial(number=0, state=state, parameters={"C": score}, score=score, rows=rows, seconds=0)
        for state, score, rows in (("complete", 0.6, 900), ("cut", 0.9, 100), ("cut", 0.7, 300))
    )
    assert _best([part, whole], problem).score == 0.6
    assert _best([part, more], problem) == Best(parameters={"C": 0.7}, score=0.7, rows=900, cut=True)


def test_a_metric_that_depends_on_the_threshold_is_judged_at_the_best_one(tmp_path: Path):
    """Of a rare class hardly any row reaches 0.5: every trial would have F1 0."""
    splits = many(tmp_path)
    for part in ("train", "validation"):
        path = splits / f"{part}.parquet"
        table = pq.read_table(path)
        rare = np.asarray(table.column("y")) & (np.arange(table.num_rows) % 12 == 0)
        pq.write_table(table.set_column(table.column_names.index("y"), "y", pa.array(rare)), path)
    search = SearchConfig(budget=Budget(trials=2), rows=3_500, metric="f1")
    free = tune_family("linear", splits, search=search, training=TRAINING)
    schema = Schema.read(splits).model_copy(update={"threshold": 0.5, "threshold_by": "fixed"})
    schema.write(splits)
    fixed = tune_family("linear", splits, search=search, training=TRAINING)
    assert free.best.score > 0.1 > fixed.best.score


def test_rows_count_by_their_weights(tmp_path: Path):
    """Weighed rows are learned from and scored by: those of weight 0 might as well be missing."""
    found = []
    for name in ("whole", "weighed"):
        splits = make_splits(tmp_path / name, "regression", rows=5_000, columns=["stops", "colour"])
        for part in ("train", "validation"):
            path = splits / f"{part}.parquet"
            table = pq.read_table(path)
            spoilt = np.arange(table.num_rows) % 3 == 0 if name == "weighed" else np.zeros(table.num_rows, dtype=bool)
            target = np.where(spoilt, -1_000.0, np.asarray(table.column("y"), dtype=float))
            table = table.set_column(table.column_names.index("y"), "y", pa.array(target))
            pq.write_table(table.append_column("w", pa.array(np.where(spoilt, 0.0, 1.0))), path)
        Schema.read(splits).model_copy(update={"weights": "w"}).write(splits)
        search = SearchConfig(budget=Budget(trials=1), rows=3_500)
        found.append(tune_family("linear", splits, search=search, training=TRAINING).best.score)
    assert found[1] == pytest.approx(found[0], rel=0.05)


def test_an_unknown_parameter_is_refused_before_anything_is_read(tmp_path: Path):
    splits = make_splits(tmp_path)
    search = quick("linear", space={"linear": {"c": ParameterSpace(low=1, high=2)}})
    with pytest.raises(ConfigError, match=r"search\.space\.linear\.c: .* Did you mean 'C'\?"):
        tune_family("linear", splits, search=search, training=TRAINING)


def test_the_adapter_writes_json_and_says_what_it_found(tmp_path: Path, capsys):
    splits = make_splits(tmp_path / "splits")
    trials = SimpleNamespace(path=str(tmp_path / "new" / "trials.json"))
    tune.python_func(
        family="linear",
        search=quick("linear").model_dump_json(),
        training=TRAINING.fitting.model_dump_json(),
        splits=SimpleNamespace(path=str(splits)),
        trials=trials,
    )
    found = FamilyTrials.model_validate_json(Path(trials.path).read_bytes())
    assert found.message in capsys.readouterr().out
    assert json.loads(Path(trials.path).read_text())["trials"][0]["state"] == "complete"
    assert [path.name for path in Path(trials.path).parent.iterdir()] == ["trials.json"]
    write_trials(found, Path(trials.path))
    assert FamilyTrials.model_validate_json(Path(trials.path).read_bytes()) == found
