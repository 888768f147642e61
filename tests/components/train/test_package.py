"""Tests of the trained files of a model package."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.config import SearchConfig
from components.shared.errors import PackageError
from components.shared.files import file_hash
from components.shared.frames import features, inputs, load_part
from components.shared.package.golden import differences
from components.shared.package.model_package import TRAINED_FILES, read_golden
from components.shared.package.scoring import MISSING_TIME, Scorer, parse_rows
from components.shared.tasks import TASKS
from components.shared.trials import Best, FamilyTrials
from components.train import package as package_module
from components.train.deciding import Decisions
from components.train.onnx_export import export
from components.train.package import golden_requests, prediction_column, sample_reference, write_package
from components.train.record import make_record
from tests.components.modelling import LINEAGE, TRAINING, Fitted, make_splits


def written(tmp_path: Path, task="binary", family="linear") -> tuple[Path, Fitted]:
    splits = make_splits(tmp_path / "splits", task)
    fitted = Fitted(splits, family)
    best = FamilyTrials(family=family, metric="roc_auc", rows=1, best=Best(parameters={}, score=0.9), trials=[])
    record = make_record(
        best, [best], search=SearchConfig(), training=TRAINING, lineage=LINEAGE, rows=420, decisions=Decisions({})
    )
    model = export(fitted.pipeline, fitted.schema)
    write_package(
        tmp_path / "package",
        fitted.pipeline,
        model,
        splits=splits,
        schema=fitted.schema,
        settings=TRAINING,
        record=record,
    )
    return tmp_path / "package", fitted


@pytest.mark.parametrize("task", TASKS)
def test_golden_rows_read_back_and_are_answered_as_promised(tmp_path: Path, task):
    folder, fitted = written(tmp_path, task)
    assert sorted(path.name for path in folder.iterdir()) == sorted(TRAINED_FILES)
    scorer = Scorer.load(folder)
    golden = read_golden(folder)
    assert len(golden) == TRAINING.golden_requests
    rows = [request.row for request in golden]
    assert all(set(row) == set(fitted.schema.columns) for row in rows)
    answers = scorer.answers(scorer.score(parse_rows(rows, scorer.schema)))
    assert [request.answer for request in golden] == answers
    assert not differences(golden, answers)
    one_by_one = [scorer.answers(scorer.score(parse_rows([row], scorer.schema)))[0] for row in rows]
    assert not differences(golden, one_by_one)


def test_golden_rows_are_varied(tmp_path: Path):
    folder, _ = written(tmp_path)
    golden = read_golden(folder)
    probabilities = [request.answer["probabilities"]["true"] for request in golden]
    assert max(probabilities) - min(probabilities) > 0.5
    assert len({json.dumps(request.row) for request in golden}) == len(golden)
    values = [value for request in golden for value in request.row.values()]
    assert None in values
    kinds = {name: {type(request.row[name]) for request in golden} - {type(None)} for name in golden[0].row}
    assert kinds["stops"] == {int}
    assert kinds["member"] == {bool}
    assert kinds["größe"] == {float}
    assert kinds["booked at"] == kinds["colour"] == {str}


def test_few_test_rows_are_all_golden(tmp_path: Path):
    folder, fitted = written(tmp_path)
    scorer = Scorer.load(folder)
    few = load_part(tmp_path / "splits", "test", fitted.schema)
    part = type(few)(few.frame.head(3), few.target[:3])
    assert len(golden_requests(part, scorer, count=10)) == 3


def test_rows_that_do_not_read_back_are_refused(tmp_path: Path):
    folder, fitted = written(tmp_path)
    part = fitted.test
    part.frame.loc[:, "stops"] = np.float32(0.5)  # no whole number
    with pytest.raises(PackageError, match=r"do not read back"):
        golden_requests(part, Scorer.load(folder), count=5)


@pytest.mark.parametrize("task", TASKS)
def test_the_reference_is_a_sample_of_rows_the_model_has_not_seen_with_predictions(tmp_path: Path, task):
    folder, fitted = written(tmp_path, task)
    reference = pq.read_table(folder / "reference.parquet")
    test = pq.read_table(tmp_path / "splits" / "test.parquet")
    assert reference.num_rows == min(100, test.num_rows)
    assert reference.column_names == [*fitted.schema.columns, "y", "prediction"]
    assert all(reference.schema.field(name).type == test.schema.field(name).type for name in fitted.schema.columns)
    booked = reference.column("booked at").to_pylist()
    assert booked == sorted(booked)
    assert set(booked) <= set(test.column("booked at").to_pylist())
    scorer = Scorer.load(folder)
    scores = scorer.score(inputs(features(reference, scorer.schema), scorer.schema))
    if not TASKS[task].is_one_number:
        expected = [fitted.schema.classes[index] for index in scores.argmax(axis=1)]
    else:
        expected = (scores[:, 1] if TASKS[task].has_positive_class else scores).tolist()
    assert reference.column("prediction").to_pylist() == expected


def test_the_statistics_are_those_of_the_reference(tmp_path: Path):
    folder, _ = written(tmp_path, "multiclass")
    content = json.loads((folder / "reference.json").read_text())
    reference = pq.read_table(folder / "reference.parquet")
    columns = content["columns"]
    assert content["rows"] == reference.num_rows
    test = pq.read_table(tmp_path / "splits" / "test.parquet")
    assert (content["part"], content["of"]) == ("test", test.num_rows)
    scorer, booked = Scorer.load(folder), test.column("booked at").to_pylist()
    scorer.schema = scorer.schema.model_copy(update={"time_column": "booked at"})
    _, origin = sample_reference(tmp_path / "splits", scorer, rows=5, seed=0)
    assert (origin.first, origin.last) == (str(min(booked)), str(max(booked)))
    assert list(columns) == reference.column_names
    amount = reference.column("amount in €")
    assert columns["amount in €"]["null_share"] == amount.null_count / reference.num_rows
    assert columns["amount in €"]["quantiles"]["1"] == pytest.approx(max(amount.drop_null().to_pylist()))
    assert (
        columns["paid"]["quantiles"]["0"]
        == min(reference.column("paid").drop_null().to_pylist()).isoformat() + "T00:00:00"
    )
    assert sum(columns["colour"]["shares"].values()) == pytest.approx(1)
    assert columns["shop"]["distinct"] == len(reference.column("shop").unique())
    assert set(columns["member"]["shares"]) == {"true", "false"}
    assert columns["y"]["kind"] == columns["prediction"]["kind"] == "category"


def test_columns_without_values_have_no_quantiles(tmp_path: Path):
    _, fitted = written(tmp_path)
    table = pq.read_table(tmp_path / "splits" / "train.parquet")
    for name in ("amount in €", "paid"):
        position = table.column_names.index(name)
        table = table.set_column(position, name, pa.nulls(table.num_rows, table.schema.field(name).type))
    found = package_module.statistics(table, fitted.schema)
    assert found["amount in €"] == {"kind": "number", "null_share": 1.0, "quantiles": {}}
    assert found["paid"]["quantiles"] == {}


def test_a_feature_called_prediction_keeps_its_name(tmp_path: Path):
    schema = Fitted(make_splits(tmp_path, columns=["größe"]), "linear").schema
    feature = schema.features[0].model_copy(update={"name": "prediction"})
    assert prediction_column(schema) == "prediction"
    assert prediction_column(schema.model_copy(update={"features": [feature]})) == "_prediction"


def test_the_sample_depends_on_the_seed_alone(tmp_path: Path):
    folder, _ = written(tmp_path)
    splits, scorer = tmp_path / "splits", Scorer.load(folder)
    first, again, other = (sample_reference(splits, scorer, rows=50, seed=seed)[0] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    every, origin = sample_reference(splits, scorer, rows=10_000, seed=1)
    assert every.num_rows == origin.of == pq.read_metadata(splits / "test.parquet").num_rows


def test_the_same_package_written_twice_has_the_same_files(tmp_path: Path):
    first, _ = written(tmp_path / "a")
    second, _ = written(tmp_path / "b")
    assert {name: file_hash(first / name) for name in TRAINED_FILES} == {
        name: file_hash(second / name) for name in TRAINED_FILES
    }


def test_a_failure_leaves_nothing_half_written(tmp_path: Path, monkeypatch):
    folder, fitted = written(tmp_path)
    before = {path.name: file_hash(path) for path in folder.iterdir()}
    splits = tmp_path / "splits"
    best = FamilyTrials(family="linear", metric="roc_auc", rows=1, best=Best(parameters={}, score=0.9), trials=[])
    record = make_record(
        best, [best], search=SearchConfig(), training=TRAINING, lineage=LINEAGE, rows=420, decisions=Decisions({})
    )
    model = export(fitted.pipeline, fitted.schema)

    def golden(*_: object, **__: object) -> None:  # the last file to be made
        raise OSError("the disk is full")

    monkeypatch.setattr(package_module, "golden_requests", golden)
    with pytest.raises(OSError, match="the disk is full"):
        write_package(
            folder, fitted.pipeline, model, splits=splits, schema=fitted.schema, settings=TRAINING, record=record
        )
    assert {path.name: file_hash(path) for path in folder.iterdir()} == before
    assert not list(tmp_path.glob(".*"))


def test_a_pipeline_that_reads_back_differently_is_refused(tmp_path: Path):
    folder, fitted = written(tmp_path)
    other = Fitted(tmp_path / "splits", "random_forest")
    with pytest.raises(PackageError, match=r"does not answer as the pipeline"):
        package_module._prove(folder / "model.skops", other.pipeline, fitted.test.frame, fitted.schema)


def test_missing_times_are_null(tmp_path: Path):
    _, fitted = written(tmp_path)
    feature = fitted.schema.timestamps[1]
    assert package_module._json(MISSING_TIME, feature) is None
    assert package_module._json(951_782_400, feature) == "2000-02-29T00:00:00"
    for zoned, text in ((True, "2000-02-29T00:00:00Z"), (False, "2000-02-29T00:00:00")):
        assert package_module._json(951_782_400, feature.model_copy(update={"zoned": zoned})) == text
