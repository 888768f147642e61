"""Decisions about canaries, by pages of figures as our model server writes them, served over HTTP."""

import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from components.deploy.canary import Figures, fetch_figures, judge, read_figures, watch
from components.shared.config import CanaryConfig
from components.shared.errors import DeployError
from components.shared.request_figures import OTHER, REQUEST_SECONDS, REQUESTS
from images.predictor import figures
from images.predictor.metrics import Meters
from tests.helpers import make_schema

QUICK = CanaryConfig(percent=10, seconds=0.3, interval_seconds=0.05, requests=10, error_share=0.05, latency_ms=100)
LONG = QUICK.model_copy(update={"seconds": 60})  # for those that are taken back long before


class Server:
    """A page of figures at a port; its meters count, and `each_look` is what happens between two looks."""

    def __init__(self) -> None:
        self.each_look: Callable[[], None] = lambda: None
        self.meters = Meters(figures.families(figures.Described("demo", "abc", make_schema())))
        self.looks = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.looks += 1
                outer.each_look()
                body = outer.meters.render()
                self.send_response(200 if self.path == "/metrics" else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def count(self, requests: int, *, status: int = 200, seconds: float = 0.004, protocol: str = "v1") -> None:
        self.meters.add(requests, REQUESTS, protocol, str(status))
        if protocol != OTHER:
            self.meters.histogram(REQUEST_SECONDS, protocol).observe(seconds, requests)

    def restart(self) -> None:
        self.meters = Meters(self.meters.families)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.stop()


def test_what_a_server_tells(server):
    server.count(90, seconds=0.004)
    server.count(8, seconds=0.2, protocol="v2")
    server.count(2, status=503, seconds=0.00005, protocol="grpc")
    server.count(1000, protocol=OTHER, status=500)  # probes and strangers
    found = fetch_figures(server.address)
    assert (found.requests, found.errors) == (100, 2)
    assert (found.quantile_ms(0.5), found.quantile_ms(0.92), found.quantile_ms(0.99)) == (5, 5, 250)
    assert Figures().quantile_ms(0.99) is None
    both = found + found
    assert (both.requests, both.buckets[math.inf]) == (200, 200)


@pytest.mark.parametrize("page", ["", "<html>", "other_total 1\n", "fullcircle_requests_total{a=\n"])
def test_what_is_no_page_of_figures(page):
    with pytest.raises(DeployError, match="figures"):
        read_figures(page)


def counted(requests: float, *, errors: float = 0, slow: float = 0) -> Figures:
    return Figures(requests=requests, errors=errors, buckets={0.05: requests - slow, 1.0: requests, math.inf: requests})


@pytest.mark.parametrize(
    ("found", "seconds", "verdict", "reason"),
    [
        (counted(0), 0.1, "go on", "too few requests yet"),
        (counted(100), 0.1, "go on", "within its limits"),
        (counted(100), 0.3, "promote", "within its limits: 0.0% errors, 99 of 100 answers within 50 ms"),
        (counted(100, errors=5), 0.3, "promote", "5.0% errors"),
        (counted(100, errors=6), 0.1, "take back", "6 of 100 requests were answered with an error of the server, 6.0%"),
        (counted(9, errors=9), 0.1, "go on", "too few"),
        (counted(100, slow=1), 0.3, "promote", "within 50 ms"),
        (counted(100, slow=2), 0.1, "take back", "99 of 100 requests took up to 1000 ms; serving.canary.latency_ms"),
        (counted(9), 0.3, "promote", "promoted with 9 requests in 0 s, too few to be judged by"),
        (Figures(requests=50, buckets={1.0: 0, math.inf: 50}), 0.1, "take back", "took longer than 10 s"),
    ],
)
def test_the_decision(found, seconds, verdict, reason):
    assert judge(found, QUICK, seconds=seconds)[0] == verdict
    assert reason in judge(found, QUICK, seconds=seconds)[1]


def test_a_good_canary_is_promoted_when_its_time_is_over(server):
    server.count(1000, status=500)  # before it was watched
    server.each_look = lambda: server.count(20)
    found = watch(lambda: [server.address], QUICK)
    assert found.promoted
    assert found.error_share == 0
    assert found.p99_ms == 5
    assert found.seconds >= QUICK.seconds
    assert found.requests == 20 * (server.looks - 1)


def test_a_bad_canary_is_taken_back_at_once(server):
    server.each_look = lambda: server.count(20, status=500)
    found = watch(lambda: [server.address], LONG)
    assert not found.promoted
    assert (found.requests, found.error_share, server.looks) == (20, 1.0, 2)


@pytest.mark.parametrize("protocol", ["v1", "v2", "grpc"])
def test_a_canary_that_is_asked_by_one_protocol_alone_is_judged(server, protocol):
    server.each_look = lambda: server.count(20, protocol=protocol)
    good = watch(lambda: [server.address], QUICK)
    assert (good.promoted, good.requests, good.error_share) == (True, 20 * (server.looks - 1), 0)
    assert "within its limits" in good.reason
    server.each_look = lambda: server.count(20, status=500, protocol=protocol)
    bad = watch(lambda: [server.address], LONG)
    assert (bad.promoted, bad.requests, bad.error_share) == (False, 20, 1.0)


def test_a_slow_canary_is_taken_back(server):
    server.each_look = lambda: server.count(20, seconds=0.3)
    found = watch(lambda: [server.address], LONG)
    assert (found.promoted, found.p99_ms) == (False, 500)


def test_a_server_that_began_anew_counts_from_nothing(server):
    server.count(500)

    def look() -> None:
        if server.looks == 2:
            server.restart()
            server.count(30, status=500)

    server.each_look = look
    assert watch(lambda: [server.address], LONG).requests == 30


def test_all_servers_of_a_canary_count(server):
    other = Server()
    server.each_look = lambda: server.count(10)
    other.each_look = lambda: other.count(10, status=500)
    try:
        found = watch(lambda: [server.address, other.address], LONG)
    finally:
        other.stop()
    assert (found.requests, found.error_share) == (20, 0.5)


def test_a_canary_without_requests_is_promoted_and_says_so(server):
    found = watch(lambda: [server.address], QUICK)
    assert (found.promoted, found.requests, found.error_share, found.p99_ms) == (True, 0, None, None)
    assert "too few to be judged by" in found.reason


def test_a_canary_that_is_gone_is_no_good_one(server):
    with pytest.raises(DeployError, match="No server of the canary is ready"):
        watch(list, QUICK)
    looks = iter([[server.address], [], [], [server.address], *[[server.address]] * 20])
    assert watch(lambda: next(looks), QUICK).promoted  # one that is replaced may be away for two looks
    with pytest.raises(DeployError, match="does not report its figures"):
        watch(lambda: ["http://127.0.0.1:9"], QUICK)
