"""A server that knows nothing: it keeps the core busy for a while and answers, which is how steady the machine is.

    python tests/benchmarks/peers/busy.py --microseconds 45 --port PORT

Whole requests in one packet, keep-alive, plain epoll: nothing else that could be late.
"""

import argparse
import select
import socket
from time import perf_counter

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--microseconds", type=float, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    clients: dict[int, socket.socket] = {}
    with socket.create_server(("127.0.0.1", options.port)) as listening, select.epoll() as waiting:
        waiting.register(listening.fileno(), select.EPOLLIN)
        while True:
            for number, _ in waiting.poll():
                if number == listening.fileno():
                    client, _ = listening.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    clients[client.fileno()] = client
                    waiting.register(client.fileno(), select.EPOLLIN)
                elif not _answer(clients[number], options.microseconds):
                    waiting.unregister(number)
                    clients.pop(number).close()


def _answer(client: socket.socket, microseconds: float) -> bool:
    """Whether there was a request."""
    if not client.recv(1 << 16):
        return False
    end = perf_counter() + microseconds / 1e6
    while perf_counter() < end:
        pass
    client.sendall(_ANSWER)
    return True


if __name__ == "__main__":
    main()
