"""What it takes to see how a server fares while its store cannot be reached: a load, and a switch before the store."""

import http.client
import json
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from tests.ports import free_port

HOST = "127.0.0.1"


class Load:
    """Clients that ask one prediction after another, each over a connection it keeps.

    Attributes:
        answered: When each request that was answered 200 was answered, by its id, in seconds since 1970.
        failures: What went wrong otherwise, until the server was gone.
    """

    def __init__(
        self, port: int, path: str, rows: Sequence[dict[str, Any]], *, clients: int = 2, pause: float = 0.0
    ) -> None:
        self.answered: dict[str, float] = {}
        self.failures: list[str] = []
        self._port = port
        self._path = f"{path}:predict"
        self._body = json.dumps({"instances": rows})
        self._pause = pause
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(client,)) for client in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, client: int) -> None:
        connection = http.client.HTTPConnection(HOST, self._port, timeout=10)
        number = 0
        while not self._stop.is_set():
            name = f"{client}-{number}"
            number += 1
            try:
                connection.request("POST", self._path, self._body, {"X-Request-Id": name})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                break
            if response.status == 200:
                self.answered[name] = time.time()
            else:
                self.failures.append(f"{name}: {response.status}")
            if self._pause:
                time.sleep(self._pause)
        connection.close()


class Switch:
    """Passes connections on to a server; while it is off, it closes them and takes no others.

    Args:
        target: `host:port` of the server.
    """

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._open: set[socket.socket] = set()
        self._ended = False
        self._server: socket.socket | None = socket.create_server((HOST, free_port()))
        self._address = self._server.getsockname()

    @property
    def endpoint(self) -> str:
        """Where it listens, as a URL."""
        return f"http://{HOST}:{self._address[1]}"

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def off(self) -> None:
        """Refuse connections, and cut those there are."""
        server, self._server = self._server, None
        if server:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            server.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def on(self) -> None:
        """Pass connections on again."""
        self._server = socket.create_server(self._address)
        self._start()

    def _start(self) -> None:
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                accepted, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(accepted,), daemon=True).start()

    def _pass_on(self, accepted: socket.socket) -> None:
        with accepted, suppress(OSError), socket.create_connection(self._target) as onward:
            pair = {accepted: onward, onward: accepted}
            self._open |= set(pair)
            try:
                with selectors.DefaultSelector() as selector:
                    for one in pair:
                        selector.register(one, selectors.EVENT_READ)
                    while True:
                        for key, _ in selector.select():
                            source: Any = key.fileobj
                            data = source.recv(65536)
                            if not data:
                                return
                            pair[source].sendall(data)
            finally:
                self._open -= set(pair)
