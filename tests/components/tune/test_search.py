"""Tests of the search of one family."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.shared.config import Budget, ParameterSpace, SearchConfig
from components.shared.errors import ConfigError, DataError
from components.shared.families import default_parameters, search_space
from components.shared.package.schema import Schema
from components.shared.trials import FamilyTrials
from components.tune.component import tune
from components.tune.search import sample, tune_family, write_trials
from tests.components.modelling import QUICK, TRAINING, make_splits

FAMILIES = list(QUICK)


def quick(family: str, **settings) -> SearchConfig:
    """A search with few rounds."""
    space = {
        "hist_gradient_boosting": {"max_iter": ParameterSpace(low=4, high=10, integer=True)},
        "lightgbm": {"n_estimators": ParameterSpace(low=4, high=10, integer=True)},
        "random_forest": {"n_estimators": ParameterSpace(low=4, high=10, integer=True)},
    }
    return SearchConfig(**{"budget": Budget(trials=4), "rows": 300, "space": space, **settings})


def scores(found: FamilyTrials) -> list[float]:
    """Scores of the complete trials."""
    return [trial.score for trial in found.trials if trial.state == "complete" and trial.score is not None]


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_finds_parameters_and_says_the_same_twice(tmp_path: Path, family, task):
    splits = make_splits(tmp_path, task)
    found, again = (tune_family(family, splits, search=quick(family), training=TRAINING) for _ in range(2))
    assert found.best == again.best
    assert [trial.parameters for trial in found.trials] == [trial.parameters for trial in again.trials]
    assert len(found.trials) == (1 if family == "dummy" else 4)
    assert found.metric == {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}[task]
    complete = scores(found)
    assert found.best.score == (max if task == "binary" else min)(complete)
    assert found.rows == 300
    space = search_space(family, task, quick(family).space.get(family, {}))
    assert found.trials[0].parameters == default_parameters(family, task, space)
    assert found.message.startswith(f"{family}: {found.metric} {found.best.score:.4f}, best of ")


def test_real_families_beat_the_baseline(tmp_path: Path):
    splits = make_splits(tmp_path)
    best = {
        family: tune_family(family, splits, search=quick(family), training=TRAINING).best.score for family in FAMILIES
    }
    assert best.pop("dummy") == 0.5
    assert min(best.values()) > 0.7


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
    assert only.state == "complete"
    assert only.detail == "cut short by the budget"
    assert only.parameters["n_estimators"] == 2  # of ten
    assert found.best.parameters == only.parameters


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
    splits = make_splits(tmp_path)
    path = splits / "validation.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(table.column("y")), path)
    with pytest.raises(DataError, match=r"All 4 trials of linear failed.*roc_auc cannot be computed"):
        tune_family("linear", splits, search=quick("linear"), training=TRAINING)


def test_one_class_only_or_a_constant_target_cannot_be_learned(tmp_path: Path):
    splits = make_splits(tmp_path / "classes")
    path = splits / "train.parquet"
    table = pq.read_table(path)
    pq.write_table(table.filter(table.column("y")), path)
    with pytest.raises(DataError, match=r"No training row of 'y' is of class False"):
        tune_family("linear", splits, search=quick("linear"), training=TRAINING)
    splits = make_splits(tmp_path / "numbers", "regression")
    table = pq.read_table(splits / "train.parquet")
    constant = table.set_column(table.column_names.index("y"), "y", [[7.0] * table.num_rows])
    pq.write_table(constant, splits / "train.parquet")
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
        training=TRAINING.model_dump_json(),
        splits=SimpleNamespace(path=str(splits)),
        trials=trials,
    )
    found = FamilyTrials.model_validate_json(Path(trials.path).read_bytes())
    assert found.message in capsys.readouterr().out
    assert json.loads(Path(trials.path).read_text())["trials"][0]["state"] == "complete"
    assert [path.name for path in Path(trials.path).parent.iterdir()] == ["trials.json"]
    write_trials(found, Path(trials.path))
    assert FamilyTrials.model_validate_json(Path(trials.path).read_bytes()) == found
