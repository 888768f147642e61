"""nannyml's alarms with its defaults: a program of nannyml's own environment.

`python nannyml_alarms.py FOLDER`: reads `spec.json`, `reference.parquet` and `windows.parquet` of the folder, whose
column `moment` lies on another day for each window, and writes `nannyml.json`: for each way to look, the days on which
it gives an alarm. `estimated` is quality without labels (CBPE, DLE), `measured` with them, `multivariate` the error of
a reconstruction by principal components, and `univariate` the drift of any column by Jensen and Shannon's distance.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nannyml
import pandas as pd


def main(folder: Path) -> None:
    """Look at the windows in every way."""
    spec = json.loads((folder / "spec.json").read_bytes())
    reference, windows = (pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "windows"))
    found = {}
    for name, calculator in _calculators(spec):
        calculator.fit(reference)
        look = calculator.estimate if name == "estimated" else calculator.calculate
        found[name] = _alarms(look(windows).filter(period="analysis").to_df())
    (folder / "nannyml.json").write_text(json.dumps(found), encoding="utf-8")


def _calculators(spec: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    cut = {"timestamp_column_name": "moment", "chunk_period": "D"}
    features, metrics = spec["features"], {"metrics": spec["metrics"], "y_true": "y_true", "y_pred": "y_pred"}
    if spec["problem"] == "regression":
        yield "estimated", nannyml.DLE(feature_column_names=features, **metrics, **cut)
    else:
        metrics |= {"y_pred_proba": "y_pred_proba", "problem_type": spec["problem"]}
        yield "estimated", nannyml.CBPE(**metrics, **cut)
    yield "measured", nannyml.PerformanceCalculator(**({"problem_type": spec["problem"]} | metrics), **cut)
    yield "multivariate", nannyml.DataReconstructionDriftCalculator(column_names=features, **cut)
    yield "univariate", nannyml.UnivariateDriftCalculator(column_names=features, **cut)


def _alarms(found: pd.DataFrame) -> list[str]:
    """The days on which any of the values is beyond its threshold."""
    alerts = found.loc[:, [name for name in found if name[-1] == "alert"]].fillna(False).astype(bool).any(axis=1)
    days = found[("chunk", "key")] if ("chunk", "key") in found else found[("chunk", "chunk", "key")]
    return [str(day) for day in days[alerts]]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
