"""The evaluation of small models, whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.evaluate.evaluation import evaluate
from components.shared import frames, metrics
from components.shared.config import EvaluationConfig, TaskName
from components.shared.errors import DataError, PackageError
from components.shared.evaluation import Evaluation
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from tests.components.evaluate.conftest import Made
from tests.helpers import make_package, make_splits

SETTINGS = EvaluationConfig(resamples=60, slice_rows=30, slices=["opened at"])


@pytest.mark.parametrize("task", TASKS)
def test_the_whole_evaluation(made: Callable[[TaskName], Made], task: TaskName) -> None:
    found = evaluate("demo", SETTINGS, splits=made(task).splits, model=made(task).model)
    scorer = Scorer.load(made(task).model)
    part = frames.load_part(made(task).splits, "test", scorer.schema)
    expected = metrics.compute(task, part.target, scorer.score(frames.inputs(part.frame, scorer.schema)))
    assert found.scores.values == pytest.approx(expected, rel=1e-6)
    for metric, value in found.scores.values.items():
        interval = found.scores.intervals[metric]
        assert value is not None
        assert interval is not None
        assert interval[0] <= value <= interval[1]
    assert found.rows == 120
    assert {item.column for item in found.slices} == {"opened at", "member", "colour"}
    assert len(found.importance) == 5
    assert found.shap is not None
    assert found.notes == []


@pytest.mark.parametrize("task", TASKS)
def test_the_same_inputs_give_the_same_file(made: Callable[[TaskName], Made], task: TaskName, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        evaluate("demo", SETTINGS, splits=made(task).splits, model=made(task).model).write(tmp_path / name)
        files.append((tmp_path / name / "metrics.json").read_bytes())
    assert files[0] == files[1]
    assert Evaluation.read(tmp_path / "one").task == task
    assert b"NaN" not in files[0]


def test_the_baseline_knows_the_training_part_only(made: Callable[[TaskName], Made]) -> None:
    found = evaluate("demo", SETTINGS, splits=made("binary").splits, model=made("binary").model)
    schema = Scorer.load(made("binary").model).schema
    share = frames.load_part(made("binary").splits, "train", schema).target.mean()
    target = frames.load_part(made("binary").splits, "test", schema).target
    assert found.baseline.values["roc_auc"] == 0.5
    assert found.baseline.values["brier"] == pytest.approx(((share - target) ** 2).mean())


def test_the_baseline_of_numbers_is_mean_or_median(made: Callable[[TaskName], Made]) -> None:
    found = evaluate("demo", SETTINGS, splits=made("regression").splits, model=made("regression").model)
    schema = Scorer.load(made("regression").model).schema
    seen = frames.load_part(made("regression").splits, "train", schema).target
    target = frames.load_part(made("regression").splits, "test", schema).target
    assert found.baseline.values["mae"] == pytest.approx(np.abs(target - np.median(seen)).mean())
    assert found.baseline.values["rmse"] == pytest.approx(np.sqrt(((target - seen.mean()) ** 2).mean()))


def test_slices_and_gaps(made: Callable[[TaskName], Made]) -> None:
    found = evaluate("demo", SETTINGS, splits=made("binary").splits, model=made("binary").model)
    member = {item.value: item for item in found.slices if item.column == "member"}
    schema = Scorer.load(made("binary").model).schema
    table = pq.read_table(made("binary").splits / "test.parquet")
    rows = table.filter(pc.field("member"))
    scorer = Scorer.load(made("binary").model)
    scores = scorer.score(frames.inputs(frames.features(rows, schema), schema))
    expected = metrics.compute("binary", frames.labels(rows, schema), scores)
    scored = member["true"].scores
    assert scored is not None
    assert scored.values == pytest.approx(expected, rel=1e-6)
    gap = next(item for item in found.gaps if item.column == "member" and item.metric == "log_loss")
    values = {name: item.scores.values["log_loss"] for name, item in member.items() if item.scores}
    assert gap.gap == pytest.approx((values[gap.worst] or 0) - (values[gap.best] or 0))
    assert (gap.gap or 0) >= 0
    small = [item for item in found.slices if item.scores is None]
    assert [item.value for item in small] == [None]


def changed_test(made: Made, folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    shutil.copytree(made.splits, folder)
    path = folder / "test.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    return folder


def test_a_test_part_of_one_class_tells_less_and_says_so(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    splits = changed_test(made("binary"), tmp_path / "splits", lambda rows: rows.filter(pc.field("target")))
    found = evaluate("demo", SETTINGS, splits=splits, model=made("binary").model)
    assert found.scores.values["roc_auc"] is None
    assert found.scores.intervals["roc_auc"] is None
    assert found.scores.values["accuracy"] is not None
    assert found.roc == []
    assert found.overall_roc is None
    assert "cannot tell balanced_accuracy, roc_auc, pr_auc" in found.notes[0]
    assert any("no permutation importance" in note for note in found.notes)


def test_one_class_in_a_slice_leaves_its_metric_out(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    def members_are_positive(rows: pa.Table) -> pa.Table:
        target = pc.or_(rows["target"], rows["member"])
        return rows.set_column(rows.column_names.index("target"), "target", target)

    splits = changed_test(made("binary"), tmp_path / "splits", members_are_positive)
    found = evaluate("demo", SETTINGS, splits=splits, model=made("binary").model)
    member = next(item for item in found.slices if (item.column, item.value) == ("member", "true"))
    assert member.scores is not None
    assert member.scores.values["roc_auc"] is None
    assert not [gap for gap in found.gaps if gap.column == "member" and gap.metric == "roc_auc"]


def test_rows_with_target_zero_are_counted(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    def some_zero(rows: pa.Table) -> pa.Table:
        values = rows["target"].to_numpy().copy()
        values[:7] = 0
        return rows.set_column(rows.column_names.index("target"), "target", pa.array(values))

    splits = changed_test(made("regression"), tmp_path / "splits", some_zero)
    assert evaluate("demo", SETTINGS, splits=splits, model=made("regression").model).mape_rows_left_out == 7


def test_a_model_that_answers_one_number_can_be_judged(tmp_path: Path) -> None:
    splits = make_splits(tmp_path / "splits", task="regression")
    for part in ("train",):
        table = pq.read_table(splits / f"{part}.parquet")
        constant = pa.array(np.full(table.num_rows, 5.0))
        pq.write_table(
            table.set_column(table.column_names.index("target"), "target", constant), splits / "train.parquet"
        )
    model = make_package(tmp_path / "model", task="regression", splits=splits)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    assert found.residuals is not None
    assert sum(found.residuals.counts) == 120
    assert all(item.drop == 0 for item in found.importance)


def test_an_empty_test_part_is_refused(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    splits = changed_test(made("binary"), tmp_path / "splits", lambda rows: rows.slice(0, 0))
    with pytest.raises(DataError, match="test part has no rows"):
        evaluate("demo", SETTINGS, splits=splits, model=made("binary").model)


def test_a_broken_training_record_is_refused(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    model = shutil.copytree(made("binary").model, tmp_path / "model")
    (model / "training.json").write_text("{", encoding="utf-8")
    with pytest.raises(PackageError, match=r"training\.json cannot be read"):
        evaluate("demo", SETTINGS, splits=made("binary").splits, model=model)


def test_many_features_are_screened(
    made: Callable[[TaskName], Made], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("components.evaluate.importance.MOST_EXPLAINED", 2)
    monkeypatch.setattr("components.evaluate.evaluation.screen", lambda scorer, inputs: np.array([0, 1, 2]))
    found = evaluate("demo", SETTINGS, splits=made("binary").splits, model=made("binary").model)
    assert len(found.importance) == 3
    assert found.shap is not None
    assert len(found.shap.contributions) == 2
    assert "for the 3 of 5 features" in found.notes[0]


def test_what_is_not_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"no metrics\.json"):
        Evaluation.read(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps({"name": "x"}), encoding="utf-8")
    with pytest.raises(PackageError, match="not what the evaluate stage writes"):
        Evaluation.read(tmp_path)


def test_curves_of_classes_are_named(made: Callable[[TaskName], Made]) -> None:
    found: Any = evaluate("demo", SETTINGS, splits=made("multiclass").splits, model=made("multiclass").model)
    assert [curve.name for curve in found.roc] == ["ja", "näh", "我"]
    assert found.confusion.classes == ["ja", "näh", "我"]
    assert sum(map(sum, found.confusion.counts)) == 120
    assert len(found.overall_roc.x) <= 200


def test_rows_count_as_much_as_they_weigh(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    weights = np.asarray(np.arange(120) % 3, dtype=np.float64)
    splits = changed_test(made("binary"), tmp_path / "splits", lambda rows: rows.append_column("w", pa.array(weights)))
    train = pq.read_table(splits / "train.parquet")
    heavy = np.where(train["target"].to_numpy(zero_copy_only=False), 3.0, 1.0)
    pq.write_table(train.append_column("w", pa.array(heavy)), splits / "train.parquet")
    model = shutil.copytree(made("binary").model, tmp_path / "model")
    schema = Schema.read(model).model_copy(update={"weights": "w"})
    schema.write(model)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    scorer = Scorer.load(model)
    part = frames.load_part(splits, "test", schema)
    scores = scorer.score(frames.inputs(part.frame, schema))
    assert found.scores.values == pytest.approx(
        metrics.compute("binary", part.target, scores, weights=weights), rel=1e-6
    )
    member = next(item for item in found.slices if (item.column, item.value) == ("member", "true"))
    rows = part.frame["member"].to_numpy() == 1
    assert member.scores is not None
    assert member.scores.values == pytest.approx(
        metrics.compute("binary", part.target[rows], scores[rows], weights=weights[rows]), rel=1e-6
    )
    share = 3 * train["target"].to_numpy(zero_copy_only=False).sum() / heavy.sum()
    brier = np.average((share - part.target) ** 2, weights=weights)
    assert found.baseline.values["brier"] == pytest.approx(brier)


def test_the_weighted_median_is_the_baseline_of_errors(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    splits = shutil.copytree(made("regression").splits, tmp_path / "splits")
    for part, rows in (("train", 360), ("test", 120)):
        table = pq.read_table(splits / f"{part}.parquet")
        heavy = np.where(np.arange(rows) == 7, 1e6, 1.0)
        pq.write_table(table.append_column("w", pa.array(heavy)), splits / f"{part}.parquet")
    model = shutil.copytree(made("regression").model, tmp_path / "model")
    Schema.read(model).model_copy(update={"weights": "w"}).write(model)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    seen, asked = (pq.read_table(splits / f"{part}.parquet")["target"][7].as_py() for part in ("train", "test"))
    assert found.baseline.values["mae"] == pytest.approx(abs(seen - asked), rel=1e-3)


def test_intervals_are_by_the_blocks_of_the_part(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    groups = pa.array([f"g{index % 20}" for index in range(120)])
    splits = changed_test(made("binary"), tmp_path / "splits", lambda rows: rows.append_column("g", groups))
    model = shutil.copytree(made("binary").model, tmp_path / "model")
    schema = Schema.read(model)
    schema.model_copy(update={"group": "g"}).write(model)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    assert (found.resampled_by.kind, found.resampled_by.column, found.resampled_by.count) == ("group", "g", 20)
    assert found.scores.blocks == pytest.approx(20)
    schema.model_copy(update={"time_column": "opened at"}).write(model)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    assert (found.resampled_by.kind, found.resampled_by.together) == ("hour", 5)
    assert found.resampled_by.count == 120


def test_too_few_blocks_are_told(made: Callable[[TaskName], Made], tmp_path: Path) -> None:
    groups = pa.array([f"g{index % 3}" for index in range(120)])
    splits = changed_test(made("binary"), tmp_path / "splits", lambda rows: rows.append_column("g", groups))
    model = shutil.copytree(made("binary").model, tmp_path / "model")
    Schema.read(model).model_copy(update={"group": "g"}).write(model)
    found = evaluate("demo", SETTINGS, splits=splits, model=model)
    assert found.resampled_by.kind == "row"
    assert "only 3 groups of 'g': they are too narrow" in found.warnings[0]
