"""What is found out about a window: its report, the evidence for decisions, and its pages.

One record holds everything about a window that cannot be found again cheaply, so that pages and decisions are made from
records and not from rows. A report is made from counts, and again when its rows have changed; the quality is added as
labels come (`qualities`). Where the version is unknown or the rows are few, it says so instead of comparing: a test of
ten rows finds nothing or nonsense.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict

from components.monitor.drift import P_VALUES, ColumnFinding, DriftFindings, in_thresholds
from components.monitor.history.record import Status, WindowEntry
from components.monitor.joint import JointDrift, joint_drift
from components.monitor.observation.columns import watched_frame
from components.monitor.observation.counts import Counts
from components.monitor.observation.due import DueWindow
from components.monitor.observation.problems import problems_of
from components.monitor.observation.rows import Group
from components.monitor.observation.versions import Version
from components.monitor.quality.lines import WindowQuality
from components.monitor.statistics import Statistics, compare
from components.monitor.statistics.problems import Ranges, check_rows
from components.monitor.windows import numeric_columns, prediction_column
from components.shared.config import MonitoringConfig
from components.shared.decisions.evidence import Drifted, Evidence, PredictionDrift, Problem
from components.shared.evaluation import Gap, Slice

FORMAT: Final = "fullcircle-window/1"


class LabelState(BaseModel):
    """As of which labels the quality of a window was found.

    Attributes:
        stored: What tells all labels that were stored from those of another moment.
        seen: What tells those of the window's rows from others.
        day: When; it counts until the window is mature.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stored: str
    seen: str
    day: str


class AnswerQuality(BaseModel):
    """More about the quality of a window's answers, found on a sample of its rows.

    Attributes:
        rows: Rows of the sample.
        labelled: How many of them have a label.
        unreadable: Labels that are none of the model's classes, or no numbers.
        unanswered: Rows whose answer the log does not tell.
        conflicts: Rows with different labels; the newest counts.
        early: Labels from before their answers, which are left out.
        slices: The metric by slice.
        gaps: The largest gap of each column that the gate watches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    labelled: int
    unreadable: int = 0
    unanswered: int = 0
    conflicts: int = 0
    early: int = 0
    slices: tuple[Slice, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, found: WindowQuality) -> Self:
        """What there is to keep of it."""
        joined = found.joined
        return cls(
            rows=joined.table.num_rows,
            labelled=joined.labelled,
            unreadable=found.unreadable,
            unanswered=found.unanswered,
            conflicts=joined.conflicts,
            early=joined.early,
            slices=found.slices,
            gaps=found.gaps,
        )


class WindowReport(BaseModel):
    """What is known of the rows of a window that one version answered.

    Attributes:
        format: Of this record.
        content: What tells the rows from others of the same window.
        status: What could be found out.
        remark: What to keep in mind, in words.
        reference: What was compared with, in words.
        counts: Of the rows.
        findings: How each column differs from the reference; None where nothing was compared.
        unwatched: Columns that the rows do not have.
        joint: Whether a classifier can tell a sample of the rows from the reference; it is told and decides nothing.
        labels: As of which labels the quality was found; None where there is nothing to find.
        answers: More about the quality of the answers.
        evidence: What decisions are made of.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["fullcircle-window/1"] = FORMAT
    content: str
    status: Status
    remark: str = ""
    reference: str = ""
    counts: Counts
    findings: DriftFindings | None = None
    unwatched: tuple[str, ...] = ()
    joint: JointDrift | None = None
    labels: LabelState | None = None
    answers: AnswerQuality | None = None
    evidence: Evidence

    def entry(self, page: str) -> WindowEntry:
        """The window as the history tells it.

        Args:
            page: Where the window's page is.
        """
        known = self.evidence
        findings = self.findings.columns if self.findings else []
        return WindowEntry(
            start=known.start,
            end=known.end,
            version=known.version,
            rows=known.rows,
            status=self.status,
            moved={item.column: distance(item) for item in findings if item.value is not None},
            drifted=known.drifted,
            prediction=known.prediction,
            problems=known.problems,
            quality=known.quality,
            gaps=self.answers.gaps if self.answers else (),
            page=page,
        )


def distance(finding: ColumnFinding) -> float:
    """How far a column moved, in units of its threshold."""
    return in_thresholds(finding.value or 0.0, finding.threshold, is_p_value=finding.method in P_VALUES)


def report_window(
    model: str,
    window: DueWindow,
    group: Group,
    version: Version | None,
    settings: MonitoringConfig,
    *,
    now: datetime,
    earlier: Ranges | None = None,
) -> WindowReport:
    """Find out what there is to know of a window's rows, but for the quality of the answers.

    Args:
        model: Name of the model.
        window: The window.
        group: What was counted of its rows.
        version: The version that answered; None where the store does not have it.
        settings: Methods, thresholds, sizes.
        now: This moment.
        earlier: From where to where numbers reached in the newest window before whose rows could be trusted.
    """
    status, remark = _status(window, version, settings)
    problems = list(problems_of(window, group.counts))
    findings: DriftFindings | None = None
    unwatched: tuple[str, ...] = ()
    if version and group.statistics and status != "no rows":
        unwatched = _unwatched(group)
        problems += _value_problems(version, group, group.statistics, window, settings, earlier=earlier)
        if status == "compared":
            findings = _findings(version, group.statistics, settings, unwatched)
    evidence = Evidence(
        model=model,
        version=window.version,
        start=window.span.start,
        end=window.span.end,
        rows=group.counts.rows,
        drifted=tuple(_drifted(findings, version)) if findings and version else (),
        prediction=_prediction(findings, version) if findings and version else None,
        problems=tuple(problems),
        made=now,
    )
    return WindowReport(
        content=window.content,
        status=status,
        remark=remark,
        reference=version.reference_window.origin if version else "",
        counts=group.counts,
        findings=findings,
        unwatched=unwatched,
        joint=_joint(version, group, findings, settings) if findings and version else None,
        evidence=evidence,
    )


def _status(window: DueWindow, version: Version | None, settings: MonitoringConfig) -> tuple[Status, str]:
    if not window.rows:
        return "no rows", "No request came in this window, or none that can be read."
    if version is None:
        return "version unknown", (
            f"The store has no version {window.version}: its rows are counted, and there is nothing to compare them "
            "with."
        )
    if window.rows < settings.minimum_rows:
        return "too few rows", (
            f"{window.rows:,} rows are too few to compare: monitoring.minimum_rows asks for {settings.minimum_rows:,}."
        )
    return "compared", ""


def _unwatched(group: Group) -> tuple[str, ...]:
    """Columns of which the rows have nothing because the configuration leaves them out."""
    return tuple(name for name, rows in group.counts.left_out.items() if rows == group.counts.rows)


def _findings(
    version: Version, current: Statistics, settings: MonitoringConfig, unwatched: Sequence[str]
) -> DriftFindings:
    there = [name for name, column in current.columns.items() if column.rows and name not in unwatched]
    own = {name: chosen for name, chosen in settings.columns.items() if name in there}
    settings = settings.model_copy(update={"columns": own})
    return compare(version.reference.statistics, current, settings, importance=version.reference.importance)


def _joint(version: Version, group: Group, findings: DriftFindings, settings: MonitoringConfig) -> JointDrift | None:
    """Whether columns that each look as before belong together in another way."""
    measured = [item.column for item in findings.columns if item.value is not None]
    if not group.sample or not measured:
        return None
    current = watched_frame(group.sample.rows, version.schema)[measured]
    reference = version.reference_window.frame[measured]
    numeric = numeric_columns(version.schema) & set(measured)
    return joint_drift(reference, current, threshold=settings.checks.joint_auc, numeric=numeric)


def _drifted(findings: DriftFindings, version: Version) -> Iterator[Drifted]:
    """Features that drifted and that the model uses, the most important first."""
    prediction = prediction_column(version.schema)
    for item in findings.columns:
        if item.drifted and item.used and item.column != prediction:
            yield Drifted(
                column=item.column,
                value=item.value or 0.0,
                threshold=item.threshold,
                importance=item.importance or 0.0,
            )


def _prediction(findings: DriftFindings, version: Version) -> PredictionDrift | None:
    """The distance of the predictions from the reference, drifted or not; None where it was not measured."""
    name = prediction_column(version.schema)
    for item in findings.columns:
        if item.column == name and item.value is not None:
            return PredictionDrift(
                column=name, method=item.method, value=item.value, threshold=item.threshold, drifted=item.drifted
            )
    return None


def _value_problems(
    version: Version,
    group: Group,
    current: Statistics,
    window: DueWindow,
    settings: MonitoringConfig,
    *,
    earlier: Ranges | None,
) -> Iterator[Problem]:
    """What is wrong with the values and with their number; columns that the configuration leaves out are none of it.

    Answers that the reference does not have are no fault of the rows: their drift is a finding of its own.
    """
    before = window.earlier if window.total == window.rows else ()
    prediction = prediction_column(version.schema)
    learned = {
        feature.name: (feature.minimum, feature.maximum)
        for feature in version.schema.numbers
        if feature.minimum is not None and feature.maximum is not None
    }
    found = check_rows(
        version.reference.statistics, current, settings, rows_before=before, learned=learned, earlier=earlier
    )
    for problem in found:
        is_answer = problem.column == prediction and problem.kind in ("range", "unseen")
        if not is_answer and problem.column not in group.counts.left_out:
            yield problem
