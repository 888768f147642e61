"""A receiver of notifications: a real HTTP server on this machine that keeps what it is sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "very-secret-key"


@dataclass
class Receiver:
    """What the server holds.

    Attributes:
        url: Its address, which ends with a part that is a secret.
        first: Statuses of its first answers; 200 afterwards.
        got: Headers and body of each message.
    """

    url: str = ""
    first: list[int] = field(default_factory=list)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.got]


@contextmanager
def receiving(host: str = "127.0.0.1") -> Iterator[Receiver]:
    """The server, for the time of the context."""
    held = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            held.got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(held.first.pop(0) if held.first else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    held.url = f"http://{host}:{server.server_port}/hooks/hidden-part"
    yield held
    server.shutdown()
    server.server_close()
