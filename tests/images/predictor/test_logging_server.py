"""The server with its inference log in a real store: killed, cut off from the store, and read by monitor."""

import io
import json
import socket
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.monitor.windows import logged_window
from components.shared.config import MonitoringConfig
from components.shared.inference_rows import log_prefix
from components.shared.package.scoring import Scorer
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests.helpers import make_table
from tests.images.predictor.outage import Load, Switch
from tests.images.predictor.serving import NAME, serving, until

FLUSH_SECONDS = 2.0
SETTINGS = json.dumps({"log": {"flush_seconds": FLUSH_SECONDS}})


def logged(store: Store) -> pa.Table:
    """All logged rows; every file there is has to be whole."""
    tables = [
        pq.read_table(io.BytesIO(store.get_bytes(item.key)))
        for item in store.list(log_prefix(NAME))
        if item.key.endswith(".parquet")
    ]
    return pa.concat_tables(tables)


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_9_loses_at_most_one_flush_interval(package, rows, free, tmp_path, store, workers):
    with (
        serving(package, free, tmp_path / "log", settings=SETTINGS, workers=workers) as server,
        Load(free, server.path, rows, clients=2) as load,
    ):
        time.sleep(3 * FLUSH_SECONDS)
        family = [*server.workers(), psutil.Process(server.process.pid)]
        killed = time.time()
        for process in family:
            process.kill()
    found = logged(store)
    counted: dict[str, int] = {}
    for name in found["request_id"].to_pylist():
        counted[name] = counted.get(name, 0) + 1
    early = {name for name, moment in load.answered.items() if moment < killed - FLUSH_SECONDS}
    assert len(early) > 200
    assert early <= counted.keys()
    assert set(counted.values()) == {len(rows)}  # whole requests, none twice


def test_a_store_that_is_down_for_a_while_fails_no_request_and_loses_no_row(package, rows, free, tmp_path, store):
    endpoint = store.settings.endpoint.rpartition("/")[2]
    with Switch(endpoint) as switch:
        variables = replace(store.settings, endpoint=switch.endpoint).environment()
        with serving(package, free, tmp_path / "log", store=variables, settings=SETTINGS, grace_seconds=10) as server:
            with Load(free, server.path, rows, clients=2, pause=0.001) as load:
                until(lambda: server.figures()["fullcircle_log_rows_total{outcome=written}"] > 0)
                memory = psutil.Process(server.process.pid).memory_info().rss
                switch.off()
                time.sleep(8)
                down = server.figures()
                grown = psutil.Process(server.process.pid).memory_info().rss - memory
                switch.on()
                before = down["fullcircle_log_rows_total{outcome=written}"]
                until(lambda: server.figures()["fullcircle_log_rows_total{outcome=written}"] > before)
                time.sleep(0.5)
            until(
                lambda: server.figures()["fullcircle_log_rows_total{outcome=written}"] == len(rows) * len(load.answered)
            )
            assert down["fullcircle_log_failed_writes_total"] > 0
            assert 0 < down["fullcircle_log_waiting_bytes"] < 64e6
            assert grown < 100e6
            assert server.figures()["fullcircle_log_rows_total{outcome=dropped}"] == 0
            until(lambda: server.figures()["fullcircle_log_waiting_bytes"] == 0)
    assert load.failures == []
    assert sorted(set(logged(store)["request_id"].to_pylist())) == sorted(load.answered)
    told = [line["message"] for line in server.lines() if "inference log" in line["message"]]
    assert told[0].startswith("The inference log cannot be written: ")
    assert told[1].startswith("The inference log is written again, after ")
    assert "0 rows were dropped" in told[1]


def test_sigterm_flushes_the_log(package, rows, free, tmp_path, store):
    settings = json.dumps({"log": {"flush_seconds": 3600}})
    with serving(package, free, tmp_path / "log", settings=settings) as server:
        for number in range(5):
            assert server.predict(rows, f"r{number}")[0] == 200
        assert not list(store.list(log_prefix(NAME)))
        server.process.terminate()
        assert server.process.wait(10) == 0
    assert sorted(logged(store)["request_id"].to_pylist()) == sorted([f"r{n}" for n in range(5)] * len(rows))


def test_a_store_that_hangs_does_not_keep_it_beyond_its_grace(package, rows, free, tmp_path, store):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        port = hanging.getsockname()[1]
        variables = replace(store.settings, endpoint=f"http://127.0.0.1:{port}").environment()
        with serving(package, free, tmp_path / "log", store=variables, grace_seconds=2) as server:
            assert server.predict(rows)[0] == 200
            begun = time.monotonic()
            server.process.terminate()
            assert server.process.wait(10) == 0
            assert time.monotonic() - begun < 8
    assert "The inference log ends with 5 rows that could not be written; they are lost." in [
        line["message"] for line in server.lines()
    ]


@pytest.mark.parametrize("variables", [{"AWS_ENDPOINT_URL": ""}, {"AWS_SECRET_ACCESS_KEY": "wrong"}])
def test_a_log_that_cannot_be_written_stops_no_request(package, rows, free, tmp_path, store, variables):
    with serving(package, free, tmp_path / "log", store=variables, settings=SETTINGS, grace_seconds=1) as server:
        for _ in range(20):
            assert server.predict(rows)[0] == 200
        until(lambda: server.figures()["fullcircle_log_failed_writes_total"] > 0)
    errors = [line for line in server.lines() if line["level"] == "error"]
    assert errors[0]["message"].startswith("The inference log cannot be written: ")


def test_a_misspelt_column_that_is_to_be_left_out_is_told(package, rows, free, tmp_path, store):
    settings = json.dumps({"log": {"leave_out": ["colur", "amount", "id"], "flush_seconds": 0.5}})
    with serving(package, free, tmp_path / "log", settings=settings) as server:
        assert server.predict([{**row, "id": 7} for row in rows])[0] == 200
        until(lambda: list(store.list(log_prefix(NAME))))
    warnings = [line["message"] for line in server.lines() if line["level"] == "warning"]
    assert warnings == ["serving.log.leave_out names colur, which no row has; is it misspelt?"]
    assert {"amount", "id"}.isdisjoint(logged(store).column_names)
    assert "colour" in logged(store).column_names


@pytest.mark.parametrize("task", TASKS)
def test_monitor_reads_what_the_server_logs(packages, free, tmp_path, store, task):
    package = packages(task)
    sent = make_table(task, rows=150, seed=7).drop(["target"]).to_pylist()
    for row in sent:
        row["opened at"] = row["opened at"].isoformat()
    with serving(package, free, tmp_path / "log", settings=SETTINGS) as server:
        for start in range(0, len(sent), 10):
            assert server.predict(sent[start : start + 10])[0] == 200
    assert [line["message"] for line in server.lines() if line["level"] != "info"] == []
    scorer = Scorer.load(package, version=json.loads((package / "manifest.json").read_bytes())["version"])
    settings = MonitoringConfig(minimum_rows=100)
    window = logged_window(store, NAME, settings, scorer=scorer, now=datetime.now(UTC))
    assert "150 rows" in window.origin
    assert (window.skipped, window.unwatched) == (0, ())
    assert sorted(window.frame["visits"]) == sorted(row["visits"] for row in sent)
    assert window.frame["colour"].isna().sum() == sum(row["colour"] is None for row in sent)
    table = logged(store)
    assert sorted(map(int, table["id"].to_pylist())) == list(range(150))
    assert table["amount"].null_count == sum(row["amount"] is None for row in sent)


def test_many_threads_of_clients_are_all_logged_once(package, rows, free, tmp_path, store):
    with serving(package, free, tmp_path / "log", settings=SETTINGS, workers=2) as server:
        ids = [f"client{client}-{number}" for client in range(4) for number in range(25)]
        threads = [
            threading.Thread(target=lambda c=c: [server.predict(rows[:2], name) for name in ids[c * 25 : c * 25 + 25]])
            for c in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    found = logged(store)
    assert sorted(found["request_id"].to_pylist()) == sorted(ids * 2)
    assert found["request_row"].to_pylist().count(1) == 100
