"""The model package as a KServe model: V1 rows by name, V2 columns as named inputs."""

import json
from pathlib import Path
from typing import Any

import kserve
import numpy as np
from kserve.errors import InvalidInput
from numpy.typing import NDArray

from components.shared.errors import InputError, PackageError
from components.shared.golden import differences
from components.shared.model_package import read_golden, verify
from components.shared.schema import FeatureKind
from components.shared.scoring import Scorer, choose_classes, label_name, parse_rows

_DATATYPES: dict[FeatureKind, str] = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "category": "BYTES",
    "timestamp": "BYTES",
}


class PackageModel(kserve.Model):  # type: ignore[misc]  # kserve has no types
    """Serves one model package; ready only when its files are intact and its golden requests are answered right.

    Args:
        name: Name in the URL.
        folder: The model package.
    """

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name)
        self.folder = folder
        self.scorer: Scorer

    def load(self) -> bool:
        """Check the package, load it and replay its golden requests.

        Raises:
            PackageError: The package is altered, incomplete, or answers its golden requests wrongly.
        """
        manifest = verify(self.folder)
        self.scorer = Scorer.load(self.folder, version=manifest.version)
        golden = read_golden(self.folder)
        try:
            answers = self._answer([request.row for request in golden])
        except InputError as error:
            raise PackageError(
                f"The golden requests of version {manifest.version} do not fit its schema: {error}"
            ) from error
        if wrong := differences(golden, answers):
            raise PackageError(
                f"Version {manifest.version} answers {len(wrong)} of {len(golden)} golden requests wrongly: {wrong[0]}."
            )
        self.ready = True
        return self.ready

    def predict(
        self,
        payload: dict[str, Any] | bytes | kserve.InferRequest,
        headers: dict[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> dict[str, Any] | kserve.InferResponse:
        """Answer one request of either protocol.

        Raises:
            InvalidInput: The rows do not fit the model's schema; the server answers 400 with the message.
        """
        del headers, response_headers
        try:
            if isinstance(payload, kserve.InferRequest):
                return self._infer(payload)
            return {"predictions": self._answer(_instances(payload)), "model_version": self.scorer.version}
        except InputError as error:
            raise InvalidInput(str(error)) from error

    def get_input_types(self) -> list[dict[str, Any]]:
        """The inputs of a V2 request, one a column; timestamps are texts in ISO 8601."""
        features = self.scorer.schema.features
        return [{"name": feature.name, "datatype": _DATATYPES[feature.kind], "shape": [-1]} for feature in features]

    def get_output_types(self) -> list[dict[str, Any]]:
        """The outputs of a V2 answer."""
        if self.scorer.schema.task == "regression":
            return [{"name": self.scorer.output, "datatype": "FP32", "shape": [-1]}]
        classes = len(self.scorer.schema.classes)
        return [
            {"name": self.scorer.output, "datatype": "FP32", "shape": [-1, classes]},
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
        ]

    def _answer(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self.scorer.answers(self.scorer.score(parse_rows(rows, self.scorer.schema)))

    def _infer(self, request: kserve.InferRequest) -> kserve.InferResponse:
        scores = self.scorer.score(parse_rows(_rows(request.inputs), self.scorer.schema))
        outputs = [_output(self.scorer.output, scores)]
        if self.scorer.schema.task != "regression":
            names = np.array([label_name(label) for label in self.scorer.schema.classes], dtype=object)
            outputs.append(_output("label", names[choose_classes(scores)]))
        return kserve.InferResponse(
            response_id=request.id or "", model_name=self.name, model_version=self.scorer.version, infer_outputs=outputs
        )


def _output(name: str, values: NDArray[Any]) -> kserve.InferOutput:
    datatype = "BYTES" if values.dtype == object else "FP32"
    output = kserve.InferOutput(name=name, shape=list(values.shape), datatype=datatype)
    output.set_data_from_numpy(values, binary_data=False)
    return output


def _instances(payload: Any) -> list[dict[str, Any]]:
    """The rows of a V1 request; KServe leaves a body undecoded whose content type is not quite JSON's."""
    if isinstance(payload, bytes):
        try:
            payload = json.loads(payload)
        except ValueError as error:
            raise InputError(f"The body is not JSON: {error}.") from error
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list) or not instances:
        raise InputError('Expected {"instances": [row, …]} with at least one row, each an object of columns by name.')
    return instances


def _rows(tensors: list[kserve.InferInput]) -> list[dict[str, Any]]:
    """The rows of a V2 request, whose inputs are columns."""
    columns = {tensor.name: _values(tensor) for tensor in tensors}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(columns) < len(tensors) or len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise InputError(
            f"Expected inputs of different names with the same number of rows, at least 1; found {lengths}."
        )
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _values(tensor: kserve.InferInput) -> list[Any]:
    """A column: BYTES become text, NaN stays for `parse_rows` to judge."""
    try:
        # What came as JSON is judged as it is: NumPy would cut 3.7 to 3 where INT64 is announced.
        values = tensor.data if tensor.data is not None else tensor.as_numpy().reshape(-1).tolist()
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"Input {tensor.name!r} cannot be read as {tensor.datatype}: {error}.") from error
    if list(tensor.shape) not in ([len(values)], [len(values), 1]):
        raise InputError(
            f"Input {tensor.name!r} has shape {list(tensor.shape)} and {len(values)} values; "
            "expected [rows] or [rows, 1]."
        )
    return [value.decode(errors="replace") if isinstance(value, bytes) else value for value in values]
