"""The report: compare, write page and JSON, keep both in the object store.

Of what the endpoint was asked it is a drift report, and may be an alarm. While the endpoint was asked too little, a run
still reports how the test part differs from the training part, which never is one.
"""

import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.monitor.drift import DriftFindings
from components.monitor.evidently_page import Compared, MakePage, evidently_page
from components.monitor.page import drift_page
from components.monitor.reference import Reference, kept_reference, reference_statistics, table_of
from components.monitor.skew import Skew, find_skew, skew_section
from components.monitor.statistics import compare, gather
from components.monitor.windows import Comparison, Kind, Window, numeric_columns, windows
from components.shared.config import MonitoringConfig
from components.shared.errors import DataError, in_short
from components.shared.files import write_text
from components.shared.package.model_package import verify, version_prefix
from components.shared.package.scoring import Scorer
from components.shared.store import Store

JSON, PAGE, EVIDENTLY = "drift.json", "drift.html", "evidently.html"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report is on this machine.

    Attributes:
        drift: What was found, JSON.
        page: The same for people.
        evidently: Evidently's page.
    """

    drift: Path
    page: Path
    evidently: Path


@dataclass(frozen=True, slots=True)
class DriftReport:
    """A finished report.

    Attributes:
        kind: What was compared.
        findings: What the comparison found.
        current: The newest window, in words.
        unwatched: Columns that the inference log does not tell.
        prefix: Where page and JSON are kept in the object store.
        remark: Why it is no drift report; empty when it is one.
    """

    kind: Kind
    findings: DriftFindings
    current: str
    unwatched: tuple[str, ...]
    prefix: str
    remark: str = ""

    @property
    def message(self) -> str:
        """One line for people."""
        found = self.findings
        names = found.drifted_columns
        which = f": {', '.join(names[:4])}{', …' if len(names) > 4 else ''}" if names else ""
        if self.kind == "newest_rows":
            differ = f"{self.current} differ from the training part in {len(names)} of {found.measured} columns{which}"
            return f"no drift report yet ({self.remark}); {differ} (no alarm)"
        without = f", {len(self.unwatched)} columns not logged" if self.unwatched else ""
        verdict = "drift" if found.drifted else "no drift"
        return f"{verdict}, {len(names)} of {found.measured} columns drifted{which}; {self.current}{without}"


def report_drift(
    store: Store,
    name: str,
    version: str,
    settings: MonitoringConfig,
    *,
    splits: Path | None,
    files: ReportFiles,
    prefix: str = "",
    make_page: MakePage = evidently_page,
) -> DriftReport:
    """Compare what the endpoint was asked last with a version's reference; else the test part with the training part.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version that serves.
        settings: Methods, thresholds, sizes.
        splits: Folder with the training and the test part, as prepare writes it; None for nothing but a drift report.
        files: Where the report goes.
        prefix: Where in the object store the three are kept; empty for a new place, by time.
        make_page: What makes Evidently's page.

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
        compared = windows(store, name, package, settings, parts=splits, scorer=scorer)
        reference = kept_reference(store, name, package, scorer) if compared.kind == "drift" else None
        findings = _findings(compared, settings, reference, scorer=scorer)
        current = compared.current.frame
        rows = Compared(compared.reference.frame[list(current)], current, findings, numeric_columns(scorer.schema))
        make_page(rows, files.evidently)
    skew = find_skew(store, name, scorer.schema, splits, settings) if splits and compared.kind == "drift" else None
    _write_json(files.drift, findings, name=name, version=version, compared=compared, skew=skew)
    page = drift_page(findings, compared, name=name, subtitle=f"Version {version} · {_now():%Y-%m-%d %H:%M} UTC")
    if skew:
        skew_section(page, skew)
    page.write(files.page)
    prefix = prefix or new_prefix(name)
    _keep(store, prefix, files)
    current = compared.current
    return DriftReport(compared.kind, findings, current.origin, current.unwatched, prefix, compared.remark)


def _findings(
    compared: Comparison, settings: MonitoringConfig, reference: Reference | None, *, scorer: Scorer
) -> DriftFindings:
    """How the windows differ; the table as a whole counts as drifted only where that is an alarm."""
    current, numeric = compared.current.frame, numeric_columns(scorer.schema)
    before = compared.reference.frame[list(current)]
    statistics = reference.statistics if reference else reference_statistics(before, numeric=numeric)
    now = gather([table_of(current)], statistics.bins)
    fitting = _of(settings, compared.current)
    found = compare(statistics, now, fitting, importance=reference.importance if reference else None)
    return found if compared.kind == "drift" else found.model_copy(update={"drifted": False})


def new_prefix(name: str) -> str:
    """A new place for a report of a model in the object store, by time."""
    return f"monitoring/{name}/{_now():%Y-%m-%dT%H%M%S.%fZ}/"


def fetch_report(store: Store, prefix: str, files: ReportFiles) -> DriftReport:
    """Bring a report that is kept in the object store here.

    Args:
        store: The object store.
        prefix: Where it is kept.
        files: Where it goes.

    Raises:
        DataError: What is kept there is no report.
        StoreError: There is none, or the object store cannot be reached.
    """
    for file, path in ((JSON, files.drift), (PAGE, files.page), (EVIDENTLY, files.evidently)):
        store.get_file(prefix + file, path)
    try:
        content = json.loads(files.drift.read_bytes())
        current = content["current"]
        findings = DriftFindings.model_validate(content)
        return DriftReport(
            content["kind"], findings, current["origin"], tuple(current["unwatched"]), prefix, content["remark"]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{store.uri(prefix + JSON)} is no drift report: {in_short(error)}.") from error


def _of(settings: MonitoringConfig, window: Window) -> MonitoringConfig:
    """The settings without those for columns that the window cannot tell."""
    columns = {name: drift for name, drift in settings.columns.items() if name not in window.unwatched}
    return settings.model_copy(update={"columns": columns})


def _write_json(
    path: Path, findings: DriftFindings, *, name: str, version: str, compared: Comparison, skew: Skew | None
) -> None:
    current, reference = compared.current, compared.reference
    content = {
        "name": name,
        "version": version,
        "kind": compared.kind,
        "alarm": findings.drifted,
        "remark": compared.remark,
        "warnings": [*_warnings(findings), *(skew.warnings if skew else [])],
        "skew": skew.model_dump() if skew else None,
        "reference": {"origin": reference.origin, "rows": len(reference.frame), "remark": reference.remark},
        "current": {
            "origin": current.origin,
            "rows": len(current.frame),
            "remark": current.remark,
            "skipped_files": current.skipped,
            "unwatched": current.unwatched,
        },
        **findings.model_dump(),
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _warnings(findings: DriftFindings) -> list[str]:
    """What a run ends with, where there is an alarm."""
    if not findings.drifted:
        return []
    names = ", ".join(findings.drifted_columns)
    share = f"{len(findings.drifted_columns)} of {findings.measured} columns"
    return [f"What the endpoint was asked has drifted from the model's reference in {share}: {names}."]


def _keep(store: Store, prefix: str, files: ReportFiles) -> None:
    """Store the report; the JSON goes last, so that a report with one is complete."""
    store.put_bytes(prefix + EVIDENTLY, files.evidently.read_bytes(), "text/html")
    store.put_bytes(prefix + PAGE, files.page.read_bytes(), "text/html")
    store.put_bytes(prefix + JSON, files.drift.read_bytes(), "application/json")


def _now() -> datetime:
    return datetime.now(UTC)
