"""The monitoring pipeline as a cluster would be given it, and its stage with a real S3 server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.monitor.component import observe
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.scoring import Scorer
from components.shared.registry.registry import Registry
from pipelines.__main__ import main
from tests.components.monitor.logged import DAY, put_log, requests
from tests.helpers import put_folder
from tests.pipelines.command_line import WINE, definitions


@pytest.mark.parametrize("config", sorted(WINE.parent.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configs_compile_to_one_task_that_is_never_cached(config, tmp_path):
    output = tmp_path / "pipeline.yaml"
    assert main(["compile", str(config), "--pipeline", "monitoring", "--output", str(output)]) == 0
    definition = definitions(output)[0]
    tasks = definition["root"]["dag"]["tasks"]
    assert set(tasks) == {"observe"}
    assert not tasks["observe"]["cachingOptions"].get("enableCache")
    assert definition["pipelineInfo"]["name"] == f"{config.stem.replace('_', '-')}-monitoring"


def test_its_task_may_read_the_log(tmp_path):
    output = tmp_path / "pipeline.yaml"
    assert main(["compile", str(WINE), "--pipeline", "monitoring", "--output", str(output)]) == 0
    secrets = definitions(output)[1]["deploymentSpec"]["executors"]["exec-observe"]
    variables = {key["envVar"] for secret in secrets["secretAsEnv"] for key in secret["keyToEnv"]}
    assert {"FULLCIRCLE_LOG_ACCESS_KEY_ID", "FULLCIRCLE_LOG_SECRET_ACCESS_KEY"} <= variables


def test_the_stage_puts_out_the_history_and_its_page(store, packages, tmp_path):
    version = verify(packages()).version
    put_folder(store, version_prefix("demo", version), packages())
    Registry(store, "demo").promote(version, expected=None)
    history, page = (SimpleNamespace(path=str(tmp_path / name)) for name in ("history", "page"))
    observe.python_func("demo", '{"windows": {"look_back": "2d"}}', history, page)
    assert json.loads(Path(history.path).read_bytes())["windows"] == []
    assert "No window is over yet" in Path(page.path).read_text(encoding="utf-8")
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - DAY
    put_log(store, requests(Scorer.load(packages(), version=version), 150, start=start))
    observe.python_func(
        "demo", '{"windows": {"look_back": "2d", "lateness": "0m", "evidently": "never"}}', history, page
    )
    (window,) = json.loads(Path(history.path).read_bytes())["windows"]
    assert (window["version"], window["rows"]) == (version, 150)
