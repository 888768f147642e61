"""How long a newcomer waits: from an empty folder, with no caches, to the first stage of `make run`."""

import os
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.benchmarks.report import Figure, at_most

PROJECT = Path(__file__).resolve().parents[2]
CONFIG = Path("pipelines", "configs", "wine.yaml")
_LIMIT = 600.0  # seconds after which no first stage is expected any more
_INHERITED = (
    "MAKEFLAGS",
    "MAKELEVEL",
    "MFLAGS",
    "MAKEOVERRIDES",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHON",
    "UV",
    "CONFIG",
)


def fresh_setup(console: Console) -> list[Figure]:
    """Measure it; the run goes on to its end, so that a set-up that works only so far is no figure."""
    with tempfile.TemporaryDirectory(prefix="fullcircle-bench-") as name:
        folder = Path(name)
        checkout, log = folder / "checkout", folder / "run.log"
        environment = _environment(folder)
        console.print("setting up from an empty folder …")
        start = time.monotonic()
        _copy_checkout(checkout)
        try:
            seconds = _run(checkout, log, environment) - start
        finally:
            subprocess.run(["make", "stop"], cwd=checkout, env=environment, check=True, stdout=subprocess.DEVNULL)
    target = "set-up from an empty folder to the first stage under 60 s with a fast index"
    return [
        at_most("set-up from an empty folder, without caches, to the first stage", seconds, 60, unit="s", target=target)
    ]


def _environment(folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    return {**inherited, "UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


def _copy_checkout(folder: Path) -> None:
    """What a clone of this folder as it stands would hold."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (PROJECT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((PROJECT / name).read_bytes())


def _run(checkout: Path, log: Path, environment: dict[str, str]) -> float:
    """When the first stage began, by the monotonic clock."""
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            ["make", "run", f"CONFIG={CONFIG}"], cwd=checkout, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            began = _first_stage(process, checkout)
            code = process.wait(_LIMIT)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if began is None or code:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise RuntimeError("\n".join([f"make run from an empty folder ended with exit code {code}:", *lines]))
    return began


def _first_stage(process: subprocess.Popen[bytes], checkout: Path) -> float | None:
    """When the first stage's log appears; None when the run ends without any."""
    deadline = time.monotonic() + _LIMIT
    while time.monotonic() < deadline and process.poll() is None:
        if any(checkout.glob(f"build/runs/{CONFIG.stem}/*/logs/*.log")):
            return time.monotonic()
        time.sleep(0.05)
    return None
