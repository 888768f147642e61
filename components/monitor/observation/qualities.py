"""The quality of a run of windows, one after another: each is judged by what is known of those before it.

Labels arrive for days or weeks, so the quality of a window that was reported long ago keeps changing. To judge all
windows anew each hour would read all samples again; a report remembers as of which labels it was judged, and only where
labels of its own rows came, or time alone may change what is expected, is it judged again. The order matters: what
estimates were off by in earlier windows decides whether a later one is unusual.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from components.monitor.observation.counts import Counts
from components.monitor.observation.due import DueWindow
from components.monitor.observation.judging import EARLIER, Judge, Past
from components.monitor.observation.report import AnswerQuality, LabelState, WindowReport
from components.monitor.observation.versions import Version, Versions
from components.shared.decisions.evidence import Quality

Sampled = Callable[[DueWindow], pa.Table | None]


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A window that was judged before."""

    window: DueWindow
    counts: Counts
    quality: Quality | None


class WindowQualities:
    """Brings the quality in reports of windows up to date; call it for every window, the oldest first.

    Args:
        judge: Knows the labels.
        versions: The versions of the model.
        sample: The rows of a window that are kept; None where there are none.
        now: This moment.
    """

    def __init__(self, judge: Judge, versions: Versions, sample: Sampled, *, now: datetime) -> None:
        self._judge = judge
        self._versions = versions
        self._sample = sample
        self._now = now
        self._past: dict[str, list[_Earlier]] = defaultdict(list)

    def updated(self, window: DueWindow, report: WindowReport) -> WindowReport:
        """A report with the quality as it is known now; the same where there is nothing new.

        Args:
            window: The window.
            report: As it was kept, or made of new rows.
        """
        version = self._versions.find(window.version) if report.counts.rows else None
        if version is None:
            return report
        found = report if self._is_known(report) else self._judged(window, report, version)
        self._past[window.version].append(_Earlier(window, report.counts, found.evidence.quality))
        return found

    def _is_known(self, report: WindowReport) -> bool:
        """Whether a report's quality is up to date: no label was stored since, and time alone changes nothing."""
        state = report.labels
        return state is not None and state.stored == self._judge.stored and self._is_settled(report, state)

    def _is_settled(self, report: WindowReport, state: LabelState) -> bool:
        """Whether the passing of time changes nothing: the window is mature, or its quality was found today."""
        quality = report.evidence.quality
        return state.day == self._judge.day or bool(quality and quality.mature)

    def _judged(self, window: DueWindow, report: WindowReport, version: Version) -> WindowReport:
        sample = self._sample(window)
        if sample is None:
            return report
        rows = self._judge.rows(version, sample, report.counts)
        state = LabelState(stored=self._judge.stored, seen=self._judge.seen(version, rows), day=self._judge.day)
        before = report.labels
        if before and before.seen == state.seen and self._is_settled(report, before):
            return report.model_copy(update={"labels": state.model_copy(update={"day": before.day})})
        found = self._judge.judge(version, rows, self._earlier(version))
        evidence = report.evidence.model_copy(update={"quality": found.quality, "made": self._now})
        return report.model_copy(update={"labels": state, "answers": AnswerQuality.of(found), "evidence": evidence})

    def _earlier(self, version: Version) -> list[Past]:
        """Windows of the version before the one at hand."""
        found = []
        for past in self._past[version.name][-EARLIER:]:
            sample = self._sample(past.window)
            if sample is not None:
                found.append(Past(self._judge.rows(version, sample, past.counts), past.quality))
        return found
