"""KServe's model server around the ONNX model of a package, as one would write it by hand.

    python tests/benchmarks/peers/kserve_onnx.py --model_dir FOLDER --port PORT

V1 rows to arrays in one pass, one worker, no access log, no latency log, no gRPC: nothing it could do without.
"""

import argparse
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import kserve
import numpy as np
import onnxruntime as ort

NAME = "flights"
MISSING_TIME = np.iinfo(np.int64).min


class OnnxModel(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """The graph and the names of its columns."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        features = json.loads((folder / "schema.json").read_bytes())["features"]
        columns: dict[str, list[str]] = {"number": [], "category": [], "timestamp": []}
        for feature in features:
            columns[feature["kind"] if feature["kind"] in columns else "number"].append(feature["name"])
        self.numbers, self.categories, self.times = columns.values()
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options)
        self.ready = True

    async def predict(self, payload: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Probabilities of the rows."""
        rows = payload["instances"]
        numbers = np.array([[row[name] for name in self.numbers] for row in rows], dtype=np.float32)
        categories = np.array([[row[name] or "" for name in self.categories] for row in rows], dtype=object)
        times = np.array([[seconds(row[name]) for name in self.times] for row in rows], dtype=np.int64)
        feeds = {"numbers": numbers, "categories": categories, "times": times}
        return {"predictions": self.session.run(["probabilities"], feeds)[0].tolist()}


def seconds(moment: str | None) -> int:
    """Seconds since 1970 of a time without a zone."""
    return int(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()) if moment else MISSING_TIME


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model_dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    model = OnnxModel(NAME, options.model_dir)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    kserve.ModelServer(http_port=options.port, workers=1, enable_grpc=False, enable_latency_logging=False).start(
        [model]
    )


if __name__ == "__main__":
    main()
