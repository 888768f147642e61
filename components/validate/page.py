"""The validation as a page for people.

The page of a broken contract is read by whoever has to correct the data: first what is broken, with examples and what
to do, then some of the rows, and at the end what holds. The message of the error says the same in fewer words.
"""

from collections.abc import Sequence
from typing import Any

from components.shared.formatting import format_count, format_limit, format_share
from components.shared.pages.blocks import Badge
from components.shared.pages.reports import Page
from components.validate.findings import Finding, Report, example_text

_CHECKS_SHOWN = 500


def contract_page(report: Report, sample: Sequence[dict[str, Any]]) -> Page:
    """Make the page.

    Args:
        report: What was checked and found.
        sample: Some quarantined rows: their rules under the empty name, then some columns.
    """
    page = Page("Data contract", _subtitle(report), status="passed" if report.passed else "failed")
    summary = page.section("Rows").facts(
        {
            "Checked": report.rows,
            "Keep the contract": report.valid_rows,
            "Quarantined": f"{format_count(report.quarantined_rows)} ({format_share(report.quarantined_share)})",
            "Most that may be quarantined": format_limit(report.limit, share=True),
        }
    )
    if not report.passed:
        summary.note(
            "The run ended here: no table was handed on. Below stands what was broken and what to do about it.",
            "failed",
        )
    if report.broken:
        _broken(page, report)
    if sample:
        _sample(page, report, sample)
    _kept(page, [check for check in report.checks if check.holds])
    return page


def _subtitle(report: Report) -> str:
    broken = len(report.broken)
    return f"{format_count(len(report.checks))} checks, {format_count(broken) if broken else 'none'} broken"


def _badge(check: Finding) -> Badge:
    if check.holds:
        return Badge("passed", "Holds")
    return Badge("failed", "Fails the run") if check.on_failure == "fail" else Badge("warning", "Quarantines rows")


def _broken(page: Page, report: Report) -> None:
    rows = [
        (_badge(check), check.name, check.rule, check.failed_rows, check.share, _found(check))
        for check in report.broken
    ]
    columns = ["", "Check", "Expected", "Rows", "Share", "Found"]
    section = page.section("Broken")
    section.table(columns, rows, formats={"Rows": format_count, "Share": format_share}, limit=_CHECKS_SHOWN)
    advice = [(check.name, check.change) for check in report.broken]
    page.section("What to do").table(["Check", "Advice"], advice, limit=_CHECKS_SHOWN)


def _found(check: Finding) -> str:
    return check.found if check.failed_rows is None else ", ".join(example_text(value) for value in check.examples)


def _sample(page: Page, report: Report, sample: Sequence[dict[str, Any]]) -> None:
    names = [name for name in sample[0] if name]
    more = report.quarantined_rows - len(sample)
    text = f"The first {format_count(len(sample))} of {format_count(report.quarantined_rows)}." if more else ""
    rows = [(row[""], *(row[name] for name in names)) for row in sample]
    page.section("Quarantined rows", text).table(["Rules broken", *names], rows)


def _kept(page: Page, checks: Sequence[Finding]) -> None:
    rows = [
        (_badge(check), check.name, check.rule, check.found if check.failed_rows is None else "") for check in checks
    ]
    page.section("Kept").table(["", "Check", "Expected", "Found"], rows, limit=_CHECKS_SHOWN)
