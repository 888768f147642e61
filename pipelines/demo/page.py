"""The page that tells a replay, and its figure. Every sentence is made of what happened.

A page that claims what the product did must not be written beforehand. Each sentence is made of the story (`outcome`),
the bad weeks and the retrainings that did not help included, and reads otherwise when the replay went otherwise.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

import numpy as np

from components.monitor.history.record import WindowEntry
from components.shared.decisions.evidence import Estimate
from components.shared.decisions.records import Decided, Ended, Judged, Resumed
from components.shared.decisions.retrainings import retrainings_of
from components.shared.formatting import format_duration, format_number, format_quantity
from components.shared.pages.blocks import Badge, Chart, Link, Status
from components.shared.pages.charts import heatmap, lines
from components.shared.pages.reports import Page, Section
from pipelines.demo.cases import Case
from pipelines.demo.outcome import Outcome, Story

_NAN = float("nan")
_COLUMNS = 16  # of the map
_HELPED = "What had asked for it was gone afterwards."
_NO_HELP = "What had asked for it was found afterwards, too."
_RESULTS: dict[str, Status] = {"promoted": "passed", "blocked": "warning", "failed": "failed"}


def story_page(story: Story, case: Case, links: Sequence[Link] = ()) -> Page:
    """The page.

    Args:
        story: What happened.
        case: What was changed.
        links: Pages of the product itself.
    """
    page = Page(f"Replayed: {case.title}", case.text)
    _told(page.section("What happened"), story, links)
    _regret(page.section("What another rule would have come to"), story)
    _months(page.section("The months"), story)
    _quality(page.section("Measured and estimated"), story)
    _moved(page.section("What drifted"), story)
    _decided(page.section("Retrainings and warnings"), story)
    _method(page.section("How it was made"), story)
    return page


def figure(story: Story) -> Chart:
    """What each strategy has lost so far to the best one of each week: the lower, the better."""
    series = {
        outcome.name: np.cumsum([value or 0.0 for value in story.lost(outcome)]).tolist()
        for outcome in (story.ours, *story.others)
    }
    title = "Regret: ROC AUC lost to the best strategy of each week, added up (lower is better)"
    return lines(list(story.weeks), series, title=title, size="wide")


def _by_week(story: Story) -> Chart:
    series = {one.name: [_number(value) for value in one.quality] for one in (story.ours, *story.others)}
    title = "ROC AUC of each week's answers, by when the model was retrained"
    return lines(list(story.weeks), series, title=title, size="wide")


def summary(story: Story) -> list[str]:
    """The replay in sentences."""
    return [*_drift_told(story), *_retrainings_told(story), *_faults_told(story), _compared_told(story)]


def _told(section: Section, story: Story, links: Sequence[Link]) -> None:
    section.facts(
        {
            "Flights asked about": sum(story.rows),
            "Weeks": len(story.weeks),
            "Mean ROC AUC": format_number(story.ours.mean),
            "Retrained": len(story.ours.retrained),
            "of these promoted": len(story.ours.deployed),
            "Replayed in": format_duration(story.seconds),
        }
    )
    section.list(summary(story))
    section.chart(_by_week(story))
    for link in links:
        section.link(link.label, link.href)


def _drift_told(story: Story) -> Iterator[str]:
    windows = [window for window in story.windows if window.moved]
    drifted = [window for window in windows if window.drifted]
    if not windows:
        return
    names = {name for window in windows for name in window.moved}
    found = [column.column for window in windows for column in window.drifted]
    often = sorted(set(found), key=lambda name: (-found.count(name), name))
    never = sorted(names - set(found))
    yield (
        f"In {len(drifted)} of {len(windows)} windows a column that the model uses had drifted"
        + (f", most often {', '.join(f'{name} ({found.count(name)})' for name in often[:4])}" if often else "")
        + (f"; never {', '.join(never[:8])}{' and others' if len(never) > 8 else ''}." if never else ".")
    )


def _retrainings_told(story: Story) -> Iterator[str]:
    for one in retrainings_of(story.records):
        ended, judged = one.ended, one.judged
        if ended is None:
            continue
        kinds = " and ".join(finding.kind.replace("_", " ") for finding in one.decided.decision.findings)
        text = f"{_day(ended.when)}: retrained for {kinds}, {ended.result}: {ended.message.rstrip('.')}."
        after = "" if judged is None else _HELPED if judged.helped else _NO_HELP
        yield f"{text} {after}".rstrip()
    if not retrainings_of(story.records):
        yield "Nothing was retrained."
    asked = [_day(record.when) for record in story.records if isinstance(record, Resumed)]
    if asked:
        yield f"{', '.join(asked)}: the last retrainings had not helped; a person was asked, and let it go on."


def _faults_told(story: Story) -> Iterator[str]:
    severe = [window for window in story.windows if any(problem.severe for problem in window.problems)]
    if not severe:
        return
    starts = {window.start for window in severe}
    inside = sum(one.decided.decision.window[0] in starts for one in retrainings_of(story.records))
    messages = dict.fromkeys(problem.message.rstrip(".") for problem in severe[0].problems if problem.severe)
    told = ", ".join(f"from {_day(first)} to {_day(last)}" for first, last in _spans(severe))
    learned = format_quantity(inside, "retraining") if inside else "no retraining"
    yield f"The rows could not be trusted {told} (first: {'; '.join(messages)}): {learned} began meanwhile."


# Example: the windows of 1 to 8 May, 8 to 15 May and 5 to 12 June are two spans, 1 to 15 May and 5 to 12 June.
def _spans(windows: Sequence[WindowEntry]) -> list[tuple[datetime, datetime]]:
    """From when to when windows reach that follow one another."""
    spans: list[tuple[datetime, datetime]] = []
    for window in sorted(windows, key=lambda window: window.start):
        if spans and window.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], window.end))
        else:
            spans.append((window.start, window.end))
    return spans


def _compared_told(story: Story) -> str:
    others = ", ".join(
        f"{one.name} {format_number(one.mean)} with {format_quantity(len(one.retrained), 'retraining')}"
        for one in story.others
    )
    ours = story.ours
    done = format_quantity(len(ours.retrained), "retraining")
    return f"Mean ROC AUC: ours {format_number(ours.mean)} with {done}; {others}."


def _regret(section: Section, story: Story) -> None:
    section.table(
        ["strategy", "mean ROC AUC", "worst week", "regret", "retrainings", "deployed", "CPU minutes"],
        [_outcome(story, outcome) for outcome in story.outcomes],
        align=dict.fromkeys(
            ["mean ROC AUC", "worst week", "regret", "retrainings", "deployed", "CPU minutes"], "right"
        ),
        caption="The same weeks, the same training",
    )
    section.chart(figure(story))
    section.note(
        "Regret: how much worse than the best of the strategies, week by week, on average. CPU minutes are those of "
        "the processes: of looking at what was asked, and of retraining. Ours trains, judges, publishes and proves a "
        "version in the pipeline; the others only train, and deploy whatever comes of it."
    )


def _outcome(story: Story, outcome: Outcome) -> list[object]:
    return [
        outcome.name,
        f"{outcome.mean:.3f}",
        f"{outcome.worst:.3f}",
        f"{story.regret(outcome):.3f}",
        len(outcome.retrained),
        len(outcome.deployed),
        f"{outcome.cpu_minutes:.1f}",
    ]


def _months(section: Section, story: Story) -> None:
    rows = []
    for _, group in groupby(range(len(story.weeks)), key=lambda number: story.weeks[number].month):
        weeks = list(group)
        first, end = story.weeks[weeks[0]], _end(story, weeks[-1])
        windows = [window for window in story.windows if first <= window.start < end]
        quality = [value for number in weeks if (value := story.ours.quality[number]) is not None]
        rows.append(
            [
                f"{first:%B}",
                sum(story.rows[number] for number in weeks),
                f"{sum(quality) / len(quality):.3f}" if quality else "–",
                _most(windows),
                _happened(story, first, end),
            ]
        )
    section.table(["weeks from", "flights", "ROC AUC", "drifted in half of the windows or more", "what was done"], rows)


def _end(story: Story, number: int) -> datetime:
    return (
        story.weeks[number + 1] if number + 1 < len(story.weeks) else datetime.max.replace(tzinfo=story.weeks[0].tzinfo)
    )


def _most(windows: Sequence[WindowEntry]) -> str:
    found = [column.column for window in windows for column in window.drifted]
    return ", ".join(name for name in dict.fromkeys(found) if 2 * found.count(name) >= len(windows)) or "none"


def _happened(story: Story, first: datetime, end: datetime) -> str:
    ended = [record for record in story.records if isinstance(record, Ended) and first <= record.when < end]
    warned = sum(
        isinstance(record, Decided) and record.decision.action == "warn" and first <= record.when < end
        for record in story.records
    )
    done = [f"retraining {record.result}" for record in ended]
    asked = sum(isinstance(record, Resumed) and first <= record.when < end for record in story.records)
    done += [f"{format_quantity(asked, 'question')} to a person"] if asked else []
    return ", ".join([*done, *([format_quantity(warned, "warning")] if warned else [])]) or "nothing"


def _quality(section: Section, story: Story) -> None:
    known = _largest(story.windows)
    measured = [window.quality.measured if window.quality else None for window in known]
    estimated = [window.quality.estimated if window.quality else None for window in known]
    section.chart(
        lines(
            [window.start for window in known],
            {
                "measured": _values(measured),
                "estimated without labels": _values(estimated),
                "reference": [window.quality.reference if window.quality else _NAN for window in known],
            },
            title="ROC AUC of the version that answered, by week",
            band={"measured": _bounds(measured), "estimated without labels": _bounds(estimated)},
            size="wide",
        )
    )
    parted = [window for window in known if window.quality and window.quality.relation_changed]
    section.note(
        "Measured and estimated quality parted in "
        + (f"{format_quantity(len(parted), 'week')}, first in that of {_day(parted[0].start)}" if parted else "no week")
        + ". Estimates look at the answers alone: where the relation of features and target changes, only labels tell.",
        "warning" if parted else "info",
    )


def _largest(windows: Sequence[WindowEntry]) -> list[WindowEntry]:
    """The window of each week by the version that answered most of its rows."""
    found: dict[datetime, WindowEntry] = {}
    for window in windows:
        if window.quality and (window.start not in found or window.rows > found[window.start].rows):
            found[window.start] = window
    return [found[start] for start in sorted(found)]


def _values(estimates: Sequence[Estimate | None]) -> list[float]:
    return [estimate.value if estimate else _NAN for estimate in estimates]


def _bounds(estimates: Sequence[Estimate | None]) -> tuple[list[float], list[float]]:
    return [one.low if one else _NAN for one in estimates], [one.high if one else _NAN for one in estimates]


def _moved(section: Section, story: Story) -> None:
    shown = [window for window in story.windows if window.moved]
    highest = {name: max(window.moved.get(name, 0.0) for window in shown) for window in shown for name in window.moved}
    names = sorted(highest, key=lambda name: (-highest[name], name))[:_COLUMNS]
    section.chart(
        heatmap(
            [[window.moved.get(name, _NAN) for window in shown] for name in names],
            names,
            [f"{window.start:%d %b}" for window in shown],
            title="Distance of each week from the reference of the version that answered, in units of the threshold",
            top=2.0,
        )
    )
    section.note("A new version brings a new reference: what had moved is then what it has learned from.")


def _decided(section: Section, story: Story) -> None:
    ended = [(one, one.ended) for one in retrainings_of(story.records) if one.ended]
    rows = [
        [_day(end.when), Badge(_RESULTS.get(end.result, "info"), end.result), one.decided.decision.reason, end.message,
         _judged(one.judged)]
        for one, end in ended
    ]  # fmt: skip
    section.table(["retrained", "result", "because", "what it came to", "did it help"], rows)
    warnings = [
        [_day(record.when), record.decision.held_back or "–", record.decision.reason]
        for record in story.records
        if isinstance(record, Decided) and record.decision.action == "warn"
    ]
    section.table(["warned", "a retraining held back by", "because"], warnings)


def _judged(judged: Judged | None) -> str:
    return "–" if judged is None else ("yes" if judged.helped else "no")


def _method(section: Section, story: Story) -> None:
    first, end = story.learned
    section.list(
        [
            f"The first version learned from the flights from {_day(first)} to {_day(end)}, and served from "
            f"{_day(story.weeks[0])} on, {max(story.rows):,} flights of each week.",
            "Every flight was asked of the real endpoint; its inference log, the labels with their times of arrival, "
            "the monitor, the rule and the training pipeline are the product's own. Only time went faster.",
            "The labels of a day arrived in the morning two days after it. On Tuesdays, when those of the week before "
            "were there, somebody looked: the monitor, and then the rule.",
            "Quality in the figure and in the table is that of all labels of a week, as they are known in the end.",
        ]
    )


def _number(value: float | None) -> float:
    return _NAN if value is None else value


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B}"
