"""Stopping what runs have started here: endpoints first, then the object store they came from."""

from pathlib import Path

from components.deploy.local_endpoint import LocalEndpoint
from pipelines.local.store import LocalStore


def stop_all(root: Path) -> list[str]:
    """Stop every endpoint and the object store of a project folder.

    Args:
        root: The project folder, whose `build/local` remembers what runs.

    Returns:
        What was stopped, in words.
    """
    serving = root / "build" / "local" / "serving"
    # A first deployment that was killed left a candidate but no server.
    names = sorted(folder.name for folder in serving.glob("*/"))
    stopped = [f"the endpoint of {name}" for name in names if LocalEndpoint(serving, name).stop()]
    if LocalStore(root).stop():
        stopped.append("the object store")
    return stopped
