"""What the endpoint was sent beside what the source's tables say: a real log, parts as prepare writes them."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.monitor.monitor import ReportFiles, report_drift
from components.monitor.skew import Skew, find_skew
from components.shared.config import MonitoringConfig
from components.shared.frames import part_path
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.store import Store
from tests.components.monitor.logged import START, put_log, requests
from tests.helpers import put_folder

NOW = START + timedelta(days=2)
ROWS = 400
HOUR = timedelta(hours=1)


@pytest.fixture
def scorer(store: Store, packages: Any) -> Scorer:
    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    return Scorer.load(packages(), version=version)


def parts(folder: Path, asked: pa.Table, schema: Schema, *, without: Sequence[str] = ()) -> Path:
    """Parts that say of the same things what was logged of them; keys are whole numbers there and texts in the log."""
    names = [name for name in dict.fromkeys([*schema.columns, *schema.identifiers]) if name not in without]
    table = asked.select(names)
    if "id" in names:
        table = table.set_column(names.index("id"), "id", table["id"].cast(pa.int64()))
    folder.mkdir(exist_ok=True)
    half = table.num_rows // 2
    pq.write_table(table.slice(0, half), part_path(folder, "train"))
    pq.write_table(table.slice(half), part_path(folder, "test"))
    return folder


def changed(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), table.schema.field(name), values)


def look(store: Store, schema: Schema, folder: Path) -> Skew | None:
    return find_skew(store, "demo", schema, folder, MonitoringConfig(), now=NOW)


def test_values_of_the_same_keys_are_compared_one_by_one(store, scorer, tmp_path):
    asked = requests(scorer, ROWS, span=HOUR)
    folder = parts(tmp_path / "parts", asked, scorer.schema)
    put_log(store, changed(asked, "visits", pc.add(asked["visits"], pa.scalar(1))))  # counted from 1 when it is asked
    found = look(store, scorer.schema, folder)
    assert found is not None
    assert (found.by, found.rows) == ("keys", ROWS)
    assert {one.column: (one.share, one.large) for one in found.columns} == {
        "visits": (1.0, True), "amount": (0.0, False), "member": (0.0, False), "colour": (0.0, False),
        "opened at": (0.0, False),
    }  # fmt: skip
    first = found.columns[0]
    table, log = map(float, first.example.split(", "))
    assert log == table + 1
    (warning,) = found.warnings
    assert warning.startswith("Training-serving skew: 400 logged rows of the same keys differ from the source's tables")
    assert "in visits (100%)" in warning


def test_a_little_is_told_and_no_alarm(store, scorer, tmp_path):
    asked = requests(scorer, ROWS, span=HOUR)
    folder = parts(tmp_path / "parts", asked, scorer.schema)
    colours = asked["colour"].to_pylist()
    put_log(store, changed(asked, "colour", pa.chunked_array([["violet"] * 8 + colours[8:]])))
    found = look(store, scorer.schema, folder)
    assert found is not None
    assert (found.columns[0].column, found.columns[0].share, found.columns[0].large) == ("colour", 0.02, False)
    assert found.warnings == []


def test_without_keys_distributions_of_the_same_time_are_compared(store, scorer, tmp_path):
    """Requests of a later time differ by drift, and are left out."""
    schema = scorer.schema.model_copy(update={"keys": []})
    asked = requests(scorer, ROWS, span=HOUR)
    folder = parts(tmp_path / "parts", asked, schema)
    put_log(store, changed(asked, "amount", pc.multiply(asked["amount"], pa.scalar(1000.0))))
    put_log(store, requests(scorer, ROWS, start=START + timedelta(days=1), span=HOUR, shift=50.0), writer="v")
    found = look(store, schema, folder)
    assert found is not None
    assert (found.by, found.rows) == ("time", ROWS)
    assert [one.column for one in found.columns if one.large] == ["amount"]
    assert "of the same time differ from the source's tables in amount" in found.warnings[0]


def test_nothing_is_told_where_nothing_is_about_the_same(store, scorer, tmp_path):
    schema = scorer.schema.model_copy(update={"keys": [], "time_column": ""})
    asked = requests(scorer, ROWS, span=HOUR)
    folder = parts(tmp_path / "parts", asked, scorer.schema)
    assert look(store, scorer.schema, folder) is None  # nothing is logged
    later = START + timedelta(days=1)
    others = requests(scorer, ROWS, start=later, span=HOUR, seed=3)
    put_log(store, changed(others, "id", pa.chunked_array([[str(10_000 + row) for row in range(ROWS)]])))
    assert look(store, scorer.schema, folder) is None
    put_log(store, asked)
    assert look(store, schema, folder) is None


def test_it_is_part_of_the_report_of_a_run(store, scorer, tmp_path):
    now = datetime.now(START.tzinfo) - timedelta(hours=2)
    asked = requests(scorer, ROWS, start=now, span=HOUR, events=[START] * ROWS)
    folder = parts(tmp_path / "parts", asked, scorer.schema)
    put_log(store, changed(asked, "visits", pc.add(asked["visits"], pa.scalar(1))))
    files = ReportFiles(tmp_path / "drift.json", tmp_path / "page.html", tmp_path / "evidently.html")
    report_drift(store, "demo", scorer.version, MonitoringConfig(), splits=folder, files=files)
    content = json.loads(files.drift.read_bytes())
    assert content["skew"]["columns"][0]["column"] == "visits"
    assert any("Training-serving skew" in warning for warning in content["warnings"])
    assert "Training-serving skew" in files.page.read_text()
