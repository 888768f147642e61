"""Copies of requests: a server, a candidate beside it, and a store in which both log."""

import io
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from components.shared.config import ServingConfig
from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT, log_prefix
from components.shared.package.proof import HEADER, proof_token
from components.shared.package.scoring import Scorer, parse_rows
from components.shared.store import Store
from images.predictor import shadow as shadow_module
from images.predictor.answered import Answered, AnsweredRequest
from images.predictor.figures import Described, families
from images.predictor.metrics import Meters
from images.predictor.options import parse
from images.predictor.protocols.open_inference import SERVICE, message
from images.predictor.shadow import ShadowTraffic
from tests.deployments import copy_package
from tests.helpers import make_table
from tests.images.predictor.outage import Load
from tests.images.predictor.serving import HOST, NAME, Server, serving, until
from tests.images.predictor.transports.clients import typed
from tests.ports import free_port

FOUND = "fullcircle_shadow_candidate"


def copies(outcome: str) -> str:
    return f"fullcircle_shadow_requests_total{{outcome={outcome}}}"


def url_of(port: int) -> str:
    return f"http://{HOST}:{port}/v1/models/{NAME}:predict"


def settings(percent: float = 100, **log: Any) -> str:
    return json.dumps({"shadow": {"percent": percent}, "log": {"flush_seconds": 1, **log}})


@pytest.fixture
def candidate_package(package, tmp_path) -> Path:
    """Another version that answers alike."""
    return copy_package(package, tmp_path / "candidate", name=NAME, number=2)


@pytest.fixture
def beside() -> int:
    """The port of the candidate."""
    return free_port()


def logged(store: Store, root: str) -> pa.Table:
    return pa.concat_tables(
        pq.read_table(io.BytesIO(store.get_bytes(item.key))) for item in store.list(log_prefix(NAME, root))
    )


def rows_of(count: int) -> list[dict[str, Any]]:
    rows = make_table("binary", rows=count, seed=3).drop(["target"]).to_pylist()
    return [{**row, "opened at": row["opened at"].isoformat()} for row in rows]


def version_of(package: Path) -> str:
    return str(json.loads((package / "manifest.json").read_bytes())["version"])


KINDS = {"amount": "FP64", "visits": "INT64", "member": "BOOL", "colour": "BYTES", "opened at": "BYTES"}
FIELDS = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents", "BYTES": "bytes_contents"}


def ask_v2(server: Server, rows: list[dict[str, Any]], name: str) -> None:
    inputs = [
        {"name": column, "shape": [len(rows)], "datatype": kind, "data": [row[column] for row in rows]}
        for column, kind in KINDS.items()
    ]
    status, content = server.ask(f"/v2/models/{NAME}/infer", json.dumps({"inputs": inputs}), {"X-Request-Id": name})
    assert status == 200, content


def ask_grpc(port: int, rows: list[dict[str, Any]], name: str) -> None:
    asked = message("ModelInferRequest")(model_name=NAME)
    for column, kind in KINDS.items():
        item = asked.inputs.add(name=column, datatype=kind, shape=[len(rows)])
        getattr(item.contents, FIELDS[kind]).extend(typed(kind, [row[column] for row in rows]))
    with grpc.insecure_channel(f"{HOST}:{port}") as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=lambda one: one.SerializeToString(),
            response_deserializer=message("ModelInferResponse").FromString,
        )
        call(asked, metadata=[("x-request-id", name)], timeout=10)


def test_requests_of_every_protocol_are_copied_and_both_answers_logged(
    package, candidate_package, free, beside, tmp_path, store
):
    rows, grpc_port = rows_of(12), free_port()
    with (
        serving(candidate_package, beside, tmp_path / "beside", settings=settings(0), shadow=NAME) as candidate,
        serving(
            package, free, tmp_path / "log", settings=settings(leave_out=["amount"]), grpc_port=grpc_port,
            shadow_url=url_of(beside),
        ) as server,
    ):  # fmt: skip
        until(lambda: server.figures()[FOUND] == 1)
        assert server.predict(rows[:3], "by-v1")[0] == 200
        ask_v2(server, rows[3:7], "by-v2")
        ask_grpc(grpc_port, rows[7:9], "by-grpc")
        assert (
            server.ask(f"{server.path}:explain", json.dumps({"instances": rows[9:]}), {"X-Request-Id": "why"})[0] == 200
        )
        until(lambda: server.figures()[copies("answered")] == 4)
        figures = server.figures()
        assert [figures[copies(outcome)] for outcome in ("refused", "failed", "dropped")] == [0, 0, 0]
        assert figures["fullcircle_shadow_seconds_count"] == 4
        assert candidate.figures()["fullcircle_rows_total{model_name=demo}"] == 12
    served, shadow = logged(store, LOG_ROOT), logged(store, SHADOW_ROOT)
    assert shadow.column_names == [
        "request_id", "request_row", "received", "model_version", "latency_ms", "prediction", "probability_false",
        "probability_true",
    ]  # fmt: skip
    assert set(shadow["model_version"].to_pylist()) == {version_of(candidate_package)}
    assert set(served["model_version"].to_pylist()) == {version_of(package)}
    same = ["request_id", "request_row", "prediction", "probability_true"]
    order = [(name, "ascending") for name in same[:2]]
    # The candidate answers alike: every value has arrived as it was sent, one that is not logged too.
    assert shadow.select(same).sort_by(order).to_pylist() == served.select(same).sort_by(order).to_pylist()
    assert all(0 < taken < 10_000 for table in (served, shadow) for taken in table["latency_ms"].to_pylist())


def test_a_candidate_that_hangs_or_dies_costs_no_client_anything(
    package, candidate_package, rows, free, beside, tmp_path, store
):
    url = url_of(beside)
    with serving(package, free, tmp_path / "log", settings=settings(), shadow_url=url) as server:
        with Load(free, server.path, rows, clients=2, pause=0.002) as load:
            with serving(
                candidate_package, beside, tmp_path / "beside", settings=settings(0), shadow=NAME
            ) as candidate:
                until(lambda: server.figures()[copies("answered")] > 20)
                candidate.process.send_signal(signal.SIGSTOP)
                time.sleep(3)
                hanging = server.figures()
                candidate.process.send_signal(signal.SIGCONT)
                until(lambda: server.figures()[copies("answered")] > hanging[copies("answered")] + 20)
                candidate.process.kill()
                until(lambda: server.figures()[copies("failed")] > 0)
            until(lambda: server.figures()[FOUND] == 0)
            before = server.figures()[copies("answered")]
            with serving(candidate_package, beside, tmp_path / "again", settings=settings(0), shadow=NAME):
                until(lambda: server.figures()[copies("answered")] > before + 20)
        assert load.failures == []
        assert server.figures()["fullcircle_log_rows_total{outcome=dropped}"] == 0
    ids = logged(store, LOG_ROOT)["request_id"].to_pylist()
    assert set(load.answered) == set(ids)
    assert set(logged(store, SHADOW_ROOT)["request_id"].to_pylist()) < set(ids)


def test_a_share_of_the_requests_is_copied(package, candidate_package, rows, free, beside, tmp_path, store):
    url = url_of(beside)
    with (
        serving(candidate_package, beside, tmp_path / "beside", settings=settings(0), shadow=NAME),
        serving(package, free, tmp_path / "log", settings=settings(30), shadow_url=url) as server,
    ):
        until(lambda: server.figures()[FOUND] == 1)
        for number in range(300):
            assert server.predict(rows[:1], f"r{number}")[0] == 200
        time.sleep(2)
        assert 50 < server.figures()[copies("answered")] < 130  # 90 ± 8, as chance has it
        assert server.figures()[copies("dropped")] == 0


def test_the_version_that_serves_is_sent_no_copies(package, rows, free, beside, tmp_path, store):
    """As once it was promoted, while its server from before that still runs."""
    with (
        serving(package, beside, tmp_path / "beside", settings=settings(0), shadow=NAME),
        serving(package, free, tmp_path / "log", settings=settings(), shadow_url=url_of(beside)) as server,
    ):
        for _ in range(5):
            assert server.predict(rows)[0] == 200
        time.sleep(3)
        assert server.figures()[FOUND] == 0
        assert server.figures()[copies("answered")] == 0


def test_a_proof_of_a_version_is_not_copied(package, candidate_package, rows, free, beside, tmp_path, store):
    with (
        serving(candidate_package, beside, tmp_path / "beside", settings=settings(0), shadow=NAME),
        serving(package, free, tmp_path / "log", settings=settings(), shadow_url=url_of(beside)) as server,
    ):
        until(lambda: server.figures()[FOUND] == 1)
        body = json.dumps({"instances": rows})
        assert server.ask(f"{server.path}:predict", body, {HEADER: proof_token(package)})[0] == 200
        assert server.predict(rows)[0] == 200
        until(lambda: server.figures()[copies("answered")] == 1)


@pytest.fixture
def traffic(package, monkeypatch) -> Iterator[ShadowTraffic]:
    """Copies for a candidate that is there and takes none, with room for little."""
    monkeypatch.setattr(shadow_module, "_MOST_WAITING_BYTES", 10_000)
    scorer = Scorer.load(package, version="v1")
    meters = Meters(families(Described(NAME, "v1", scorer.schema)))
    made = ShadowTraffic(scorer, url_of(1), share=1.0, seconds=1, meters=meters)
    made._candidate = "v2"
    yield made
    made.close()


def test_what_waits_is_bounded_and_what_is_dropped_is_counted(traffic, rows):
    def total(outcome: str) -> float:
        return float(traffic._meters.total("fullcircle_shadow_requests", outcome))

    long = {**rows[0], "colour": "x" * 4_000}
    inputs = parse_rows([long], traffic._scorer.schema)
    for number in range(5):
        request = AnsweredRequest(b"%d" % number, time.time(), 1, {}, 0.001)
        traffic.offer(Answered(inputs, np.zeros((1, 2), dtype=np.float32), [request]))
    assert len(traffic._waiting) == 2
    assert 8_000 < traffic._waiting_bytes < 10_000
    assert total("dropped") == 3
    traffic.close()
    assert total("dropped") == 5
    assert traffic._waiting_bytes == 0


@pytest.mark.parametrize("given", ["127.0.0.1:8081", "http://127.0.0.1:8081"])
def test_an_address_that_is_none_is_refused(given, package, capsys):
    with pytest.raises(SystemExit) as caught:
        parse([f"--model_name={NAME}", f"--model_dir={package}", f"--shadow_url={given}"])
    assert caught.value.code == 2
    assert (
        f"--shadow_url: found '{given}'; expected such as http://host:8081/v1/models/m:predict"
        in capsys.readouterr().err
    )


def test_copies_need_a_log_to_be_paired_in():
    with pytest.raises(ValidationError, match="log.enabled is false"):
        ServingConfig.model_validate({"shadow": {"percent": 5}, "log": {"enabled": False}})
