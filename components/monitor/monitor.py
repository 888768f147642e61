"""The drift report: compare, write page and JSON, keep both in the object store."""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.monitor.drift import DriftFindings, compare
from components.monitor.page import drift_page
from components.monitor.windows import Window, newest_window, numeric_columns, reference_window
from components.shared.config import MonitoringConfig
from components.shared.model_package import verify, version_prefix
from components.shared.scoring import Scorer
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A finished report.

    Attributes:
        findings: What the comparison found.
        current: The newest window, in words.
        unwatched: Columns that the inference log does not tell.
        prefix: Where page and JSON are kept in the object store.
    """

    findings: DriftFindings
    current: str
    unwatched: tuple[str, ...]
    prefix: str

    @property
    def message(self) -> str:
        """One line for people."""
        found = self.findings
        names = found.drifted_columns
        drifted = f": {', '.join(names[:4])}{', …' if len(names) > 4 else ''}" if names else ""
        without = f", {len(self.unwatched)} columns not logged" if self.unwatched else ""
        verdict = "drift" if found.drifted else "no drift"
        return f"{verdict}, {len(names)} of {found.measured} columns drifted{drifted}; {self.current}{without}"


def report_drift(
    store: Store,
    name: str,
    version: str,
    settings: MonitoringConfig,
    *,
    splits: Path | None,
    drift: Path,
    page: Path,
    evidently: Path,
) -> DriftReport:
    """Compare the newest window with a version's reference window.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version that serves.
        settings: Methods, thresholds, sizes.
        splits: Folder that prepare wrote; None to compare with nothing but the inference log.
        drift: Where the JSON goes.
        page: Where the page goes.
        evidently: Where Evidently's page goes.

    Raises:
        DataError: A watched column is not a feature, a method does not fit its column, or a window is empty.
        PackageError: The version is altered or incomplete.
        TooFewRowsError: The endpoint has logged too few rows, and there are no splits.
        StoreError: The object store cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="fullcircle-monitor-") as folder:
        package = Path(folder, "package")
        store.get_folder(version_prefix(name, version), package)
        verify(package, version=version)
        scorer = Scorer.load(package, version=version)
        reference = reference_window(package, settings, scorer=scorer)
    current = newest_window(store, name, settings, splits=splits, scorer=scorer)
    numeric = numeric_columns(scorer.schema)
    watched = reference.frame[list(current.frame)]
    findings = compare(watched, current.frame, _of(settings, current), numeric=numeric, page=evidently)
    _write_json(drift, findings, name=name, version=version, reference=reference, current=current)
    subtitle = f"Version {version} · {_now():%Y-%m-%d %H:%M} UTC"
    drift_page(findings, title=f"Drift of {name}", subtitle=subtitle, reference=reference, current=current).write(page)
    prefix = _keep(store, name, drift=drift, page=page, evidently=evidently)
    return DriftReport(findings, current.origin, current.unwatched, prefix)


def _of(settings: MonitoringConfig, window: Window) -> MonitoringConfig:
    """The settings without those for columns that the window cannot tell."""
    columns = {name: drift for name, drift in settings.columns.items() if name not in window.unwatched}
    return settings.model_copy(update={"columns": columns})


def _write_json(
    path: Path, findings: DriftFindings, *, name: str, version: str, reference: Window, current: Window
) -> None:
    content = {
        "name": name,
        "version": version,
        "reference": {"origin": reference.origin, "rows": len(reference.frame)},
        "current": {
            "origin": current.origin,
            "rows": len(current.frame),
            "skipped_files": current.skipped,
            "unwatched": current.unwatched,
        },
        **findings.model_dump(),
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _keep(store: Store, name: str, *, drift: Path, page: Path, evidently: Path) -> str:
    """Store the report by time; the JSON goes last, so that a report with one is complete."""
    prefix = f"monitoring/{name}/{_now():%Y-%m-%dT%H%M%S.%fZ}/"
    store.put_bytes(f"{prefix}evidently.html", evidently.read_bytes(), "text/html")
    store.put_bytes(f"{prefix}drift.html", page.read_bytes(), "text/html")
    store.put_bytes(f"{prefix}drift.json", drift.read_bytes(), "application/json")
    return prefix


def _now() -> datetime:
    return datetime.now(UTC)
