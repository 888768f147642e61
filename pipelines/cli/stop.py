"""`stop`: an end to what runs left serving here."""

from pathlib import Path


def stop() -> int:
    """Stop the endpoints and the object store that runs have started here.

    Examples:
        python -m pipelines stop
    """
    from pipelines.local.services import stop_all

    stopped = stop_all(Path.cwd())
    print("\n".join(f"stopped {name}" for name in stopped) or "nothing was running")
    return 0
