"""The drift report as a page: which columns drifted, by how much, and what they look like in both windows."""

import numpy as np
import pandas as pd

from components.monitor.drift import ColumnFinding, DriftFindings
from components.monitor.windows import Window
from components.shared.pages.charts import bars, lines
from components.shared.pages.reports import Badge, Chart, Page, format_number, format_share

_METHODS = {
    "wasserstein": "Wasserstein distance",
    "ks": "Kolmogorov–Smirnov, p-value",
    "psi": "population stability index",
    "jensenshannon": "Jensen–Shannon distance",
    "chisquare": "chi-square, p-value",
}
_P_VALUES = frozenset({"ks", "chisquare"})
_CHARTS = 12
_BINS = 24
_CATEGORIES = 8


def drift_page(findings: DriftFindings, *, title: str, subtitle: str, reference: Window, current: Window) -> Page:
    """Make the page.

    Args:
        findings: What the comparison found.
        title: Heading of the page.
        subtitle: Line under it.
        reference: Rows the model learned from.
        current: The newest rows.
    """
    label = "Drift" if findings.drifted else "No drift"
    page = Page(title, subtitle, status="warning" if findings.drifted else "passed", status_label=label)
    page.section("Windows").facts(_facts(findings, reference, current))
    text = (
        "The prediction is watched like a column; timestamps are not, because time always moves on. "
        "Wasserstein distances are in standard deviations of the reference."
    )
    section = page.section("Columns", text)
    section.table(
        ["column", "outcome", "method", "value", "drift from", "nulls before", "nulls now"],
        [_row(finding) for finding in findings.columns],
        align=dict.fromkeys(("value", "drift from", "nulls before", "nulls now"), "right"),
    )
    if findings.empty:
        section.note(f"Without any value in one window, so not measured: {', '.join(findings.empty)}.", "warning")
    shown = [finding for finding in findings.columns if finding.value is not None][:_CHARTS]
    if shown:
        more = f" The first {_CHARTS} columns of the table." if findings.measured > _CHARTS else ""
        text = (
            f"Numbers: share of rows by value, outermost hundredths left out. Categories: change of their share.{more}"
        )
        charts = [_chart(finding.column, reference.frame, current.frame) for finding in shown]
        page.section("Distributions", text).grid(charts)
    return page


def _facts(findings: DriftFindings, reference: Window, current: Window) -> dict[str, object]:
    count = f"{len(findings.drifted_columns)} of {findings.measured} ({format_share(findings.drifted_share)})"
    facts: dict[str, object] = {
        "Reference": reference.origin,
        "Current": current.origin,
        "Drifted columns": count,
        "Counts as drift from": format_share(findings.limit),
        "Null share changed": ", ".join(findings.changed_nulls) or "in no column",
    }
    if current.skipped:
        facts["Log files left out"] = f"{current.skipped}, with other columns or damaged"
    if current.unwatched:
        facts["Not watched"] = f"{', '.join(current.unwatched)}: the inference log does not tell them"
    return facts


def _row(finding: ColumnFinding) -> list[object]:
    if finding.drifted:
        outcome: Badge | str = Badge("warning", "drifted, nulls changed" if finding.nulls_changed else "drifted")
    elif finding.nulls_changed:
        outcome = Badge("warning", "nulls changed")
    else:
        outcome = "stable" if finding.value is not None else "not measured"
    limit = f"{'<' if finding.method in _P_VALUES else '≥'}\u00a0{format_number(finding.threshold)}"
    shares = [format_share(finding.reference_nulls), format_share(finding.current_nulls)]
    return [finding.column, outcome, _METHODS[finding.method], finding.value, limit, *shares]


def _chart(column: str, reference: pd.DataFrame, current: pd.DataFrame) -> Chart:
    before, now = reference[column].dropna(), current[column].dropna()
    return _shares(column, before, now) if before.dtype == object else _densities(column, before, now)


def _densities(column: str, before: pd.Series, now: pd.Series) -> Chart:
    """Share of rows in bins that both windows have in common."""
    values = np.concatenate([before.to_numpy(np.float64), now.to_numpy(np.float64)])
    low, high = np.quantile(values, [0.01, 0.99])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    parts = {"reference": before, "current": now}
    series = {name: np.histogram(part.to_numpy(np.float64), edges)[0] / len(part) * 100 for name, part in parts.items()}
    return lines((edges[:-1] + edges[1:]) / 2, series, title=column, y_label="% of rows")


def _shares(column: str, before: pd.Series, now: pd.Series) -> Chart:
    """Change of the share of the categories that changed most."""
    change = now.value_counts(normalize=True).sub(before.value_counts(normalize=True), fill_value=0) * 100
    largest = change.reindex(change.abs().sort_values(ascending=False, kind="stable").index)[:_CATEGORIES]
    return bars(
        [str(name) for name in largest.index], largest.to_numpy(), title=column, x_label="change in percentage points"
    )
