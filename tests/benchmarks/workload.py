"""What the servers are asked: rows that the model has really seen, as requests with the answers that are right."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.package.model_package import REFERENCE
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer, parse_rows
from tests.benchmarks.load import Load, post

NAME = "flights"
V1_PATH = f"/v1/models/{NAME}:predict"
V2_PATH = f"/v2/models/{NAME}/infer"
TOLERANCE = 1e-4
_BINARY_SIZE = re.compile(rb'"binary_data_size":(\d+)')

Rows = Sequence[dict[str, Any]]
Reader = Callable[[bytes], NDArray[np.float32]]


class WrongAnswersError(RuntimeError):
    """A server answered with an error, or wrongly; its speed says nothing."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Different requests of the same number of rows.

    Attributes:
        requests: As they go over the wire.
        expected: Probabilities of shape (requests, rows of a request, classes).
    """

    requests: list[bytes]
    expected: NDArray[np.float32]

    @property
    def rows(self) -> int:
        """Rows of one request."""
        return int(self.expected.shape[1])

    def check(self, load: Load, read: Reader) -> None:
        """Compare all that was answered with what is right.

        Raises:
            WrongAnswersError: An answer is none, or differs.
        """
        if load.errors or not load.answers:
            raise WrongAnswersError(f"{load.errors} requests failed, {len(load.latencies)} were answered.")
        answers = [(number, body) for number, bodies in load.answers.items() for body in bodies]
        found = np.stack([read(body).reshape(self.expected.shape[1:]) for _, body in answers])
        numbers = [number for number, _ in answers]
        gap = float(np.abs(found - self.expected[numbers]).max())
        if not gap <= TOLERANCE:
            raise WrongAnswersError(f"Answers are {gap:.6f} from what is right; at most {TOLERANCE} is expected.")


class Flights:
    """Rows of a model package's reference window, and what its model says of them.

    Args:
        package: The folder.
        rows: How many; all different.
    """

    def __init__(self, package: Path, *, rows: int) -> None:
        self.schema = Schema.read(package)
        self.labels = self.schema.labels
        table = pq.read_table(package / REFERENCE, columns=self.schema.columns)
        # Through JSON, as clients send them; orjson leaves what only looks like a datetime to us.
        different = list(dict.fromkeys(orjson.dumps(row, default=str) for row in table.to_pylist()))
        step = max(1, len(different) // rows)
        self.rows = [orjson.loads(row) for row in different[: rows * step : step]]
        self.probabilities = Scorer.load(package).score(parse_rows(self.rows, self.schema))

    def v1(self, size: int) -> Workload:
        """Row objects in JSON."""
        return self._workload(size, lambda rows: post(V1_PATH, orjson.dumps({"instances": rows})))

    def v2_binary(self, size: int) -> Workload:
        """Columns: numbers as binary FP64 tensors, texts and times in the JSON; probabilities as a binary tensor."""
        return self._workload(size, self._columns)

    def read_v1(self, body: bytes) -> NDArray[np.float32]:
        """Probabilities from our V1 answer."""
        answers = orjson.loads(body)["predictions"]
        return np.array([[answer["probabilities"][label] for label in self.labels] for answer in answers], np.float32)

    def read_v2(self, body: bytes) -> NDArray[np.float32]:
        """Probabilities from a V2 answer that ends with their binary tensor."""
        size = int(_BINARY_SIZE.findall(body)[-1])
        return np.frombuffer(body[-size:], dtype="<f4")

    def _workload(self, size: int, request: Callable[[Rows], bytes]) -> Workload:
        parts = [self.rows[start : start + size] for start in range(0, len(self.rows) - size + 1, size)]
        expected = self.probabilities[: len(parts) * size].reshape(len(parts), size, -1)
        return Workload([request(part) for part in parts], expected)

    def _columns(self, rows: Rows) -> bytes:
        inputs: list[dict[str, Any]] = []
        tensors: list[bytes] = []
        for feature in self.schema.features:
            values = [row[feature.name] for row in rows]
            column: dict[str, Any] = {"name": feature.name, "shape": [len(rows)]}
            if feature.kind in ("number", "integer"):
                tensors.append(np.array(values, dtype="<f8").tobytes())
                inputs.append(column | {"datatype": "FP64", "parameters": {"binary_data_size": len(tensors[-1])}})
            else:
                datatype = "BOOL" if feature.kind == "boolean" else "BYTES"
                inputs.append(column | {"datatype": datatype, "data": values})
        wanted = [{"name": "probabilities", "parameters": {"binary_data": True}}]
        head = orjson.dumps({"inputs": inputs, "outputs": wanted})
        headers = [("Inference-Header-Content-Length", str(len(head)))]
        return post(V2_PATH, b"".join([head, *tensors]), headers=headers)


def read_predictions(body: bytes) -> NDArray[np.float32]:
    """Probabilities from an answer of the peers."""
    return np.array(orjson.loads(body)["predictions"], np.float32)
