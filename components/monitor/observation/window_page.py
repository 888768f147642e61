"""A window as a page: what is wrong with its rows, how its columns differ from the reference, how good it was.

One page a window, beside its evidence in the store, so that a decision of months ago can be looked up. Its figures are
of all rows, from the statistics that were kept; only the drawings need rows, and use the sample.
"""

import pandas as pd

from components.monitor.drift import ColumnFinding, DriftFindings
from components.monitor.history.page import moment, quality_words
from components.monitor.history.verdict import state
from components.monitor.joint import JointDrift
from components.monitor.observation.report import WindowReport, distance
from components.monitor.page import METHODS, distribution_chart, limit_of
from components.shared.formatting import format_number, format_share
from components.shared.pages.blocks import Badge
from components.shared.pages.reports import Page, Section

_CHARTS = 12
_COLUMNS = (
    "Computed on all rows. The prediction is watched like a column; timestamps are not, because time always moves on. "
    "A column drifted when it moved by its threshold or more and chance does not explain that. Drift of a feature that "
    "the model hardly uses is told and is no alarm."
)
_SAMPLE = "Drawn from a sample of the rows: each has had the same chance to be in it."


def window_page(
    report: WindowReport, reference: pd.DataFrame | None, sample: pd.DataFrame | None, *, evidently: str
) -> Page:
    """Make the page.

    Args:
        report: What was found out.
        reference: The rows compared with; None where there are none.
        sample: Some of the window's rows; None where there are none.
        evidently: Name of Evidently's page beside this one; empty where there is none.
    """
    known = report.evidence
    colour, word = state(report.entry(""))
    span = f"{moment(known.start)} to {moment(known.end)} UTC"
    page = Page(f"{known.model}, {span}", f"Answered by version {known.version}", status=colour, status_label=word)
    _overview(page.section("Rows"), report)
    if known.quality:
        page.section("Quality", quality_words(known.quality))
    if report.findings:
        _columns(page.section("Columns", _COLUMNS), report.findings)
    if report.findings and reference is not None and sample is not None and len(sample):
        names = [item.column for item in report.findings.columns if item.value is not None][:_CHARTS]
        charts = [distribution_chart(name, reference, sample, kind="drift") for name in names]
        page.section("Distributions", _SAMPLE).grid(charts)
    if evidently:
        page.sections[0].link("Evidently's own page of a sample", evidently)
    page.sections[0].link("All windows", "../../../history.html")
    return page


def _overview(section: Section, report: WindowReport) -> None:
    counts = report.counts
    facts: dict[str, object] = {"Rows": counts.rows}
    if report.reference:
        facts["Compared with"] = report.reference
    if counts.newest:
        facts["Newest row"] = f"{counts.newest:%Y-%m-%d %H:%M:%S} UTC"
    if report.joint:
        facts["Told from the reference by a classifier"] = _joint_words(report.joint)
    if report.unwatched:
        facts["Not watched"] = f"{', '.join(report.unwatched)}: the log does not tell them"
    section.facts(facts)
    if report.remark:
        section.note(report.remark)
    for problem in report.evidence.problems:
        section.note(problem.message, "failed" if problem.severe else "warning")


def _joint_words(joint: JointDrift) -> str:
    area = joint.auc
    verdict = "yes" if joint.drifted else "no"
    low, high = (format_number(end, 3) for end in (area.low, area.high))
    return f"{verdict}: ROC AUC {format_number(area.value, 3)} ({low} to {high})"


def _columns(section: Section, findings: DriftFindings) -> None:
    section.table(
        ["column", "outcome", "method", "value", "drift from", "importance", "nulls before", "nulls now"],
        [_row(finding) for finding in findings.columns],
        align=dict.fromkeys(("value", "drift from", "importance", "nulls before", "nulls now"), "right"),
    )
    if findings.empty:
        section.note(f"Without any value, so not measured: {', '.join(findings.empty)}.", "warning")


def _row(finding: ColumnFinding) -> list[object]:
    return [
        finding.column,
        _outcome(finding),
        METHODS[finding.method],
        finding.value,
        limit_of(finding),
        format_share(finding.importance),
        format_share(finding.reference_nulls),
        format_share(finding.current_nulls),
    ]


def _outcome(finding: ColumnFinding) -> Badge | str:
    if finding.drifted:
        return Badge("warning", "drifted") if finding.used else Badge("info", "drifted, hardly used")
    if finding.value is None:
        return "not measured"
    if finding.nulls_changed:
        return Badge("warning", "nulls changed")
    return "moved by chance" if distance(finding) >= 1 else "stable"
