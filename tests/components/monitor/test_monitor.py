import io
import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from kfp import dsl

from components.monitor.component import monitor
from components.monitor.monitor import DriftReport, ReportFiles, report_drift
from components.shared.config import MonitoringConfig, TaskName
from components.shared.errors import DataError, PackageError, StoreError
from components.shared.frames import PARTS, part_path
from components.shared.inference_rows import log_schema
from components.shared.package.model_package import MANIFEST, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests.helpers import make_manifest, make_package, make_schema, make_splits, make_table, put_folder


@pytest.fixture(scope="module")
def splits(tmp_path_factory) -> Callable[[TaskName], Path]:
    found: dict[TaskName, Path] = {}

    def make(task: TaskName) -> Path:
        if task not in found:
            found[task] = make_splits(tmp_path_factory.mktemp("splits") / task, task=task, rows=1000)
        return found[task]

    return make


@pytest.fixture
def publish(store) -> Callable[[Path], str]:
    """Stores a package, and returns its version."""

    def put(package: Path) -> str:
        version = verify(package).version
        put_folder(store, version_prefix("demo", version), package)
        return version

    return put


def outputs(folder: Path) -> dict[str, Path]:
    return {"drift": folder / "drift.json", "page": folder / "drift.html", "evidently": folder / "evidently.html"}


def report(store: Store, version: str, splits: Path, folder: Path, **settings: object) -> DriftReport:
    chosen = MonitoringConfig.model_validate({"rows": 200, **settings})
    return report_drift(store, "demo", version, chosen, splits=splits, files=ReportFiles(**outputs(folder)))


def log(store: Store, table: pa.Table, *, file: str = "a.parquet") -> None:
    """Write a file of the inference log."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    store.put_bytes(f"inference/demo/date=2024-03-01/hour=05/{file}", buffer.getvalue())


@pytest.mark.parametrize("task", TASKS)
def test_a_report_of_each_task(store, publish, packages, splits, tmp_path, task):
    version = publish(packages(task))
    log(store, make_table(task, rows=150, seed=3).drop_columns(["target"]))
    done = report(store, version, splits(task), tmp_path, numeric={"method": "wasserstein", "threshold": 0.3})
    content = json.loads((tmp_path / "drift.json").read_bytes())
    assert (content["name"], content["version"]) == ("demo", version)
    origin = "100 rows of the test part, which the model has not seen"
    assert (content["reference"]["origin"], content["reference"]["rows"]) == (origin, 100)
    assert content["current"]["origin"].startswith("the last 150 rows the endpoint was asked, 2024-03-01 05:00 to ")
    assert (content["current"]["rows"], content["current"]["skipped_files"]) == (150, 0)
    assert content["current"]["unwatched"] == []
    assert {column["column"] for column in content["columns"]} == {"amount", "visits", "member", "colour", "prediction"}
    assert (content["kind"], content["alarm"], content["drifted"]) == ("drift", False, False)
    assert done.message.startswith(f"no drift, {len(done.findings.drifted_columns)} of 5 columns drifted")
    # The store keeps the same three files, by time.
    kept = {item.key.removeprefix(done.prefix): item.key for item in store.list(done.prefix)}
    assert set(kept) == {"drift.json", "drift.html", "evidently.html"}
    for path in outputs(tmp_path).values():
        assert store.get_bytes(kept[path.name]) == path.read_bytes()
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert f"Version {version}" in page
    assert "No drift" in page
    assert page.count("<figure") == 5
    assert "opened at" not in page
    assert "<script" not in page


def test_what_the_endpoint_was_asked_is_compared_once_there_is_enough(store, publish, packages, splits, tmp_path):
    version = publish(packages())
    asked = make_table(rows=150, seed=3).drop_columns(["target"])
    amounts = pa.array(np.where(np.arange(150) % 3, 4.0, np.nan), from_pandas=True)
    asked = asked.set_column(asked.column_names.index("amount"), "amount", amounts)
    log(store, asked)
    store.put_bytes("inference/demo/date=2024-03-01/hour=06/b.parquet", b"cut short")
    done = report(store, version, splits("binary"), tmp_path, drift_share=0.2)
    assert done.current.startswith("the last 150 rows the endpoint was asked, ")
    assert done.findings.drifted
    assert {"amount", "prediction"} <= set(done.findings.drifted_columns)
    assert done.findings.changed_nulls == ["amount"]
    content = json.loads((tmp_path / "drift.json").read_bytes())
    assert (content["kind"], content["alarm"], content["drifted"]) == ("drift", True, True)
    (warning,) = content["warnings"]
    assert "has drifted from the model's reference in " in warning
    assert done.message.startswith("drift, ")
    assert ": amount" in done.message
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "drifted, nulls changed" in page
    assert "1, with other columns or damaged" in page


def test_a_column_that_is_never_logged_is_not_watched(store, publish, packages, splits, tmp_path):
    version = publish(packages())
    asked = make_table(rows=150, seed=3).drop_columns(["target", "colour"])
    left_out = log_schema(make_schema(), ["colour"])
    log(store, asked.replace_schema_metadata(left_out.metadata))
    own = {"colour": {"method": "psi", "threshold": 0.1}, "amount": {"method": "ks", "threshold": 1e-9}}
    done = report(store, version, splits("binary"), tmp_path, columns=own)
    assert done.message.endswith("05:00 to 06:00 UTC, 2 columns not logged")
    content = json.loads((tmp_path / "drift.json").read_bytes())
    assert content["current"]["unwatched"] == ["colour", "prediction"]
    assert {column["column"]: column["method"] for column in content["columns"]} == {
        "amount": "ks",
        "visits": "wasserstein",
        "member": "wasserstein",
    }
    assert "colour, prediction: the inference log does not tell them" in (tmp_path / "drift.html").read_text("utf-8")


def test_a_column_without_values_is_on_the_page(store, publish, packages, splits, tmp_path):
    asked = make_table(rows=150, seed=3).drop_columns(["target"])
    place = asked.column_names.index("colour")
    log(store, asked.set_column(place, "colour", pa.nulls(len(asked), pa.string())))
    done = report(store, publish(packages()), splits("binary"), tmp_path)
    assert done.findings.empty == ["colour"]
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "Without any value in one window, so not measured: colour." in page
    assert page.count("<figure") == 4


def test_before_the_endpoint_was_asked_a_run_says_how_the_newest_rows_differ_and_alarms_nobody(
    store, publish, packages, splits, tmp_path
):
    """Eleven days of December are not like eight months: that is no drift of what the endpoint is asked."""
    folder = shutil.copytree(splits("binary"), tmp_path / "splits")
    table = pq.read_table(part_path(folder, "test"))
    for name in ("amount", "visits"):
        place = table.column_names.index(name)
        table = table.set_column(place, name, pc.add(table[name], 50))
    pq.write_table(table, part_path(folder, "test"))
    version = publish(packages())
    tests = {"method": "ks", "threshold": 1e-6}
    done = report(store, version, folder, tmp_path, drift_share=0.2, numeric=tests)
    assert done.message == (
        "no drift report yet (the endpoint has logged 0 rows that can be compared; a report needs 100); the newest 200 "
        "rows of the test part differ from the training part in 2 of 4 columns: amount, visits (no alarm)"
    )
    content = json.loads((tmp_path / "drift.json").read_bytes())
    assert (content["kind"], content["alarm"], content["drifted"]) == ("newest_rows", False, False)
    assert content["warnings"] == []
    assert content["drifted_share"] == 0.5
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert "<h1>How the newest rows of demo differ from those learned from</h1>" in page
    assert "No alarm" in page
    assert "rift from" not in page
    assert page.count("<figure") == 4
    # The same with settings for the prediction, which is not compared here.
    own = {"prediction": {"method": "ks", "threshold": 1e-9}}
    assert report(store, version, folder, tmp_path, columns=own).kind == "newest_rows"


def test_identical_rows_do_not_drift(store, publish, tmp_path):
    """The reference is of rows the model has not seen: predictions on rows it was fitted on differ from any others."""
    folder = make_splits(tmp_path / "splits", rows=3000)
    package = make_package(tmp_path / "package", splits=folder)
    make_manifest(package)
    log(store, make_table(rows=2000, seed=9).drop_columns(["target"]))
    done = report(store, publish(package), folder, tmp_path, rows=2000, numeric={"method": "ks", "threshold": 0.001})
    assert done.findings.drifted_columns == []


def test_a_feature_called_prediction(store, publish, tmp_path):
    folder = make_splits(tmp_path / "splits", task="regression", rows=400)
    for part in PARTS:
        table = pq.read_table(part_path(folder, part))
        names = ["prediction" if name == "visits" else name for name in table.column_names]
        pq.write_table(table.rename_columns(names), part_path(folder, part))
    schema = Schema.read(folder)
    features = [
        feature.model_copy(update={"name": "prediction"}) if feature.name == "visits" else feature
        for feature in schema.features
    ]
    schema.model_copy(update={"features": features}).write(folder)
    package = make_package(tmp_path / "package", task="regression", splits=folder)
    make_manifest(package)
    asked = make_table("regression", rows=150, seed=3).drop_columns(["target"])
    log(store, asked.rename_columns(["prediction" if name == "visits" else name for name in asked.column_names]))
    report(store, publish(package), folder, tmp_path, columns={"_prediction": {"method": "ks", "threshold": 1e-9}})
    columns = {column["column"]: column for column in json.loads((tmp_path / "drift.json").read_bytes())["columns"]}
    assert columns["prediction"]["method"] == "wasserstein"
    assert columns["_prediction"]["method"] == "ks"


def test_a_column_that_the_model_does_not_use_is_named(store, publish, packages, splits, tmp_path):
    version = publish(packages())
    with pytest.raises(DataError, match=r"monitoring\.columns names 'distance', which the model does not use"):
        report(store, version, splits("binary"), tmp_path, columns={"distance": {"method": "ks", "threshold": 0.1}})
    assert store.list("monitoring/") == []
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_is_altered_or_missing_is_refused(store, publish, packages, splits, tmp_path):
    version = publish(packages())
    with pytest.raises(StoreError, match="found none"):
        report(store, "0123456789ab", splits("binary"), tmp_path)
    store.put_bytes(version_prefix("demo", version) + "model.onnx", b"other")
    with pytest.raises(PackageError, match=r"model\.onnx is not the file the manifest lists"):
        report(store, version, splits("binary"), tmp_path)
    store.delete(version_prefix("demo", version) + MANIFEST)
    with pytest.raises(PackageError, match=r"has no manifest\.json"):
        report(store, version, splits("binary"), tmp_path)


def test_the_adapter(store, publish, packages, splits, tmp_path, capsys):
    names = ("drift", "monitor_page", "evidently", "history_page")
    artifacts = {name: dsl.Artifact(uri=str(tmp_path / uuid.uuid4().hex)) for name in names}
    monitor.python_func(
        name="demo",
        settings=MonitoringConfig(rows=200).model_dump_json(),
        version=publish(packages()),
        splits=dsl.Dataset(uri=str(splits("binary"))),
        **artifacts,
    )
    assert json.loads(Path(artifacts["drift"].path).read_bytes())["current"]["rows"] == 200
    for name in names[1:]:
        assert "<title>" in Path(artifacts[name].path).read_text(encoding="utf-8")
    printed = capsys.readouterr()
    assert printed.out.startswith("▸ ")
    assert printed.out.count("\n") == 1
    assert printed.err == ""
