"""The drift report as a program of its own: `python -m components.monitor [MODEL …]`, for the scheduled job.

Compares what the endpoint logged last with what the champion learned from, for each model named, or for every model
that has a champion. How, is said in `FULLCIRCLE_MONITORING`: the configuration's `monitoring` section as JSON.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from pydantic import ValidationError

from components.shared.champion import read_champion
from components.shared.config import MonitoringConfig
from components.shared.errors import FullcircleError, in_short
from components.shared.model_package import champion_key
from components.shared.progress import announce
from components.shared.store import Store

SETTINGS_VARIABLE = "FULLCIRCLE_MONITORING"


def main(arguments: list[str] | None = None) -> int:
    """Report on each model.

    Returns:
        The exit code: 0, or 1 when a report could not be made; the others are made all the same.
    """
    given, settings = _parse(arguments)
    try:
        store = Store.connect()
        models = given.models or _models(store)
    except FullcircleError as error:
        return _tell(error)
    if not models:
        announce("no model is published yet: nothing to compare")
    return max((_report(store, name, given.version, settings=settings) for name in models), default=0)


def _parse(arguments: list[str] | None) -> tuple[argparse.Namespace, MonitoringConfig]:
    parser = argparse.ArgumentParser(
        prog="python -m components.monitor", description="Reports how the newest requests drifted."
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="name of a model (default: all that have a champion)"
    )
    parser.add_argument("--version", default="", help="the version to compare with (default: the champion)")
    parser.add_argument(
        "--settings", default=os.environ.get(SETTINGS_VARIABLE, "{}"),
        help=f"the configuration's `monitoring` section as JSON, by default from {SETTINGS_VARIABLE}",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    try:
        settings = MonitoringConfig.model_validate_json(given.settings)
    except ValidationError as error:
        parser.error(f"--settings: {in_short(error)}")
    if given.version and len(given.models) != 1:
        parser.error("--version: expected exactly one model beside it")
    return given, settings


def _models(store: Store) -> list[str]:
    """Names of the models that have a champion pointer."""
    return [item.key.split("/")[1] for item in store.glob(champion_key("*"))]


def _report(store: Store, name: str, version: str, *, settings: MonitoringConfig) -> int:
    """Make one model's report; a model without champion or with too few logged rows gets none, and that is no error."""
    from components.monitor.monitor import report_drift
    from components.monitor.windows import TooFewRowsError

    try:
        version = version or _champion(store, name)
        if not version:
            announce(f"{name}: no version is published yet: nothing to compare")
            return 0
        with tempfile.TemporaryDirectory(prefix="fullcircle-report-") as folder:
            outputs = {what: Path(folder, what) for what in ("drift", "page", "evidently")}
            done = report_drift(store, name, version, settings, splits=None, **outputs)
    except TooFewRowsError as error:
        announce(f"{name}: no report yet: {error}")
        return 0
    except FullcircleError as error:
        return _tell(error)
    announce(f"{name}: {done.message}; {store.uri(done.prefix)}")
    return 0


def _champion(store: Store, name: str) -> str:
    """The version of the champion; empty when there is none."""
    found = read_champion(store, name)
    return found.version if found else ""


def _tell(error: FullcircleError) -> int:
    sys.stderr.write(f"\n{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
