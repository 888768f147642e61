"""The history as a page: quality, what moved, rows and versions, every window, every decision.

A single report tells whether a window drifted; only a run of them tells whether that is new, grows, or comes every
weekend, and whether quality went down with it. Windows may have been answered by several versions. Each is compared
with its own reference, so that a new version does not look like drift.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from components.monitor.history.record import DecisionEntry, History, WindowEntry
from components.monitor.history.verdict import busiest_windows, newest_windows, state, verdict
from components.monitor.shadow import shadow_section
from components.shared.decisions.evidence import Estimate, Quality
from components.shared.formatting import format_number, format_share
from components.shared.pages.blocks import Badge, Chart, Link
from components.shared.pages.blocks import Status as Colour
from components.shared.pages.charts import heatmap, lines
from components.shared.pages.reports import Page, Section

_COLUMNS, _WINDOWS = 20, 40  # of the map of what moved
_DRAWN = 200  # windows of a line chart
_NAN = math.nan

_QUALITY = (
    "Measured on the rows whose labels have come, with the 95 % interval; estimated from the answers alone, where that "
    "can be done. Of several versions, that one is drawn which answered most of the window's rows. A window is hatched "
    "while it is immature: so few of the labels that are to be expected have come that the measured value decides "
    "nothing yet."
)
_ERRORS = (
    "By how much estimates were off on labelled rows, with what chance alone explains. An estimate that parts from the "
    "measured value by more than the ones before it says that features and target are related in another way."
)
_MOVED = (
    "Distance of each column from the reference of the version that answered, in units of the column's threshold: from "
    "1 on it counts as drifted, unless there are so few rows that chance explains it. The columns that moved most come "
    "first."
)


def history_page(history: History) -> Page:
    """Make the page.

    Args:
        history: The windows and decisions.
    """
    colour, word = verdict(history)
    page = Page(f"History of {history.model}", _subtitle(history), status=colour, status_label=word)
    _overview(page.section("Now"), history)
    if any(window.quality for window in history.windows):
        _quality(page.section("Quality", _QUALITY), history)
    if any(window.moved for window in history.windows):
        page.section("What moved", _MOVED).chart(_moved(history.windows))
    if history.windows:
        page.section("Requests").chart(_rows(history.windows))
        _windows(page.section("Windows", "The newest first. Times are UTC."), history.windows)
    for shadow in history.shadows:
        shadow_section(page, shadow)
    _decisions(page.section("Decisions"), history.decisions)
    return page


def _subtitle(history: History) -> str:
    parts = [f"Version {history.champion} serves"] if history.champion else []
    if history.windows:
        first, last = history.windows[0], history.windows[-1]
        parts.append(f"{moment(first.start)} to {moment(last.end)} UTC")
    return " · ".join(parts)


def moment(when: datetime) -> str:
    """A moment for people: the day, and the time of day where that is not midnight."""
    return f"{when:%Y-%m-%d}" if (when.hour, when.minute) == (0, 0) else f"{when:%Y-%m-%d %H:%M}"


def _overview(section: Section, history: History) -> None:
    newest = newest_windows(history)
    if newest:
        first = newest[0]
        section.facts(
            {
                "Newest window": f"{moment(first.start)} to {moment(first.end)}",
                "Answered by": "; ".join(f"version {window.version}" for window in newest),
                "Rows": _of_each(newest, lambda window: f"{window.rows:,}"),
                "Columns that drifted": _of_each(newest, _drifted),
                "Windows": len({(window.start, window.end) for window in history.windows}),
            }
        )
        for window in newest:
            about = f"Version {window.version}: " if len(newest) > 1 else ""
            for problem in window.problems:
                section.note(about + problem.message, "failed" if problem.severe else "warning")
    else:
        section.note("No window is over yet, or nothing was logged: there is nothing to show.")
    for remark in history.remarks:
        section.note(remark)


def _of_each(windows: Sequence[WindowEntry], told: Callable[[WindowEntry], str]) -> str:
    """What there is to tell of a window, by version where several answered."""
    if len(windows) == 1:
        return told(windows[0])
    return "; ".join(f"{told(window)} ({window.version})" for window in windows)


def _drifted(window: WindowEntry) -> str:
    return ", ".join(item.column for item in window.drifted) or "none"


# Quality


def _quality(section: Section, history: History) -> None:
    judged = [(window, window.quality) for window in busiest_windows(history.windows) if window.quality]
    metric = judged[-1][1].metric
    known = [(window, quality) for window, quality in judged if quality.metric == metric][-_DRAWN:]
    places = [window.start + (window.end - window.start) / 2 for window, _ in known]
    measured, estimated = ([getattr(quality, name) for _, quality in known] for name in ("measured", "estimated"))
    section.chart(
        lines(
            places,
            {
                "measured": _values(measured),
                "estimated": _values(estimated),
                "reference": [quality.reference for _, quality in known],
            },
            title=metric,
            band={"measured": _bounds(measured), "estimated": _bounds(estimated)},
            hatched=[(window.start, window.end) for window, quality in known if not quality.mature],
            size="wide",
        )
    )
    off = [quality.off if quality.mature else None for _, quality in known]
    if any(off):
        title = f"What estimates of {metric} were off by"
        name = "measured − estimated"
        section.chart(lines(places, {name: _values(off)}, title=title, band={name: _bounds(off)}, size="wide"))
        section.note(_ERRORS)


def _values(estimates: Iterable[Estimate | None]) -> list[float]:
    return [estimate.value if estimate else _NAN for estimate in estimates]


def _bounds(estimates: Sequence[Estimate | None]) -> tuple[list[float], list[float]]:
    lows = [estimate.low if estimate else _NAN for estimate in estimates]
    return lows, [estimate.high if estimate else _NAN for estimate in estimates]


# What moved


def _moved(windows: Sequence[WindowEntry]) -> Chart:
    shown = [window for window in windows if window.moved][-_WINDOWS:]
    names = {name for window in shown for name in window.moved}
    highest = {name: max(window.moved.get(name, 0.0) for window in shown) for name in names}
    chosen = sorted(names, key=lambda name: (-highest[name], name))[:_COLUMNS]
    cells = [[window.moved.get(name, _NAN) for window in shown] for name in chosen]
    title = "Distance in units of the threshold"
    if len(names) > len(chosen):
        title += f", the {len(chosen)} columns of {len(names)} that moved most"
    return heatmap(cells, chosen, _labels(shown), title=title, top=2.0)


def _labels(windows: Sequence[WindowEntry]) -> list[str]:
    """Names of windows, each with its version where the one before has another."""
    labels, before = [], ""
    for window in windows:
        day = moment(window.start)[5:]
        labels.append(day if window.version == before or not before else f"{day} · {window.version[:6]}")
        before = window.version
    return labels


def _rows(windows: Sequence[WindowEntry]) -> Chart:
    starts = sorted({window.start for window in windows})[-_DRAWN:]
    versions = list(dict.fromkeys(window.version for window in windows if window.start >= starts[0]))
    rows = {(window.start, window.version): float(window.rows) for window in windows}
    return lines(
        starts,
        {version: [rows.get((start, version), _NAN) for start in starts] for version in versions},
        title="Rows a window, by the version that answered",
        y_label="rows",
        size="wide",
    )


# Tables


def _windows(section: Section, windows: Sequence[WindowEntry]) -> None:
    section.table(
        ["window", "version", "rows", "outcome", "drifted", "prediction", "quality", "problems"],
        [_row(window) for window in reversed(windows)],
        align={"rows": "right"},
    )


def _row(window: WindowEntry) -> list[object]:
    name = f"{moment(window.start)} to {moment(window.end)}"
    drifted = ", ".join(f"{item.column} {format_number(item.value, 3)}" for item in window.drifted[:4])
    more = f" and {len(window.drifted) - 4} more" if len(window.drifted) > 4 else ""
    prediction = format_number(window.prediction.value, 3) if window.prediction and window.prediction.drifted else "–"
    return [
        Link(name, window.page) if window.page else name,
        window.version,
        window.rows,
        Badge(*state(window)),
        drifted + more or "–",
        prediction,
        quality_words(window.quality),
        "; ".join(problem.message for problem in window.problems) or "–",
    ]


def quality_words(quality: Quality | None) -> str:
    """How good the answers of a window were, in a line."""
    if quality is None:
        return "–"
    measured = f"{quality.metric} {format_number(quality.measured.value)}" if quality.measured else ""
    estimated = f"estimated {format_number(quality.estimated.value)}" if quality.estimated else ""
    labelled = f"{format_share(quality.labelled)} labelled" + ("" if quality.mature else ", immature")
    return "; ".join(part for part in (measured, estimated, labelled) if part)


def _decisions(section: Section, decisions: Sequence[DecisionEntry]) -> None:
    if not decisions:
        section.note("Nothing was decided yet.")
        return
    section.table(
        ["number", "when", "window up to", "what", "why"],
        [
            [entry.number, moment(entry.when), moment(entry.about) if entry.about else None, _action(entry), entry.why]
            for entry in reversed(decisions)
        ],
    )


def _action(entry: DecisionEntry) -> Badge | str:
    colours: dict[str, Colour] = {"warn": "warning", "retrain": "warning", "failed": "failed", "promoted": "passed"}
    word = entry.action.split(" ")[0]
    return Badge(colours[word], entry.action) if word in colours else entry.action
