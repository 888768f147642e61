from pathlib import Path

import numpy as np
import pytest

from components.shared.errors import PackageError
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden, verify, version_prefix
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.registry.registry import Registry
from components.train.parity import predict
from pipelines.__main__ import main
from pipelines.open_model import open_model


@pytest.fixture
def published(store, packages):
    registry = Registry(store, "demo")
    manifest = verify(packages())
    registry.publish(packages(), manifest)
    registry.promote(manifest.version, expected=None)
    return registry


def test_the_champions_pipeline_answers_what_the_endpoint_does(published, packages, tmp_path):
    import pandas as pd

    opened = open_model(published, "", tmp_path)
    golden, schema = read_golden(opened.folder), Schema.read(opened.folder)
    frame = pd.DataFrame([request.row for request in golden])
    frame["opened at"] = pd.to_datetime(frame["opened at"])
    scorer = Scorer.load(packages(), version=opened.manifest.version)
    scores = np.asarray(predict(opened.pipeline, frame, schema), dtype=np.float32)
    assert not differences(golden, scorer.answers(scores))
    again = open_model(published, opened.manifest.version, tmp_path)  # from the folder, not from the store
    assert again.folder == opened.folder
    given: dict[str, object] = {}
    exec(opened.lines, given)
    assert repr(given["pipeline"]) == repr(opened.pipeline)


def test_what_is_altered_is_not_opened(published, tmp_path):
    opened = open_model(published, "", tmp_path)
    (opened.folder / "model.skops").write_bytes(b"other")
    with pytest.raises(PackageError, match="model.skops is not the file the manifest lists"):
        open_model(published, "", tmp_path)
    with pytest.raises(PackageError, match="no version 'v9' of demo"):
        open_model(published, "v9", tmp_path)


def test_the_command_tells_a_notebook_what_to_do(published, store, tmp_path, monkeypatch, capsys):
    for name, value in store.settings.environment().items():
        monkeypatch.setenv(name, value)
    assert main(["open", "demo", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "Pipeline(steps=" in told
    assert f"pipeline = load_pipeline(Path('{tmp_path}/demo/" in told
    assert main(["open", "demo", "--version", "v9", "--folder", str(tmp_path)]) == 1
    assert not Path(version_prefix("demo", "v9")).exists()
