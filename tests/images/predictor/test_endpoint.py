"""What is answered at which path, in one process with the HTTP server before it."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from components.shared.config import InferenceLogConfig, ServingConfig
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden
from components.shared.package.schema import Schema
from components.shared.request_figures import REQUESTS
from components.shared.tasks import TASKS
from images.predictor import figures
from images.predictor.endpoint import Endpoint
from images.predictor.figures import Described, families
from images.predictor.http_paths import HttpPaths
from images.predictor.messages import Reason
from images.predictor.metrics import Meters
from images.predictor.package import load_package
from images.predictor.recorder import Recorder
from images.predictor.transports.base import Limits
from images.predictor.transports.http import HttpTransport
from tests.images.predictor.wire import Answer, Client, bound_socket

V1 = "/v1/models/demo"
V2 = "/v2/models/demo"


@dataclass
class Served:
    """An endpoint under test."""

    endpoint: Endpoint
    paths: HttpPaths
    meters: Meters
    port: int
    golden: list[Any]

    async def connect(self) -> Client:
        return Client(*await asyncio.open_connection("127.0.0.1", self.port))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        client = await self.connect()
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await client.send(f"{method} {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body)
        answer = await client.answer(body=method != "HEAD")
        client.writer.close()
        return answer

    async def post(self, path: str, content: Any, **headers: str) -> Answer:
        return await self.ask("POST", path, json.dumps(content).encode(), **headers)

    def rows(self, count: int = 1, **more: Any) -> dict[str, Any]:
        return {"instances": [self.golden[number % 5].row for number in range(count)], **more}

    def columns(self, count: int = 1, **more: Any) -> dict[str, Any]:
        from images.predictor.protocols.tensors import DATATYPES

        inputs = [
            {"name": f.name, "shape": [count], "datatype": DATATYPES[f.kind],
             "data": [self.golden[number % 5].row[f.name] for number in range(count)]}
            for f in self.endpoint.scorer.schema.features
        ]  # fmt: skip
        return {"inputs": inputs, **more}

    def counted(self, protocol: str, status: int) -> float:
        return self.meters.total(REQUESTS, protocol, str(status))


Scenario = Callable[[Served], Awaitable[None]]


@pytest.fixture
def run(packages):
    def start(scenario: Scenario, task: str = "binary", **settings: Any) -> None:
        uvloop.run(main(scenario, packages(task), ServingConfig(**settings)))

    return start


async def main(scenario: Scenario, package: Any, settings: ServingConfig) -> None:
    async with serving(package, settings) as served:
        await scenario(served)


@asynccontextmanager
async def serving(package: Any, settings: ServingConfig) -> AsyncIterator[Served]:
    scorer, manifest = load_package(package)
    meters = Meters(families(Described("demo", manifest.version, Schema.read(package), (1.0, 2.0))))
    recorder = Recorder(scorer, InferenceLogConfig(enabled=False), meters, None)
    recorder.start()
    endpoint = Endpoint("demo", scorer, package, settings=settings, meters=meters, recorder=recorder)
    limits = Limits(int(settings.body_megabytes * 1e6), 64_000_000)
    bound = bound_socket()
    port = bound.getsockname()[1]
    server, paths = HttpTransport([bound], limits), HttpPaths(endpoint)
    await server.serve(paths)
    try:
        yield Served(endpoint, paths, meters, port, read_golden(package))
    finally:
        await server.close(3.0)
        endpoint.close()
        await asyncio.to_thread(recorder.close, 2.0)
    assert server.waiting_bytes == 0


def test_paths(run):
    async def scenario(served):
        version = served.endpoint.scorer.version
        for path in (
            *(
                "/",
                "/v1/models",
                V1,
                "/v2",
                "/v2/models",
                "/v2/health/live",
                "/v2/health/ready",
                V2,
                f"{V2}/ready",
            ),
            *(f"{V2}/versions/{version}", f"{V2}/versions/{version}/ready", "/openapi.json", "/docs", "/metrics"),
            *("/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js", "/docs/favicon-32x32.png"),
            *("/v1/models/%64emo", f"{V1}?a=b", f"http://host:80{V1}", "HTTP://host"),
        ):
            answer = await served.ask("GET", path)
            assert answer.status == 200, path
            head = await served.ask("HEAD", path)
            assert head.status == 200
            if path != "/metrics":
                assert head.headers["content-length"] == str(len(answer.body))
            refused = await served.ask("DELETE", path)
            assert (refused.status, refused.headers["allow"]) == (405, "get, head")
            assert "DELETE is not possible" in refused.error
        for path in (f"{V1}:predict", f"{V1}:explain", f"{V2}/infer", f"{V2}/versions/{version}/infer"):
            refused = await served.ask("GET", path)
            assert (refused.status, refused.headers["allow"]) == (405, "post")
        for path, message in (
            ("/nothing", "There is nothing at '/nothing'; /docs lists"),
            ("/v1/models/other", "Model 'other' is not served here; expected 'demo'"),
            ("/v1/models/other:predict", "Model 'other' is not served"),
            ("/v2/models/other/infer", "Model 'other' is not served"),
            (f"{V2}/versions/9/infer", f"version {version} is"),
            (f"{V1}:nothing", "There is nothing"),
            ("/" + "x" * 5000, "There is nothing"),
            ("/%ff%00", "There is nothing"),
            ("*", "There is nothing"),
            ("/../../etc/passwd", "There is nothing"),
        ):
            for method in ("GET", "POST"):
                answer = await served.ask(method, path)
                assert answer.status == 404
                assert message in answer.error
                assert len(answer.error) < 400
        assert served.counted("other", 404) == 20

    run(scenario)


def test_predictions(run):
    async def scenario(served):
        version = served.endpoint.scorer.version
        for path in (f"{V1}:predict", f"{V1}:predict?a=b", "/v1/models/demo%3Apredict"):
            answer = await served.post(path, served.rows(5))
            assert json.loads(answer.body) == {
                "predictions": [item.answer for item in served.golden],
                "model_version": version,
            }
        for path in (f"{V2}/infer", f"{V2}/versions/{version}/infer"):
            answer = json.loads((await served.post(path, served.columns(5))).body)
            assert answer["outputs"][1]["data"] == [str(item.answer["label"]).lower() for item in served.golden]
        assert served.counted("v1", 200) == 3
        assert served.counted("v2", 200) == 2
        assert served.meters.total(figures.ROWS, "demo") == 25

    run(scenario)


def test_requests_that_arrive_together_get_their_own_answers(run):
    async def scenario(served):
        async def ask(number: int) -> None:
            item = served.golden[number % 5]
            if number % 4 == 0:
                answer = await served.post(f"{V1}:predict", {"instances": [{**item.row, "visits": "wrong"}]})
                assert answer.status == 400
            elif number % 4 == 1:
                day = {**item.row, "opened at": item.row["opened at"][:10]}  # read the slow way
                answer = await served.post(f"{V1}:predict", {"instances": [day]})
                assert not differences([item], json.loads(answer.body)["predictions"])
            elif number % 4 == 2:
                tensors = [{**one, "data": [item.row[one["name"]]]} for one in served.columns()["inputs"]]
                answer = await served.post(f"{V2}/infer", {"inputs": tensors, "id": str(number)})
                assert json.loads(answer.body)["id"] == str(number)
                found = json.loads(answer.body)["outputs"][0]["data"]
                assert found == pytest.approx(list(item.answer["probabilities"].values()), abs=1e-5)
            else:
                answer = await served.post(f"{V1}:predict", {"instances": [item.row] * 3})
                assert not differences([item] * 3, json.loads(answer.body)["predictions"])

        await asyncio.gather(*(ask(number) for number in range(80)))

    run(scenario)


def test_a_request_that_cannot_be_scored_fails_alone(run, monkeypatch):
    async def scenario(served):
        scorer = served.endpoint.scorer
        score = scorer.score

        def failing(inputs):
            if "poison" in inputs.categories:
                raise RuntimeError("the graph fails")
            return score(inputs)

        monkeypatch.setattr(scorer, "score", failing)
        good, bad = served.rows(), {"instances": [{**served.golden[0].row, "colour": "poison"}]}
        answers = await asyncio.gather(*(served.post(f"{V1}:predict", body) for body in (good, bad, good, bad)))
        assert [answer.status for answer in answers] == [200, 500, 200, 500]
        assert "request id" in answers[1].error
        assert (await served.post(f"{V1}:predict", bad)).status == 500

    run(scenario)


def test_rows_of_a_request_that_got_no_predictions_are_not_counted(run, monkeypatch):
    async def scenario(served):
        codec = served.paths.v1.codec
        write = codec.write

        def failing(query, scores, explanation):
            if len(query) == 3:
                raise RuntimeError("the answer cannot be written")
            return write(query, scores, explanation)

        monkeypatch.setattr(codec, "write", failing)
        bodies = [served.rows(count) for count in (1, 3, 2)]
        answers = await asyncio.gather(*(served.post(f"{V1}:predict", body) for body in bodies))
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert served.meters.total(figures.ROWS, "demo") == 3
        await predicted(served, 3)

    run(scenario)


@pytest.mark.parametrize("path", [f"{V1}:predict", f"{V1}:explain"])
def test_rows_of_a_request_whose_client_has_gone_are_counted_like_any_others(run, path):
    """As requests, as rows, and by what was predicted, which is what the log gets: all of them or none."""

    async def scenario(served):
        body = json.dumps(served.rows(20)).encode()
        for _ in range(5):
            client = await served.connect()
            await client.send(f"POST {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            client.writer.transport.abort()
        await asyncio.sleep(0.5)
        assert (await served.post(path, served.rows(20))).status == 200
        for _ in range(200):  # what is still worked on
            if served.endpoint._queued == 0:
                break
            await asyncio.sleep(0.05)
        requests = served.counted("v1", 200)
        assert 1 <= requests <= 6
        assert served.meters.total(figures.ROWS, "demo") == 20 * requests
        await predicted(served, int(20 * requests))

    run(scenario)


async def predicted(served: Served, rows: int) -> None:
    """Wait until the recorder has counted so many predictions, no more."""

    def found() -> float:
        return sum(served.meters.total(figures.PREDICTIONS, label) for label in ("false", "true"))

    for _ in range(100):
        if found() >= rows:
            break
        await asyncio.sleep(0.05)
    assert found() == rows


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_numbers_too_large_to_calculate_with(run, task):
    async def scenario(served):
        good = served.golden[0].row
        large = [{**good, "amount": 3e38, "visits": sign * 3e38} for sign in (1, -1)]
        bad = {"instances": [good, *large]}
        answers = await asyncio.gather(
            *(served.post(f"{V1}:predict", body) for body in (served.rows(), bad, served.rows()))
        )
        for answer in (answers[1], await served.post(f"{V1}:explain", bad)):
            assert answer.status in (200, 400)
            assert answer.status == 400 or b"null" not in answer.body
        if not TASKS[task].has_classes:
            assert "Row 1: the model has no finite answer" in answers[1].error or "Row 2" in answers[1].error
        assert [answers[0].status, answers[2].status] == [200, 200]

    run(scenario, task)


def test_readiness(run):
    async def scenario(served):
        served.endpoint.ready = False
        for path in (V1, "/v2/health/ready", f"{V2}/ready"):
            answer = await served.ask("GET", path)
            assert answer.status == 503
            assert json.loads(answer.body)["ready"] is False
        assert (await served.ask("GET", "/v2/health/live")).status == 200
        assert (await served.post(f"{V1}:predict", served.rows())).status == 200  # who still asks is answered

    run(scenario)


def test_metadata(run):
    async def scenario(served):
        metadata = json.loads((await served.ask("GET", V2)).body)
        assert [one["name"] for one in metadata["inputs"]] == ["amount", "visits", "member", "colour", "opened at"]
        assert metadata["inputs"][0]["parameters"] == {
            "kind": "number", "nullable": True, "minimum": -5.0, "maximum": 5.0
        }  # fmt: skip
        assert metadata["outputs"][0]["parameters"]["classes"] == ["false", "true"]

    run(scenario)


def test_compressed_bodies(run):
    async def scenario(served):
        body = json.dumps(served.rows(5)).encode()
        for encoding, content in (
            ("gzip", gzip.compress(body)), ("x-gzip", gzip.compress(body)), ("deflate", zlib.compress(body)),
            ("identity", body), ("GZIP", gzip.compress(body)),
        ):  # fmt: skip
            answer = await served.ask("POST", f"{V1}:predict", content, Content_Encoding=encoding)
            assert len(json.loads(answer.body)["predictions"]) == 5
        for content, status, message in (
            (gzip.compress(body)[:-5], 400, "cut short"),
            (gzip.compress(body) + b"more", 400, "something follows"),
            (b"", 400, "cut short"),
            (body, 400, "no gzip"),
            (gzip.compress(b" " * 200_001), 413, "200,000 bytes once decompressed"),
            (gzip.compress(b" " * 150_000_000), 413, "200,000 bytes once decompressed"),
            (gzip.compress(b"{"), 400, "not JSON"),
        ):
            answer = await served.ask("POST", f"{V1}:predict", content, Content_Encoding="gzip")
            assert (answer.status, message in answer.error) == (status, True), message
        for encoding in ("br", "gzip, gzip", "x" * 500):
            answer = await served.ask("POST", f"{V1}:predict", body, Content_Encoding=encoding)
            assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate")
            assert len(answer.error) < 200

    run(scenario, body_megabytes=0.2)


def test_large_requests_leave_room_for_small_ones(run):
    async def scenario(served):
        large = [asyncio.create_task(served.post(f"{V1}:predict", served.rows(3000))) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert (await served.post(f"{V1}:predict", served.rows())).status == 200
        for task in large:
            answer = await task
            assert [item["label"] for item in json.loads(answer.body)["predictions"][:5]] == [
                item.answer["label"] for item in served.golden
            ]
        assert served.meters.total(figures.ROWS, "demo") == 9001
        assert served.meters.total(figures.QUEUED, "demo") == 0
        assert (
            len(json.loads((await served.post(f"{V2}/infer", served.columns(5000))).body)["outputs"][1]["data"]) == 5000
        )
        answer = await served.post(f"{V1}:predict", served.rows(10_001))
        assert (answer.status, "10,001 rows; at most 10,000" in answer.error) == (413, True)

    run(scenario)


def test_a_full_queue(run):
    async def scenario(served):
        asked = [served.post(f"{V1}:explain", served.rows(20)) for _ in range(12)]
        answers = await asyncio.gather(*asked)
        statuses = [answer.status for answer in answers]
        assert set(statuses) == {200, 503}
        assert 3 <= statuses.count(200) < 12
        busy = next(answer for answer in answers if answer.status == 503)
        assert busy.headers["retry-after"] == "1"
        assert "waiting already" in busy.error
        assert served.meters.total(figures.QUEUED, "demo") == 0
        assert (await served.post(f"{V1}:explain", served.rows())).status == 200

    run(scenario, queue=3)


def test_an_answer_that_takes_too_long(run, slow_walks):
    async def scenario(served):
        answer = await served.post(f"{V1}:explain", served.rows(100))
        assert (answer.status, "took longer than 0.001 s" in answer.error) == (504, True)
        assert served.counted("v1", 504) == 1

    run(scenario, request_seconds=0.001)


@pytest.mark.parametrize("task", TASKS)
def test_explanations_add_up(run, task):
    async def scenario(served):
        found = [
            (await served.post(path, served.rows(5, **more))).body
            for path, more in ((f"{V1}:explain", {}), (f"{V1}:explain", {}), (f"{V1}:predict", EXPLAIN))
        ]
        assert found[0] == found[1] == found[2]
        for prediction in json.loads(found[0])["predictions"]:
            explained = prediction["explanation"]["of"]
            each = explained if isinstance(explained, dict) else {explained: prediction["explanation"]}
            for name, part in each.items():
                assert set(part["contributions"]) == {"amount", "visits", "member", "colour", "opened at"}
                expected = prediction["probabilities"][name] if TASKS[task].has_classes else prediction["value"]
                assert part["base"] + sum(part["contributions"].values()) == pytest.approx(expected, abs=1e-5)
        answer = json.loads((await served.post(f"{V2}/infer", served.columns(5, **EXPLAIN))).body)
        outputs = {output["name"]: output for output in answer["outputs"]}
        values = np.reshape(outputs["contributions"]["data"], outputs["contributions"]["shape"])
        base = np.reshape(outputs["base"]["data"], outputs["base"]["shape"])
        scores = np.reshape(outputs[served.endpoint.scorer.output]["data"], (5, -1))
        assert outputs["contributions"]["parameters"]["features"] == served.endpoint.scorer.schema.columns
        expected = scores[:, 1:] if TASKS[task].has_positive_class else scores
        assert base + values.sum(axis=1) == pytest.approx(expected, abs=1e-5)

    run(scenario, task)


EXPLAIN = {"parameters": {"explain": True}}


def test_explanations_have_a_limit_of_rows(run):
    async def scenario(served):
        answer = await served.post(f"{V1}:explain", served.rows(101))
        assert answer.status == 413
        assert "100" in answer.error
        assert (await served.post(f"{V2}/infer", served.columns(101, **EXPLAIN))).status == 413

    run(scenario)


def test_explanations_have_a_limit_of_work(run, monkeypatch):
    monkeypatch.setattr("components.shared.shapley._SCORED_ROWS", 400)  # five features: 40 rows times background rows

    async def scenario(served):
        assert (await served.post(f"{V1}:explain", served.rows(2))).status == 200
        for path, content in (
            (f"{V1}:explain", served.rows(3)),
            (f"{V1}:predict", served.rows(3, **EXPLAIN)),
            (f"{V2}/infer", served.columns(3, **EXPLAIN)),
        ):
            answer = await served.post(path, content)
            assert answer.status == 413
            assert "asks to explain 3 rows; at most 2 are allowed for a model of 5 features" in answer.error

    run(scenario)


def test_a_model_of_too_many_features_is_not_explained(run, monkeypatch):
    monkeypatch.setattr("components.shared.shapley._SCORED_ROWS", 39)

    async def scenario(served):
        answer = await served.post(f"{V1}:explain", served.rows())
        assert (answer.status, "too many to explain even one row" in answer.error) == (413, True)
        assert (await served.post(f"{V1}:predict", served.rows())).status == 200

    run(scenario)


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_an_explanation_is_given_up_when_its_client_leaves(run, slow_walks, leave):
    async def scenario(served):
        client = await served.connect()
        body = json.dumps(served.rows(2)).encode()
        await client.send(f"POST {V1}:explain HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        while not slow_walks:
            await asyncio.sleep(0.01)
        client.writer.transport.abort() if leave == "reset" else client.writer.close()
        deadline = time.monotonic() + 10
        while not served.counted("v1", 408):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert len(slow_walks) < 2 * served.endpoint._explainer.background_rows
        assert served.meters.total(figures.QUEUED, "demo") == 0
        assert served.meters.total(figures.ROWS, "demo") == 0

    run(scenario)


def test_request_ids(run):
    async def scenario(served):
        for path in (f"{V1}:predict", f"{V1}:explain"):
            answer = await served.post(path, served.rows(), X_Request_Id="mine-7")
            assert answer.headers["x-request-id"] == "mine-7"
            assert len((await served.post(path, served.rows())).headers["x-request-id"]) > 16
        assert (await served.post(f"{V1}:predict", {}, X_Request_Id="mine-8")).headers["x-request-id"] == "mine-8"
        assert (await served.ask("GET", "/nothing", X_Request_Id="mine-9")).headers["x-request-id"] == "mine-9"

    run(scenario)


def test_binary_requests_and_answers(run):
    async def scenario(served):
        head = json.dumps(served.columns(2, parameters={"binary_data_output": True})).encode()
        answer = await served.ask("POST", f"{V2}/infer", head, Inference_Header_Content_Length=str(len(head)))
        assert answer.headers["content-type"] == "application/octet-stream"
        length = int(answer.headers["inference-header-content-length"])
        assert json.loads(answer.body[:length])["outputs"][0]["parameters"]["binary_data_size"] == 16
        large = json.dumps(served.columns(3000)).encode()
        answer = await served.ask("POST", f"{V2}/infer", large, Inference_Header_Content_Length=str(len(large) + 1))
        assert answer.status == 400

    run(scenario)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_figures(run, task):
    async def scenario(served):
        row = {**served.golden[0].row, "amount": 99.0, "colour": "new", "opened at": None}
        await served.post(f"{V1}:predict", {"instances": [row, row]})
        await served.post(f"{V2}/infer", served.columns())
        await served.post(f"{V1}:predict", {})
        await served.post(f"{V1}:explain", served.rows())
        await asyncio.sleep(0.7)
        answer = await served.ask("GET", "/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(answer.body.decode())
            for sample in family.samples
        }
        assert found["fullcircle_requests_total", "v1", "200"] == 2
        assert found["fullcircle_requests_total", "v1", "400"] == 1
        assert found["fullcircle_rows_total", "demo"] == 4
        assert found["fullcircle_unseen_categories_total", "colour"] == 2
        assert found["fullcircle_out_of_range_values_total", "amount"] == 2
        assert found["fullcircle_missing_values_total", "opened at"] == 2
        for step in ("preprocess", "predict", "postprocess", "explain"):
            assert f"request_{step}_seconds_count" in {name for name, *_ in found}
            assert found[f"request_{step}_seconds_count", "demo"] >= 1, step
        assert found["request_predict_seconds_count", "demo"] == 3
        if TASKS[task].has_positive_class:
            assert found["fullcircle_predictions_total", "true"] + found["fullcircle_predictions_total", "false"] == 4
        else:
            assert found["fullcircle_predicted_value_count",] == 4

    run(scenario, task)


def test_every_reason_is_counted():
    assert set(figures.STATUS_OF) == {None, *Reason}
    assert sorted(figures.STATUS_OF.values()) == [200, 400, 404, 405, 408, 413, 415, 431, 500, 503, 504]
