"""`labels`: a person's tables of labels, in the store of the model that is champion."""

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.inference_log.layout import hour_prefix, raw_name
from components.shared.labels.layout import labels_prefix
from components.shared.package.model_package import verify
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.__main__ import main
from tests.pipelines.command_line import write_config

ANSWERED = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=1)


@pytest.fixture
def config(store, packages, tmp_path, monkeypatch) -> Path:
    """A model called demo with a champion, and its configuration."""
    monkeypatch.chdir(tmp_path)
    package = packages()
    manifest = verify(package)
    registry = Registry(store, "demo")
    registry.publish(package, manifest)
    registry.promote(manifest.version, expected=None)
    source = {"tables": {"demo": {"path": "demo.csv", "decimal": ",", "date_format": "%d.%m.%Y %H:%M"}}}
    problem = {"target": "target", "task": "binary", "keys": ["id"], "time_column": "opened at"}
    return write_config(tmp_path / "demo.yaml", name="demo", source=source, problem=problem)


def answer(store: Store, *ids: str, keys: list[str]) -> None:
    """A file of the inference log."""
    moments = pa.array([ANSWERED] * len(ids), pa.timestamp("us", tz="UTC"))
    columns = {"request_id": ids, "request_row": pa.array([0] * len(ids), pa.int32()), "received": moments, "id": keys}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    store.put_bytes(hour_prefix("demo", ANSWERED) + raw_name(ANSWERED, "a", len(ids)), buffer.getvalue())


def stored(store: Store) -> list[dict[str, Any]]:
    keys = [item.key for item in store.list(labels_prefix("demo"))]
    return [row for key in keys for row in pq.read_table(io.BytesIO(store.get_bytes(key))).to_pylist()]


def test_labels_by_keys_are_added_once_and_held_against_the_log(config, store, capsys):
    answer(store, "r1", "r2", keys=["7", "8"])
    Path("first.csv").write_text("id,target,noted\n7,True,x\n9,false,x\n", encoding="utf-8")

    assert main(["labels", str(config), "--data", "first.csv"]) == 0
    said = capsys.readouterr().out
    assert "demo: 2 of 2 labels added\n" in said
    assert "1 answers now have one of these labels; 1 of unknown requests (the last 40 days of the log)" in said
    assert main(["labels", str(config), "--data", "first.csv"]) == 0
    assert capsys.readouterr().out == "demo: 0 of 2 labels added; 2 known already\n"
    Path("second.csv").write_text("id,target\n7,false\n", encoding="utf-8")
    assert main(["labels", str(config), "--data", "second.csv", "--days", "0"]) == 0
    assert capsys.readouterr().out == "demo: 1 of 1 labels added; 1 of them correct earlier ones\n"
    assert sorted((row["id"], row["label"], row["source"]) for row in stored(store)) == [
        ("7", "True", "first.csv"),
        ("7", "false", "second.csv"),
        ("9", "false", "first.csv"),
    ]


def test_stored_files_that_cannot_be_read_are_told(config, store, capsys):
    store.put_bytes(f"{labels_prefix('demo')}date=2026-03-09/130000.000000-x_5.parquet", b"PAR1 cut short")
    Path("first.csv").write_text("id,target\n7,True\n", encoding="utf-8")
    assert main(["labels", str(config), "--data", "first.csv", "--days", "0"]) == 0
    assert capsys.readouterr().out == "demo: 1 of 1 labels added; stored files of labels that cannot be read: 1\n"


def test_other_names_formats_and_spellings(config, store, capsys):
    answer(store, "r1", keys=["7"])
    frame = pd.DataFrame({"ticket": ["r1"], "paid": [True], "when": ["01.03.2026 14:30"]})
    frame.to_parquet("labels.parquet")
    named = ["--label", "paid", "--request-id", "ticket", "--event-time", "when"]

    assert main(["labels", str(config), "--data", "labels.parquet", *named]) == 0
    assert "1 from before their answers" in capsys.readouterr().out
    (row,) = stored(store)
    assert (row["request_id"], row["label"], row["event_time"]) == (
        "r1", "true", datetime(2026, 3, 1, 14, 30, tzinfo=UTC),
    )  # fmt: skip


def test_columns_of_the_usual_names_are_spelled_as_the_configuration_says(config, store):
    answer(store, "r1", keys=["7"])
    Path("labels.csv").write_text("request_id,label,event_time\nr1,true,01.03.2026 14:30\n", encoding="utf-8")

    assert main(["labels", str(config), "--data", "labels.csv"]) == 0
    assert [row["event_time"] for row in stored(store)] == [datetime(2026, 3, 1, 14, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("table", "options", "says"),
    [
        ("id,paid\n1,true\n", [], "The table has no column 'target' for labels; it has 'id', 'paid'."),
        (
            "id,paid\n1,true\n",
            ["--label", "payd"],
            "no column 'payd' for labels; it has 'id', 'paid'. Did you mean 'paid'?",
        ),
        ("nr,target\n1,true\n", [], "Labels need what they are about: the request's id in a column 'request_id', or"),
        ("id,target\n1,EWR\n", [], "expected one of false, true, found 'EWR'"),
        ("id,target\n", [], "no rows"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_the_users_words(config, store, capsys, table, options, says):
    Path("labels.csv").write_text(table, encoding="utf-8")
    assert main(["labels", str(config), "--data", "labels.csv", *options]) == 1
    assert says in capsys.readouterr().err
    assert stored(store) == []


def test_a_model_without_a_champion_has_no_labels(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path / "demo.yaml", name="nobody")
    Path("labels.csv").write_text("id,target\n1,true\n", encoding="utf-8")
    assert main(["labels", str(config), "--data", "labels.csv"]) == 1
    assert "nobody has no champion yet" in capsys.readouterr().err
