"""The life of the program, from its arguments to its last request: real processes."""

import http.client
import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from images.predictor.program import REFUSED, main
from tests.images.predictor.serving import HOST, Server, command, environment, is_open, serving, until
from tests.ports import free_port

QUIET = json.dumps({"log": {"enabled": False}})


def failed(*arguments: str, **variables: str) -> tuple[int, str]:
    """Exit code and what was said by a server that does not start."""
    done = subprocess.run(
        [*command(Path("nothing"), 1)[:4], *arguments],
        env=environment(variables), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


# Arguments and the port


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model_name=demo"], "required: --model_dir"),
        (["--workers=0"], "--workers: found 0; expected at least 1"),
        (["--workers=two"], "--workers: invalid int value: 'two'"),
        (["--http_port=0"], "--http_port: found 0; expected 1 to 65535"),
        (["--http_port=70000"], "--http_port: found 70000; expected 1 to 65535"),
        (["--standby_port=8080"], "--standby_port: found 8080, which is --http_port; expected another one"),
        (["--standby_port=-1"], "--standby_port: found -1; expected 0 to 65535"),
        (["--drain_seconds=-1"], "--drain_seconds: found -1; expected 0 to 86,400 seconds"),
        (["--grace_seconds=nan"], "--grace_seconds: found nan; expected"),
        (["--settings={"], "--settings: content: Invalid JSON"),
        (['--settings={"rows": 0}'], "--settings: rows: Input should be greater than or equal to 1"),
        (['--settings={"row": 1}'], "--settings: row: Extra inputs are not permitted"),
        (["--config=x"], "unrecognized arguments: --config=x"),
    ],
)
def test_wrong_arguments_are_told(arguments, message, capsys):
    """In this process: the program ends before it has begun anything."""
    given = ["--model_name=demo", "--model_dir=x"] if "--model_name=demo" not in arguments else []
    with pytest.raises(SystemExit) as ended:
        main([*given, *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_wrong_settings_of_the_environment_are_told():
    code, errors = failed("--model_name=demo", "--model_dir=x", FULLCIRCLE_SERVING='{"queue": "long"}')
    assert code == 2
    assert "--settings: queue: Input should be a valid integer" in errors


def test_a_port_that_is_taken_is_told(package, free):
    with socket.create_server((HOST, free)):
        taken = [command(package, free), command(package, free, workers=2)]
        for arguments in [*taken, command(package, free + 1, standby_port=free)]:
            done = subprocess.run(arguments, env=environment(), capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == REFUSED
            (line,) = map(json.loads, done.stderr.splitlines())
            assert line["message"].startswith(f"Port {free} of {HOST} cannot be used: Address already in use. Free it")


def test_two_servers_do_not_share_a_port_by_mistake(package, free, tmp_path):
    """They can, so that one takes over from the other; but only when that is what was asked for."""
    with serving(package, free, tmp_path / "log", settings=QUIET):
        done = subprocess.run(
            command(package, free), env=environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == REFUSED
    both = [
        subprocess.Popen(command(package, free, settings=QUIET), env=environment(), stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    try:
        until(lambda: any(process.poll() is not None for process in both))
        assert sorted(process.poll() or 0 for process in both) == [0, REFUSED]
    finally:
        for process in both:
            process.kill()
            process.wait()


# The end


class Slow:
    """A client whose request has arrived halfway."""

    def __init__(self, server: Server, rows: list[dict[str, Any]]) -> None:
        body = json.dumps({"instances": rows}).encode()
        self.socket = socket.create_connection((HOST, server.port), timeout=10)
        head = f"POST {server.path}:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
        self.socket.sendall(head.encode() + body[:10])
        self.rest = body[10:]

    def finish(self) -> bytes:
        self.socket.sendall(self.rest)
        with self.socket, self.socket.makefile("rb") as answer:
            return answer.read()


def test_sigterm_drains_finishes_and_ends_with_0(package, rows, free, tmp_path):
    with serving(package, free, tmp_path / "log", settings=QUIET, drain_seconds=0.8, grace_seconds=4) as server:
        slow = Slow(server, rows)
        kept = http.client.HTTPConnection(HOST, free, timeout=10)
        kept.request("GET", server.path)
        assert kept.getresponse().read() == b'{"name": "demo", "ready": true}'
        begun = time.monotonic()
        server.process.terminate()
        until(lambda: server.ask(server.path)[0] == 503)
        assert server.ask("/v2/health/ready") == (503, {"ready": False})
        assert server.ask("/v2/health/live")[0] == 200
        assert server.predict(rows)[0] == 200  # whoever has not heard yet is answered
        kept.request("GET", "/v2/health/live")
        response = kept.getresponse()
        assert response.headers["connection"] == "close"
        response.read()
        until(lambda: not is_open(free))
        assert time.monotonic() - begun >= 0.8
        assert slow.finish().startswith(b"HTTP/1.1 200 OK")
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 4
    messages = [line["message"] for line in server.lines()]
    assert messages[1:] == ["told to stop: no longer ready", "ended"]


def test_a_client_that_never_finishes_does_not_keep_it_beyond_its_grace(package, rows, free, tmp_path):
    with serving(package, free, tmp_path / "log", settings=QUIET, grace_seconds=1) as server:
        slow = Slow(server, rows)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(10) == 0
        assert time.monotonic() - begun < 2
        slow.socket.close()


def test_sigterm_while_it_loads_ends_it(package, free, tmp_path):
    for workers in (1, 2):
        with subprocess.Popen(command(package, free, workers=workers), env=environment()) as process:
            until(partial(has_bound, process.pid))
            process.terminate()
            assert process.wait(10) in (0, -signal.SIGTERM)  # before and after it heeds signals
    assert not is_open(free)


def has_bound(pid: int) -> bool:
    """Whether a process holds a socket, listening or not."""
    with suppress(OSError):
        return any(str(entry.readlink()).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir())
    return False


# Logs


def test_refused_requests_are_logged_with_their_ids_but_not_all_of_many(package, rows, free, tmp_path):
    with serving(package, free, tmp_path / "log", settings=QUIET) as server:
        assert server.predict([{"amount": "ö\n"}], "my-id")[0] == 400
        assert server.ask("/v3")[0] == 404
        assert server.predict(rows)[0] == 200
        for _ in range(60):
            server.predict([{}])
        time.sleep(1.1)
        server.predict([{}], "last")
    lines = [line for line in server.lines() if "request_id" in line]
    first, second = lines[:2]
    assert (first["request_id"], first["status"], first["path"]) == ("my-id", 400, f"{server.path}:predict")
    assert first["level"] == "info"
    assert first["message"].startswith("refused: Row 0")
    assert (second["status"], second["path"]) == (404, "/v3")
    assert 10 <= len(lines) <= 32
    assert lines[-1]["request_id"] == "last"
    assert any("more like it that are not shown" in line["message"] for line in lines)


def test_failures_of_the_server_are_always_logged(package, rows, free, tmp_path):
    """A queue of one large request: the second of two is told to come back."""
    settings = json.dumps({"log": {"enabled": False}, "queue": 1, "rows": 200_000})
    with serving(package, free, tmp_path / "log", settings=settings) as server:
        many = rows * 4000
        statuses: list[int] = []
        clients = [
            threading.Thread(target=lambda n=n: statuses.append(server.predict(many, f"large-{n}")[0]))
            for n in range(4)
        ]  # fmt: skip
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    refused = [line for line in server.lines() if line.get("status") == 503]
    assert {line["level"] for line in refused} <= {"error"}
    assert len(refused) == statuses.count(503)
    assert set(statuses) <= {200, 503}


# Workers


@pytest.fixture(scope="module")
def pair(packages, tmp_path_factory) -> Iterator[Server]:
    port = free_port()
    log = tmp_path_factory.mktemp("pair") / "log"
    with serving(packages(), port, log, workers=2, settings=QUIET, grace_seconds=4) as pair:
        until(lambda: len([line for line in pair.lines() if "answers at port" in line["message"]]) == 2)
        yield pair


OK = "fullcircle_requests_total{protocol=v1,status=200}"


def test_figures_add_up_over_workers_whoever_answers(pair, rows):
    before = pair.figures()
    for _ in range(60):
        assert pair.predict(rows)[0] == 200
    for _ in range(6):
        found = pair.figures()
        assert found[OK] - before[OK] == 60
        assert found["fullcircle_rows_total{model_name=demo}"] - before["fullcircle_rows_total{model_name=demo}"] == 300
    until(lambda: predictions(pair) - predictions_of(before) == 300)
    assert all(worker.num_ctx_switches().voluntary > 1 for worker in pair.workers())


def predictions(server: Server) -> float:
    return predictions_of(server.figures())


def predictions_of(figures: dict[str, float]) -> float:
    return sum(value for name, value in figures.items() if name.startswith("fullcircle_predictions_total"))


def test_a_killed_worker_is_started_anew_and_the_other_goes_on(pair, rows):
    before, (victim, other) = pair.figures(), pair.workers()
    victim.kill()
    answered = 0
    begun = time.monotonic()
    while time.monotonic() - begun < 0.5:
        with suppress(OSError, http.client.HTTPException):  # only what the killed one had taken on
            assert pair.predict(rows)[0] == 200
            answered += 1
    assert answered > 10
    until(lambda: len(pair.workers()) == 2 and victim not in pair.workers(), 10)
    assert other in pair.workers()
    until(lambda: len([line for line in pair.lines() if "answers at port" in line["message"]]) == 3)
    for _ in range(20):
        found = pair.figures()
        assert found[OK] >= before[OK] + answered
    counters = [name for name in before if name.partition("{")[0].endswith(("_total", "_count", "_bucket"))]
    assert all(found[name] >= before[name] for name in counters)
    assert "worker 0 ended with -9; it is started anew" in [line["message"] for line in pair.lines()] or (
        "worker 1 ended with -9; it is started anew" in [line["message"] for line in pair.lines()]
    )


def test_sigterm_ends_all_workers(pair, rows):
    """The last of those that use the pair."""
    assert pair.predict(rows)[0] == 200
    workers = pair.workers()
    begun = time.monotonic()
    pair.process.terminate()
    assert pair.process.wait(10) == 0
    assert time.monotonic() - begun < 4
    assert not any(worker.is_running() for worker in workers)
    assert not is_open(pair.port)


def test_workers_end_with_the_process_that_watches_over_them(package, free, tmp_path):
    with serving(package, free, tmp_path / "log", workers=2, settings=QUIET) as server:
        until(lambda: len(server.workers()) == 2)
        workers = server.workers()
        server.process.kill()
        server.process.wait()
        psutil.wait_procs(workers, 10)
        assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
        assert not is_open(free)
    assert "the process that watches over the workers has ended; so does this one" in [
        line["message"] for line in server.lines()
    ]


# Taking over


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_takes_over_a_port_without_a_failed_request(package, rows, free, tmp_path, workers):
    standby = free_port()
    with serving(package, free, tmp_path / "first", settings=QUIET, workers=workers) as first:
        results, stop = asking(first, rows)
        with serving(
            package, free, tmp_path / "second", settings=QUIET, workers=workers, standby_port=standby
        ) as second:
            assert second.predict(rows)[0] == 200
            second.process.send_signal(signal.SIGUSR1)
            until(lambda: not is_open(standby))
            time.sleep(0.2)
            first.process.terminate()
            assert first.process.wait(10) == 0
            time.sleep(0.3)
            stop.set()
            until(lambda: len(results) == 4)
            assert {status for statuses in results for status in statuses} == {200}
            assert min(map(len, results)) > 50
            second.port = free
            assert second.predict(rows)[0] == 200
    assert [line["message"] for line in second.lines()].count(f"answering at port {free} now") == workers


def asking(server: Server, rows: list[dict[str, Any]]) -> tuple[list[list[int | str]], threading.Event]:
    """Clients that ask all the time: two with a connection for each request, two that keep theirs."""
    results: list[list[int | str]] = []
    stop = threading.Event()
    body = json.dumps({"instances": rows})

    def ask(keep: bool) -> None:
        statuses: list[int | str] = []
        connection = http.client.HTTPConnection(HOST, server.port, timeout=10)
        while not stop.is_set():
            try:
                connection.request("POST", f"{server.path}:predict", body)
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)
            except (OSError, http.client.HTTPException) as error:
                statuses.append(repr(error))
            if not keep:
                connection.close()
            time.sleep(0.002)
        connection.close()
        results.append(statuses)

    for keep in (False, True, False, True):
        threading.Thread(target=ask, args=(keep,)).start()
    return results, stop


def test_a_stranger_at_the_port_is_no_one_to_take_over_from(package, free):
    standby = free_port()
    with socket.create_server((HOST, free)):
        done = subprocess.run(
            command(package, free, standby_port=standby, settings=QUIET),
            env=environment(), capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == REFUSED
    assert f"Port {free} of {HOST} cannot be used" in json.loads(done.stderr)["message"]
