import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.monitor.windows import newest_window, numeric_columns, prediction_column, reference_window
from components.shared.config import MonitoringConfig, Task
from components.shared.errors import DataError
from components.shared.model_package import REFERENCE
from components.shared.schema import Feature, Schema
from components.shared.scoring import Scorer
from components.shared.store import Store
from tests.helpers import make_schema, make_splits, make_table

SETTINGS = MonitoringConfig(rows=150, minimum_rows=100)
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


# The current window


def test_without_a_log_it_is_the_end_of_the_test_part(store, splits, scorer):
    window = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer)
    assert window.origin == "the newest 120 rows of the test part"
    assert list(window.frame) == COLUMNS
    assert len(window.frame) == 120
    few = newest_window(store, "demo", MonitoringConfig(rows=100), splits=splits, scorer=scorer)
    assert few.frame.equals(window.frame.tail(100).reset_index(drop=True))
    assert window.frame["colour"].isna().any()
    assert set(window.frame["colour"].dropna()) == {"röt", "blue 青", "green"}
    assert window.frame["amount"].isna().any()


def test_a_log_is_taken_once_it_is_long_enough(store, splits, scorer):
    log(store, asked(60, amount=1.0), hour=1)
    assert "test part" in newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer).origin
    log(store, asked(40, amount=2.0), hour=2)
    window = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer)
    assert window.origin == "the last 100 rows the endpoint was asked"
    assert window.frame["amount"].tolist() == [1.0] * 60 + [2.0] * 40
    assert list(window.frame) == COLUMNS


def test_of_a_long_log_the_newest_rows_are_taken(store, splits, scorer):
    for hour, rows in ((3, 70), (10, 70), (9, 70)):
        log(store, asked(rows, amount=float(hour)), hour=hour)
    log(store, asked(200, amount=99.0), hour=0, name="demo-2")
    window = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer)
    assert window.frame["amount"].value_counts().to_dict() == {10.0: 70, 9.0: 70, 3.0: 10}
    assert window.frame["amount"].tolist()[-1] == 10.0


def test_files_of_other_columns_and_damaged_ones_are_left_out_and_counted(store, splits, scorer):
    log(store, asked(100, amount=5.0), hour=1)
    log(store, asked(100).drop_columns(["colour"]), hour=2)
    texts = asked(100)
    log(store, texts.set_column(0, "amount", pc.cast(texts["colour"], pa.string())), hour=3)
    log(store, b"PAR1 cut short", hour=4)
    log(store, b"", hour=5)
    log(store, b"a note", hour=6, file="README.txt")
    window = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer)
    assert window.frame["amount"].tolist() == [5.0] * 100
    assert window.skipped == 4


def test_columns_of_other_types_that_mean_the_same_are_taken(store, splits, scorer):
    log(store, asked(60, amount=1.0), hour=1)
    other = asked(60, amount=2.0)
    kinds = {"amount": pa.float32(), "visits": pa.int8(), "opened at": pa.timestamp("ms", tz="UTC")}
    schema = pa.schema([field.with_type(kinds.get(field.name, field.type)) for field in other.schema])
    log(store, other.cast(schema), hour=2)
    window = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer)
    assert window.frame["amount"].tolist() == [1.0] * 60 + [2.0] * 60
    assert window.skipped == 0


def test_infinite_numbers_count_as_missing(store, splits, scorer):
    log(store, asked(100, amount=np.inf))
    frame = newest_window(store, "demo", SETTINGS, splits=splits, scorer=scorer).frame
    assert frame["amount"].isna().all()


def test_an_empty_test_part_is_told(store, splits, scorer, tmp_path):
    folder: Path = shutil.copytree(splits, tmp_path / "splits")
    pq.write_table(pq.read_table(folder / "test.parquet").slice(0, 0), folder / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet has no rows: there is nothing to compare"):
        newest_window(store, "demo", SETTINGS, splits=folder, scorer=scorer)


# The reference window


def test_the_reference_is_the_packages_evenly_when_it_is_long(packages, scorer, tmp_path):
    window = reference_window(packages(), SETTINGS, scorer=scorer)
    assert window.origin == "100 rows the model learned from"
    pq.write_table(asked(1000).set_column(0, "amount", pa.array(np.arange(1000.0))), tmp_path / REFERENCE)
    window = reference_window(tmp_path, SETTINGS, scorer=scorer)
    assert window.origin == "150 rows the model learned from"
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
def test_predictions_are_watched_by_what_they_are(packages, task: Task, check: Callable[[Any], bool], numeric: bool):
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
