"""The command line of Kubernetes, for tests."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.manifests.rendering import kubectl


class Kubectl:
    """Runs kubectl; a failure fails the test with what it printed."""

    def __call__(self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120) -> str:
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(map(str, arguments))}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def run(
        self, *arguments: str | Path, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """The same, with its exit code and all that it printed."""
        command = [kubectl(), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=timeout, check=False)

    def json(self, *arguments: str | Path) -> Any:
        """What kubectl prints as JSON."""
        return json.loads(self(*arguments, "-o", "json"))

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """The address on this machine that leads to a service's port."""
        command = [kubectl(), "-n", namespace, "port-forward", f"service/{service}", f":{port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
                assert found, "kubectl port-forward ended"
                yield f"http://{found[0]}"
            finally:
                process.terminate()
