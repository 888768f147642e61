"""How a candidate fares beside the version that serves: `python -m components.monitor.shadow MODEL CANDIDATE`.

Compares their answers to the same requests, and keeps what was found at `monitoring/<model>/shadow/<candidate>.json`
and `.html`; a later comparison replaces them.
"""

import argparse
import sys
from collections.abc import Sequence

from components.shared.decisions.evidence import Estimate
from components.shared.errors import FullcircleError
from components.shared.formatting import format_number
from components.shared.pages.reports import Page, Section
from components.shared.progress import announce
from components.shared.shadow.comparison import Latency, ShadowComparison
from components.shared.shadow.known import DAYS, Look, look_at_shadow
from components.shared.store import Store


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and keep what was found.

    Returns:
        The exit code: 0, or 1 when the versions could not be compared.
    """
    given = _parse(arguments)
    try:
        store = Store.connect()
        look = Look(needed=given.rows, days=given.days)
        found = look_at_shadow(store, given.model, given.candidate, look, champion=given.champion)
        prefix = keep_comparison(store, found)
    except FullcircleError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    announce(f"{given.model}: {found.message}; {store.uri(prefix)}.html")
    return 0


def keep_comparison(store: Store, found: ShadowComparison) -> str:
    """Write a comparison as JSON and as a page.

    Returns:
        What both keys begin with.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    prefix = f"monitoring/{found.model}/shadow/{found.candidate}"
    store.put_bytes(f"{prefix}.html", shadow_page(found).render().encode())
    store.put_bytes(f"{prefix}.json", found.model_dump_json(indent=2).encode())
    return prefix


def shadow_page(found: ShadowComparison) -> Page:
    """The comparison as a page."""
    page = Page(
        f"Candidate {found.candidate} of {found.model}",
        f"Sent copies of requests that {found.champion} answers",
        status="passed" if found.enough else "info",
        status_label="Enough rows" if found.enough else "Still too few rows",
    )
    shadow_section(page, found)
    return page


def shadow_section(page: Page, found: ShadowComparison) -> Section:
    """Add the comparison to a report."""
    text = (
        "Both versions answered the same requests; clients were given the answers of the version that serves. "
        "Intervals are 95 %, by a bootstrap of whole requests."
    )
    section = page.section(f"Candidate {found.candidate}", text)
    section.facts(_facts(found))
    if found.champion_latency and found.candidate_latency:
        section.table(
            ["milliseconds to the answer", "half of the requests", "99 of 100", "the longest"],
            [_times(found.champion, found.champion_latency), _times(found.candidate, found.candidate_latency)],
        )
    if quality := found.quality:
        direction = "higher is better" if quality.higher_is_better else "lower is better"
        section.table(
            [f"{quality.metric} ({direction})", "labelled rows", "value"],
            [
                [found.champion, f"{quality.rows:,}", format_number(quality.champion)],
                [found.candidate, f"{quality.rows:,}", format_number(quality.candidate)],
            ],
        )
        section.note(f"The candidate is better by {_between(quality.gain)} (negative: worse).")
    elif found.rows:
        section.note("Too few of these rows have labels so far to say which version is better.")
    return section


def _facts(found: ShadowComparison) -> dict[str, str]:
    facts = {"Paired rows": f"{found.rows:,} of {found.needed:,} that are enough, of {found.requests:,} requests"}
    if found.start and found.end:
        facts["Requests arrived"] = f"{found.start:%Y-%m-%d %H:%M:%S} to {found.end:%Y-%m-%d %H:%M:%S} UTC"
    if found.agreement and found.distance:
        facts["Same answer"] = f"{_between(found.agreement)} of the rows"
        facts["Mean distance of the answers"] = _between(found.distance)
    if found.alone:
        facts["Left out: no answer of the version that serves in its log"] = f"{found.alone:,} rows"
    if found.repeated:
        facts["Left out: request ids that occur more than once"] = f"{found.repeated:,} rows"
    return facts


def _between(estimate: Estimate) -> str:
    return f"{format_number(estimate.value)} ({format_number(estimate.low)} to {format_number(estimate.high)})"


def _times(version: str, latency: Latency) -> list[str]:
    return [version, *(format_number(value) for value in (latency.p50, latency.p99, latency.longest))]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m components.monitor.shadow",
        description="Compares a candidate that is sent copies of requests with the version that serves.",
    )
    parser.add_argument("model", help="name of the model")
    parser.add_argument("candidate", help="the version that is sent copies")
    parser.add_argument("--champion", default="", help="the version that serves (default: the champion)")
    parser.add_argument("--rows", type=int, default=10_000, help="rows that are enough, serving.shadow.rows (10000)")
    parser.add_argument("--days", type=float, default=DAYS, help=f"how far to look back ({DAYS:g})")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
