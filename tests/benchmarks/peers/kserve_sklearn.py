"""KServe's model server around a scikit-learn pipeline in a joblib file, as its own runtime for them does it.

    PYTHONPATH=. python tests/benchmarks/peers/kserve_sklearn.py --model_dir FOLDER --port PORT

The folder holds `model.joblib` and `schema.json`. Rows become a pandas table, which the pipeline takes. One worker, no
access log, no latency log, no gRPC.
"""

from pathlib import Path
from typing import Any

import joblib
import kserve
import numpy as np
import pandas as pd

from tests.benchmarks.peers.peer import column_names, seconds, serve


class PipelineModel(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """The pipeline and the columns it was fitted on."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.pipeline = joblib.load(folder / "model.joblib")
        self.numbers, self.categories, self.times = column_names(folder)
        self.ready = True

    async def predict(self, payload: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Probabilities of the rows."""
        rows = payload["instances"]
        columns = {name: np.array([row[name] for row in rows], dtype=np.float32) for name in self.numbers}
        columns |= {name: np.array([row[name] or "" for row in rows], dtype=object) for name in self.categories}
        columns |= {name: np.array([seconds(row[name]) for row in rows], dtype=np.int64) for name in self.times}
        return {"predictions": self.pipeline.predict_proba(pd.DataFrame(columns, copy=False)).tolist()}


if __name__ == "__main__":
    serve(PipelineModel)
