"""The page at `/docs`: what can be asked here, with an example that works."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.shared.model_package import read_golden
from components.shared.schema import Feature, Schema
from components.shared.scoring import Scorer, label_name
from images.predictor.http_server import Response
from images.predictor.query import extra_columns
from images.predictor.v2 import DATATYPES

_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "category": {"type": ["string", "integer"]},
    "timestamp": {"type": "string", "format": "date-time"},
}
_SHOWN_CATEGORIES = 20
_ASSETS = {
    "swagger-ui.css": b"text/css",
    "swagger-ui-bundle.js": b"text/javascript",
    "favicon-32x32.png": b"image/png",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="docs/favicon-32x32.png">
<link rel="stylesheet" href="docs/swagger-ui.css">
<style>body {{ margin: 0 }} .swagger-ui .topbar {{ display: none }}</style>
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({{
  url: "openapi.json", dom_id: "#page", deepLinking: true, tryItOutEnabled: true, defaultModelsExpandDepth: 0,
  presets: [SwaggerUIBundle.presets.apis],
}});
</script>
</body>
</html>
"""


class Docs:
    """OpenAPI document and page of one model.

    Args:
        name: Name of the model in paths.
        scorer: The model.
        package: The folder of its package, whose first golden request is the example.
    """

    def __init__(self, name: str, scorer: Scorer, package: Path) -> None:
        self.name = name
        self.scorer = scorer
        self.schema = scorer.schema
        golden = read_golden(package)[0]
        self.row = {feature.name: golden.row.get(feature.name) for feature in self.schema.features}
        self.answer = golden.answer

    def files(self) -> dict[str, Response]:
        """What is answered at which path."""
        found = find_spec("swagger_ui_bundle")
        if found is None or found.origin is None:  # what would be shown is still at /openapi.json
            return {"/openapi.json": Response(200, json.dumps(self.document()).encode())}
        folder = next((Path(found.origin).parent / "vendor").glob("swagger-ui-*"))
        title = f"{self.name} {self.scorer.version}"
        return {
            "/openapi.json": Response(200, json.dumps(self.document()).encode()),
            "/docs": Response(200, _PAGE.format(title=title).encode(), b"text/html; charset=utf-8"),
            **{f"/docs/{name}": Response(200, (folder / name).read_bytes(), kind) for name, kind in _ASSETS.items()},
        }

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        version = f"{v2}/versions/{self.scorer.version}"
        return {
            "openapi": "3.1.0",
            "info": {
                "title": f"Model {self.name}",
                "version": self.scorer.version,
                "description": self._description(),
            },
            "tags": [
                {"name": "Predict", "description": "Rows in, predictions out."},
                {"name": "Model", "description": "What serves, and whether it is ready."},
            ],
            "paths": {
                f"{v1}:predict": _post("Predict rows (V1)", self._v1_body(), "V1Answer"),
                f"{v1}:explain": _post("Predict rows and explain each (V1)", self._v1_body(), "V1Answer"),
                f"{v2}/infer": _post("Predict columns (V2, Open Inference Protocol)", self._v2_body(), "V2Answer"),
                f"{version}/infer": _post("Predict columns with this version (V2)", self._v2_body(), "V2Answer"),
                "/v1/models": _get("Models that are served (V1)"),
                v1: _get("Whether the model is ready (V1)", 503),
                "/v2": _get("About the server"),
                "/v2/models": _get("Models that are served (V2)"),
                v2: _get("Inputs and outputs of the model, with types, ranges and categories"),
                version: _get("Inputs and outputs of this version"),
                f"{v2}/ready": _get("Whether the model is ready (V2)", 503),
                f"{version}/ready": _get("Whether this version is ready", 503),
                "/v2/health/live": _get("Whether the server lives"),
                "/v2/health/ready": _get("Whether the server is ready", 503),
                "/metrics": _get("Figures in Prometheus' format", kind="text/plain"),
            },
            "components": {"schemas": self._schemas()},
        }

    def _description(self) -> str:
        schema = self.schema
        what = {
            "binary": f"Predicts `{schema.target}`: one of two classes, with their probabilities.",
            "multiclass": f"Predicts `{schema.target}`: one of {len(schema.classes)} classes, with probabilities.",
            "regression": f"Predicts `{schema.target}`: a number.",
        }[schema.task]
        extras = extra_columns(schema)
        also = f" A row may also carry {', '.join(f'`{name}`' for name in extras)}, to be logged." if extras else ""
        return (
            f"{what} Each row has {len(schema.features)} columns, by name and in any order.{also} "
            'Every error is `{"error": "…"}`, and every answer has the header `X-Request-Id`.'
        )

    def _v1_body(self) -> dict[str, Any]:
        return {"schema": {"$ref": "#/components/schemas/V1Request"}, "example": {"instances": [self.row]}}

    def _v2_body(self) -> dict[str, Any]:
        inputs = [
            {"name": f.name, "shape": [1], "datatype": DATATYPES[f.kind], "data": [self.row[f.name]]}
            for f in self.schema.features
        ]
        return {"schema": {"$ref": "#/components/schemas/V2Request"}, "example": {"inputs": inputs}}

    def _schemas(self) -> dict[str, Any]:
        features = self.schema.features
        parameters = {"type": "object", "properties": {"explain": {"type": "boolean", "default": False}}}
        values = {"type": ["number", "string", "boolean", "null"]}
        tensor = {
            "type": "object",
            "required": ["name", "shape", "datatype", "data"],
            "properties": {
                "name": {"type": "string", "enum": [f.name for f in features]},
                "shape": {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1, "maxItems": 2},
                "datatype": {"type": "string", "enum": sorted({DATATYPES[f.kind] for f in features})},
                "data": {"type": "array", "items": values, "minItems": 1},
            },
        }
        return {
            "Row": {
                "type": "object",
                "required": [f.name for f in features],
                "properties": {f.name: _property(f) for f in features},
            },
            "V1Request": {
                "type": "object",
                "required": ["instances"],
                "properties": {
                    "instances": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}},
                    "parameters": parameters,
                },
            },
            "V1Answer": {
                "type": "object",
                "required": ["predictions", "model_version"],
                "properties": {
                    "predictions": {"type": "array", "items": _answer(self.schema)},
                    "model_version": {"type": "string"},
                },
                "example": {"predictions": [self.answer], "model_version": self.scorer.version},
            },
            "V2Request": {
                "type": "object",
                "required": ["inputs"],
                "properties": {
                    "id": {"type": "string"},
                    "parameters": parameters,
                    "inputs": {"type": "array", "minItems": 1, "items": tensor},
                    "outputs": {"type": "array", "items": {"type": "object", "required": ["name"]}},
                },
            },
            "V2Answer": {
                "type": "object",
                "required": ["model_name", "model_version", "outputs"],
                "properties": {
                    "model_name": {"type": "string"},
                    "model_version": {"type": "string"},
                    "id": {"type": "string"},
                    "outputs": {"type": "array", "items": {"type": "object"}},
                },
            },
            "Error": {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}},
        }


def _property(feature: Feature) -> dict[str, Any]:
    """A column of a row; its range and categories are told, not enforced."""
    found = dict(_TYPES[feature.kind])
    if feature.nullable:
        kinds = found["type"] if isinstance(found["type"], list) else [found["type"]]
        found["type"] = [*kinds, "null"]
    if feature.categories:
        more = ", …" if feature.cardinality > _SHOWN_CATEGORIES else ""
        shown = ", ".join(feature.categories[:_SHOWN_CATEGORIES])
        found["description"] = f"One of {feature.cardinality} categories: {shown}{more}. Others are answered too."
    elif feature.minimum is not None and feature.kind in ("number", "integer"):
        found["description"] = f"From {feature.minimum:g} to {feature.maximum:g} in training. Others are answered too."
    return found


def _answer(schema: Schema) -> dict[str, Any]:
    if schema.task == "regression":
        return {"type": "object", "required": ["value"], "properties": {"value": {"type": "number"}}}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "type": "object",
        "required": ["label", "probabilities"],
        "properties": {
            "label": {"enum": schema.classes},
            "probabilities": {
                "type": "object",
                "properties": {label_name(label): share for label in schema.classes},
            },
        },
    }


_ERRORS = {
    400: "The request does not fit; the error names row and column.",
    413: "The body is too large, or has too many rows.",
    415: "The body is compressed in a way that is not known.",
    503: "Too busy for another large request, or not ready.",
    504: "The answer took too long.",
}


def _post(summary: str, body: dict[str, Any], answer: str) -> dict[str, Any]:
    return {
        "post": {
            "tags": ["Predict"],
            "summary": summary,
            "requestBody": {"required": True, "content": {"application/json": body}},
            "responses": {
                "200": _response("The predictions.", {"$ref": f"#/components/schemas/{answer}"}),
                **{str(status): _error(text) for status, text in _ERRORS.items()},
            },
        }
    }


def _get(summary: str, *errors: int, kind: str = "application/json") -> dict[str, Any]:
    responses = {"200": {"description": "As asked.", "content": {kind: {"schema": {}}}}}
    responses |= {str(status): {"description": "Not ready.", "content": {kind: {"schema": {}}}} for status in errors}
    return {"get": {"tags": ["Model"], "summary": summary, "responses": responses}}


def _response(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _error(description: str) -> dict[str, Any]:
    return _response(description, {"$ref": "#/components/schemas/Error"})
