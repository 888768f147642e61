"""What a replay says on the terminal, a line a week.

A replay takes minutes, and a person who watches wants to see it decide. A week is a line, made of the same evidence and
records that the decision was made of, so that it cannot tell another story than the audit log.
"""

from collections.abc import Sequence
from datetime import datetime

from components.shared.decisions.evidence import Evidence
from components.shared.decisions.records import Decided, Ended, Judged, Record, Resumed
from components.shared.formatting import format_duration


def week_line(week: datetime, evidence: Sequence[Evidence], records: Sequence[Record]) -> str:
    """What became known of a week and what was done, in a line; what a retraining came to in lines of their own.

    Args:
        week: Its first moment.
        evidence: Of all windows that are looked at.
        records: What was added to the audit log.
    """
    windows = [one for one in evidence if one.start == week]
    parts = [_quality(windows), _drift(windows), *_problems(windows), *_decided(records)]
    lines = [f"{week:%d %b}  {sum(one.rows for one in windows):>5,} rows  " + " · ".join(filter(None, parts))]
    return "\n".join([*lines, *(f"        → {text}" for text in _followed(records))])


def _quality(windows: Sequence[Evidence]) -> str:
    """Of the version that answered most of the week."""
    most = max(windows, key=lambda one: one.rows, default=None)
    if most is None or most.quality is None or most.quality.measured is None:
        return "no quality"
    measured, estimated = most.quality.measured, most.quality.estimated
    text = f"{most.quality.metric} {measured.value:.3f} ({measured.low:.3f} to {measured.high:.3f})"
    return text + (f", estimated {estimated.value:.3f}" if estimated else "")


def _drift(windows: Sequence[Evidence]) -> str:
    names = list(dict.fromkeys(column.column for one in windows for column in one.drifted))
    importance = max((sum(column.importance for column in one.drifted) for one in windows), default=0.0)
    return f"{len(names)} columns drifted ({importance:.0%} of importance)" if names else "no drift"


def _problems(windows: Sequence[Evidence]) -> list[str]:
    severe = sum(problem.severe for one in windows for problem in one.problems)
    others = sum(not problem.severe for one in windows for problem in one.problems)
    counts = ((severe, "severe problems"), (others, "problems"))
    return [f"{count} {what if count > 1 else what[:-1]}" for count, what in counts if count]


def _decided(records: Sequence[Record]) -> list[str]:
    decided = [record.decision for record in records if isinstance(record, Decided)]
    if not decided:
        return []
    kinds = ", ".join(finding.kind.replace("_", " ") for finding in decided[-1].findings)
    held = f", held back: {decided[-1].held_back}" if decided[-1].held_back else ""
    return [f"{decided[-1].action}{f' ({kinds})' if kinds else ''}{held}"]


def _followed(records: Sequence[Record]) -> list[str]:
    found = []
    for record in records:
        if isinstance(record, Ended):
            spent = f", {format_duration(record.cpu_hours * 3600)} of the processor" if record.cpu_hours else ""
            found.append(f"retraining {record.result}{spent}: {record.message}")
        if isinstance(record, Judged):
            found.append(f"the retraining {'helped' if record.helped else 'did not help'}: {record.message}")
        if isinstance(record, Resumed):
            found.append("a person is asked, and lets it go on")
    return found
