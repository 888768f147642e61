"""gRPC of the Open Inference Protocol: KServe's own client, raw and typed tensors, and what is refused."""

import asyncio
import gzip
import warnings
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import uvloop

from components.shared.package.golden import differences
from images.predictor.messages import Reason
from images.predictor.protocols.open_inference import SERVICE, message
from images.predictor.protocols.tensors import DATATYPES, bytes_tensor
from images.predictor.transports.grpc import GRPC_STATUS
from tests.images.predictor.transports.clients import NAME, GrpcCalls, Served, serving, typed

TASKS = ("binary", "multiclass", "regression")


@pytest.fixture
def run(packages):
    def start(scenario: Any, task: str = "binary", **settings: Any) -> None:
        async def main() -> None:
            async with serving("grpc", packages(task), **settings) as served:
                await scenario(served, served.client())

        uvloop.run(main())

    return start


def request(served: Served, rows: int = 2, *, raw: bool = False, **changes: Any) -> Any:
    """A ModelInferRequest of golden rows."""
    asked = message("ModelInferRequest")(model_name=NAME, **changes)
    fields = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}
    for tensor in served.tensors(rows):
        kind = tensor["datatype"]
        item = asked.inputs.add(name=tensor["name"], datatype=kind, shape=[rows])
        values = typed(kind, tensor["data"])
        if raw:
            texts = [value.decode() for value in values] if kind == "BYTES" else None
            content = bytes_tensor(texts if texts is not None else np.array(values, dtype=_DTYPES[kind]))
            asked.raw_input_contents.append(content)
        else:
            getattr(item.contents, fields[kind]).extend(values)
    return asked


_DTYPES = {"FP64": "f8", "INT64": "i8", "BOOL": "?"}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("raw", [False, True])
def test_kserves_own_client(run, task, raw):
    async def scenario(served, _):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kserve's libraries, about one another
            import kserve

        client = kserve.InferenceGRPCClient(f"127.0.0.1:{served.port}")
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(NAME)
        tensors = []
        for tensor in served.tensors(5):
            kind = tensor["datatype"]
            values = typed(kind, tensor["data"])
            found = kserve.InferInput(tensor["name"], [5], kind, None if raw else values)
            if raw:
                found.set_data_from_numpy(np.array(values, dtype=_DTYPES.get(kind, object)), binary_data=True)
            tensors.append(found)
        asked = kserve.InferRequest(model_name=NAME, infer_inputs=tensors, request_id="42")
        answer = await client.infer(asked, headers=(("x-request-id", "mine"),))
        await client.close()
        assert (answer.id, answer.model_name, answer.model_version) == ("42", NAME, served.endpoint.scorer.version)
        scores = np.asarray(answer.outputs[0].as_numpy(), dtype=np.float32)
        shape = (5,) if task == "regression" else (5, -1)
        assert not differences(served.golden, served.endpoint.scorer.answers(scores.reshape(shape)))
        if task != "regression":
            labels = [one.decode() if isinstance(one, bytes) else one for one in answer.outputs[1].as_numpy()]
            assert labels == [str(item.answer["label"]).lower() for item in served.golden]

    run(scenario, task)


def test_metadata(run):
    async def scenario(served, client):
        live, _ = await client.call("ServerLive", message("ServerLiveRequest")())
        assert live.live
        server, _ = await client.call("ServerMetadata", message("ServerMetadataRequest")())
        assert (server.name, server.version) == ("fullcircle", "1")
        version = served.endpoint.scorer.version
        described, _ = await client.call("ModelMetadata", message("ModelMetadataRequest")(name=NAME, version=version))
        assert list(described.versions) == [version]
        assert {item.name: item.datatype for item in described.inputs} == {
            feature.name: DATATYPES[feature.kind] for feature in served.endpoint.scorer.schema.features
        }
        assert [list(item.shape) for item in described.outputs] == [[-1, 2], [-1]]
        ready, metadata = await client.call("ModelReady", message("ModelReadyRequest")(name=NAME), request_id="r1")
        assert ready.ready
        assert metadata["x-request-id"] == "r1"
        for method, asked in (
            ("ModelReady", {"name": "other"}), ("ModelMetadata", {"name": NAME, "version": "9"}),
        ):  # fmt: skip
            with pytest.raises(grpc.aio.AioRpcError, match="is not served here") as caught:
                await client.call(method, message(f"{method}Request")(**asked))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    run(scenario)


def test_raw_and_typed_tensors_get_the_same_answer(run):
    async def scenario(served, client):
        typed_answer, _ = await client.call("ModelInfer", request(served))
        raw_answer, _ = await client.call("ModelInfer", request(served, raw=True))
        scores = np.frombuffer(raw_answer.raw_output_contents[0], dtype="<f4")
        assert scores == pytest.approx(list(typed_answer.outputs[0].contents.fp32_contents))
        assert not raw_answer.outputs[0].HasField("contents")
        assert typed_answer.outputs[0].parameters["classes"].string_param == "false, true"
        one = request(served)
        one.outputs.add(name="label")
        one.parameters["binary_data_output"].bool_param = True
        answer, _ = await client.call("ModelInfer", one)
        assert [output.name for output in answer.outputs] == ["label"]
        assert answer.raw_output_contents[0].startswith(
            b"\x04\0\0\0" if b"true" in answer.raw_output_contents[0] else b"\x05"
        )

    run(scenario)


def test_explanations_add_up(run):
    async def scenario(served, client):
        asked = request(served)
        asked.parameters["explain"].bool_param = True
        answer, _ = await client.call("ModelInfer", asked)
        found = {output.name: output for output in answer.outputs}
        values = np.reshape(found["contributions"].contents.fp64_contents, found["contributions"].shape)
        base = np.reshape(found["base"].contents.fp64_contents, found["base"].shape)
        scores = np.reshape(found["probabilities"].contents.fp32_contents, (2, -1))
        assert base + values.sum(axis=1) == pytest.approx(scores[:, 1:], abs=1e-5)
        assert found["contributions"].parameters["features"].string_param.startswith("amount, visits")

    run(scenario)


def without_rows(asked: Any) -> None:
    for item in asked.inputs:
        item.shape[0] = 0
        item.ClearField("contents")


def put(values: Any, place: int, value: Any) -> None:
    values[place] = value


CHANGES: dict[str, Callable[[Any], object]] = {
    "raw: one too few": lambda asked: asked.raw_input_contents.pop(),
    "raw: too short": lambda asked: put(asked.raw_input_contents, 0, b"abc"),
    "raw: contents too": lambda asked: asked.inputs[0].contents.fp64_contents.append(1.0),
    "no contents": lambda asked: asked.inputs[0].ClearField("contents"),
    "other contents": lambda asked: asked.inputs[0].contents.fp32_contents.append(1.0),
    "other shape": lambda asked: put(asked.inputs[0].shape, 0, 3),
    "FP16": lambda asked: setattr(asked.inputs[0], "datatype", "FP16"),
    "no UTF-8": lambda asked: put(asked.inputs[3].contents.bytes_contents, 1, b"\xff"),
    "version": lambda asked: setattr(asked, "model_version", "9"),
    "output": lambda asked: asked.outputs.add(name="other"),
    "explain": lambda asked: setattr(asked.parameters["explain"], "string_param", "yes"),
    "rows": without_rows,
}


@pytest.mark.parametrize(
    ("change", "reason", "text"),
    [
        ("raw: one too few", Reason.INVALID, "raw_input_contents: found 4; expected one for each of the 5 inputs"),
        ("raw: too short", Reason.INVALID, "holds 3 bytes; 2 values of FP64 are 16"),
        ("raw: contents too", Reason.INVALID, "has contents and raw_input_contents"),
        ("no contents", Reason.INVALID, "holds 0 values; its shape says 2"),
        ("other contents", Reason.INVALID, "have to be in fp64_contents alone"),
        ("other shape", Reason.INVALID, "shape"),
        ("FP16", Reason.INVALID, "have to be raw_input_contents"),
        ("no UTF-8", Reason.INVALID, "Row 1, column \"colour\": the text is not UTF-8"),
        ("version", Reason.NOT_FOUND, "Version \"9\" of \"demo\" is not served here"),
        ("output", Reason.INVALID, "outputs: \"other\" is not known"),
        ("explain", Reason.INVALID, "parameters.explain: found \"yes\"; expected true or false"),
        ("rows", Reason.INVALID, "no rows"),
    ],
)  # fmt: skip
def test_what_is_refused(run, change, reason, text):
    async def scenario(served, client):
        asked = request(served, raw=change.startswith("raw"))
        CHANGES[change](asked)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call("ModelInfer", asked)
        assert caught.value.code() is GRPC_STATUS[reason]
        assert text in str(caught.value.details())
        assert served.counted("grpc", reason) == 1
        await client.call("ModelInfer", request(served))

    run(scenario)


def test_calls_that_are_none(run):
    async def scenario(served, client):
        for path, content, status in (
            (f"/{SERVICE}/ModelInfer", b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (f"/{SERVICE}/ModelReady", b"\xff\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
            (f"/{SERVICE}/RepositoryIndex", b"", grpc.StatusCode.UNIMPLEMENTED),
            ("/other/Method", b"", grpc.StatusCode.UNIMPLEMENTED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.channel.unary_unary(path)(content)
            assert caught.value.code() is status
        empty = client.channel.stream_unary(f"/{SERVICE}/ModelInfer")()
        await empty.done_writing()
        with pytest.raises(grpc.aio.AioRpcError, match="holds no message"):
            await empty
        await client.call("ModelInfer", request(served))

    run(scenario)


def test_a_message_is_as_large_as_a_body_may_be_also_once_decompressed(run):
    async def scenario(served, client):
        asked = request(served)
        asked.inputs[3].contents.bytes_contents[0] = b"x" * 1_000_000
        assert len(gzip.compress(asked.SerializeToString())) < 5_000
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.call("ModelInfer", asked, compression=compression)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        answer, _ = await client.call("ModelInfer", request(served), compression=grpc.Compression.Gzip)
        assert len(answer.outputs) == 2

    run(scenario, body_megabytes=0.1)


def test_the_clients_deadline_ends_the_work(run, slow_walks):
    async def scenario(served, client):
        asked = request(served, rows=50)
        asked.parameters["explain"].bool_param = True
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call("ModelInfer", asked, timeout=0.5)
        assert slow_walks  # the work had begun
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        for _ in range(500):
            if not served.endpoint._queued:
                break
            await asyncio.sleep(0.01)
        assert served.endpoint._queued == 0

    run(scenario)


def test_a_proof_is_counted_and_not_recorded(run, monkeypatch):
    async def scenario(served, client: GrpcCalls):
        from components.shared.package.proof import HEADER, proof_token

        recorded: list[Any] = []
        monkeypatch.setattr(served.endpoint.recorder, "record", recorded.append)
        metadata = ((HEADER.lower(), proof_token(served.endpoint.package)),)
        ask = client.channel.unary_unary(f"/{SERVICE}/ModelInfer")
        await ask(request(served).SerializeToString(), metadata=metadata)
        assert served.counted("grpc", None) == 1
        assert not recorded
        await ask(request(served).SerializeToString())
        assert len(recorded) == 1

    run(scenario)
