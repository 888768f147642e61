"""Tests of the folds for tables of few rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.folds import Seen, load_seen, make_folds
from components.shared.frames import Part
from components.shared.package.schema import Schema
from tests.components.modelling import make_splits


def seen(method: str, target: np.ndarray, groups: np.ndarray | None = None) -> Seen:
    return Seen(Part(pd.DataFrame({"row": range(len(target))}), target), method, groups)


@pytest.mark.parametrize(("method", "rows"), [("random", 300), ("stratified", 600)])
def test_every_row_is_predicted_once_in_each_division(method, rows):
    found = make_folds(seen(method, np.arange(rows) % 3), classes=3, seed=0)
    assert len(found) == 2
    for folds in found:
        assert len(folds) == 5
        assert np.array_equal(np.sort(np.concatenate([fold.unseen for fold in folds])), np.arange(rows))
        assert not any(np.intersect1d(fold.train, fold.unseen).size for fold in folds)
    first, second = (folds[0].unseen for folds in found[:2])
    assert not np.array_equal(first, second)
    assert np.array_equal(make_folds(seen(method, np.arange(rows) % 3), classes=3, seed=0)[1][0].unseen, second)


def test_each_fold_has_its_share_of_each_class():
    target = (np.arange(500) < 23).astype(np.int64)
    for fold in make_folds(seen("stratified", target), classes=2, seed=4)[0]:
        assert target[fold.unseen].sum() in (4, 5)


def test_rolling_folds_learn_from_what_came_before():
    (folds,) = make_folds(seen("chronological", np.arange(200) % 2), classes=2, seed=0)
    assert [len(fold.train) for fold in folds] == [100, 120, 140, 160, 180]
    assert all(fold.train.max() < fold.unseen.min() for fold in folds)
    assert folds[-1].unseen.max() == 199


def test_groups_stay_together_and_folds_are_about_as_large():
    groups = np.random.default_rng(0).zipf(1.6, 600).clip(max=80)
    codes = pd.factorize(groups)[0]
    for folds in make_folds(seen("grouped", np.arange(600) % 2, codes), classes=2, seed=1):
        for fold in folds:
            assert not np.intersect1d(codes[fold.train], codes[fold.unseen]).size
        largest = np.bincount(codes).max()
        assert max(len(fold.unseen) for fold in folds) <= max(largest, 600 // 5 + largest)


def test_a_fold_without_a_class_to_learn_is_left_out():
    target = np.repeat([0, 1], [150, 50])
    assert make_folds(seen("chronological", target), classes=2, seed=0)[0][0].train.size == 160
    assert make_folds(seen("chronological", np.zeros(40, dtype=np.int64)), classes=2, seed=0) == []


def test_both_parts_are_read_with_groups_and_weights(tmp_path: Path):
    splits = make_splits(tmp_path)
    for part in ("train", "validation"):
        table = pq.read_table(splits / f"{part}.parquet")
        names = pa.array([None if n % 7 == 0 else f"g{n % 3}" for n in range(table.num_rows)])
        table = table.append_column("who", names).append_column("w", pa.array(np.arange(table.num_rows) + 1.0))
        pq.write_table(table, splits / f"{part}.parquet")
    (splits / "summary.json").write_text(json.dumps({"method": "grouped"}))
    schema = Schema.read(splits).model_copy(update={"group": "who", "weights": "w"})
    found = load_seen(splits, schema)
    assert (len(found.part.target), found.method) == (510, "grouped")
    assert found.groups is not None
    assert sorted(set(found.groups.tolist())) == [0, 1, 2, 3]  # rows without a group are one
    assert found.part.weights is not None
    assert found.part.weights[[0, 419, 420]].tolist() == [1, 420, 1]
