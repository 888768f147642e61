"""KServe's model server around the ONNX model of a package, as one would write it by hand.

    PYTHONPATH=. python tests/benchmarks/peers/kserve_onnx.py --model_dir FOLDER --port PORT

V1 rows to arrays in one pass, one worker, no access log, no latency log, no gRPC: nothing it could do without.
"""

from pathlib import Path
from typing import Any

import kserve
import numpy as np
import onnxruntime as ort

from tests.benchmarks.peers.peer import column_names, seconds, serve


class OnnxModel(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """The graph and the names of its columns."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.numbers, self.categories, self.times = column_names(folder)
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


if __name__ == "__main__":
    serve(OnnxModel)
