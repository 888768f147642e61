"""Batch prediction as a cluster would be given it, and as a person runs it here with a real S3 server."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from components.shared.package.model_package import verify, version_prefix
from components.shared.package.scoring import Scorer, parse_rows
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.__main__ import main
from pipelines.local.store import LocalStore
from tests.helpers import make_table, put_folder
from tests.pipelines.command_line import WINE, call, definitions, settled

CONFIGS = sorted(WINE.parent.glob("*.yaml"))
CONFIG = {
    "name": "demo",
    "source": {"tables": {"visits": {"path": "visits.parquet"}}},
    "problem": {"target": "target", "task": "binary", "time_column": "opened at", "keys": ["id"]},
}


def compiled(config: Path, folder: Path) -> Any:
    output = folder / "pipeline.yaml"
    assert main(["compile", str(config), "--pipeline", "batch-prediction", "--output", str(output)]) == 0
    return definitions(output)[0]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_compile_to_two_tasks_in_one_pinned_image(config, tmp_path):
    definition = compiled(config, tmp_path)

    tasks = definition["root"]["dag"]["tasks"]
    assert set(tasks) == {"ingest", "predict"}
    assert definition["pipelineInfo"]["name"] == f"{config.stem.replace('_', '-')}-batch-prediction"
    containers = [executor["container"] for executor in definition["deploymentSpec"]["executors"].values()]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        assert container["image"].rpartition(":")[2] not in ("", "latest")
        assert "pip" not in " ".join(container["command"][:3])
    # The table, the champion and the destination can have changed though no input has.
    assert not any(task["cachingOptions"].get("enableCache") for task in tasks.values())


def test_a_run_needs_no_typing_and_every_input_is_described(tmp_path):
    definition = compiled(WINE, tmp_path)

    parameters = definition["root"]["inputDefinitions"]["parameters"]
    assert {name: one["defaultValue"] for name, one in parameters.items()} == dict.fromkeys(
        ("data", "window_start", "window_end", "paths", "version", "destination"), ""
    )
    for section in (definition["root"], *definition["components"].values()):
        inputs = section["inputDefinitions"]
        for name, one in {**inputs.get("parameters", {}), **inputs.get("artifacts", {})}.items():
            assert one.get("description", "").strip(), name


class Place(NamedTuple):
    """A folder with a config, tables, and a running store that holds a champion."""

    folder: Path
    config: Path
    store: Store
    package: Path

    def predict(self, *options: str) -> tuple[int, str]:
        return call("predict", self.config, *options, folder=self.folder)

    def expected(self, rows: list[dict[str, Any]]) -> list[Any]:
        scorer = Scorer.load(self.package)
        return [answer["label"] for answer in scorer.answers(scorer.score(parse_rows(rows, scorer.schema)))]

    def read(self, output: str, name: str = "part-00000.parquet") -> pa.Table:
        found = re.search(r"^ Place +s3://[^/]+/(\S+/)$", output, re.MULTILINE)
        assert found, output
        return pq.read_table(pa.BufferReader(self.store.get_bytes(f"{found[1]}{name}")))


@pytest.fixture(scope="module")
def place(tmp_path_factory, packages) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("predictions").resolve()
    config = folder / "demo.yaml"
    config.write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    pq.write_table(make_table(rows=40), folder / "visits.parquet")
    store = Store(LocalStore(folder).start())
    store.ensure_bucket()
    package, version = packages(), verify(packages()).version
    put_folder(store, version_prefix("demo", version), package)
    Registry(store, "demo").promote(version, expected=None)
    yield Place(folder, config, store, package)
    assert call("stop", folder=folder)[0] == 0
    assert settled(folder, servers=0) == {}


def test_a_csv_file_is_predicted_but_its_bad_rows_and_the_answer_can_be_read(place):
    frame = make_table(rows=40).drop(["target"]).to_pandas().astype({"visits": object})
    frame.loc[4, "visits"] = "twice"
    frame.to_csv(place.folder / "new.csv", index=False)

    code, output = place.predict("--data", "new.csv")

    assert code == 0, output
    assert re.findall(r"^ ✓ (\w+)", output, re.MULTILINE) == ["ingest", "predict"]
    assert " Rows      39 of 40 predicted by version " in output
    assert "· Row 4, column 'visits': found 'twice'; expected a whole number.\n" in output
    found = place.read(output)
    rows = [row for row in make_table(rows=40).to_pylist() if row["id"] != 4]
    assert found.column("prediction").to_pylist() == place.expected(rows)
    assert found.column("id").to_pylist() == [str(row["id"]) for row in rows]
    assert place.read(output, "rejected.parquet").num_rows == 1
    page = re.search(r"^ Page +(\S+)$", output, re.MULTILINE)
    assert page
    assert "Batch prediction" in (place.folder / page[1]).read_text(encoding="utf-8")


def test_the_lines_that_read_the_predictions_work_when_pasted(place):
    pq.write_table(make_table(rows=5), place.folder / "few.parquet")
    code, output = place.predict("--data", "few.parquet", "--destination", "pasted")
    assert code == 0, output
    line = next(line for line in output.splitlines() if " fetch s3://" in line)

    fetch, read = line.split(" && ")
    _, _, _, command, uri, folder = fetch.split()
    assert call(command, uri, folder, folder=place.folder) == (0, f"wrote {folder}\n")
    shown = subprocess.run(["bash", "-c", read], cwd=place.folder, capture_output=True, text=True, check=True).stdout

    assert "source_row" in shown
    assert len(pd.read_parquet(place.folder / folder / "part-00000.parquet")) == 5


def test_without_a_table_the_configured_ones_are_predicted(place):
    code, output = place.predict("--window-start", "2024-01-02")

    assert code == 0, output
    assert place.read(output).column("id").to_pylist() == list(range(24, 40))


def test_a_table_in_the_object_store_is_predicted(place):
    pq.write_table(make_table(rows=3), place.folder / "three.parquet")
    place.store.put_file("incoming/three.parquet", place.folder / "three.parquet")

    code, output = place.predict("--data", place.store.uri("incoming/three.parquet"))

    assert code == 0, output
    assert place.read(output).num_rows == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--data", "nowhere.csv"), "there is no file or folder 'nowhere.csv'"),
        (("--data", "visits.parquet", "--version", "v9"), "There is no version 'v9' of demo"),
    ],
    ids=["table", "version"],
)
def test_a_failure_says_why_and_ends_with_another_code(place, options, message):
    before = {item.key for item in place.store.list("predictions/")}

    code, output = place.predict(*options)

    assert code == 1
    assert message in output
    assert "Traceback" not in output
    assert {item.key for item in place.store.list("predictions/")} == before


def test_what_a_run_leaves_is_one_folder_and_no_process(place):
    assert len(settled(place.folder, servers=1)) == 1
    assert {path.name for path in (place.folder / "build" / "runs").iterdir()} == {"demo-batch-prediction"}
