"""Reaching a Service from a machine outside the cluster, through `kubectl port-forward`.

A cluster's Services have addresses that mean nothing on a laptop, and opening them to the outside only to prove a
version would be wrong. kubectl is asked to do it, as it knows how this user signs in; it chooses a free port and is
ended with the block.
"""

import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from components.shared.errors import DeployError, UnreachableError
from components.shared.kubernetes.pods import short

_CONNECT_SECONDS = 1.0
_START_SECONDS = 20


def is_reachable(url: str) -> bool:
    """Whether something listens at the address of a URL, as seen from here."""
    parts = urlsplit(url)
    with suppress(OSError), socket.create_connection((str(parts.hostname), parts.port or 80), _CONNECT_SECONDS):
        return True
    return False


@contextmanager
def forwarded(namespace: str, service: str, port: int) -> Iterator[str]:
    """The address on this machine, `http://host:port`, that leads to one server of a Service.

    Args:
        namespace: Where the Service is.
        service: Its name.
        port: Its port.

    Raises:
        DeployError: There is no kubectl.
        UnreachableError: It does not get through.
    """
    program = shutil.which("kubectl")
    if program is None:
        raise DeployError(
            f"The Service {service} in namespace {namespace} cannot be reached from this machine, and there is no "
            "kubectl on PATH to forward a port. Install it, or run this inside the cluster."
        )
    command = [
        program, "--namespace", namespace, "port-forward", f"service/{service}", f":{port}",
        f"--pod-running-timeout={_START_SECONDS}s",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline() if process.stdout else "")
            if found is None:
                said = process.stderr.read() if process.stderr else ""
                raise UnreachableError(f"No port can be forwarded to the Service {service}: {short(said)}.")
            yield f"http://{found[0]}"
        finally:
            process.terminate()
