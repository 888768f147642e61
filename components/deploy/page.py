"""A deployment as a page: how the version came to serve, what it was proven by, how it differs.

A deployment is over in minutes, and questions about it come weeks later: what was it proven by, how did it differ from
the version before, what was left out and why. The page shows what the stage's record (`deployed`) says and asks the
cluster nothing.
"""

from typing import Any

from components.deploy.comparison import Comparison
from components.deploy.dark_launch import DarkLaunch
from components.deploy.deployed import Deployed
from components.shared.formatting import format_duration, format_share
from components.shared.package.schema import label_name
from components.shared.pages.reports import Page

_ROLLOUTS = {
    "local": "from this machine",
    "first": "the first version of this endpoint",
    "rolling": "server by server, each ready before one of before left",
    "canary": "after a share of the real requests",
    "unchanged": "it served already",
}


def deployment_page(deployed: Deployed) -> Page:
    """Make the page of a deployment.

    Args:
        deployed: What it came to.
    """
    page = Page(f"Deployment of {deployed.name}", deployed.message, status="passed", status_label="serving")
    facts: dict[str, object] = {
        "Version": deployed.version,
        "Before": deployed.replaced or "none, or the same",
        "Endpoint": deployed.url,
        "Rolled out": _ROLLOUTS[deployed.rollout],
        "Golden requests": deployed.golden_requests,
    }
    if deployed.restarted:
        facts["Took"] = format_duration(deployed.seconds)
    if deployed.ready_seconds:
        facts["Ready after"] = format_duration(deployed.ready_seconds)
    page.section("Endpoint").facts(facts)
    remarks = [*deployed.remarks, *(deployed.dark_launch.remarks if deployed.dark_launch else ())]
    if remarks:
        page.section("Left out").list(remarks)
    if deployed.dark_launch and deployed.dark_launch.ran:
        _dark_launch(page, deployed.dark_launch)
    if deployed.canary:
        found = deployed.canary
        page.section("Canary", found.reason).facts(
            {
                "Share of the requests": f"{found.percent} %",
                "Watched": format_duration(found.seconds),
                "Requests": found.requests,
                "Errors": format_share(found.error_share) if found.error_share is not None else "none seen",
                "99 of 100 answered within (ms)": found.p99_ms if found.p99_ms is not None else "unknown",
            }
        )
    return page


def _dark_launch(page: Page, found: DarkLaunch) -> None:
    section = page.section("Dark launch", "What the version had to answer before anybody else asked it.")
    facts: dict[str, object] = {
        "Candidate": found.candidate,
        "Ready after": format_duration(found.ready_seconds),
        "Golden requests": found.golden_requests,
        "Logged requests": found.requests,
        "Rows of these": found.rows,
    }
    labels = {"p50": "Half answered within (ms)", "p99": "99 of 100 within (ms)", "longest": "Longest (ms)"}
    facts |= {label: found.latency_ms[key] for key, label in labels.items() if key in found.latency_ms}
    section.facts(facts)
    if found.comparison:
        _comparison(page, found.comparison, found.compared)
    elif found.compared:
        page.section("Difference", found.compared)


def _comparison(page: Page, found: Comparison, words: str) -> None:
    section = page.section("Difference", f"What version {found.before} and version {found.now} answer to {words}.")
    facts: dict[str, object] = {
        "Rows with another label" if found.labels_now else "Rows with another value": format_share(found.changed),
        "Mean difference": found.mean_difference,
        "99 of 100 rows differ by at most": found.p99_difference,
        "Largest difference": found.largest_difference,
    }
    if found.mean_before is not None:
        facts |= {"Mean before": found.mean_before, "Mean now": found.mean_now}
    section.facts(facts)
    if found.labels_now:
        labels = sorted({*found.labels_before, *found.labels_now})
        rows = [(name, found.labels_before.get(name, 0), found.labels_now.get(name, 0)) for name in labels]
        section.table(["Label", found.before, found.now], rows)
    if found.examples:
        answers = [(_answer(one.before), _answer(one.now), one.difference) for one in found.examples]
        page.section("Answers that differ most").table([found.before, found.now, "Difference"], answers)


def _answer(answer: Any) -> object:
    """An answer in short: a value, or the label and its probability."""
    if "value" in answer:
        return answer["value"]
    label = label_name(answer["label"])
    return f"{label} ({format_share(answer['probabilities'][label])})"
