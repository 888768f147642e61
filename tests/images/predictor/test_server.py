"""The server as a program: one process for all tests of this file."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from components.shared.model_package import read_golden, verify
from components.shared.processes import end, free_port, spawn

PROJECT = Path(__file__).parents[3]
NAME = "my-model-2"


def command(package: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-P", "-m", "images.predictor", f"--model_name={NAME}", f"--model_dir={package}"),
        *(f"--http_port={port}", "--http_host=127.0.0.1"),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT)}


@pytest.fixture(scope="module")
def server(packages, tmp_path_factory) -> Iterator[str]:
    """Base URL of a running server."""
    port = free_port(18080)
    log = tmp_path_factory.mktemp("server") / "server.log"
    process = spawn(command(packages(), port), log, environment=environment()).find()
    assert process is not None
    try:
        base = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while not answers(f"{base}/v1/models/{NAME}"):
            assert process.is_running(), log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        listening = [one for one in process.connections("inet") if one.status == psutil.CONN_LISTEN]
        assert {one.laddr for one in listening} == {("127.0.0.1", port)}
        yield base
    finally:
        end(process)


def answers(url: str) -> bool:
    try:
        return bool(ask(url)["ready"])
    except OSError:
        return False


def ask(url: str, body: Any = None, *, kind: str = "application/json") -> Any:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": kind} if kind else {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def refusal(url: str, body: Any) -> tuple[int, Any]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(url, body)
    with caught.value as error:
        return error.code, json.load(error)


def test_v1(server, packages):
    golden = read_golden(packages())
    answer = ask(f"{server}/v1/models/{NAME}:predict", {"instances": [item.row for item in golden]})
    assert answer == {"predictions": [item.answer for item in golden], "model_version": verify(packages()).version}
    assert ask(f"{server}/v1/models") == {"models": [NAME]}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x-www-form-urlencoded", ""])
def test_v1_from_clients_that_name_the_content_otherwise(server, packages, kind):
    golden = read_golden(packages())[0]
    body = json.dumps({"instances": [golden.row]}).encode()
    assert ask(f"{server}/v1/models/{NAME}:predict", body, kind=kind)["predictions"] == [golden.answer]


def test_v2(server, packages):
    golden = read_golden(packages())
    assert ask(f"{server}/v2/health/live") == {"live": True}
    assert ask(f"{server}/v2/health/ready") == {"ready": True}
    assert ask(f"{server}/v2/models/{NAME}/ready") == {"name": NAME, "ready": True}
    described = ask(f"{server}/v2/models/{NAME}")
    inputs = [
        {**tensor, "shape": [len(golden)], "data": [item.row[tensor["name"]] for item in golden]}
        for tensor in described["inputs"]
    ]
    answer = ask(f"{server}/v2/models/{NAME}/infer", {"inputs": inputs})
    assert (answer["model_name"], answer["model_version"]) == (NAME, verify(packages()).version)
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert outputs["label"] == [str(item.answer["label"]).lower() for item in golden]
    expected = [item.answer["probabilities"][name] for item in golden for name in ("false", "true")]
    assert outputs["probabilities"] == pytest.approx(expected)
    assert {output["name"] for output in described["outputs"]} == set(outputs)


async def ask_by_kserve(server: str, protocol: str, body: Any) -> Any:
    from kserve import InferenceRESTClient, RESTConfig

    client = InferenceRESTClient(RESTConfig(protocol=protocol))
    try:
        assert await client.is_model_ready(server, NAME)
        return await client.infer(server, body, model_name=NAME)
    finally:
        await client.close()


def test_kserves_own_client(server, packages):
    import asyncio

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kserve's libraries, about one another
        import kserve

        golden = read_golden(packages())[0]
        answer = asyncio.run(ask_by_kserve(server, "v1", {"instances": [golden.row]}))
        assert answer["predictions"] == [golden.answer]
        datatypes = ("FP64", "INT64", "BOOL", "BYTES", "BYTES")
        columns = ("amount", "visits", "member", "colour", "opened at")
        tensors = [
            kserve.InferInput(name=name, shape=[1], datatype=datatype, data=[golden.row[name]])
            for name, datatype in zip(columns, datatypes, strict=True)
        ]
        found = asyncio.run(
            ask_by_kserve(server, "v2", kserve.InferRequest(model_name=NAME, infer_inputs=tensors, request_id="42"))
        )
    assert found.id == "42"
    assert found.outputs[0].data == pytest.approx(list(golden.answer["probabilities"].values()))


def test_wrong_rows_are_answered_400_with_row_and_column(server, packages):
    row = read_golden(packages())[0].row
    url = f"{server}/v1/models/{NAME}:predict"
    code, answer = refusal(url, {"instances": [row, {**row, "visits": 1.5}]})
    assert code == 400
    assert answer == {"error": "Row 1, column 'visits': found 1.5; expected a whole number."}
    code, answer = refusal(url, {"instances": [{**row, "opened at": "tomorrow"}]})
    assert (code, answer["error"].partition(":")[0]) == (400, "Row 0, column 'opened at'")
    for body in (b"{", b"[]", b"", b'{"instances": 1}', b'{"instances": [NaN]}', b"\xff"):
        assert refusal(url, body)[0] == 400
    tensor = {"name": "amount", "datatype": "FP64", "shape": [2], "data": [1.0]}
    assert refusal(f"{server}/v2/models/{NAME}/infer", {"inputs": [tensor]})[0] == 400


def test_other_models_are_not_there(server):
    code, answer = refusal(f"{server}/v1/models/other:predict", {"instances": [{}]})
    assert code == 404
    assert "other does not exist" in answer["error"]


def test_it_goes_on_after_wrong_requests(server, packages):
    golden = read_golden(packages())[0]
    assert ask(f"{server}/v1/models/{NAME}:predict", {"instances": [golden.row]})["predictions"] == [golden.answer]


def test_it_does_not_start_with_a_tampered_package(packages, tmp_path):
    package = shutil.copytree(packages(), tmp_path / "package")
    with (package / "model.onnx").open("ab") as file:
        file.write(b"\0")
    done = subprocess.run(
        command(package, 1), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "model.onnx is not the file the manifest lists: its SHA-256 differs" in done.stderr
    assert "Traceback" not in done.stderr
