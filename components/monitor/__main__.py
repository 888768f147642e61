"""Monitoring as a program of its own: `python -m components.monitor [MODEL …]`, for the scheduled job.

For each model named, or for every model that has a champion, it reports on every window of requests that is over
(`observation`), and makes the drift report of the newest requests, compared with the champion's reference. How, says
the `monitoring` section of the configuration that published the version; the fields in `FULLCIRCLE_MONITORING` (JSON)
go before it, for all models of the job. A run's monitor task starts it for its drift report alone, for one version,
with its training and test part for as long as the log has too few rows, and the place where it looks for the report
afterwards.
"""

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from components.monitor.each_model import for_each_model
from components.monitor.evidently_page import MakePage, page_maker
from components.shared.agreed_names import MONITORING_SETTINGS
from components.shared.config import MonitoringConfig
from components.shared.errors import in_short
from components.shared.registry.monitoring import read_settings
from components.shared.registry.registry import Registry, models_that_served
from components.shared.store import Store


def main(arguments: list[str] | None = None) -> int:
    """Report on each model.

    Returns:
        The exit code: 0, or 1 when a report could not be made; the others are made all the same.
    """
    given, override = _parse(arguments)
    with page_maker() as make_page:
        acts = [partial(_report, given=given, override=override, make_page=make_page)]
        if not given.version and not given.destination:
            acts.append(partial(_observe, override=override))
        none = "no model is published yet: nothing to compare"
        return for_each_model(given.models, models_that_served, *acts, none=none)


def _parse(arguments: list[str] | None) -> tuple[argparse.Namespace, MonitoringConfig]:
    parser = argparse.ArgumentParser(
        prog="python -m components.monitor", description="Reports on windows of requests, and how the newest drifted."
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help="name of a model (default: all that have a champion)"
    )
    parser.add_argument("--version", default="", help="the version to compare with (default: the champion)")
    parser.add_argument(
        "--settings", default=os.environ.get(MONITORING_SETTINGS) or "{}",
        help=f"fields of `monitoring` as JSON that go before each version's own, by default from {MONITORING_SETTINGS}",
    )  # fmt: skip
    parser.add_argument("--destination", default="", metavar="PREFIX", help="where the report goes (default: by time)")
    parser.add_argument(
        "--parts",
        default="",
        metavar="PREFIX",
        help="where train.parquet and test.parquet are, to be compared while the endpoint has logged too few rows",
    )
    given = parser.parse_args(arguments)
    try:
        settings = MonitoringConfig.model_validate_json(given.settings)
    except ValidationError as error:
        parser.error(f"--settings: {in_short(error)}")
    for option in ("version", "destination", "parts"):
        if getattr(given, option) and len(given.models) != 1:
            parser.error(f"--{option}: expected exactly one model beside it")
    return given, settings


def _report(
    store: Store, name: str, *, given: argparse.Namespace, override: MonitoringConfig, make_page: MakePage
) -> str:
    """Make one model's report; a model without champion or with too few logged rows gets none, and that is no error."""
    from components.monitor.windows import TooFewRowsError

    version = given.version or _champion(store, name)
    if not version:
        return "no version is published yet: nothing to compare"
    settings = read_settings(store, name, version).overridden(override)
    try:
        return _made(store, name, version, settings, given=given, make_page=make_page)
    except TooFewRowsError as error:
        return f"no report yet: {error}."


def _observe(store: Store, name: str, *, override: MonitoringConfig) -> str:
    """Report on each window of one model that is over, and make its history."""
    from components.monitor.observation.observe import observed

    if not _champion(store, name):
        return "no version is published yet: no windows"
    return f"{observed(store, name, override=override).message}; {store.uri(f'monitoring/{name}/')}"


def _made(
    store: Store,
    name: str,
    version: str,
    settings: MonitoringConfig,
    *,
    given: argparse.Namespace,
    make_page: MakePage,
) -> str:
    """Make the report, unless a pod before this one did; says what was found, and where it is."""
    from components.monitor.monitor import JSON, ReportFiles, report_drift

    if given.destination and store.exists(given.destination + JSON):
        return f"the report is there already; {store.uri(given.destination)}"
    with tempfile.TemporaryDirectory(prefix="fullcircle-report-") as folder:
        files = ReportFiles(*(Path(folder, what) for what in ("drift", "page", "evidently")))
        parts = _parts(store, given.parts, Path(folder, "parts"))
        done = report_drift(
            store,
            name,
            version,
            settings,
            splits=parts,
            files=files,
            prefix=given.destination,
            make_page=make_page,
        )
    return f"{done.message}; {store.uri(done.prefix)}"


def _parts(store: Store, prefix: str, folder: Path) -> Path | None:
    """A folder with the training and the test part; None without a prefix."""
    from components.shared.frames import part_path

    for part in ("train", "test") if prefix else ():
        store.get_file(prefix + part_path(folder, part).name, part_path(folder, part))
    return folder if prefix else None


def _champion(store: Store, name: str) -> str:
    """The version of the champion; empty when there is none."""
    found = Registry(store, name).champion()
    return found.version if found else ""


if __name__ == "__main__":
    sys.exit(main())
