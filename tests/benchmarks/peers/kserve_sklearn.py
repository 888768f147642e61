"""KServe's model server around a scikit-learn pipeline in a joblib file, as its own runtime for them does it.

    python tests/benchmarks/peers/kserve_sklearn.py --model_dir FOLDER --port PORT

The folder holds `model.joblib` and `schema.json`. Rows become a pandas table, which the pipeline takes. One worker, no
access log, no latency log, no gRPC.
"""

import argparse
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib
import kserve
import numpy as np
import pandas as pd

NAME = "flights"
MISSING_TIME = np.iinfo(np.int64).min


class PipelineModel(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """The pipeline and the columns it was fitted on."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.pipeline = joblib.load(folder / "model.joblib")
        features = json.loads((folder / "schema.json").read_bytes())["features"]
        columns: dict[str, list[str]] = {"number": [], "category": [], "timestamp": []}
        for feature in features:
            columns[feature["kind"] if feature["kind"] in columns else "number"].append(feature["name"])
        self.numbers, self.categories, self.times = columns.values()
        self.ready = True

    async def predict(self, payload: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Probabilities of the rows."""
        rows = payload["instances"]
        columns = {name: np.array([row[name] for row in rows], dtype=np.float32) for name in self.numbers}
        columns |= {name: np.array([row[name] or "" for row in rows], dtype=object) for name in self.categories}
        columns |= {name: np.array([seconds(row[name]) for row in rows], dtype=np.int64) for name in self.times}
        return {"predictions": self.pipeline.predict_proba(pd.DataFrame(columns, copy=False)).tolist()}


def seconds(moment: str | None) -> int:
    """Seconds since 1970 of a time without a zone."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) if moment else MISSING_TIME


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    model = PipelineModel(NAME, options.model_dir)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    kserve.ModelServer(http_port=options.port, workers=1, enable_grpc=False, enable_latency_logging=False).start(
        [model]
    )


if __name__ == "__main__":
    main()
