"""Tests of the fitted pipeline as a file."""

import pickle
from pathlib import Path

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
