"""What prepare did as a page for people: what was removed and why, what is learned from, the parts."""

from components.prepare.prepare import Summary
from components.prepare.repair import share
from components.shared.formatting import format_count, format_share
from components.shared.pages.blocks import Status
from components.shared.pages.reports import Page


def preparation_page(summary: Summary) -> Page:
    """Make the page."""
    count = len(summary.warnings)
    status: Status = "warning" if count else "passed"
    label = "1 warning" if count == 1 else f"{format_count(count)} warnings" if count else "No warnings"
    subtitle = f"{format_count(summary.rows)} of {format_count(summary.rows_found)} rows, {summary.method} split"
    page = Page("Preparation of the data", subtitle, status=status, status_label=label)
    if summary.warnings:
        page.section("Warnings").list(summary.warnings)
    if summary.remarks:
        page.section("Remarks").list(summary.remarks)
    _rows(page, summary)
    _parts(page, summary)
    return page


def _rows(page: Page, summary: Summary) -> None:
    removed = summary.removed
    reasons = [
        ("equal to another row", removed.duplicates),
        ("without a label", removed.without_label),
        ("without a time", removed.without_time),
        *((f"outside prepare.bounds.{name}", count) for name, count in removed.out_of_bounds.items()),
        ("with a repeated key", removed.duplicate_keys),
    ]
    section = page.section("Rows")
    section.facts({"Found": summary.rows_found, "Removed": removed.total, "Kept": summary.rows})
    rows = [(reason, count, share(count, summary.rows_found)) for reason, count in reasons if count]
    if rows:
        section.table(["removed", "rows", "share"], rows, align={"share": "right"})


def _parts(page: Page, summary: Summary) -> None:
    facts = {"Features": summary.features, "Method": summary.method, "Seed": summary.seed}
    section = page.section("Parts").facts(facts)
    section.table(
        ["part", "rows", "share", "first", "last"],
        [(name, part.rows, part.share, part.first, part.last) for name, part in summary.parts.items()],
        formats={"share": format_share},
    )
    labels = list(dict.fromkeys(label for part in summary.parts.values() for label in part.classes))
    if labels:
        rows = [(label, *(part.classes.get(label, 0) for part in summary.parts.values())) for label in labels]
        section.table(["class", *summary.parts], rows)
