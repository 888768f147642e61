"""The command line of Kubernetes, for tests."""

import json
import subprocess
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
