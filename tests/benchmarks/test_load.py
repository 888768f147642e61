"""The load generator, against a real server that answers as each test needs."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.benchmarks.load import LoadError, post, run_load

OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def server(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """Port of a server that answers each body; an empty answer closes the connection."""
    loop = asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                if not (content := answer(await reader.readexactly(size))):
                    break
                middle = len(content) // 2  # in two parts, as large answers come
                writer.write(content[:middle])
                await asyncio.sleep(0)
                writer.write(content[middle:])
        except asyncio.IncompleteReadError:
            pass
        writer.close()

    listener = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(drained(listener), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def drained(listener: asyncio.Server) -> None:
    listener.close()
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0.001)


def echo(body: bytes) -> bytes:
    return OK % len(body) + body


REQUESTS = [post("/", b"%d" % number) for number in range(50)]


def test_every_request_is_answered_and_timed():
    with server(echo) as port:
        load = run_load(port, REQUESTS, seconds=0.3, connections=4)
    assert load.errors == 0
    assert load.answers == {number: {b"%d" % number} for number in range(50)}
    assert len(load.latencies) == pytest.approx(load.rate * load.seconds)
    assert 0 < load.latencies.min() <= load.milliseconds(50) / 1000 <= load.milliseconds(100) / 1000 < 1


def test_paced_load_comes_at_its_rate():
    with server(echo) as port:
        load = run_load(port, REQUESTS, seconds=0.5, rate=200)
    assert 60 <= len(load.latencies) <= 140


def test_waiting_for_a_connection_counts():
    def slow(body: bytes) -> bytes:
        threading.Event().wait(0.02)
        return echo(body)

    with server(slow) as port:
        load = run_load(port, REQUESTS, seconds=0.4, connections=1, rate=100)
    assert np.median(load.latencies) > 0.05  # twice as many are due as can be answered


def test_errors_and_changes_are_counted():
    seen: set[bytes] = set()

    def answer(body: bytes) -> bytes:
        if body == b"7":
            return b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
        if body == b"8" and body in seen:
            return echo(b"9")
        seen.add(body)
        return echo(body)

    with server(answer) as port:
        load = run_load(port, REQUESTS, seconds=0.3, connections=2)
    assert load.errors > 0
    assert load.answers[8] == {b"8", b"9"}
    assert 7 not in load.answers


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\n\r\n", OK % 1 + b"too much"])
def test_what_is_no_answer_is_refused(content):
    with server(lambda body: content) as port, pytest.raises(LoadError):
        run_load(port, REQUESTS, seconds=0.1, connections=1)
