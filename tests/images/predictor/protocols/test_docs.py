"""The OpenAPI document and its page."""

import shutil
import subprocess
from functools import cache
from typing import Any

import jsonschema
import orjson
import pytest

from components.shared.config import ServingConfig
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from images.predictor.protocols.docs import Docs
from images.predictor.protocols.records import Records
from images.predictor.protocols.v1 import V1
from images.predictor.protocols.v2 import V2
from tests.images.predictor.test_endpoint import main


@cache
def openapi_validator() -> Any:
    from schemathesis.specs.openapi import definitions

    return definitions.OPENAPI_30_VALIDATOR


@pytest.fixture(params=TASKS)
def docs(packages, request):
    package = packages(request.param)
    return Docs("demo", Scorer.load(package, version="7"), package)


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema of the document as a JSON Schema that stands by itself."""
    found: dict[str, Any] = spelt({**schema, "components": document["components"]})
    return found


def spelt(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has a type of its own."""
    if isinstance(schema, list):
        return [spelt(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: spelt(item) for name, item in schema.items() if name != "nullable"}
    return {**found, "type": [found["type"], "null"]} if schema.get("nullable") is True else found


def test_it_is_an_openapi_document(docs):
    document = orjson.loads(orjson.dumps(docs.document()))
    assert not list(openapi_validator().iter_errors(document))
    assert not openapi_validator().is_valid({**document, "paths": {"no-slash": {}}})
    for path, methods in document["paths"].items():
        for method in methods.values():
            assert "200" in method["responses"], path
            assert {"400", "408", "431"} < set(method["responses"])


def test_its_examples_are_answered_as_it_says(docs):
    document = docs.document()
    scorer = docs.scorer
    schemas = document["components"]["schemas"]

    v1, v2 = V1(scorer, extra="refuse", rows=10), V2("demo", scorer, extra="refuse", rows=10)
    bodies = {
        path: methods["post"]["requestBody"]["content"]["application/json"]
        for path, methods in document["paths"].items()
        if "post" in methods
    }
    assert len(bodies) == 4
    for path, body in bodies.items():
        jsonschema.validate(body["example"], resolved(document, body["schema"]))
        text = orjson.dumps(body["example"])
        if path.startswith("/v1"):
            query = v1.read(text)
            answer = orjson.loads(v1.write(scorer.score(Records(scorer.schema).tensors(query.records)), None))
            jsonschema.validate(answer, resolved(document, schemas["V1Answer"]))
            assert list(answer) == list(schemas["V1Answer"]["example"])
        else:
            query = v2.read(text, b"")
            answer = orjson.loads(v2.write(query, scorer.score(query.inputs), None)[0])
            jsonschema.validate(answer, resolved(document, schemas["V2Answer"]))


def test_columns_are_described(docs):
    row = docs.document()["components"]["schemas"]["Row"]
    assert row["required"] == ["amount", "visits", "member", "colour", "opened at"]
    assert (row["properties"]["amount"]["type"], row["properties"]["amount"]["nullable"]) == ("number", True)
    assert "nullable" not in row["properties"]["visits"]
    assert "From -5 to 5 in training" in row["properties"]["amount"]["description"]
    assert "One of 3 categories: röt, blue 青, green." in row["properties"]["colour"]["description"]
    assert "`id`" in docs.document()["info"]["description"]


def test_without_the_page_the_document_is_still_there(docs, monkeypatch):
    monkeypatch.setattr("images.predictor.protocols.docs.find_spec", lambda name: None)
    assert list(docs.files()) == ["/openapi.json"]


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs a browser")
def test_the_page_in_a_browser(packages, tmp_path):
    import asyncio

    import uvloop

    async def scenario(served):
        command = [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=15000", "--dump-dom"),
            *(f"--user-data-dir={tmp_path}", f"http://127.0.0.1:{served.port}/docs"),
        ]
        done = await asyncio.to_thread(
            subprocess.run, command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60, check=True
        )
        page = done.stdout.decode()
        for text in ("Model demo", "Predict rows (V1)", "Figures in Prometheus", "/v2/health/ready"):
            assert text in page
        assert "Unable to render" not in page
        assert "Parser error" not in page

    uvloop.run(main(scenario, packages(), ServingConfig()))


@pytest.mark.parametrize("zoned", [True, False])
def test_times_are_described_as_the_endpoint_takes_them(packages, zoned):
    package = packages("binary")
    scorer = Scorer.load(package, version="7")
    features = [
        feature.model_copy(update={"zoned": zoned}) if feature.kind == "timestamp" else feature
        for feature in scorer.schema.features
    ]
    schema = scorer.schema.model_copy(update={"features": features})
    document = Docs("demo", Scorer(scorer.session, schema, version="7"), package).document()
    described = document["components"]["schemas"]["Row"]["properties"]["opened at"]
    if zoned:
        assert described["format"] == "date-time"
        assert "with its zone" in described["description"]
    else:
        assert "without a zone" in described["description"]
        jsonschema.validate("2024-01-01T06:00:00", spelt(described))
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate("2024-01-01T06:00:00Z", spelt(described))
