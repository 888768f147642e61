"""Tests of training the final model."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.shared.config import ProblemConfig, SearchConfig
from components.shared.errors import DataError
from components.shared.files import file_hash
from components.shared.frames import inputs, load_part
from components.shared.metrics import LABELS, score
from components.shared.package.fitted_pipeline import load_pipeline
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from components.shared.trials import Best, FamilyTrials
from components.train.component import train
from components.train.record import TrainingRecord, git_commit, with_train_end
from components.train.training import choose, train_model
from tests.components.modelling import LINEAGE, QUICK, TRAINING, make_splits


def found(metric="roc_auc", **scores: float) -> list[FamilyTrials]:
    """What tuning says of each family."""
    return [
        FamilyTrials(
            family=family, metric=metric, rows=1, best=Best(parameters=QUICK[family], score=scores[family]), trials=[]
        )
        for family in QUICK
        if family in scores
    ]


SEARCH = SearchConfig(families=["linear", "lightgbm"])
PROBLEMS = {task: ProblemConfig(target="y", task=task) for task in TASKS}
BINARY = PROBLEMS["binary"]


@pytest.mark.parametrize(("metric", "family"), [("roc_auc", "lightgbm"), ("log_loss", "linear")])
def test_the_best_family_wins(metric, family):
    assert choose(found(metric, linear=0.4, lightgbm=0.6)).family == family


def test_the_first_of_equals_wins():
    assert choose(found(linear=0.6, lightgbm=0.6)).family == "linear"


def test_a_family_that_the_clock_cut_short_wins_only_among_such():
    linear, boosted = found(linear=0.6, lightgbm=0.7)
    cut = boosted.model_copy(update={"best": boosted.best.model_copy(update={"cut": True})})
    assert choose([linear, cut]).family == "linear"
    assert choose([cut]).family == "lightgbm"


@pytest.mark.parametrize("task", TASKS)
def test_a_trained_package_predicts_and_records_what_made_it(tmp_path: Path, task):
    splits = make_splits(tmp_path / "splits", task)
    metric = TASKS[task].default_metric
    tried = found(metric, lightgbm=0.7, linear=0.7)
    trained = train_model(
        tried, splits, tmp_path / "model", search=SEARCH, training=TRAINING, problem=PROBLEMS[task], lineage=LINEAGE
    )
    assert trained.message.startswith(f"linear ({LABELS[metric]} 0.7) fitted on 510 rows; ")
    assert trained.message.endswith("; ONNX agrees on 100.00% of 90 test rows")
    record = TrainingRecord.model_validate_json((tmp_path / "model" / "training.json").read_bytes())
    assert record == trained.record
    assert record.family == "linear"
    assert list(record.scores) == ["linear", "lightgbm"]
    assert record.lineage == LINEAGE
    assert record.libraries["scikit-learn"]
    scorer = Scorer.load(tmp_path / "model")
    test = load_part(splits, "test", scorer.schema)
    reached = score(metric, task, test.target, scorer.score(inputs(test.frame, scorer.schema)))
    assert (
        reached > 0.8
        if TASKS[task].has_positive_class
        else reached < (1.0 if not TASKS[task].is_one_number else test.target.std() * 0.8)
    )
    assert load_pipeline(tmp_path / "model" / "model.skops").predict(test.frame).shape == (90,)


@pytest.mark.parametrize("family", ["linear", "lightgbm"])
def test_the_same_inputs_give_the_same_files(tmp_path: Path, family):
    splits = make_splits(tmp_path / "splits")
    hashes = []
    for name in ("first", "second"):
        train_model(
            found(**{family: 0.7}),
            splits,
            tmp_path / name,
            search=SEARCH,
            training=TRAINING,
            problem=BINARY,
            lineage=LINEAGE,
        )
        hashes.append({path.name: file_hash(path) for path in sorted((tmp_path / name).iterdir())})
    assert hashes[0] == hashes[1]


def test_rows_of_weight_nothing_teach_nothing(tmp_path: Path):
    """Half of the rows say the opposite and count for nothing, in the fit as in what is decided on rows held out."""
    splits = make_splits(tmp_path / "splits", columns=["stops", "colour"])
    for part in ("train", "validation"):
        table = pq.read_table(splits / f"{part}.parquet")
        wrong = np.arange(table.num_rows) % 2 == 0
        target = np.asarray(table.column("y")) ^ wrong
        table = table.set_column(table.column_names.index("y"), "y", pa.array(target))
        pq.write_table(table.append_column("w", pa.array(np.where(wrong, 0.0, 2.0))), splits / f"{part}.parquet")
    path = splits / "test.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column("w", pa.array(np.ones(table.num_rows))), path)
    Schema.read(splits).model_copy(update={"weights": "w"}).write(splits)
    train_model(
        found(linear=0.7),
        splits,
        tmp_path / "model",
        search=SEARCH,
        training=TRAINING,
        problem=BINARY,
        lineage=LINEAGE,
    )
    scorer = Scorer.load(tmp_path / "model")
    test = load_part(splits, "test", scorer.schema)
    assert score("roc_auc", "binary", test.target, scorer.score(inputs(test.frame, scorer.schema))) > 0.8
    assert 0.2 < scorer.schema.threshold < 0.8


def test_a_class_without_rows_cannot_be_learned(tmp_path: Path):
    splits = make_splits(tmp_path / "splits", "multiclass")
    for part in ("train", "validation"):
        table = pq.read_table(splits / f"{part}.parquet")
        pq.write_table(table.filter(pc.not_equal(table.column("y"), "lost")), splits / f"{part}.parquet")
    with pytest.raises(DataError, match=r"No training row of 'y' is of class 'lost'"):
        train_model(
            found(linear=0.7),
            splits,
            tmp_path / "model",
            search=SEARCH,
            training=TRAINING,
            problem=BINARY,
            lineage=LINEAGE,
        )
    assert not (tmp_path / "model").exists()


def test_the_adapter_reads_what_tuning_wrote(tmp_path: Path, capsys):
    splits = make_splits(tmp_path / "splits")
    artifacts = []
    for trials in found(lightgbm=0.5, linear=0.8):
        path = tmp_path / f"{trials.family}.json"
        path.write_text(trials.model_dump_json())
        artifacts.append(SimpleNamespace(path=str(path)))
    (tmp_path / "model").mkdir()  # as the runner on the cluster does
    train.python_func(
        search=SEARCH.model_dump_json(),
        training=TRAINING.model_dump_json(),
        problem=BINARY.model_dump_json(),
        lineage=LINEAGE.model_dump_json(),
        trials=artifacts,
        splits=SimpleNamespace(path=str(splits)),
        model=SimpleNamespace(path=str(tmp_path / "model")),
    )
    assert "linear (ROC AUC 0.8) fitted on 510 rows" in capsys.readouterr().out
    served = Schema.read(tmp_path / "model")
    assert served.threshold_by == "f1"
    assert served.model_copy(update={"threshold": 0.5, "threshold_by": ""}) == Schema.read(splits)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["seed"] == 0


def test_the_lineage_says_up_to_when_the_model_learned(tmp_path: Path):
    """From the training and the validation part, whichever is newer, whatever the window holds."""
    for part, days in (("train", [1, 9]), ("validation", [12, 11]), ("test", [20, 21])):
        moments = pa.array([datetime(2024, 1, day, 5, tzinfo=UTC) for day in days], pa.timestamp("us", tz="UTC"))
        pq.write_table(pa.table({"at": moments}), tmp_path / f"{part}.parquet")
    schema = Schema(task="regression", target="y", features=[], time_column="at")
    assert with_train_end(LINEAGE, tmp_path, schema).train_end == "2024-01-12T05:00:00"
    assert with_train_end(LINEAGE, tmp_path, schema.model_copy(update={"time_column": ""})).train_end == ""


def test_the_commit_is_the_stated_one_or_what_git_says(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("FULLCIRCLE_GIT_COMMIT", "abc123")
    assert git_commit() == "abc123"
    monkeypatch.delenv("FULLCIRCLE_GIT_COMMIT")
    said = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    assert git_commit() == (said.stdout.strip() if said.returncode == 0 else "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() == ""
