"""The program: its sockets, its workers, and the process that watches over them.

Sockets are bound before workers exist, so several can share them, and listen only when a worker can answer, so nobody
connects to a server that is not ready. Several workers use several cores, which one interpreter does not. The process
that watches over them loads the model only to check it; a worker that dies is replaced while the others go on
answering.
"""

import logging
import os
import signal
import socket
import sys
import time
from importlib.abc import MetaPathFinder

from components.shared.errors import PackageError
from images.predictor import logs
from images.predictor.options import Options, parse
from images.predictor.package import load_package
from images.predictor.transports.sockets import bound
from images.predictor.worker import SIGNALS, make_meters, serve

LOG = logging.getLogger("fullcircle.predictor")

REFUSED = 1  # exit code: the package or the port cannot be used
CRASHED = 70  # exit code: an error of the program itself

_RESTART_SECONDS = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Serve a model package until told to stop; refuse to start with one that cannot be trusted."""
    options = parse(arguments)
    logs.set_up()
    sys.meta_path.insert(0, _WithoutPandas())
    try:
        if options.workers == 1:
            return serve(options, _bind(options))
        return _Workers(options, _bind(options)).run()
    except (PackageError, OSError) as error:
        LOG.error("%s", error)
        return REFUSED
    except Exception:
        LOG.exception("the server cannot go on")
        return CRASHED


class _WithoutPandas(MetaPathFinder):
    """Import hook that hides pandas: pyarrow would load it with its first array, 50 MB that nothing here needs."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        """Find no module; for pandas, raise an error, so that no other finder is asked."""
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("the model server does without pandas", name=fullname)


def _bind(options: Options) -> list[socket.socket]:
    """Sockets that are bound but not listening: nobody connects before a worker is ready to answer."""
    if not options.standby_port:
        if options.grpc_port:  # gRPC's library binds it by itself, and would share it with any other server
            bound(options.http_host, options.grpc_port).close()
        return [bound(options.http_host, options.http_port)]
    return [bound(options.http_host, options.standby_port), bound(options.http_host, options.http_port, beside=True)]


class _Workers:
    """Several processes at the same sockets; one that dies is started anew.

    Raises:
        PackageError: The package cannot be served.
    """

    def __init__(self, options: Options, sockets: list[socket.socket]) -> None:
        self.options = options
        self.sockets = sockets
        scorer, manifest = load_package(options.model_dir)
        self.meters = make_meters(options, scorer.schema, manifest.version)
        del scorer  # its threads would not survive the fork
        self.processes: dict[int, int] = {}  # process id to worker
        self.started: dict[int, float] = {}
        self.stopping = False
        self.lives, self._life = os.pipe()  # the write end closes when this process ends: workers see it

    def run(self) -> int:
        """Watch over the workers until told to stop.

        Returns:
            0, or `REFUSED` when a worker finds that the package or the port cannot be used.
        """
        for number in SIGNALS:
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
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
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
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _be(self, worker: int) -> None:
        """Answer in a process that has just been forked, and end it."""
        code = CRASHED
        try:
            os.close(self._life)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            code = serve(self.options, self.sockets, worker=worker, meters=self.meters, parent=self.lives)
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
