"""The program: arguments, sockets, workers, and the life of one worker from loading to its last request."""

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop
from pydantic import ValidationError

from components.shared.config import ServingConfig
from components.shared.errors import PackageError, in_short
from components.shared.model_package import REFERENCE_STATISTICS, Manifest, verify
from components.shared.schema import Schema
from images.predictor import figures, logs
from images.predictor.endpoint import Endpoint
from images.predictor.figures import Described, families
from images.predictor.http_server import HttpServer, Limits
from images.predictor.inference_log import InferenceLog, connect_store
from images.predictor.metrics import Family, Meters
from images.predictor.package import load_package
from images.predictor.query import extra_columns
from images.predictor.recorder import Recorder

LOG = logging.getLogger("fullcircle.predictor")

SETTINGS_VARIABLE = "FULLCIRCLE_SERVING"
REFUSED = 1  # exit code: the package or the arguments cannot be used

_RESTART_SECONDS = 1.0
_THREADS_PAUSE = 0.0005  # longest time the request path waits for a thread that holds the interpreter


@dataclass(frozen=True)
class Options:
    """The program's arguments."""

    model_name: str
    model_dir: Path
    http_host: str
    http_port: int
    standby_port: int
    workers: int
    drain_seconds: float
    grace_seconds: float
    settings: ServingConfig


def main(arguments: list[str] | None = None) -> int:
    """Serve a model package until told to stop; refuse to start with one that cannot be trusted."""
    options = _parse(arguments)
    logs.set_up()
    try:
        manifest = verify(options.model_dir)
        sockets = _bind(options)
    except (PackageError, OSError) as error:
        LOG.error("%s", error)
        return REFUSED
    if options.workers == 1:
        return _serve(options, sockets, manifest, worker=0)
    return _Workers(options, sockets, manifest).run()


def _parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="python -m images.predictor", description="Serves a Fullcircle model package."
    )
    parser.add_argument("--model_name", required=True, help="name of the model in paths")
    parser.add_argument("--model_dir", type=Path, required=True, help="folder of the model package")
    parser.add_argument("--http_port", type=int, default=8080, help="port to answer at (8080)")
    parser.add_argument("--http_host", default="0.0.0.0", help="address to listen at; all of them by default")  # noqa: S104
    parser.add_argument(
        "--standby_port", type=int, default=0,
        help="answer at this port first, and at http_port only after SIGUSR1, beside whoever answers there until then",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=1, help="processes that answer (1)")
    parser.add_argument(
        "--drain_seconds", type=float, default=0.0,
        help="seconds to go on answering, though no longer ready, after SIGTERM (0)",
    )  # fmt: skip
    parser.add_argument("--grace_seconds", type=float, default=20.0, help="most seconds to end after that (20)")
    parser.add_argument(
        "--settings", default=os.environ.get(SETTINGS_VARIABLE, "{}"),
        help=f"the configuration's `serving` section as JSON, by default from {SETTINGS_VARIABLE}",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    if given.workers < 1:
        parser.error(f"--workers: found {given.workers}; expected at least 1")
    try:
        settings = ServingConfig.model_validate_json(given.settings)
    except ValidationError as error:
        parser.error(f"--settings: {in_short(error)}")
    return Options(**{**vars(given), "settings": settings})


def _bind(options: Options) -> list[socket.socket]:
    """Sockets that are bound but not listening: nobody connects before a worker is ready to answer."""
    sockets = [_bound(options.http_host, options.standby_port, shared=False)] if options.standby_port else []
    return [*sockets, _bound(options.http_host, options.http_port, shared=True)]


def _bound(host: str, port: int, *, shared: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise OSError(
            f"Port {port} of {host} cannot be used: {error.strerror}. Free it, or name another one."
        ) from error
    return found


def _serve(
    options: Options, sockets: list[socket.socket], manifest: Manifest, *, worker: int, meters: Meters | None = None
) -> int:
    """Load the package and answer until SIGTERM."""
    try:
        scorer, _ = load_package(options.model_dir)
    except PackageError as error:
        LOG.error("%s", error)
        return REFUSED
    meters = meters or Meters(_families(options, manifest))
    meters.use(worker)
    log = None
    if options.settings.log.enabled:
        log = InferenceLog(
            options.model_name, options.settings.log, connect=connect_store,
            count=lambda what, amount: meters.add(
                amount, *((figures.LOG_FAILED_WRITES,) if what == "failed_writes" else (figures.LOG_ROWS, what))
            ),
        )  # fmt: skip
    _warn_of_unknown(options.settings.log.leave_out, scorer.schema)
    recorder = Recorder(scorer, options.settings.log, meters, log)
    endpoint = Endpoint(
        options.model_name, scorer, options.model_dir, settings=options.settings, meters=meters, recorder=recorder
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # a request leaves no cycles behind
    sys.setswitchinterval(_THREADS_PAUSE)
    uvloop.run(_Worker(options, sockets, endpoint, recorder).run())
    return 0


def _warn_of_unknown(leave_out: list[str], schema: Schema) -> None:
    """Tell of columns that are to be left out of the log and are not in it: a slip would log what must not be."""
    unknown = set(leave_out) - {*schema.columns, *extra_columns(schema)}
    if unknown:
        LOG.warning("serving.log.leave_out names %s, which no row has; is it misspelt?", ", ".join(sorted(unknown)))


def _families(options: Options, manifest: Manifest) -> list[Family]:
    schema = Schema.read(options.model_dir)
    bounds = _prediction_quantiles(options.model_dir) if schema.task == "regression" else ()
    return families(Described(options.model_name, manifest.version, schema, bounds))


def _prediction_quantiles(package: Path) -> tuple[float, ...]:
    """Quantiles of the predictions in the reference window: buckets that show when predictions move."""
    columns = json.loads((package / REFERENCE_STATISTICS).read_bytes())["columns"]
    *_, prediction = columns.values()  # the last column of the reference window
    return tuple(sorted({float(value) for value in prediction["quantiles"].values()}))


class _Worker:
    """One process that answers."""

    def __init__(self, options: Options, sockets: list[socket.socket], endpoint: Endpoint, recorder: Recorder) -> None:
        self.options = options
        self.sockets = sockets
        self.endpoint = endpoint
        self.recorder = recorder
        body = int(options.settings.body_megabytes * 1e6)
        limits = Limits(body, waiting_bytes=max(4 * body, 64_000_000), request_seconds=options.settings.request_seconds)
        self.server = HttpServer(endpoint.handle, limits, refused=endpoint.refused)
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Answer until SIGTERM or SIGINT, then finish what has arrived."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        await self.server.listen(self.sockets[0])
        if len(self.sockets) > 1:
            loop.add_signal_handler(signal.SIGUSR1, lambda: loop.create_task(self._take_over()))
        self.recorder.start()
        sweeper = loop.create_task(self.server.sweep())
        LOG.info(
            "model %s, version %s, answers at port %d",
            self.options.model_name, self.endpoint.scorer.version, self.sockets[0].getsockname()[1],
        )  # fmt: skip
        await self._stop.wait()
        await self._end()
        sweeper.cancel()

    async def _take_over(self) -> None:
        """Answer at the port that is meant, from now on, and at the first one no longer."""
        await self.server.listen(self.sockets[1])
        self.server.stop_listening(0)
        LOG.info("answering at port %d now", self.options.http_port)

    async def _end(self) -> None:
        self.endpoint.ready = False
        LOG.info("told to stop: no longer ready")
        deadline = time.monotonic() + self.options.drain_seconds + self.options.grace_seconds
        await asyncio.sleep(self.options.drain_seconds)
        await self.server.close(max(0.0, deadline - time.monotonic() - self.options.grace_seconds / 2))
        self.endpoint.close()
        await asyncio.to_thread(self.recorder.close, max(0.0, deadline - time.monotonic()))
        LOG.info("ended")


class _Workers:
    """Several processes at the same sockets; one that dies is started anew."""

    def __init__(self, options: Options, sockets: list[socket.socket], manifest: Manifest) -> None:
        self.options = options
        self.sockets = sockets
        self.manifest = manifest
        self.meters = Meters(_families(options, manifest), options.workers)
        self.processes: dict[int, int] = {}  # process id to worker
        self.started: dict[int, float] = {}
        self.stopping = False

    def run(self) -> int:
        """Watch over the workers until told to stop.

        Returns:
            0, or `REFUSED` when a worker finds that the package cannot be served.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, lambda received, _: self._pass_on(received))
        for worker in range(self.options.workers):
            self._start(worker)
        code = 0
        while self.processes:
            try:
                process, status = os.wait()
            except InterruptedError:
                continue
            worker = self.processes.pop(process)
            if self.stopping:
                continue
            if os.waitstatus_to_exitcode(status) == REFUSED:
                code = REFUSED
                self._pass_on(signal.SIGTERM)
                continue
            LOG.error("worker %d ended with %d; it is started anew", worker, os.waitstatus_to_exitcode(status))
            time.sleep(max(0.0, _RESTART_SECONDS - (time.monotonic() - self.started[worker])))
            self._start(worker)
        return code

    def _start(self, worker: int) -> None:
        if self.stopping:
            return
        self.started[worker] = time.monotonic()
        process = os.fork()
        if process:
            self.processes[process] = worker
            return
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        code = REFUSED
        try:
            code = _serve(self.options, self.sockets, self.manifest, worker=worker, meters=self.meters)
        finally:
            logging.shutdown()
            os._exit(code)

    def _pass_on(self, number: int) -> None:
        if number != signal.SIGUSR1:
            self.stopping = True
        for process in self.processes:
            os.kill(process, number)
