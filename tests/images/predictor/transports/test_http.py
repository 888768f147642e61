"""HTTP over real sockets: what arrives in odd pieces, too slowly, too large, too often, or is no HTTP at all."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from images.predictor.messages import Reason, Reply, Request, Response
from images.predictor.transports import http, http_connection, http_peer
from images.predictor.transports.base import Limits
from images.predictor.transports.http import HttpTransport
from images.predictor.transports.http_answers import HTTP_STATUS
from tests.images.predictor.wire import Client, bound_socket

POST = b"POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
LATER = POST.replace(b"/now", b"/later")


@dataclass
class Served:
    """A server under test, and what its handler saw."""

    port: int
    server: HttpTransport
    refused: list[Reason]
    requests: list[Request] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client


class Handler:
    """Says what it was asked, at once or some seconds later."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.requests: list[Request] = []
        self.refusals: list[Reason] = []

    def handle(self, request: Request, reply: Reply) -> Response | None:
        self.requests.append(request)
        said = json.dumps([request.method, request.path.decode(), request.body.decode()]).encode()
        if request.path == b"/large":
            said = b"x" * 8_000_000
        if request.path == b"/later":
            asyncio.get_running_loop().call_later(self.seconds, reply, request, Response(said))
            return None
        return Response(said)

    def refused(self, reason: Reason) -> None:
        self.refusals.append(reason)


@asynccontextmanager
async def serving(seconds: float = 0.05, **limits: Any) -> AsyncIterator[Served]:
    bound = bound_socket()
    allowed = Limits(**{"body_bytes": 1000, "waiting_bytes": 5000, **limits})
    server, handler = HttpTransport([bound], allowed), Handler(seconds)
    await server.serve(handler)
    served = Served(bound.getsockname()[1], server, handler.refusals, handler.requests)
    try:
        yield served
        for client in served.clients:
            client.writer.close()
        await server.close(1.0)
        assert server.waiting_bytes == 0
        assert not server.connections
    finally:
        for client in served.clients:
            client.writer.transport.abort()
        await server.close(0.0)  # a test that fails leaves nothing that the event loop would wait for
        await asyncio.sleep(0)


def run(scenario: Callable[[Served], Awaitable[None]], seconds: float = 0.05, **limits: Any) -> None:
    async def main() -> None:
        async with serving(seconds, **limits) as served:
            await scenario(served)

    uvloop.run(main())


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(http, "_SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(http_peer, "_LINGER_SECONDS", 1.0)


def test_a_connection_that_cannot_be_closed_does_not_end_the_others_deadlines(monkeypatch):
    async def scenario(served):
        stuck = await served.connect()
        await stuck.send(b"POST /now HTTP/1.1\r\n")
        while not (broken := [one for one in served.server.connections if one.peer.receiving]):
            await asyncio.sleep(0.005)
        monkeypatch.setattr(
            http_connection.Connection, "_refuse", failing_for(broken[0], http_connection.Connection._refuse)
        )
        with suppress(ConnectionError):
            assert await stuck.rest() == b""
        slow = await served.connect()
        assert (await slow.ask(b"POST /now HTTP/1.1\r\n")).status == 408

    run(scenario, request_seconds=0.1)


def failing_for(one: Any, otherwise: Any) -> Any:
    def refuse(connection: Any, error: Any) -> None:
        if connection is one:
            raise RuntimeError("broken")
        otherwise(connection, error)

    return refuse


def test_requests_on_one_connection():
    async def scenario(served):
        client = await served.connect()
        for _ in range(3):
            answer = await client.ask(POST)
            assert (answer.status, json.loads(answer.body)) == (200, ["POST", "/now", "hello"])
            assert answer.headers["date"].endswith("gmt")
        assert len({request.request_id for request in served.requests}) == 3
        assert served.requests[0].header(b"host") == b"x"
        assert served.requests[0].header(b"none") == b""

    run(scenario)


@pytest.mark.parametrize("request_", [POST, LATER, b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                      b"2;name=value\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n"])  # fmt: skip
def test_byte_by_byte(request_):
    async def scenario(served):
        client = await served.connect()
        answer = await client.ask(*(bytes([byte]) for byte in request_))
        assert json.loads(answer.body)[2] == "hello"
        assert json.loads((await client.ask(request_)).body)[2] == "hello"

    run(scenario)


def test_pipelined_requests_are_answered_in_their_order():
    async def scenario(served):
        client = await served.connect()
        bodies = [b"%05d" % number for number in range(12)]
        await client.send(b"".join((LATER, POST)[number % 2].replace(b"hello", body)
                                   for number, body in enumerate(bodies)))  # fmt: skip
        for body in bodies:
            assert json.loads((await client.answer()).body)[2] == body.decode()
        assert (await client.ask(POST)).status == 200

    run(scenario, seconds=0.01)


def test_what_follows_good_requests_is_refused_after_their_answers():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER + POST + b"\x16\x03\x01 no HTTP")
        assert [(await client.answer()).status for _ in range(3)] == [200, 200, 400]
        assert await client.rest() == b""
        assert served.refused == [Reason.INVALID]

    run(scenario)


def test_too_many_pipelined_requests_are_answered_as_far_as_allowed():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER + POST * 40)
        statuses = [(await client.answer()).status for _ in range(34)]
        assert statuses == [200] * 33 + [400]
        assert await client.rest() == b""

    run(scenario)


def test_head_and_connection_close_and_http_1_0():
    async def scenario(served):
        client = await served.connect()
        await client.send(b"HEAD /now HTTP/1.1\r\n\r\n")
        answer = await client.answer(body=False)
        assert int(answer.headers["content-length"]) > 0
        assert (await client.ask(POST)).status == 200  # no body stood between the two
        answer = await client.ask(POST.replace(b"Host: x", b"Connection: close"))
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
        old = await served.connect()
        answer = await old.ask(POST.replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert answer.headers["connection"] == "close"
        assert await old.rest() == b""

    run(scenario)


def test_what_follows_the_last_request_is_dropped():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER.replace(b"Host: x", b"Connection: close") + b"\r\nmore")
        assert (await client.answer()).status == 200
        assert await client.rest() == b""
        now = await served.connect()
        await now.send(POST.replace(b"Host: x", b"Connection: close") + b"\r\n" + POST)
        assert (await now.answer()).status == 200
        assert await now.rest() == b""

    run(scenario)


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_expect_100_continue(version):
    async def scenario(served):
        client = await served.connect()
        head, body = POST.replace(b"Host: x", b"Expect: 100-continue").replace(b"1.1", version).split(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        if version == b"1.1":
            assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await client.ask(body)).status == 200

    run(scenario)


def test_a_large_body_is_not_asked_for():
    async def scenario(served):
        client = await served.connect()
        answer = await client.ask(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
        assert answer.status == 413
        assert "1,000 bytes" in answer.error

    run(scenario)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET /now HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /now HTTP/1.1\r\na: \0\r\n\r\n", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 400),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n", 400),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", 400),
        (b"POST /now HTTP/1.1\r\nContent-Length: 1001\r\n\r\n", 413),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\na: " + b"b" * 33_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"b" * 33_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: " + b"b" * 33_000 + b"\r\n\r\n", 431),
    ],
)  # fmt: skip
def test_what_is_refused(request_, status):
    async def scenario(served):
        client = await served.connect()
        answer = await client.ask(request_)
        assert (answer.status, answer.headers["connection"]) == (status, "close")
        assert answer.error
        assert await client.rest() == b""
        assert [HTTP_STATUS[reason] for reason in served.refused] == [status]
        assert not served.requests
        assert (await (await served.connect()).ask(POST)).status == 200

    run(scenario)


@pytest.mark.parametrize(
    "start", [b"GET / HTTP/1.1\r\na: ", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;"]
)
def test_a_header_or_extension_without_end(start):
    async def scenario(served):
        client = await served.connect()
        await client.send(start)
        sent = 0
        while not served.refused:
            await client.send(b"b" * 8192)
            sent += 8192
            assert sent < 1_000_000
        assert (await client.answer()).status == 431

    run(scenario)


def test_a_client_reads_413_while_it_still_sends():
    async def scenario(served):
        client = await served.connect()
        await client.send(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n")
        await client.send(*[b"x" * 100_000] * 30)
        assert (await client.answer()).status == 413

    run(scenario)


def test_a_body_in_the_smallest_chunks():
    async def scenario(served):
        client = await served.connect()
        text = b"".join(b"1\r\n%c\r\n" % (65 + number % 26) for number in range(900))
        answer = await client.ask(b"POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + text + b"0\r\n\r\n")
        assert json.loads(answer.body)[2] == "".join(chr(65 + number % 26) for number in range(900))

    run(scenario)


@pytest.mark.parametrize(
    "sent", [b"GET /now HT", b"POST /now HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel", LATER + b"GET"]
)
def test_a_request_that_does_not_arrive_in_time(sent):
    async def scenario(served):
        client = await served.connect()
        await client.send(sent)
        if sent.startswith(LATER):
            assert (await client.answer()).status == 200
        assert (await client.answer()).status == 408
        assert await client.rest() == b""
        assert served.refused == [Reason.LATE]

    run(scenario, request_seconds=0.1)


def test_a_drip_of_bytes_does_not_buy_time():
    async def scenario(served):
        client = await served.connect()
        await client.send(*(bytes([byte]) for byte in POST[:20]), pause=0.02)
        assert (await client.answer()).status == 408

    run(scenario, request_seconds=0.2)


def test_a_client_that_says_nothing_is_closed():
    async def scenario(served):
        client = await served.connect()
        assert await client.rest() == b""
        assert not served.refused

    run(scenario, request_seconds=0.1)


def test_an_idle_connection_is_closed(monkeypatch):
    monkeypatch.setattr(http, "_IDLE_SECONDS", 0.1)

    async def scenario(served):
        client = await served.connect()
        assert (await client.ask(POST)).status == 200
        assert await client.rest() == b""

    run(scenario)


def test_waiting_for_an_answer_is_no_idleness():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER, POST)
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]

    run(scenario, seconds=0.4, request_seconds=0.1)


def test_a_client_that_does_not_read():
    async def scenario(served):
        client = await served.connect()
        large = b"GET /large HTTP/1.1\r\n\r\n"
        client.writer.transport.pause_reading()
        await client.send(large * 3)
        for _ in range(400):
            await asyncio.sleep(0.02)
            if not served.server.connections:
                break
        assert not served.server.connections
        assert len(served.requests) < 3  # what it does not read is not made
        reading = await served.connect()
        await reading.send(large * 3)
        for _ in range(3):
            assert len((await reading.answer()).body) == 8_000_000

    run(scenario, request_seconds=1.0)


def test_a_client_that_has_stopped_sending_gets_its_answers():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER + POST)
        client.writer.write_eof()
        assert [(await client.answer()).status for _ in range(2)] == [200, 200]
        assert await client.rest() == b""

    run(scenario)


def test_a_client_that_leaves_before_its_answer():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER + LATER + b"POST /now HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel")
        await asyncio.sleep(0.02)
        client.writer.transport.abort()
        await asyncio.sleep(0.1)
        assert served.server.waiting_bytes == 0

    run(scenario)


def test_an_offer_of_another_protocol_is_ignored():
    async def scenario(served):
        client = await served.connect()
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"
        for request in (POST.replace(b"Host: x", offer), b"GET /now HTTP/1.1\r\n" + offer + b"\r\n\r\n"):
            await client.send(request * 3)
            assert [(await client.answer()).status for _ in range(3)] == [200] * 3
        await client.send(b"GET /now HTTP/1.1\r\n" + offer + b"\r\n\r\n" + b"\0garbage")
        assert [(await client.answer()).status for _ in range(2)] == [200, 400]
        assert not served.refused[1:]

    run(scenario)


def test_a_wrong_request_that_offers_another_protocol():
    offer = b"POST /now HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"

    async def scenario(served):
        for rest, status in (
            (b"Content-Length: 1001\r\n\r\n", 413),
            (b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001, 413),
            (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        ):
            assert (await (await served.connect()).ask(offer + rest)).status == status
        client = await served.connect()
        await client.send(LATER + offer + b"Content-Length: 1001\r\n\r\n")
        assert [(await client.answer()).status for _ in range(2)] == [200, 413]

    run(scenario)


def test_connect_is_refused_and_what_follows_it_is_dropped():
    async def scenario(served):
        client = await served.connect()
        answer = await client.ask(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n" + POST)
        assert (answer.status, answer.headers["connection"]) == (400, "close")
        assert await client.rest() == b""
        assert not served.requests

    run(scenario)


def test_too_many_connections():
    async def scenario(served):
        first = [await served.connect() for _ in range(2)]
        for client in first:
            assert (await client.ask(POST)).status == 200
        answer = await (await served.connect()).answer()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        first[0].writer.close()
        await asyncio.sleep(1.5)  # who was refused has had its time to read that, too
        assert (await (await served.connect()).ask(POST)).status == 200

    run(scenario, connections=2)


def test_too_many_bytes_of_bodies():
    async def scenario(served):
        slow = [await served.connect() for _ in range(5)]
        for client in slow:
            await client.send(b"POST /now HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + b"x" * 990)
        await asyncio.sleep(0.05)
        assert served.server.waiting_bytes == 4950
        answer = await (await served.connect()).ask(POST.replace(b"5", b"60").replace(b"hello", b"x" * 60))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        for client in slow:
            assert (await client.ask(b"x" * 10)).status == 200
        assert served.server.waiting_bytes == 0

    run(scenario)


def test_closing_lets_what_has_arrived_be_answered():
    async def scenario(served):
        idle, busy, sending = [await served.connect() for _ in range(3)]
        await idle.ask(POST)
        await busy.send(LATER + POST)
        await sending.send(POST[:-2])
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(served.server.close(3.0))
        assert await idle.rest() == b""
        answers = [await busy.answer() for _ in range(2)]
        assert [answer.headers.get("connection") for answer in answers] == [None, "close"]
        assert (await sending.ask(POST[-2:])).headers["connection"] == "close"
        await asyncio.wait_for(closing, 2)
        with pytest.raises(OSError, match="refused"):
            await served.connect()

    run(scenario)


def test_closing_waits_only_so_long():
    async def scenario(served):
        client = await served.connect()
        await client.send(LATER)
        await asyncio.sleep(0.02)
        await asyncio.wait_for(served.server.close(0.1), 1)
        with suppress(ConnectionError):
            assert await client.rest() == b""
        await asyncio.sleep(0.3)  # an answer that nobody waits for any more

    run(scenario, seconds=0.3)


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"mine-1", True), (b"x" * 129, False), (b"a b", False), (b"\xc3\xa9", False)]
)
def test_request_ids(sent, kept):
    async def scenario(served):
        client = await served.connect()
        answer = await client.ask(POST.replace(b"Host: x", b"X-Request-ID: " + sent))
        assert (answer.headers["x-request-id"] == sent.decode()) is kept
        assert answer.headers["x-request-id"]

    run(scenario)


def test_a_fault_of_ours_is_logged_and_answered(caplog, monkeypatch):
    async def scenario(served):
        monkeypatch.setattr(served.server.handler, "handle", lambda request, reply: 1 / 0)
        client = await served.connect()
        assert (await client.ask(POST)).status == 500
        assert served.refused == [Reason.FAILED]

    with caplog.at_level(logging.ERROR):
        run(scenario)
    assert "ZeroDivisionError" in caplog.text
