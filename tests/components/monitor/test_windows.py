import io
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.monitor.windows import (
    TooFewRowsError,
    Window,
    logged_window,
    numeric_columns,
    part_rows,
    prediction_column,
    reference_window,
    windows,
)
from components.shared.config import InferenceLogConfig, MonitoringConfig, TaskName
from components.shared.errors import DataError
from components.shared.inference_rows import log_schema
from components.shared.package.model_package import REFERENCE, REFERENCE_STATISTICS
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import Scorer
from components.shared.store import Store
from images.predictor.inference_log import InferenceLog
from tests.helpers import make_schema, make_splits, make_table

SETTINGS = MonitoringConfig(rows=150, minimum_rows=100)
NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
COLUMNS = ["amount", "visits", "member", "colour", "prediction"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> Path:
    return make_splits(tmp_path_factory.mktemp("splits"), rows=600)


@pytest.fixture(scope="module")
def scorer(packages) -> Scorer:
    return Scorer.load(packages(), version="v1")


def log(store: Store, table: pa.Table | bytes, *, hour: int = 0, name: str = "demo", file: str = "a.parquet") -> None:
    """Write a file of the inference log."""
    content = table
    if isinstance(table, pa.Table):
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
    store.put_bytes(f"inference/{name}/date=2024-03-01/hour={hour:02}/{file}", content)


def asked(rows: int, *, amount: float = 0.0) -> pa.Table:
    """Rows the endpoint was asked, all with one amount, with what else a log holds."""
    table = make_table(rows=rows, seed=7).drop_columns(["target", "id"])
    place = table.column_names.index("amount")
    table = table.set_column(place, "amount", pa.array(np.full(rows, amount)))
    return table.append_column("request_id", pa.array([f"r{number}" for number in range(rows)]))


def asked_last(store: Store, scorer: Scorer, **settings: object) -> Window:
    chosen = SETTINGS.model_copy(update=settings)
    return logged_window(store, "demo", chosen, scorer=scorer, now=NOW)


# Rows that the endpoint was asked


def test_too_few_rows_are_told(store, scorer):
    with pytest.raises(
        TooFewRowsError, match="the endpoint has logged 0 rows that can be compared; a report needs 100"
    ):
        asked_last(store, scorer)
    log(store, asked(60, amount=1.0), hour=1)
    with pytest.raises(TooFewRowsError, match="has logged 60 rows"):
        asked_last(store, scorer)


def test_a_log_is_taken_once_it_is_long_enough(store, scorer):
    log(store, asked(60, amount=1.0), hour=1)
    log(store, asked(40, amount=2.0), hour=2)
    window = asked_last(store, scorer)
    assert window.origin == "the last 100 rows the endpoint was asked, 2024-03-01 01:00 to 03:00 UTC"
    assert window.frame["amount"].tolist() == [1.0] * 60 + [2.0] * 40
    assert list(window.frame) == COLUMNS
    assert window.frame["colour"].isna().any()
    assert set(window.frame["colour"].dropna()) == {"röt", "blue 青", "green"}
    assert window.remark == ""


def test_a_window_is_so_many_hours_and_of_their_rows_a_sample(store, scorer):
    """Not the newest rows alone: at 10,000 rows a second these would be one second."""
    for hour, rows in ((3, 700), (9, 300), (10, 700)):
        log(store, asked(rows, amount=float(hour)), hour=hour)
    log(store, asked(200, amount=99.0), hour=0, name="demo-2")
    window = asked_last(store, scorer, window_hours=3, rows=500)
    assert window.origin == "500 of the last 1,000 rows the endpoint was asked, 2024-03-01 09:00 to 11:00 UTC"
    counts = window.frame["amount"].value_counts().to_dict()
    assert sum(counts.values()) == 500
    assert counts.keys() == {9.0, 10.0}
    assert counts[9.0] == pytest.approx(150, abs=30)
    assert window.frame["amount"].tolist() == sorted(window.frame["amount"])
    assert asked_last(store, scorer, window_hours=3, rows=500).frame.equals(window.frame)


def test_a_window_with_too_few_rows_takes_hours_before_it(store, scorer):
    for hour, rows in ((3, 70), (9, 70), (10, 20)):
        log(store, asked(rows, amount=float(hour)), hour=hour)
    window = asked_last(store, scorer, window_hours=3)
    assert window.frame["amount"].value_counts().to_dict() == {10.0: 20, 9.0: 70, 3.0: 60}
    assert window.origin == "150 of the last 160 rows the endpoint was asked, 2024-03-01 03:00 to 11:00 UTC"
    assert window.remark == (
        "The last 3 hours had fewer than 100 rows that can be compared: hours before them were taken too."
    )


# The parts, while the endpoint was asked too little


def test_without_a_log_the_end_of_the_test_part_is_compared_with_the_training_part(store, splits, packages, scorer):
    def compared(settings: MonitoringConfig):
        return windows(store, "demo", packages(), settings, parts=splits, scorer=scorer)

    found = compared(SETTINGS)
    assert found.kind == "newest_rows"
    assert found.remark == "the endpoint has logged 0 rows that can be compared; a report needs 100"
    assert found.reference.origin == "150 rows of the training part"
    assert found.current.origin == "the newest 120 rows of the test part"
    # A model is surer of rows it learned from: predictions would differ for that alone.
    assert list(found.current.frame) == list(found.reference.frame) == COLUMNS[:-1]
    few = compared(MonitoringConfig(rows=100))
    assert few.current.frame.equals(found.current.frame.tail(100).reset_index(drop=True))
    log(store, asked(100, amount=2.0))
    assert windows(store, "demo", packages(), SETTINGS, parts=splits, scorer=scorer).kind == "drift"


def test_rows_of_the_training_part_are_spread_evenly_and_those_of_the_test_part_the_newest(splits, scorer):
    schema = scorer.schema
    every = pq.read_table(splits / "train.parquet", columns=schema.columns)
    spread = part_rows(splits, "train", schema, rows=100)
    assert spread.equals(every.take(np.linspace(0, 359, 100).round().astype(int)))
    assert part_rows(splits, "train", schema, rows=1000).equals(every)
    newest = pq.read_table(splits / "test.parquet", columns=schema.columns)
    assert part_rows(splits, "test", schema, rows=50).equals(newest.slice(70))


def test_files_of_other_columns_and_damaged_ones_are_left_out_and_counted(store, scorer):
    log(store, asked(100, amount=5.0), hour=1)
    log(store, asked(100).drop_columns(["colour"]), hour=2)
    texts = asked(100)
    log(store, texts.set_column(0, "amount", pc.cast(texts["colour"], pa.string())), hour=3)
    log(store, b"PAR1 cut short", hour=4)
    log(store, b"", hour=5)
    log(store, b"a note", hour=6, file="README.txt")
    window = asked_last(store, scorer)
    assert window.frame["amount"].tolist() == [5.0] * 100
    assert window.skipped == 4
    with pytest.raises(TooFewRowsError, match=r"100 rows that can be compared \(4 of its log files were left out: dam"):
        asked_last(store, scorer, minimum_rows=200)


def test_a_log_without_any_column_that_can_be_compared_is_told(store, scorer):
    metadata = log_schema(scorer.schema, scorer.schema.columns).metadata
    log(store, asked(100).select(["request_id"]).replace_schema_metadata(metadata))
    with pytest.raises(TooFewRowsError, match="logged 100 rows, but no column that all of them have .*leave_out says"):
        asked_last(store, scorer)


def test_columns_of_other_types_that_mean_the_same_are_taken(store, scorer):
    log(store, asked(60, amount=1.0), hour=1)
    other = asked(60, amount=2.0)
    kinds = {"amount": pa.float32(), "visits": pa.int8(), "opened at": pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([field.with_type(kinds.get(field.name, field.type)) for field in other.schema])
    log(store, other.cast(schema), hour=2)
    window = asked_last(store, scorer)
    assert window.frame["amount"].tolist() == [1.0] * 60 + [2.0] * 60
    assert window.skipped == 0


def test_infinite_numbers_count_as_missing(store, scorer):
    log(store, asked(100, amount=np.inf))
    frame = asked_last(store, scorer).frame
    assert frame["amount"].isna().all()


@pytest.mark.parametrize("part", ["train", "test"])
def test_an_empty_part_is_told(store, splits, packages, scorer, tmp_path, part):
    folder: Path = shutil.copytree(splits, tmp_path / "splits")
    pq.write_table(pq.read_table(folder / f"{part}.parquet").slice(0, 0), folder / f"{part}.parquet")
    with pytest.raises(DataError, match=rf"{part}\.parquet has no rows: there is nothing to compare"):
        windows(store, "demo", packages(), SETTINGS, parts=folder, scorer=scorer)


# Columns that the log leaves out


def answered(scorer: Scorer, table: pa.Table, *leave_out: str, version: str = "v1") -> pa.Table:
    """Rows as the endpoint logs them; version 0 answers something else."""
    schema = scorer.schema
    table = table.slice(0).append_column("id", pa.array(["a"] * len(table)))
    count = len(table)
    columns: dict[str, Any] = {
        "request_id": ["r"] * count,
        "request_row": range(count),
        "received": [datetime(2024, 3, 1, tzinfo=UTC)] * count,
        "model_version": [version] * count,
        "latency_ms": [2.5] * count,
        "prediction": [{"binary": "true", "multiclass": "näh", "regression": 7.5}[schema.task]] * count,
        "probability_false": [0.125] * count,
        "probability_true": [0.875] * count,
    }
    arrow = log_schema(schema, leave_out)
    arrays = []
    for field in arrow:
        values = columns.get(field.name)
        if values is None:
            values = [0.5] * count if field.name.startswith("probability_") else table[field.name].to_pylist()
        arrays.append(pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=arrow)


@pytest.mark.parametrize(
    ("task", "prediction"),
    [("binary", 0.875), ("multiclass", "näh"), ("regression", 7.5)],
    ids=str,
)
def test_without_a_left_out_column_the_logged_prediction_is_watched(store, packages, task: TaskName, prediction):
    scorer = Scorer.load(packages(task), version="v1")
    rows = asked(100, amount=1.0).drop_columns(["request_id"])
    log(store, answered(scorer, rows, "colour", "amount", "id"))
    window = asked_last(store, scorer)
    assert window.origin == "the last 100 rows the endpoint was asked, 2024-03-01 00:00 to 01:00 UTC"
    assert list(window.frame) == ["visits", "member", "prediction"]
    assert window.frame["prediction"].tolist() == [prediction] * 100
    assert window.frame["visits"].tolist() == rows["visits"].to_pylist()
    assert (window.unwatched, window.skipped) == (("amount", "colour"), 0)
    reference = reference_window(packages(task), SETTINGS, scorer=scorer).frame
    assert window.frame.dtypes.equals(reference[list(window.frame)].dtypes)


def test_a_complete_log_is_scored_again(store, scorer):
    rows = asked(100, amount=1.0).drop_columns(["request_id"])
    log(store, answered(scorer, rows, "id", version="other"))
    window = asked_last(store, scorer)
    assert list(window.frame) == COLUMNS
    assert window.frame["prediction"].nunique() > 10
    assert window.unwatched == ()


def test_files_that_leave_out_different_columns_are_watched_in_what_they_share(store, scorer):
    rows = asked(60, amount=1.0).drop_columns(["request_id"])
    log(store, answered(scorer, rows), hour=1)
    log(store, answered(scorer, rows, "opened at", "colour"), hour=2)
    log(store, answered(scorer, rows, "amount"), hour=3)
    window = asked_last(store, scorer)
    assert list(window.frame) == ["visits", "member", "prediction"]
    assert len(window.frame) == 150
    assert window.unwatched == ("amount", "colour")


@pytest.mark.parametrize("change", ["another version", "no prediction"])
def test_a_prediction_that_the_log_does_not_tell_is_not_watched(store, scorer, change):
    rows = asked(60, amount=1.0).drop_columns(["request_id"])
    log(store, answered(scorer, rows, "colour"), hour=1)
    other = answered(scorer, rows, "colour", version="v0" if change == "another version" else "v1")
    log(store, other.drop_columns(["probability_true"]) if change == "no prediction" else other, hour=2)
    window = asked_last(store, scorer)
    assert list(window.frame) == ["amount", "visits", "member"]
    assert window.unwatched == ("colour", "prediction")


def test_a_log_without_any_feature_still_tells_predictions(store, scorer):
    rows = asked(100).drop_columns(["request_id"])
    names = scorer.schema.columns
    log(store, answered(scorer, rows, *names), hour=2)
    window = asked_last(store, scorer)
    assert window.frame.to_dict("list") == {"prediction": [0.875] * 100}
    log(store, answered(scorer, rows, *names, version="v0"), hour=2)
    with pytest.raises(TooFewRowsError):
        asked_last(store, scorer)


@pytest.mark.parametrize("leave_out", [[], ["colour", "id"]])
def test_what_the_endpoint_writes_is_read(store, scorer, leave_out):
    table = answered(scorer, asked(120, amount=3.0).drop_columns(["request_id"]), *leave_out)
    counted: dict[str, int] = {}
    writer = InferenceLog(
        "demo", InferenceLogConfig(leave_out=leave_out), connect=lambda: store, count=counted.__setitem__
    )
    writer.start()
    writer.add(table.to_batches()[0], datetime.now(UTC))
    writer.close(10)
    assert counted == {"written": 120}
    window = logged_window(store, "demo", SETTINGS, scorer=scorer, now=datetime.now(UTC))
    assert window.origin.startswith("the last 120 rows the endpoint was asked, ")
    assert window.skipped == 0
    assert window.unwatched == (("colour",) if leave_out else ())
    assert window.frame["amount"].tolist() == [3.0] * 120


# The reference window


def test_the_reference_is_the_packages_evenly_when_it_is_long(packages, scorer, tmp_path):
    window = reference_window(packages(), SETTINGS, scorer=scorer)
    assert window.origin == "100 rows of the test part, which the model has not seen"
    assert "100 reference rows are few" in window.remark
    shutil.copy(packages() / REFERENCE_STATISTICS, tmp_path)
    pq.write_table(asked(1000).set_column(0, "amount", pa.array(np.arange(1000.0))), tmp_path / REFERENCE)
    window = reference_window(tmp_path, SETTINGS, scorer=scorer)
    assert window.origin == "150 rows of the test part, which the model has not seen"
    amounts = window.frame["amount"].to_numpy()
    assert (amounts[0], amounts[-1]) == (0, 999)
    assert set(np.diff(amounts)) == {6.0, 7.0}
    pq.write_table(asked(1).slice(0, 0), tmp_path / REFERENCE)
    with pytest.raises(DataError, match=r"reference\.parquet of version v1 has no rows: train the model again"):
        reference_window(tmp_path, SETTINGS, scorer=scorer)


# Predictions


@pytest.mark.parametrize(
    ("task", "check", "numeric"),
    [
        ("binary", lambda values: values.between(0, 1).all() and values.nunique() > 50, True),
        ("multiclass", lambda values: set(values) == {"ja", "näh", "我"}, False),
        ("regression", lambda values: values.between(0, 20).all() and values.nunique() > 50, True),
    ],
)
def test_predictions_are_watched_by_what_they_are(
    packages, task: TaskName, check: Callable[[Any], bool], numeric: bool
):
    scorer = Scorer.load(packages(task))
    frame = reference_window(packages(task), SETTINGS, scorer=scorer).frame
    assert check(frame["prediction"])
    assert numeric_columns(scorer.schema) == {"amount", "visits", "member"} | ({"prediction"} if numeric else set())


def test_a_feature_called_prediction_keeps_its_name():
    def schema(*names: str) -> Schema:
        features = [Feature(name=name, kind="number", nullable=False) for name in names]
        return make_schema().model_copy(update={"features": features})

    assert prediction_column(schema("x")) == "prediction"
    assert prediction_column(schema("prediction")) == "_prediction"
    assert prediction_column(schema("prediction", "_prediction")) == "__prediction"
    assert numeric_columns(schema("prediction")) == {"prediction", "_prediction"}
