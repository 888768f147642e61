"""The gate's verdict as a page.

For whoever wonders why a model does not serve: the reasons come first, then every check with what was found and
allowed. The sentences are those of the checks; the page adds none of its own that could differ from them.
"""

from components.gate.verdict import Check, Verdict
from components.shared.metrics import LABELS
from components.shared.pages.blocks import Badge, Status
from components.shared.pages.reports import Page

_NAMES = {
    "baseline": "Better than the dummy baseline",
    "champion": "No worse than the champion",
    "requests": "Takes the champion's requests",
    "slice_floor": "Worst slice",
    "slice_gap": "Gap between slices",
    "package_size": "Package size (MB)",
    "latency": "One row (ms)",
}


def verdict_page(name: str, verdict: Verdict) -> Page:
    """Make the page of a verdict.

    Args:
        name: Name of the model.
        verdict: The decision and every check.
    """
    status, label = _status(verdict)
    page = Page(f"Gate: {name}", headline(verdict), status=status, status_label=label)
    summary = page.section("Verdict").facts(
        {
            "Candidate": verdict.candidate,
            "Champion": verdict.champion or "none yet",
            "Checks": len(verdict.checks),
            "Not fulfilled": len(verdict.reasons),
        }
    )
    if verdict.reasons:
        page.section("Why not" if not verdict.promoted else "In spite of").list(verdict.reasons)
    if verdict.forced:
        summary.note(
            "Promotion was forced for this run: the candidate goes on although not every check holds.", "warning"
        )
    if verdict.warned:
        summary.note(
            "The gate only warns (gate.mode): the candidate goes on although not every check holds.", "warning"
        )
    rows = [(_badge(check), _title(check), check.value, check.limit, check.detail) for check in verdict.checks]
    page.section("Checks").table(["", "Check", "Found", "Limit", "Outcome"], rows)
    return page


def headline(verdict: Verdict) -> str:
    """The verdict in a line."""
    count, failed = len(verdict.checks), len(verdict.reasons)
    promoted = "waits for approval" if verdict.waits else "promoted"
    if not failed:
        return f"{promoted}: all {count} checks hold"
    why = f"{failed} of {count} checks {'does' if failed == 1 else 'do'} not hold"
    if verdict.forced:
        return f"{promoted} by force: {why}"
    return f"{promoted} with a warning: {why}" if verdict.warned else f"not promoted: {why}"


def _status(verdict: Verdict) -> tuple[Status, str]:
    if not verdict.promoted:
        return "failed", "Blocked"
    if verdict.waits:
        return "warning", "Waits for approval"
    return ("warning", "Promoted anyway") if verdict.reasons else ("passed", "Promoted")


def _badge(check: Check) -> Badge:
    if check.holds and check.unsure:
        return Badge("warning", "cannot tell")
    return Badge("passed", "holds") if check.holds else Badge("failed", "does not hold")


def _title(check: Check) -> str:
    kind, _, metric = check.name.partition(":")
    if kind == "threshold":
        labels: dict[str, str] = {str(key): text for key, text in LABELS.items()}
        return f"Threshold of {labels.get(metric, metric)}"
    return _NAMES.get(kind, check.name)
