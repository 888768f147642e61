"""The server as a program: one process a task for all tests of this file."""

import asyncio
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden, verify
from components.shared.tasks import TASKS
from images.predictor.protocols.tensors import DATATYPES
from tests.hostile.server import ours

NAME = "my-model-2"
COLUMNS = {"amount": "number", "visits": "integer", "member": "boolean", "colour": "category", "opened at": "timestamp"}


@pytest.fixture(scope="module")
def servers(packages, tmp_path_factory) -> Iterator[Callable[[str], str]]:
    """Base URLs of running servers by task."""
    from contextlib import ExitStack

    with ExitStack() as stack:
        running: dict[str, str] = {}

        def base(task: str) -> str:
            if task not in running:
                log = tmp_path_factory.mktemp("server") / "server.log"
                process, port = stack.enter_context(ours(packages(task), log, name=NAME))
                listening = [one for one in process.connections("inet") if one.status == psutil.CONN_LISTEN]
                assert {one.laddr for one in listening} == {("127.0.0.1", port)}
                running[task] = f"http://127.0.0.1:{port}"
            return running[task]

        yield base


@pytest.fixture(scope="module")
def server(servers) -> str:
    return str(servers("binary"))


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


@pytest.mark.parametrize("task", TASKS)
def test_v1(servers, packages, task):
    server, golden = servers(task), read_golden(packages(task))
    answer = ask(f"{server}/v1/models/{NAME}:predict", {"instances": [item.row for item in golden]})
    assert not differences(golden, answer["predictions"])
    assert answer["model_version"] == verify(packages(task)).version
    assert ask(f"{server}/v1/models") == {"models": [NAME]}


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/x-www-form-urlencoded", ""])
def test_v1_from_clients_that_name_the_content_otherwise(server, packages, kind):
    golden = read_golden(packages())[:1]
    body = json.dumps({"instances": [golden[0].row]}).encode()
    assert not differences(golden, ask(f"{server}/v1/models/{NAME}:predict", body, kind=kind)["predictions"])


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
    assert outputs["probabilities"] == pytest.approx(expected, abs=1e-5)


async def by_kserve(server: str, protocol: str, body: Any) -> Any:
    from kserve import InferenceRESTClient, RESTConfig

    client = InferenceRESTClient(RESTConfig(protocol=protocol))
    try:
        assert await client.is_model_ready(server, NAME)
        if protocol == "v2":
            assert await client.is_server_ready(server)
            assert await client.is_server_live(server)
        return await client.infer(server, body, model_name=NAME)
    finally:
        await client.close()


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("binary", [False, True])
def test_kserves_own_client(servers, packages, task, binary):
    server = servers(task)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of kserve's libraries, about one another
        import kserve

        golden = read_golden(packages(task))
        answer = asyncio.run(by_kserve(server, "v1", {"instances": [item.row for item in golden]}))
        assert not differences(golden, answer["predictions"])
        tensors = [tensor(kserve, name, [item.row[name] for item in golden], binary) for name in COLUMNS]
        request = kserve.InferRequest(
            model_name=NAME, infer_inputs=tensors, request_id="42", parameters={"binary_data_output": binary}
        )
        found = asyncio.run(by_kserve(server, "v2", request))
    assert found.id == "42"
    scores = found.outputs[0].as_numpy()
    if not TASKS[task].has_classes:
        assert scores == pytest.approx([item.answer["value"] for item in golden], abs=1e-5)
        return
    assert scores == pytest.approx(np.array([list(item.answer["probabilities"].values()) for item in golden]), abs=1e-5)
    labels = [text.decode() if isinstance(text, bytes) else text for text in found.outputs[1].as_numpy()]
    assert [label.lower() for label in labels] == [str(item.answer["label"]).lower() for item in golden]


def tensor(kserve: Any, name: str, values: list[Any], binary: bool) -> Any:
    datatype = DATATYPES[COLUMNS[name]]  # type: ignore[index]
    found = kserve.InferInput(name=name, shape=[len(values)], datatype=datatype, data=values)
    if binary:
        kinds = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_, "BYTES": np.object_}
        texts = [value or "" for value in values] if datatype == "BYTES" else values
        found.set_data_from_numpy(np.array(texts, dtype=kinds[datatype]), binary_data=True)
    return found


def test_wrong_rows_are_answered_400_with_row_and_column(server, packages):
    row = read_golden(packages())[0].row
    url = f"{server}/v1/models/{NAME}:predict"
    code, answer = refusal(url, {"instances": [row, {**row, "visits": 1.5}]})
    assert code == 400
    assert answer == {"error": "Row 1, column 'visits': found 1.5; expected a whole number."}
    code, answer = refusal(url, {"instances": [{**row, "opened at": "tomorrow"}]})
    assert (code, answer["error"].partition(":")[0]) == (400, "Row 0, column 'opened at'")


def test_other_models_are_not_there(server):
    code, answer = refusal(f"{server}/v1/models/other:predict", {"instances": [{}]})
    assert code == 404
    assert "Model 'other' is not served here" in answer["error"]


# Ours are the checks that a document can state; what a request may hold besides, it cannot state.
CHECKS = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
          "response_headers_conformance", "unsupported_method", "missing_required_header"]  # fmt: skip


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_schemathesis(servers, task, tmp_path):
    command = [
        *(sys.executable, "-W", "ignore", "-m", "schemathesis.cli", "run", f"{servers(task)}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--max-examples", "4", "--seed", "1", "--generation-deterministic"),
        *("--phases", "examples,coverage,fuzzing", "--workers", "1", "--no-color"),
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Tested: 15" in done.stdout


def test_it_goes_on_after_wrong_requests(server, packages):
    golden = read_golden(packages())[:1]
    answer = ask(f"{server}/v1/models/{NAME}:predict", {"instances": [golden[0].row]})
    assert not differences(golden, answer["predictions"])


def test_it_does_not_start_with_a_tampered_package(packages, tmp_path):
    package = shutil.copytree(packages(), tmp_path / "package")
    with (package / "model.onnx").open("ab") as file:
        file.write(b"\0")
    done = subprocess.run(
        [sys.executable, "-m", "images.predictor", f"--model_name={NAME}", f"--model_dir={package}", "--http_port=1"],
        cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "model.onnx is not the file the manifest lists: its SHA-256 differs" in done.stderr
    assert "Traceback" not in done.stderr
