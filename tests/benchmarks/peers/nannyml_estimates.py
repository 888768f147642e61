"""nannyml's estimates of quality without labels, with its defaults: a program of nannyml's own environment.

`python nannyml_estimates.py FOLDER`: reads `spec.json`, `reference.parquet` and `windows.parquet` (windows of equal
size, one after the other) of the folder, and writes `nannyml.json`: for each metric one value a window.
"""

import json
import sys
from pathlib import Path
from typing import Any

import nannyml
import pandas as pd


def main(folder: Path) -> None:
    """Estimate the windows."""
    spec = json.loads((folder / "spec.json").read_bytes())
    reference, windows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "windows"))
    estimator = _estimator(spec)
    estimator.fit(reference)
    found = estimator.estimate(windows).filter(period="analysis").to_df()
    values = {metric: [float(value) for value in found[(metric, "value")]] for metric in spec["metrics"]}
    (folder / "nannyml.json").write_text(json.dumps(values), encoding="utf-8")


def _estimator(spec: dict[str, Any]) -> Any:
    common = {"y_true": "y_true", "y_pred": "y_pred", "metrics": spec["metrics"], "chunk_size": spec["size"]}
    if spec["problem"] == "regression":
        return nannyml.DLE(feature_column_names=spec["features"], **common)
    probabilities = {name: f"p_{name}" for name in spec["classes"]}
    if spec["problem"] == "classification_binary":
        return nannyml.CBPE(y_pred_proba="p_1", problem_type=spec["problem"], **common)
    return nannyml.CBPE(y_pred_proba=probabilities, problem_type=spec["problem"], **common)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
