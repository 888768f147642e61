"""The program with each transport: what it logs, how it ends, and who takes over; real processes."""

import asyncio
import io
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.shared.inference_rows import log_prefix
from components.shared.package.golden import differences
from components.shared.package.model_package import read_golden
from components.shared.package.schema import Schema
from components.shared.store import Store
from images.predictor.program import REFUSED
from images.predictor.protocols.tensors import DATATYPES
from tests.images.predictor.serving import HOST, NAME, PROJECT, command, environment, is_open, serving, until
from tests.images.predictor.transports.clients import TRANSPORTS, Answer, Client, GrpcCalls, HttpCalls
from tests.ports import free_port

EXPLAIN = {"explain": True}
QUIET = json.dumps({"log": {"enabled": False}})


@pytest.fixture
def grpc_port() -> int:
    return free_port()


def options(kind: str, grpc_port: int) -> dict[str, Any]:
    return {"grpc_port": grpc_port} if kind == "grpc" else {}


def tensors(package: Any, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {"name": f.name, "shape": [len(rows)], "datatype": DATATYPES[f.kind], "data": [row[f.name] for row in rows]}
        for f in Schema.read(package).features
    ]


def ask(kind: str, port: int, asked: list[dict[str, Any]], count: int = 1, **more: Any) -> list[Answer]:
    """Answers to the same request, one after another."""

    async def main() -> list[Answer]:
        client: Client = GrpcCalls(port) if kind == "grpc" else HttpCalls(port)
        found = [await client.infer(asked, model=NAME, request_id=f"r{number}", **more) for number in range(count)]
        if isinstance(client, GrpcCalls):
            await client.leave()
        return found

    return asyncio.run(main())


def logged(store: Store) -> pa.Table:
    keys = [item.key for item in store.list(log_prefix(NAME)) if item.key.endswith(".parquet")]
    return pa.concat_tables([pq.read_table(io.BytesIO(store.get_bytes(key))) for key in keys])


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_rows_are_logged_and_sigterm_flushes_them(package, rows, free, grpc_port, tmp_path, store, kind):
    settings = json.dumps({"log": {"flush_seconds": 3600}})
    with serving(package, free, tmp_path / "log", settings=settings, **options(kind, grpc_port)) as server:
        found = ask(kind, grpc_port if kind == "grpc" else free, tensors(package, rows), 3)
        assert [answer.reason for answer in found] == [None] * 3
        protocol = "grpc" if kind == "grpc" else "v2"
        assert server.figures()[f"fullcircle_requests_total{{protocol={protocol},status=200}}"] == 3
        server.process.terminate()
        assert server.process.wait(15) == 0
        server.lines()  # each of them JSON
    table = logged(store)
    assert sorted(table["request_id"].to_pylist()) == sorted([f"r{number}" for number in range(3)] * len(rows))
    assert sorted(set(table["request_row"].to_pylist())) == list(range(len(rows)))
    answers = {str(item.answer["label"]).lower() for item in read_golden(package)}
    assert {str(value).lower() for value in table["prediction"].to_pylist()} == answers


@pytest.mark.parametrize("kind", TRANSPORTS)
def test_sigterm_lets_what_has_arrived_be_answered(package, rows, free, grpc_port, tmp_path, kind):
    port = grpc_port if kind == "grpc" else free
    given = {"settings": QUIET, "drain_seconds": 0.5, "grace_seconds": 10, **options(kind, grpc_port)}
    with serving(package, free, tmp_path / "log", **given) as server:
        asked = tensors(package, rows * 20)  # takes a while to explain
        answers: list[Answer] = []
        thread = threading.Thread(target=lambda: answers.extend(ask(kind, port, asked, parameters=EXPLAIN)))
        thread.start()
        until(lambda: server.figures()["fullcircle_queued_requests{model_name=demo}"] > 0)
        server.process.terminate()
        until(lambda: server.ask("/v2/health/ready")[0] == 503)
        assert ask(kind, port, tensors(package, rows))[0].reason is None  # who has not heard yet is answered
        thread.join()
        assert server.process.wait(15) == 0
        assert answers[0].reason is None
        assert not is_open(port)


def test_http_and_grpc_answer_the_same_from_several_workers(package, rows, free, grpc_port, tmp_path):
    with serving(package, free, tmp_path / "log", settings=QUIET, workers=2, grpc_port=grpc_port) as server:
        by_grpc = ask("grpc", grpc_port, tensors(package, rows), 20)
        by_http = ask("http", free, tensors(package, rows), 20)
        assert {tuple(answer.outputs["label"]) for answer in [*by_grpc, *by_http]} == {
            tuple(by_http[0].outputs["label"])
        }
        status, answer = server.predict(rows)
        assert status == 200
        assert not differences(read_golden(package), answer["predictions"])


def test_a_grpc_port_that_is_taken_is_told(package, free, grpc_port):
    with socket.create_server((HOST, grpc_port)):
        done = subprocess.run(
            command(package, free, grpc_port=grpc_port),
            env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == REFUSED
    assert f"Port {grpc_port} of {HOST} cannot be used: Address already in use. Free it" in done.stderr


def test_a_new_server_takes_over_both_ports(package, rows, free, grpc_port, tmp_path):
    given = {"settings": QUIET, "grpc_port": grpc_port}
    with socket.create_server((HOST, 0)) as found:
        standby = found.getsockname()[1]
    with (
        serving(package, free, tmp_path / "first", **given) as first,
        serving(package, free, tmp_path / "second", standby_port=standby, **given) as second,
    ):
        second.process.send_signal(signal.SIGUSR1)
        until(lambda: not is_open(standby))
        second.port = free
        first.process.terminate()
        assert first.process.wait(15) == 0
        assert ask("grpc", grpc_port, tensors(package, rows))[0].reason is None
        assert second.predict(rows)[0] == 200


def test_the_clients_example_in_the_docs_works(package, free, grpc_port, tmp_path):
    text = (PROJECT / "docs" / "endpoint.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with serving(package, free, tmp_path / "log", settings=QUIET, grpc_port=grpc_port):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", example.replace("8081", str(grpc_port))],
            env=environment(), capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "probabilities [[" in done.stdout
    assert "label [" in done.stdout
