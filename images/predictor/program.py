"""The program: arguments, sockets, workers, and the life of one worker from loading to its last request."""

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from pathlib import Path

import uvloop
from pydantic import ValidationError

from components.shared.config import ServingConfig
from components.shared.errors import PackageError, in_short
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS
from images.predictor import figures, logs
from images.predictor.endpoint import Endpoint
from images.predictor.figures import Described, families
from images.predictor.http_server import HttpServer, Limits
from images.predictor.inference_log import InferenceLog, connect_store
from images.predictor.metrics import Meters
from images.predictor.package import load_package, prediction_quantiles
from images.predictor.recorder import Recorder

LOG = logging.getLogger("fullcircle.predictor")

SETTINGS_VARIABLE = "FULLCIRCLE_SERVING"
_ENDING = (signal.SIGTERM, signal.SIGINT)
_PASSED_ON = (*_ENDING, signal.SIGUSR1)
REFUSED = 1  # exit code: the package or the port cannot be used
CRASHED = 70  # exit code: an error of the program itself

_RESTART_SECONDS = 1.0
_IDLE_SECONDS = 0.5  # how long a client that keeps its connection open may still use it, to be told to leave
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
    sys.meta_path.insert(0, _WithoutPandas())
    try:
        if options.workers == 1:
            return _serve(options, _bind(options))
        return _Workers(options, _bind(options)).run()
    except (PackageError, OSError) as error:
        LOG.error("%s", error)
        return REFUSED
    except Exception:
        LOG.exception("the server cannot go on")
        return CRASHED


class _WithoutPandas(MetaPathFinder):
    """Where pandas is installed, pyarrow loads it at the first array it makes: 50 MB that nothing here needs."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Find nothing, and have nobody else find pandas."""
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("the model server does without pandas", name=fullname)


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
    _check(parser, given)
    try:
        settings = ServingConfig.model_validate_json(given.settings)
    except ValidationError as error:
        parser.error(f"--settings: {in_short(error)}")
    return Options(**{**vars(given), "settings": settings})


def _check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    if given.workers < 1:
        parser.error(f"--workers: found {given.workers}; expected at least 1")
    for name, lowest in (("http_port", 1), ("standby_port", 0)):
        if not lowest <= getattr(given, name) <= 65535:
            parser.error(f"--{name}: found {getattr(given, name)}; expected {lowest} to 65535")
    if given.standby_port == given.http_port:
        parser.error(f"--standby_port: found {given.standby_port}, which is --http_port; expected another one")
    for name in ("drain_seconds", "grace_seconds"):
        if not 0 <= getattr(given, name) <= 86_400:
            parser.error(f"--{name}: found {getattr(given, name):g}; expected 0 to 86,400 seconds")


def _bind(options: Options) -> list[socket.socket]:
    """Sockets that are bound but not listening: nobody connects before a worker is ready to answer."""
    if not options.standby_port:
        return [_bound(options.http_host, options.http_port)]
    return [_bound(options.http_host, options.standby_port), _bound(options.http_host, options.http_port, beside=True)]


def _bound(host: str, port: int, *, beside: bool = False) -> socket.socket:
    """A socket of an address; `beside` a server of this kind and this user that answers there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if beside:
        _share(found)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise _unusable(error, host, port) from error
    return found


def _share(found: socket.socket) -> None:
    """Let a later server answer at the same port, beside this one, until this one ends."""
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


def _unusable(error: OSError, host: str, port: int) -> OSError:
    why = error.strerror or str(error)
    return OSError(f"Port {port} of {host} cannot be used: {why}. Free it, or name another one.")


def _serve(
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
    early = _EarlySignals()
    scorer, manifest = load_package(options.model_dir)
    meters = meters or _meters(options, scorer.schema, manifest.version)
    meters.use(worker)
    settings = options.settings
    _warn_of_unknown(settings.log.leave_out, scorer.schema)
    recorder = Recorder(scorer, settings.log, meters, _inference_log(options, meters))
    endpoint = Endpoint(
        options.model_name, scorer, options.model_dir, settings=settings, meters=meters, recorder=recorder
    )
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)  # a request leaves no cycles behind
    sys.setswitchinterval(_THREADS_PAUSE)
    uvloop.run(_Worker(options, sockets, endpoint, recorder).run(early, parent))
    return 0


def _inference_log(options: Options, meters: Meters) -> InferenceLog | None:
    if not options.settings.log.enabled:
        return None

    def count(what: str, amount: int) -> None:
        meters.add(amount, *((figures.LOG_FAILED_WRITES,) if what == "failed_writes" else (figures.LOG_ROWS, what)))

    return InferenceLog(options.model_name, options.settings.log, connect=connect_store, count=count)


def _warn_of_unknown(leave_out: list[str], schema: Schema) -> None:
    """Tell of columns that are to be left out of the log and are not in it: a slip would log what must not be."""
    unknown = set(leave_out) - {*schema.columns, *schema.extras}
    if unknown:
        LOG.warning("serving.log.leave_out names %s, which no row has; is it misspelt?", ", ".join(sorted(unknown)))


def _meters(options: Options, schema: Schema, version: str) -> Meters:
    bounds = () if TASKS[schema.task].has_classes else prediction_quantiles(options.model_dir)
    return Meters(families(Described(options.model_name, version, schema, bounds)), options.workers)


class _EarlySignals:
    """What is asked of a process while it still loads, to be heeded once it has: a moment later."""

    def __init__(self) -> None:
        self.end = False
        self.take_over = False
        for number in _PASSED_ON:
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
        body = int(options.settings.body_megabytes * 1e6)
        limits = Limits(body, waiting_bytes=max(4 * body, 64_000_000), request_seconds=options.settings.request_seconds)
        self.server = HttpServer(endpoint.handle, limits, refused=endpoint.refused)
        self._stop = asyncio.Event()
        self._taking_over: asyncio.Task[None] | None = None

    async def run(self, early: _EarlySignals, parent: int) -> None:
        """Answer until SIGTERM or SIGINT, or until the parent ends; then finish what has arrived.

        Raises:
            OSError: The port is taken.
        """
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._stop.set)
        if parent >= 0:
            loop.add_reader(parent, self._orphaned, parent)
        loop.add_signal_handler(signal.SIGUSR1, self._start_to_take_over)
        if early.end:
            return
        await self._listen(0)
        self.recorder.start()
        sweeper = loop.create_task(self.server.sweep())
        LOG.info(
            "model %s, version %s, answers at port %d",
            self.options.model_name, self.endpoint.scorer.version, self.sockets[0].getsockname()[1],
        )  # fmt: skip
        if early.take_over:
            self._start_to_take_over()
        await self._stop.wait()
        await self._end()
        sweeper.cancel()

    async def _listen(self, number: int) -> None:
        found = self.sockets[number]
        host, port = found.getsockname()[:2]
        try:
            await self.server.listen(found)
        except OSError as error:  # somebody was quicker, after both had bound it
            raise _unusable(error, host, port) from error
        _share(found)

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
            await self._listen(1)
        except OSError as error:
            LOG.error("%s", error)
            self._taking_over = None
            return
        self.server.stop_listening(0)
        LOG.info("answering at port %d now", self.options.http_port)

    async def _end(self) -> None:
        self.endpoint.ready = False
        LOG.info("told to stop: no longer ready")
        grace = self.options.grace_seconds
        deadline = time.monotonic() + self.options.drain_seconds + grace
        self.server.closing = True  # clients are asked to leave, and to come back to another server
        await asyncio.sleep(self.options.drain_seconds)
        await self.server.close(grace / 2, idle_seconds=min(_IDLE_SECONDS, grace / 4))
        self.endpoint.close()
        await asyncio.to_thread(self.recorder.close, max(0.0, deadline - time.monotonic()))
        LOG.info("ended")


class _Workers:
    """Several processes at the same sockets; one that dies is started anew.

    Raises:
        PackageError: The package cannot be served.
    """

    def __init__(self, options: Options, sockets: list[socket.socket]) -> None:
        self.options = options
        self.sockets = sockets
        scorer, manifest = load_package(options.model_dir)
        self.meters = _meters(options, scorer.schema, manifest.version)
        del scorer  # its threads would not survive the fork
        self.processes: dict[int, int] = {}  # process id to worker
        self.started: dict[int, float] = {}
        self.stopping = False
        self.lives, self._life = os.pipe()  # the second end closes with this process, however it ends

    def run(self) -> int:
        """Watch over the workers until told to stop.

        Returns:
            0, or `REFUSED` when a worker finds that the package or the port cannot be used.
        """
        for number in _PASSED_ON:
            signal.signal(number, lambda received, _: self._pass_on(received))
        for worker in range(self.options.workers):
            self._start(worker)
        code = 0
        while self.processes:
            process, status = os.wait()
            worker = self.processes.pop(process)
            ended = os.waitstatus_to_exitcode(status)
            if self.stopping:
                continue
            if ended == REFUSED:
                code = REFUSED
                self._pass_on(signal.SIGTERM)
                continue
            LOG.error("worker %d ended with %d; it is started anew", worker, ended)
            time.sleep(max(0.0, _RESTART_SECONDS - (time.monotonic() - self.started[worker])))
            self._start(worker)
        return code

    def _start(self, worker: int) -> None:
        """Fork a worker, unless the program ends; no signal gets lost between the fork and the note of it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
        try:
            if self.stopping:
                return
            self.started[worker] = time.monotonic()
            process = os.fork()
            if process:
                self.processes[process] = worker
            else:
                self._be(worker)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)

    def _be(self, worker: int) -> None:
        """Be a worker; does not return."""
        code = CRASHED
        try:
            os.close(self._life)
            for number in _PASSED_ON:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
            code = _serve(self.options, self.sockets, worker=worker, meters=self.meters, parent=self.lives)
        except (PackageError, OSError) as error:
            LOG.error("%s", error)
            code = REFUSED
        except BaseException:
            LOG.exception("worker %d cannot go on", worker)
        finally:
            logging.shutdown()
            os._exit(code)

    def _pass_on(self, number: int) -> None:
        if number == signal.SIGUSR1:
            # Workers that are started from now on answer at the last port at once.
            for left in self.sockets[:-1]:
                left.close()
            self.sockets = self.sockets[-1:]
        elif not self.stopping:
            self.stopping = True
            for found in self.sockets:  # as long as one process holds a port, it takes connections nobody answers
                found.close()
        for process in self.processes:
            os.kill(process, number)
