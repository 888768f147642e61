"""What is kept of windows: `monitoring/<model>/windows/<start>--<end>/<version>/…`, the report last.

A window whose report is about the same rows and the same labels is done. What was kept before the report, by a monitor
that was killed, is written again, with the same content. Nothing is ever removed.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from pydantic import ValidationError

from components.monitor.observation.due import DueWindow
from components.monitor.observation.report import WindowReport
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.evidence_files import keep_evidence, window_prefix, windows_prefix
from components.shared.store import Store

REPORT, PAGE, EVIDENTLY, STATISTICS = "report.json", "report.html", "evidently.html", "statistics.json"
SAMPLE = "sample.parquet"
_THREADS = 8


class KeptWindows:
    """The windows of a model.

    Args:
        store: The object store.
        model: Name of the model.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model

    def page(self, window: DueWindow) -> str:
        """Where a window's page is, seen from the history page."""
        return f"{self._folder(window).removeprefix(f'monitoring/{self._model}/')}{PAGE}"

    def reports(self, windows: Iterable[DueWindow]) -> list[WindowReport | None]:
        """The report of each window; None where there is none, or one that this program cannot read."""
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="monitor") as workers:
            return list(workers.map(self._report, windows))

    def _report(self, window: DueWindow) -> WindowReport | None:
        found = self._store.read_with_etag(f"{self._folder(window)}{REPORT}")
        try:
            return WindowReport.model_validate_json(found[0]) if found else None
        except ValidationError:
            return None

    def put(self, window: DueWindow, name: str, content: bytes) -> None:
        """Keep one of the files of a window."""
        self._store.put_bytes(f"{self._folder(window)}{name}", content)

    def get(self, window: DueWindow, name: str) -> bytes | None:
        """One of the files of a window; None where there is none."""
        found = self._store.read_with_etag(f"{self._folder(window)}{name}")
        return found[0] if found else None

    def known(self, evidence: Evidence, window: DueWindow) -> Evidence:
        """The newest evidence of a window when it says the same; otherwise the one given, which is kept."""
        newest = max(self._evidence(window), key=lambda kept: kept.made, default=None)
        if newest and newest.model_copy(update={"made": evidence.made}) == evidence:
            return newest
        keep_evidence(self._store, evidence)
        return evidence

    def versions(self) -> dict[str, frozenset[str]]:
        """The versions that there are reports on, by the name of the window."""
        root = windows_prefix(self._model)
        found: dict[str, set[str]] = {}
        for item in self._store.list(root):
            span, version, name = item.key.removeprefix(root).rsplit("/", 2)
            if name == REPORT:
                found.setdefault(span, set()).add(version)
        return {span: frozenset(names) for span, names in found.items()}

    def _evidence(self, window: DueWindow) -> Iterator[Evidence]:
        for item in self._store.list(f"{self._folder(window)}evidence-"):
            try:
                yield Evidence.model_validate_json(self._store.get_bytes(item.key))
            except ValidationError:
                continue  # of a later release

    def _folder(self, window: DueWindow) -> str:
        return window_prefix(self._model, window.span.start, window.span.end, window.version)
