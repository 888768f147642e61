"""Tests of the fitted pipeline as a file."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.preprocessing import FunctionTransformer

from components.shared.errors import PackageError
from components.shared.package.fitted_pipeline import dump_pipeline, load_pipeline
from components.shared.tasks import TASKS
from components.train.parity import predict
from tests.components.modelling import Fitted, make_splits


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("family", ["linear", "hist_gradient_boosting", "lightgbm", "random_forest"])
def test_a_pipeline_read_back_answers_the_same_and_its_bytes_repeat(tmp_path: Path, family, task):
    splits = make_splits(tmp_path / "splits", task, rows=300)
    paths = [tmp_path / "first.skops", tmp_path / "second.skops"]
    for path in paths:
        fitted = Fitted(splits, family)
        dump_pipeline(fitted.pipeline, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = load_pipeline(paths[0])
    expected = predict(fitted.pipeline, fitted.test.frame, fitted.schema)
    np.testing.assert_allclose(predict(loaded, fitted.test.frame, fitted.schema), expected, rtol=1e-12)


def test_types_that_are_not_trusted_are_refused(tmp_path: Path):
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps(FunctionTransformer(pickle.loads)))
    with pytest.raises(PackageError, match=r"does not trust; it is refused"):
        load_pipeline(path)


def test_a_missing_or_foreign_file_is_said(tmp_path: Path):
    with pytest.raises(PackageError, match=r"is missing"):
        load_pipeline(tmp_path / "none.skops")
    (tmp_path / "foreign.skops").write_bytes(b"PK nothing of the kind")
    with pytest.raises(PackageError, match=r"is no readable skops file"):
        load_pipeline(tmp_path / "foreign.skops")


def archive_with(path: Path, **node: object) -> None:
    """A pipeline in whose description something else stands first."""
    content = skops.io.dumps({"a": 1})
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        description = json.loads(source.read("schema.json"))
    description["content"] = {"hidden": {"__class__": "x", "__module__": "sklearn.x", "__id__": 1, **node}}
    with zipfile.ZipFile(path, "w") as target:
        target.writestr("schema.json", json.dumps(description))
        target.writestr("9.npy", npy(np.array([print, {}], dtype=object)))


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "node",
    [
        {"__loader__": "MethodNode", "content": {"func": "system", "obj": {}}},
        {"__loader__": "FunctionNode", "__module__": "os", "__class__": "system"},
        {"__loader__": "PartialNode", "content": {}},
        {"__loader__": "OperatorFuncNode", "__module__": "operator", "__class__": "methodcaller"},
        {"__loader__": "ConstructorFromReduceNode"},
        {"__loader__": "ObjectNode", "__module__": "pickle", "__class__": "Unpickler"},
        {"__loader__": "TypeNode", "__module__": "builtins", "__class__": "eval"},
        {"__loader__": "NdArrayNode", "type": "numpy", "file": "9.npy", "__module__": "numpy", "__class__": "ndarray"},
        {"__loader__": "NdArrayNode", "type": "numpy", "file": "../../x.npy"},
        {"__loader__": "Unknown"},
    ],
    ids=lambda node: f"{node['__loader__']} {node.get('file', '')}",
)
def test_what_could_run_code_is_refused(tmp_path: Path, node):
    archive_with(tmp_path / "model.skops", **node)
    with pytest.raises(PackageError, match="does not trust; it is refused|is no readable skops file"):
        load_pipeline(tmp_path / "model.skops")


@pytest.mark.parametrize("content", [b"", pickle.dumps(print), pickle.dumps({"a": print}, protocol=0)])
def test_a_pickle_is_no_pipeline(tmp_path: Path, content):
    (tmp_path / "model.skops").write_bytes(content)
    with pytest.raises(PackageError, match="is no readable skops file"):
        load_pipeline(tmp_path / "model.skops")
