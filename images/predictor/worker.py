"""The life of one process that answers, from loading the package to its last request.

A server that is told to end still has clients: they are asked to leave, what has arrived is answered, and the rows that
wait are logged, each within its part of the grace. A signal may also come while the model loads; it is noted and obeyed
then. A worker whose parent is gone ends too, since nobody would be left to end it. `program` makes the sockets and the
workers.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Iterator

import uvloop

from components.shared.config import InferenceLogConfig
from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer
from components.shared.tasks import TASKS
from images.predictor import figures
from images.predictor.endpoint import Endpoint
from images.predictor.figures import Described, families
from images.predictor.http_paths import HttpPaths
from images.predictor.inference_log import InferenceLog, connect_store
from images.predictor.messages import Handler
from images.predictor.metrics import Meters
from images.predictor.options import Options
from images.predictor.package import load_package, prediction_quantiles
from images.predictor.recorder import Recorder
from images.predictor.shadow import ShadowTraffic
from images.predictor.transports.base import Limits, Transport
from images.predictor.transports.http import HttpTransport

LOG = logging.getLogger("fullcircle.predictor")

ENDING = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*ENDING, signal.SIGUSR1)
_IDLE_SECONDS = 0.5  # how long a client that keeps its connection open may still use it, to be told to leave
_THREADS_PAUSE = 0.0005  # longest time the request path waits for a thread that holds the interpreter


def serve(
    options: Options, sockets: list[socket.socket], *, worker: int = 0, meters: Meters | None = None, parent: int = -1
) -> int:
    """Load the package and answer until SIGTERM.

    Args:
        options: The program's arguments.
        sockets: Where to answer.
        worker: Number of this process among the workers.
        meters: The figures of all workers; None to make them.
        parent: Descriptor of a pipe that ends when the process that watches over the workers does; -1 without one.
    """
    early = EarlySignals()
    scorer, manifest = load_package(options.model_dir)
    meters = meters or make_meters(options, scorer.schema, manifest.version)
    meters.use(worker)
    settings = options.settings
    _warn_of_unknown(settings.log.leave_out, scorer.schema)
    recorder = Recorder(
        scorer,
        _log_settings(options, scorer.schema),
        meters,
        _inference_log(options, meters),
        shadow=_shadow_traffic(options, scorer, meters),
    )
    endpoint = Endpoint(
        options.model_name, scorer, options.model_dir, settings=settings, meters=meters, recorder=recorder
    )
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(_THREADS_PAUSE)
    uvloop.run(_Worker(options, sockets, endpoint, recorder).run(early, parent))
    return 0


def _inference_log(options: Options, meters: Meters) -> InferenceLog | None:
    if not options.settings.log.enabled:
        return None

    def count(what: str, amount: int) -> None:
        meters.add(amount, *((figures.LOG_FAILED_WRITES,) if what == "failed_writes" else (figures.LOG_ROWS, what)))

    model, root = (options.shadow, SHADOW_ROOT) if options.shadow else (options.model_name, LOG_ROOT)
    return InferenceLog(model, options.settings.log, connect=connect_store, count=count, root=root)


def _log_settings(options: Options, schema: Schema) -> InferenceLogConfig:
    """What is logged: of a candidate every answer, without the features, which the version that serves logs."""
    settings = options.settings.log
    if not options.shadow:
        return settings
    return settings.model_copy(update={"sample": 1.0, "leave_out": [*schema.columns, *schema.extras]})


def _shadow_traffic(options: Options, scorer: Scorer, meters: Meters) -> ShadowTraffic | None:
    settings = options.settings
    if not (options.shadow_url and settings.shadow.percent and settings.log.enabled):
        return None
    return ShadowTraffic(
        scorer,
        options.shadow_url,
        share=settings.shadow.percent / 100,
        seconds=settings.request_seconds,
        meters=meters,
    )


def _warn_of_unknown(leave_out: list[str], schema: Schema) -> None:
    """Warn of unknown names in `serving.log.leave_out`: a misspelt one would let a secret column be logged."""
    unknown = set(leave_out) - {*schema.columns, *schema.extras}
    if unknown:
        LOG.warning("serving.log.leave_out names %s, which no row has; is it misspelt?", ", ".join(sorted(unknown)))


def make_meters(options: Options, schema: Schema, version: str) -> Meters:
    """The figures of all workers."""
    bounds = () if TASKS[schema.task].has_classes else prediction_quantiles(options.model_dir)
    return Meters(families(Described(options.model_name, version, schema, bounds)), options.workers)


class EarlySignals:
    """Signals that arrive while a process still loads; they are noted, and acted on once it has loaded."""

    def __init__(self) -> None:
        self.end = False
        self.take_over = False
        for number in SIGNALS:
            signal.signal(number, self._note)

    def _note(self, number: int, _: object) -> None:
        if number == signal.SIGUSR1:
            self.take_over = True
        else:
            self.end = True


class _Worker:
    """One process that answers."""

    def __init__(self, options: Options, sockets: list[socket.socket], endpoint: Endpoint, recorder: Recorder) -> None:
        self.options = options
        self.sockets = sockets
        self.endpoint = endpoint
        self.recorder = recorder
        self.transports = list(_transports(options, sockets, endpoint))
        self._stop = asyncio.Event()
        self._taking_over: asyncio.Task[None] | None = None

    async def run(self, early: EarlySignals, parent: int) -> None:
        """Answer until SIGTERM or SIGINT, or until the parent ends; then finish what has arrived.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self._stop.set)
        if parent >= 0:
            loop.add_reader(parent, self._orphaned, parent)
        loop.add_signal_handler(signal.SIGUSR1, self._start_to_take_over)
        if early.end:
            return
        for transport, handler in self.transports:
            await transport.serve(handler)
        self.recorder.start()
        LOG.info(
            "model %s, version %s, answers at port %d",
            self.options.model_name, self.endpoint.scorer.version, self.sockets[0].getsockname()[1],
        )  # fmt: skip
        if early.take_over:
            self._start_to_take_over()
        await self._stop.wait()
        await self._end()

    def _orphaned(self, parent: int) -> None:
        asyncio.get_running_loop().remove_reader(parent)
        LOG.error("the process that watches over the workers has ended; so does this one")
        self._stop.set()

    def _start_to_take_over(self) -> None:
        if len(self.sockets) > 1 and self._taking_over is None:
            self._taking_over = asyncio.get_running_loop().create_task(self._take_over())

    async def _take_over(self) -> None:
        """Answer at the port that is meant, from now on, and at the first one no longer."""
        try:
            for transport, _ in self.transports:
                await transport.take_over()
        except OSError as error:
            LOG.error("%s", error)
            self._taking_over = None
            return
        LOG.info("answering at port %d now", self.options.http_port)

    async def _end(self) -> None:
        self.endpoint.ready = False
        LOG.info("told to stop: no longer ready")
        grace = self.options.grace_seconds
        deadline = time.monotonic() + self.options.drain_seconds + grace
        for transport, _ in self.transports:
            transport.closing = True
        await asyncio.sleep(self.options.drain_seconds)
        idle = min(_IDLE_SECONDS, grace / 4)
        await asyncio.gather(*(transport.close(grace / 2, idle_seconds=idle) for transport, _ in self.transports))
        self.endpoint.close()
        await asyncio.to_thread(self.recorder.close, max(0.0, deadline - time.monotonic()))
        LOG.info("ended")


def _transports(
    options: Options, sockets: list[socket.socket], endpoint: Endpoint
) -> Iterator[tuple[Transport, Handler]]:
    """What speaks HTTP, what speaks gRPC where there is a port for it, and what each hands its requests to."""
    body = int(options.settings.body_megabytes * 1e6)
    limits = Limits(body, waiting_bytes=max(4 * body, 64_000_000), request_seconds=options.settings.request_seconds)
    yield HttpTransport(sockets, limits), HttpPaths(endpoint)
    if options.grpc_port:
        from images.predictor.grpc_methods import GrpcMethods
        from images.predictor.transports.grpc import GrpcTransport

        transport = GrpcTransport(options.http_host, options.grpc_port, limits, at_once=not options.standby_port)
        yield transport, GrpcMethods(endpoint)
