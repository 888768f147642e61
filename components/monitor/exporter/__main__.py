"""Figures of all models that are watched, for Prometheus: `python -m components.monitor.exporter`.

Looks into the object store every minute and answers at `/metrics` what it knew last, so that a store that is slow or
away makes figures old, which one of them says, and never a scrape that hangs.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from components.monitor.exporter.families import families
from components.monitor.exporter.known import Known, Models
from components.shared.errors import FullcircleError
from components.shared.progress import announce, tell_failure
from components.shared.store import Store

PORT = 9108


class Exporter(Collector):
    """What was known at the last look.

    Args:
        models: Where to look.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._known: dict[str, Known] = {}
        self._failures = 0
        self._looked = 0.0

    def look(self) -> None:
        """Look again; of a model that cannot be read the figures stay what they were."""
        whole = True
        try:
            names = self._models.names()
        except FullcircleError as error:
            self._failed(error)
            return
        for name in names:
            try:
                self._known[name] = self._models.read(name)
            except Exception as error:  # noqa: BLE001, a defect of one model's figures is no other model's affair
                self._failed(error, model=name)
                whole = False
        self._known = {name: known for name, known in self._known.items() if name in names}
        if whole:
            self._looked = time.time()

    def collect(self) -> Iterator[Metric]:
        """What `prometheus_client` asks for."""
        yield from families(list(self._known.values()))
        yield GaugeMetricFamily(
            "fullcircle_exporter_look_timestamp_seconds", "When all models could last be read.", self._looked
        )
        yield CounterMetricFamily(
            "fullcircle_exporter_failures", "Failures to read what is known of a model.", self._failures
        )

    def _failed(self, error: Exception, *, model: str = "") -> None:
        self._failures += 1
        tell_failure(error, model=model)


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer until SIGTERM or SIGINT.

    Returns:
        The exit code: 0, or 1 when the environment names no store or the port is taken.
    """
    given = _parse(arguments)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        exporter = Exporter(Models(Store.connect()))
        exporter.look()
        registry = CollectorRegistry(auto_describe=False)
        registry.register(exporter)
        server, _ = start_http_server(given.port, given.host, registry)
    except (FullcircleError, OSError) as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    announce(f"figures are at http://{given.host}:{given.port}/metrics")
    while not stop.wait(given.seconds):
        exporter.look()
    server.shutdown()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m components.monitor.exporter", description="Figures of all models that are watched."
    )
    parser.add_argument("--host", default="0.0.0.0", help="address to listen at; all of them by default")  # noqa: S104
    parser.add_argument("--port", type=int, default=PORT, help=f"port to answer at ({PORT})")
    parser.add_argument("--seconds", type=float, default=60.0, help="seconds between two looks into the store (60)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
