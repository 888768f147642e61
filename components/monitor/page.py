"""The report as a page: which columns differ, by how much, and what they look like in both windows.

The same layout serves two comparisons that must not be confused: drift of the endpoint's rows, which may be an alarm,
and how the newest rows differ from those learned from, which is none. Words and colours depend on which it is.
"""

import numpy as np
import pandas as pd

from components.monitor.drift import P_VALUES, ColumnFinding, DriftFindings
from components.monitor.windows import Comparison, Kind
from components.shared.config import DriftMethod
from components.shared.formatting import format_limit, format_number, format_share
from components.shared.pages.blocks import Badge, Chart, Status
from components.shared.pages.charts import bars, lines
from components.shared.pages.reports import Page

METHODS: dict[DriftMethod, str] = {
    "wasserstein": "Wasserstein distance",
    "ks": "Kolmogorov–Smirnov, p-value",
    "psi": "population stability index",
    "jensenshannon": "Jensen–Shannon distance",
    "chisquare": "chi-square, p-value",
}
_CHARTS = 12
_BINS = 24
_CATEGORIES = 8


_TEXT = (
    "The prediction is watched like a column; timestamps are not, because time always moves on. "
    "Wasserstein distances are in standard deviations of the reference. A distance counts only where chance does not "
    "explain it. Importance is the share of all movement of the predictions that a feature causes; the drift of one "
    "that the model hardly uses is no alarm."
)
_NEWEST_TEXT = (
    "The model learned from the training part and was judged on the test part. How the two differ says what has "
    "changed already between the rows it knows and the newest ones: no alarm, and nothing to fix. Predictions are "
    "left out, because a model is surer of rows it learned from."
)


def drift_page(findings: DriftFindings, compared: Comparison, *, name: str, subtitle: str) -> Page:
    """Make the page.

    Args:
        findings: What the comparison found.
        compared: The windows.
        name: Name of the model.
        subtitle: Line under the heading.
    """
    page = _page(findings, compared.kind, name=name, subtitle=subtitle)
    windows = page.section("Windows")
    windows.facts(_facts(findings, compared))
    for remark in (compared.remark, compared.reference.remark, compared.current.remark):
        if remark:
            windows.note(f"{remark[0].upper()}{remark[1:].rstrip('.')}.")
    section = page.section("Columns", _TEXT if compared.kind == "drift" else _NEWEST_TEXT)
    numbers = ["method", "value", f"{_word(compared.kind)} from", "importance", "nulls before", "nulls now"]
    section.table(
        ["column", "outcome", *numbers],
        [_row(finding, compared.kind) for finding in findings.columns],
        align=dict.fromkeys(numbers[1:], "right"),
    )
    if findings.empty:
        section.note(f"Without any value in one window, so not measured: {', '.join(findings.empty)}.", "warning")
    shown = [finding for finding in findings.columns if finding.value is not None][:_CHARTS]
    if shown:
        more = f" The first {_CHARTS} columns of the table." if findings.measured > _CHARTS else ""
        text = (
            f"Numbers: share of rows by value, outermost hundredths left out. Categories: change of their share.{more}"
        )
        charts = [
            distribution_chart(finding.column, compared.reference.frame, compared.current.frame, kind=compared.kind)
            for finding in shown
        ]
        page.section("Distributions", text).grid(charts)
    return page


def _page(findings: DriftFindings, kind: Kind, *, name: str, subtitle: str) -> Page:
    if kind == "newest_rows":
        title = f"How the newest rows of {name} differ from those learned from"
        return Page(title, subtitle, status="info", status_label="No alarm")
    status: Status = "warning" if findings.drifted else "passed"
    return Page(f"Drift of {name}", subtitle, status=status, status_label="Drift" if findings.drifted else "No drift")


def _word(kind: Kind) -> str:
    return "drift" if kind == "drift" else "differs"


def _facts(findings: DriftFindings, compared: Comparison) -> dict[str, object]:
    count = f"{len(findings.drifted_columns)} of {findings.measured} ({format_share(findings.drifted_share)})"
    current = compared.current
    facts: dict[str, object] = {"Reference": compared.reference.origin, "Current": current.origin}
    if compared.kind == "drift":
        facts |= {"Drifted columns": count, "Counts as drift from": format_limit(findings.limit, share=True)}
    else:
        facts |= {"Columns that differ": count}
    facts["Null share changed"] = ", ".join(findings.changed_nulls) or "in no column"
    if current.skipped:
        facts["Log files left out"] = f"{current.skipped}, with other columns or damaged"
    if current.unwatched and compared.kind == "drift":
        facts["Not watched"] = f"{', '.join(current.unwatched)}: the inference log does not tell them"
    return facts


def limit_of(finding: ColumnFinding) -> str:
    """From where, or of p-values below where, a column counts as drifted."""
    return f"{'<' if finding.method in P_VALUES else '≥'}\u00a0{format_number(finding.threshold)}"


def _row(finding: ColumnFinding, kind: Kind) -> list[object]:
    alarming: Status = "warning" if kind == "drift" else "info"
    moved = "drifted" if kind == "drift" else "differs"
    if finding.drifted:
        notes = ["hardly used by the model"] * (not finding.used) + ["nulls changed"] * finding.nulls_changed
        status = alarming if finding.used or finding.nulls_changed else "info"
        outcome: Badge | str = Badge(status, ", ".join([moved, *notes]))
    elif finding.nulls_changed:
        outcome = Badge(alarming, "nulls changed")
    else:
        same = "stable" if kind == "drift" else "alike"
        outcome = same if finding.value is not None else "not measured"
    shares = [format_share(finding.reference_nulls), format_share(finding.current_nulls)]
    importance = "" if finding.importance is None else format_share(finding.importance)
    return [finding.column, outcome, METHODS[finding.method], finding.value, limit_of(finding), importance, *shares]


def distribution_chart(column: str, reference: pd.DataFrame, current: pd.DataFrame, *, kind: Kind) -> Chart:
    """What a column looks like in both windows.

    Args:
        column: Its name.
        reference: Rows to compare with.
        current: Rows to compare.
        kind: What is compared.
    """
    before, now = reference[column].dropna(), current[column].dropna()
    if before.dtype == object:
        return _shares(column, before, now)
    names = ("reference", "current") if kind == "drift" else ("training part", "test part")
    return _densities(column, dict(zip(names, (before, now), strict=True)))


def _densities(column: str, parts: dict[str, pd.Series]) -> Chart:
    """Share of rows in bins that both windows have in common."""
    values = np.concatenate([part.to_numpy(np.float64) for part in parts.values()])
    low, high = np.quantile(values, [0.01, 0.99])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    series = {name: np.histogram(part.to_numpy(np.float64), edges)[0] / len(part) * 100 for name, part in parts.items()}
    return lines((edges[:-1] + edges[1:]) / 2, series, title=column, y_label="% of rows")


def _shares(column: str, before: pd.Series, now: pd.Series) -> Chart:
    """Change of the share of the categories that changed most."""
    change = now.value_counts(normalize=True).sub(before.value_counts(normalize=True), fill_value=0) * 100
    largest = change.reindex(change.abs().sort_values(ascending=False, kind="stable").index)[:_CATEGORIES]
    return bars(
        [str(name) for name in largest.index], largest.to_numpy(), title=column, x_label="change in percentage points"
    )
