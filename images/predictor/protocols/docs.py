"""The page at `/docs`: what can be asked here, with an example that works.

An endpoint that describes itself needs no page that somebody keeps up to date: columns, types and ranges are those of
the schema, and the example is a golden request of the package, which the server has just answered rightly. Ranges and
categories are told and not enforced, as the endpoint answers values that training did not have.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from components.shared.package.model_package import read_golden
from components.shared.package.schema import Feature, Schema
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from images.predictor.messages import Response
from images.predictor.protocols.tensors import DATATYPES

_LARGEST = 3.4e38  # what a float32 holds
_TYPES: dict[str, dict[str, Any]] = {
    "number": {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
    "integer": {"type": "integer", "minimum": -(2**53), "maximum": 2**53},
    "boolean": {"type": "boolean"},
    "category": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    "timestamp": {"type": "string", "format": "date-time"},
}
_LOCAL_TIME = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}([T ][\d:.,]+)?$",
    "description": "A date and time without a zone, by the clock of the training data.",
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
            return {"/openapi.json": Response(json.dumps(self.document()).encode())}
        folder = next((Path(found.origin).parent / "vendor").glob("swagger-ui-*"))
        title = f"{self.name} {self.scorer.version}"
        return {
            "/openapi.json": Response(json.dumps(self.document()).encode()),
            "/docs": Response(_PAGE.format(title=title).encode(), b"text/html; charset=utf-8"),
            **{f"/docs/{name}": Response((folder / name).read_bytes(), kind) for name, kind in _ASSETS.items()},
        }

    def document(self) -> dict[str, Any]:
        """The OpenAPI document."""
        v1, v2 = f"/v1/models/{self.name}", f"/v2/models/{self.name}"
        version = f"{v2}/versions/{self.scorer.version}"
        metadata = {"$ref": "#/components/schemas/Metadata"}
        return {
            "openapi": "3.0.3",
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
                f"{v2}/infer": _post(
                    "Predict columns (V2, Open Inference Protocol)", self._v2_body(), "V2Answer", binary=True
                ),
                f"{version}/infer": _post(
                    "Predict columns with this version (V2)", self._v2_body(), "V2Answer", binary=True
                ),
                "/v1/models": _get("Models that are served (V1)", _object(models=_TEXTS)),
                v1: _get("Whether the model is ready (V1)", _object(name=_TEXT, ready=_BOOLEAN), ready=True),
                "/v2": _get("About the server", _object(name=_TEXT, version=_TEXT, extensions=_TEXTS)),
                "/v2/models": _get("Models that are served (V2)", _object(models=_TEXTS)),
                v2: _get("Inputs and outputs of the model, with types, ranges and categories", metadata),
                version: _get("Inputs and outputs of this version", metadata),
                f"{v2}/ready": _get("Whether the model is ready (V2)", _object(name=_TEXT, ready=_BOOLEAN), ready=True),
                f"{version}/ready": _get(
                    "Whether this version is ready", _object(name=_TEXT, ready=_BOOLEAN), ready=True
                ),
                "/v2/health/live": _get("Whether the server lives", _object(live=_BOOLEAN)),
                "/v2/health/ready": _get("Whether the server is ready", _object(ready=_BOOLEAN), ready=True),
                "/metrics": _get("Figures in Prometheus' format", _TEXT, kind="text/plain"),
            },
            "components": {"schemas": self._schemas()},
        }

    def _description(self) -> str:
        schema = self.schema
        what = self.scorer.answer.about(schema)
        extras = schema.extras
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
        values = {"anyOf": [{"type": "number"}, {"type": "string", "nullable": True}, {"type": "boolean"}]}
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
        shape = {"type": "array", "items": {"type": "integer"}}
        described = _object(name=_TEXT, datatype=_TEXT, shape=shape, parameters={"type": "object"})
        output = _object(name=_TEXT, datatype=_TEXT, shape=shape) | {"description": "Its values are in `data`."}
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
                    "outputs": {"type": "array", "items": _object(name={"enum": list(self.scorer.answer.outputs)})},
                },
            },
            "V2Answer": {
                "type": "object",
                "required": ["model_name", "model_version", "outputs"],
                "properties": {
                    "model_name": {"type": "string"},
                    "model_version": {"type": "string"},
                    "id": {"type": "string"},
                    "outputs": {"type": "array", "minItems": 1, "items": output},
                },
            },
            "Metadata": _object(
                name=_TEXT,
                versions=_TEXTS,
                platform=_TEXT,
                inputs={"type": "array", "items": described},
                outputs={"type": "array", "items": described},
            ),
            "Error": _object(error=_TEXT),
        }


def _property(feature: Feature) -> dict[str, Any]:
    """A column of a row; its range and categories are told, not enforced."""
    found = dict(_TYPES[feature.kind])
    if feature.zoned is False:
        found = dict(_LOCAL_TIME)
    if feature.nullable:
        found = {"anyOf": [{**one, "nullable": True} for one in found.get("anyOf", [found])]}
        found = found["anyOf"][0] if len(found["anyOf"]) == 1 else found
    if feature.categories:
        more = ", …" if feature.cardinality > _SHOWN_CATEGORIES else ""
        shown = ", ".join(feature.categories[:_SHOWN_CATEGORIES])
        found["description"] = f"One of {feature.cardinality} categories: {shown}{more}. Others are answered too."
    elif feature.minimum is not None and feature.kind in ("number", "integer"):
        found["description"] = f"From {feature.minimum:g} to {feature.maximum:g} in training. Others are answered too."
    elif feature.zoned:
        found["description"] = "A date and time with its zone: Z or an offset such as -05:00."
    return found


def _answer(schema: Schema) -> dict[str, Any]:
    explanation = {
        "type": "object",
        "description": "Only when asked for: `base` and the `contributions` of the features add up to the prediction.",
    }
    found = TASKS[schema.task].answer.json_schema(schema)
    return {**found, "properties": {**found["properties"], "explanation": explanation}}


_REFUSED = {
    400: "The request does not fit, or is no HTTP; the error names row and column.",
    408: "The request did not arrive in time.",
    431: "The head of the request is too large.",
}
_ERRORS = {
    **_REFUSED,
    413: "The body is too large, or has too many rows.",
    415: "The body is compressed in a way that is not known.",
    500: "The server failed; its log says why, under the request id.",
    503: "Too busy for another large request; come back after `Retry-After` seconds.",
    504: "The answer took too long.",
}
_HEADERS = {
    "X-Request-Id": {
        "description": "The id that was sent along in this header, or a new one.", "schema": {"type": "string"}
    }
}  # fmt: skip
_RETRY = {
    "Retry-After": {"description": "Seconds to wait before the next attempt.", "schema": {"type": "string"}}
}  # fmt: skip
_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_ID = {
    "name": "X-Request-Id", "in": "header",
    "description": "Your id of this request: at most 128 visible ASCII characters.",
    "schema": {"type": "string", "maxLength": 128, "pattern": "^[!-~]+$"},
}  # fmt: skip
_HEADER_LENGTH = {
    "name": "Inference-Header-Content-Length", "in": "header",
    "description": "Only with binary tensors: length of the JSON they follow.",
    "schema": {"type": "integer", "minimum": 1},
}  # fmt: skip


def _post(summary: str, body: dict[str, Any], answer: str, *, binary: bool = False) -> dict[str, Any]:
    predictions = {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    more = _BINARY if binary else {}
    return {
        "post": {
            "tags": ["Predict"],
            "summary": summary,
            "parameters": [_ID, _HEADER_LENGTH] if binary else [_ID],
            "requestBody": {"required": True, "content": {"application/json": body, **more}},
            "responses": {
                "200": {"description": "The predictions.", "headers": _HEADERS, "content": predictions | more},
                **{str(status): _error(status, text) for status, text in _ERRORS.items()},
            },
        }
    }


def _get(
    summary: str, schema: dict[str, Any], *, ready: bool = False, kind: str = "application/json"
) -> dict[str, Any]:
    answer = {"headers": _HEADERS, "content": {kind: {"schema": schema}}}
    responses: dict[str, Any] = {"200": {"description": "As asked.", **answer}}
    responses |= {str(status): _error(status, text) for status, text in _REFUSED.items()}
    if ready:
        responses["503"] = {"description": "Not ready.", **answer}
    return {"get": {"tags": ["Model"], "summary": summary, "responses": responses}}


def _error(status: int, description: str) -> dict[str, Any]:
    return {
        "description": description,
        "headers": _HEADERS | (_RETRY if status == 503 else {}),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_BOOLEAN = {"type": "boolean"}
