"""Tests of the fit before the last: what it is asked about is not what it learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import FamilyName, SearchConfig
from components.shared.frames import load_part
from components.shared.package.schema import Schema
from components.shared.trials import Best, FamilyTrials
from components.train.held_out import Task, rehearse, scaled
from tests.components.modelling import QUICK, TRAINING, make_splits


def task(splits: Path, family: FamilyName, *, finds_rounds: bool = False, rows: int = 0, **parameters: Any) -> Task:
    best = Best.model_validate({"parameters": {**QUICK[family], **parameters}, "score": 0.7, "rows": rows})
    found = FamilyTrials(family=family, metric="roc_auc", rows=1, finds_rounds=finds_rounds, best=best, trials=[])
    return Task(found, splits, Schema.read(splits), SearchConfig(), TRAINING, rows=500)


def replace_target(splits: Path, part: str, values: np.ndarray) -> None:
    path = splits / f"{part}.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(table.column_names.index("y"), "y", pa.array(values)), path)


def test_many_rows_are_judged_by_the_validation_part(tmp_path: Path):
    splits = make_splits(tmp_path, rows=4_000, columns=["stops", "colour"])
    found = rehearse(task(splits, "linear")).held_out
    assert found is not None
    assert (found.rows, found.scores.shape) == ("validation", (600, 2))
    assert np.mean((found.scores[:, 1] > 0.5) == found.target) > 0.8
    replace_target(splits, "validation", np.arange(600) % 2 == 0)
    again = rehearse(task(splits, "linear")).held_out
    assert again is not None
    np.testing.assert_array_equal(again.scores, found.scores)  # it did not learn from what it is asked about


@pytest.mark.parametrize("family", ["lightgbm", "hist_gradient_boosting"])
def test_boosting_finds_its_rounds_and_takes_more_for_more_rows(tmp_path: Path, family):
    splits = make_splits(tmp_path, rows=4_000, columns=["stops", "colour"])
    name = {"lightgbm": "n_estimators", "hist_gradient_boosting": "max_iter"}[family]
    fixed: dict[str, Any] = {name: 7}
    found = rehearse(task(splits, family, finds_rounds=True, learning_rate=0.1, **fixed))
    rounds = found.parameters[name]
    assert isinstance(rounds, int)
    assert 10 < rounds < 400
    kept = rehearse(task(splits, family, **fixed))
    assert kept.parameters[name] == 7


def test_few_rows_are_judged_by_folds_each_row_once(tmp_path: Path):
    splits = make_splits(tmp_path, rows=600, columns=["stops", "colour"])
    (splits / "summary.json").write_text('{"method": "stratified"}')
    found = rehearse(task(splits, "lightgbm", finds_rounds=True, rows=408, n_estimators=8))
    assert found.parameters["n_estimators"] == 10  # 510 rows instead of 408
    assert found.held_out is not None
    assert (found.held_out.rows, len(found.held_out.target)) == ("folds", 510)
    schema = Schema.read(splits)
    targets = [load_part(splits, part, schema).target for part in ("train", "validation")]
    np.testing.assert_array_equal(found.held_out.target, np.concatenate(targets))
    accuracy = np.mean((found.held_out.scores[:, 1] > 0.5) == found.held_out.target)
    assert 0.75 < accuracy < 0.97


def test_numbers_need_no_threshold(tmp_path: Path):
    splits = make_splits(tmp_path, "regression", rows=600, columns=["stops", "colour"])
    assert rehearse(task(splits, "linear")).held_out is None


def test_rounds_grow_in_proportion_but_not_without_end():
    assert scaled(100, found_on=1_000, rows=1_200) == 120
    assert scaled(100, found_on=1_000, rows=50_000) == 200
    assert scaled(1, found_on=1_000, rows=100) == 1
