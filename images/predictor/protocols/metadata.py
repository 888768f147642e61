"""What V2 tells of a model: its inputs and outputs, with types, ranges and categories."""

from typing import Any

from components.shared.package.schema import Feature
from components.shared.package.scoring import Scorer
from images.predictor.protocols.tensors import DATATYPES

SERVER = {"name": "fullcircle", "version": "1", "extensions": ["binary_tensor_data"]}


def model_metadata(name: str, scorer: Scorer) -> dict[str, Any]:
    """The V2 metadata of a model; types, ranges and categories stand in the parameters of its inputs."""
    schema = scorer.schema
    return {
        "name": name,
        "versions": [scorer.version],
        "platform": "onnxruntime_onnx",
        "inputs": [
            {"name": f.name, "datatype": DATATYPES[f.kind], "shape": [-1], "parameters": _described(f)}
            for f in schema.features
        ],
        "outputs": scorer.answer.metadata(schema),
    }


def _described(feature: Feature) -> dict[str, Any]:
    return feature.model_dump(exclude_defaults=True, exclude={"name"}) | {"nullable": feature.nullable}
