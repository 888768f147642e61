"""Observing a model: each hour of its log is read once, each window that is over gets evidence and a report.

It may be killed at any point and run again, and beside another one: each step keeps what it found under a name of its
own, and the object that makes it count comes last (see `keeping` and `kept_windows`).
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from components.monitor.evidently_page import Compared, evidently_page
from components.monitor.history.keeping import keep_history
from components.monitor.history.record import History
from components.monitor.history.verdict import newest_windows
from components.monitor.observation.calendar import Calendar, Span
from components.monitor.observation.columns import watched_frame
from components.monitor.observation.due import DueWindow, due_windows
from components.monitor.observation.judging import Judge
from components.monitor.observation.keeping import Pieces
from components.monitor.observation.kept_windows import EVIDENTLY, PAGE, REPORT, SAMPLE, STATISTICS, KeptWindows
from components.monitor.observation.pieces import Piece, hours_ahead, pieces
from components.monitor.observation.qualities import WindowQualities
from components.monitor.observation.report import WindowReport, report_window
from components.monitor.observation.rows import Group, PieceReader
from components.monitor.observation.sample import Sample
from components.monitor.observation.versions import Version, Versions
from components.monitor.observation.window_page import window_page
from components.monitor.statistics import Statistics
from components.monitor.statistics.problems import Ranges, ranges_of
from components.monitor.waiting import compare_waiting
from components.monitor.windows import numeric_columns
from components.shared.config import MonitoringConfig
from components.shared.config.monitoring_windows import duration
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.rules import is_severe
from components.shared.errors import PackageError
from components.shared.inference_log.reading import retry_when_moved
from components.shared.registry.registry import Registry
from components.shared.store import Store

_SAMPLES = 50  # windows whose samples are in memory at once
_EARLIER = 14  # windows before the first due one that are searched for one with trusted rows


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a model's windows.

    Attributes:
        evidence: Of every window that is looked at, the oldest first.
        fresh: How many of them are new, or about more rows or labels than before.
        read: How many hours of the log, or files of a table, were read.
        history: The history page, for programs.
    """

    evidence: tuple[Evidence, ...]
    fresh: int
    read: int
    history: History

    @property
    def message(self) -> str:
        """One line for people; of several versions in the newest window it tells of the one that is worst off."""
        if not self.evidence:
            return "no window is over yet, or nothing was logged in those that are looked at"
        newest = newest_windows(self.history)[0]
        drifted = ", ".join(item.column for item in newest.drifted[:4]) or "no column"
        return (
            f"{len(self.evidence):,} windows, {self.fresh:,} of them new ({self.read:,} pieces of the log read); in "
            f"the newest, {newest.start:%Y-%m-%d %H:%M} to {newest.end:%Y-%m-%d %H:%M} UTC with {newest.rows:,} rows "
            f"of version {newest.version}, {drifted} drifted, {len(newest.problems)} problems"
        )


def observe(
    store: Store, model: str, *, override: MonitoringConfig | None = None, now: datetime | None = None
) -> list[Evidence]:
    """Observe a model up to a moment.

    Args:
        store: The object store.
        model: Name of the model.
        override: Fields of `monitoring` that go before those of each version.
        now: Windows that ended before it are looked at; by default this moment.

    Returns:
        The evidence of all windows within `monitoring.windows.look_back`, the oldest first; the same as from the run
        before where nothing has come since.

    Raises:
        PackageError: No version of the model has served, or the package of one that answered is altered.
        StoreError: The object store cannot be reached or refuses.
    """
    return list(observed(store, model, override=override, now=now).evidence)


def observed(
    store: Store, model: str, *, override: MonitoringConfig | None = None, now: datetime | None = None
) -> Observed:
    """As `observe`, with what was done."""
    champion = Registry(store, model).champion_version()
    with Versions(store, model, override) as versions:
        observer = _Observer(store, model, champion, versions, now=now or datetime.now(UTC))
        return observer.run()


class _Observer:
    """One run over the windows of a model."""

    def __init__(self, store: Store, model: str, champion: str, versions: Versions, *, now: datetime) -> None:
        self._store = store
        self._model = model
        self._champion = champion
        self._versions = versions
        self._now = now
        self._settings = versions.settings(champion)
        self._windows = self._settings.windows
        self._calendar = Calendar(self._windows)
        self._since = now - duration(self._windows.look_back)
        self._kept = Pieces(store, model, self._calendar, table=self._windows.table)
        self._reports = KeptWindows(store, model)
        self._samples: dict[DueWindow, pa.Table | None] = {}
        self._trusted: tuple[DueWindow, Statistics | None] | None = None
        self._quality = WindowQualities(Judge(store, model, self._windows, now=now), versions, self._sample, now=now)

    def run(self) -> Observed:
        """Read what was not read before, report on what is over, and make the history of it."""
        read = retry_when_moved(self._read)
        due, reports, fresh = retry_when_moved(lambda _: self._report())
        if not reports:
            return Observed((), 0, read, History(model=self._model, champion=self._champion))
        pairs = [(window, report) for window, report in zip(due, reports, strict=True) if not window.is_superseded]
        entries = [report.entry(self._reports.page(window)) for window, report in pairs]
        shadows = compare_waiting(self._store, self._model, self._champion, now=self._now)
        history = keep_history(self._store, self._model, self._champion, entries, self._remarks(), shadows=shadows)
        return Observed(tuple(report.evidence for _, report in pairs), fresh, read, history)

    def _read(self, last_look: bool) -> int:
        """Read the pieces of which there is more than was read; how many."""
        known = self._kept.index(self._since)
        read = 0
        for piece in pieces(
            self._store,
            self._model,
            self._windows,
            since=self._since,
            now=self._now,
            lateness=self._calendar.lateness,
        ):
            before = known.get(piece.name)
            if before is None or before.amount < piece.amount:
                self._keep(piece, last_look=last_look)
                read += 1
        return read

    def _keep(self, piece: Piece, *, last_look: bool) -> None:
        champion = self._versions.find(self._champion)
        if champion is None:
            raise PackageError(f"{self._model} has no version {self._champion} in the object store, which is champion.")
        reader = PieceReader(self._store, self._versions, champion, settings=self._windows, calendar=self._calendar)
        self._kept.keep(piece, reader.read(piece, last_look=last_look))

    def _report(self) -> tuple[list[DueWindow], list[WindowReport], int]:
        """The windows that are over and their reports, and how many of these are new."""
        kept = self._kept.index(self._since, earlier=self._windows.time == "event")
        before = self._reports.versions()
        due = list(due_windows(kept, self._calendar, since=self._since, now=self._now, before=before))
        self._trusted = self._trusted_before(due, before)
        reports, fresh = [], 0
        for window, known in zip(due, self._reports.reports(due), strict=True):
            report, is_fresh = self._reported(window, known)
            reports.append(report)
            fresh += is_fresh
        return due, reports, fresh

    def _reported(self, window: DueWindow, known: WindowReport | None) -> tuple[WindowReport, bool]:
        """The up-to-date report of a window, which is kept; and whether its evidence is new or has changed."""
        group: Group | None = None
        report = known
        if report is None or report.content != window.content:
            group = self._group(window)
            self._samples[window] = group.sample.rows if group.sample else None
            report = report_window(
                self._model,
                window,
                group,
                self._versions.find(window.version),
                self._settings_of(window.version),
                now=self._now,
                earlier=self._earlier_ranges(),
            )
        if report.status == "compared" and not is_severe(report.evidence):
            self._trusted = window, group.statistics if group else None
        report = self._quality.updated(window, report)
        if report == known:
            return report, False
        report = report.model_copy(update={"evidence": self._reports.known(report.evidence, window)})
        if known is None or report.evidence != known.evidence or report.content != known.content:
            self._put_details(window, report, group or self._group(window))
        self._reports.put(window, REPORT, report.model_dump_json(indent=2).encode())
        return report, known is None or report.evidence != known.evidence

    def _trusted_before(
        self, due: Sequence[DueWindow], versions: Mapping[str, frozenset[str]]
    ) -> tuple[DueWindow, Statistics | None] | None:
        """The newest trusted window among those just before the due windows; None where there is none."""
        first = min((window.span.start for window in due), default=self._since)
        spans = sorted((Span.parse(name) for name in versions), key=lambda span: span.start)
        for span in reversed([span for span in spans if span.start < first][-_EARLIER:]):
            for version in sorted(versions[span.name]):
                window = DueWindow(span, version, (), 0, 0, 0, 0, ())
                (report,) = self._reports.reports([window])
                if report and report.status == "compared" and not is_severe(report.evidence):
                    return window, None
        return None

    def _earlier_ranges(self) -> Ranges | None:
        """Smallest and largest value, by column, in the newest trusted window so far; None where there is none."""
        if self._trusted is None:
            return None
        window, statistics = self._trusted
        if statistics is None:
            content, version = self._reports.get(window, STATISTICS), self._versions.find(window.version)
            if not content or not version:
                return None
            statistics = Statistics.from_json(content, version.reference.statistics.bins)
            self._trusted = window, statistics
        return ranges_of(statistics)

    def _settings_of(self, version: str) -> MonitoringConfig:
        found = self._versions.find(version)
        return found.settings if found else self._settings

    def _group(self, window: DueWindow) -> Group:
        """What was counted of a window."""
        if not window.groups:
            return Group()
        return self._kept.load(window.groups, self._versions.find(window.version))

    def _sample(self, window: DueWindow) -> pa.Table | None:
        """Some rows of a window, as logged."""
        if window not in self._samples:
            content = self._reports.get(window, SAMPLE) if window.groups else None
            kept = Sample.from_parquet(content) if content else self._group(window).sample
            self._samples[window] = kept.rows if kept else None
        rows = self._samples[window]
        while len(self._samples) > _SAMPLES:
            del self._samples[next(iter(self._samples))]
        return rows

    def _put_details(self, window: DueWindow, report: WindowReport, group: Group) -> None:
        """Keep statistics, sample and pages of a window."""
        if group.statistics:
            self._reports.put(window, STATISTICS, group.statistics.to_json())
        if group.sample:
            self._reports.put(window, SAMPLE, group.sample.to_parquet())
        self._put_pages(window, report, group, self._versions.find(window.version))

    def _put_pages(self, window: DueWindow, report: WindowReport, group: Group, version: Version | None) -> None:
        sample = watched_frame(group.sample.rows, version.schema) if group.sample and version else None
        reference = version.reference_window.frame if version else None
        evidently = EVIDENTLY if self._wants_evidently(report) else ""
        if evidently and version and report.findings and sample is not None and reference is not None:
            self._put_evidently(window, Compared(reference, sample, report.findings, numeric_columns(version.schema)))
        page = window_page(report, reference, sample, evidently=evidently)
        self._reports.put(window, PAGE, page.render().encode())

    def _wants_evidently(self, report: WindowReport) -> bool:
        """Whether a window gets Evidently's page."""
        if self._windows.evidently == "drift":
            prediction = report.evidence.prediction
            return bool(report.evidence.drifted) or (prediction is not None and prediction.drifted)
        return self._windows.evidently == "always" and report.findings is not None

    def _put_evidently(self, window: DueWindow, compared: Compared) -> None:
        with tempfile.TemporaryDirectory(prefix="fullcircle-window-") as folder:
            page = Path(folder, EVIDENTLY)
            evidently_page(compared, page)
            self._reports.put(window, EVIDENTLY, page.read_bytes())

    def _remarks(self) -> list[str]:
        """What the windows do not tell."""
        ahead = hours_ahead(self._store, self._model, self._now) if self._windows.time == "server" else []
        if not ahead:
            return []
        return [
            f"Rows are logged for {len(ahead)} hours that have not begun, up to {ahead[-1]:%Y-%m-%d %H:%M} UTC: the "
            "clock of an endpoint, or of this machine, is wrong."
        ]
