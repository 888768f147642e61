"""What `decisions` and `replay-policy` print: the audit log, and what another rule would have decided."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.text import Text

from components.shared.decisions.records import Decided, Decision, Ended, Judged, Record, Resumed, Started
from components.shared.formatting import format_quantity
from pipelines.cli.consoles import plain_table
from pipelines.decisions.replay import Replayed

_STYLES = {"retrain": "bold", "warn": "yellow", "nothing": "dim"}


def print_records(model: str, records: Sequence[Record], console: Console, *, everything: bool) -> None:
    """Print the audit log, the newest record first.

    Args:
        model: Name of the model.
        records: The oldest first.
        console: Where to.
        everything: Also decisions that there is nothing to do.
    """
    shown = [record for record in records if everything or not _is_nothing(record)]
    quiet = len(records) - len(shown)
    console.print(Text.assemble("\n ", (model, "bold"), f" · {format_quantity(len(records), 'record')} of decisions\n"))
    table = plain_table("NUMBER", "WHEN (UTC)", "WINDOW (UTC)", "WHAT", "BY", "WHY")
    for record in reversed(shown):
        window, what, why = _cells(record)
        style = _STYLES.get(record.decision.action, "") if isinstance(record, Decided) else ""
        table.add_row(str(record.number), _moment(record.when), window, Text(what, style), record.by or "–", why)
    if shown:
        console.print(table)
    if quiet:
        console.print(Text(f"\n {format_quantity(quiet, 'decision')} to do nothing left out: --all shows them.", "dim"))


def print_replay(replayed: Sequence[Replayed], console: Console) -> None:
    """Print where a rule would do something, or other than was done, and how often in all.

    Args:
        replayed: In order of time.
        console: Where to.
    """
    table = plain_table("KNOWN (UTC)", "WINDOW (UTC)", "WAS", "WOULD BE", "WHY")
    for one in replayed:
        would, was = one.would.decision, one.was.decision if one.was else None
        if one.differs or would.action != "nothing":
            action = Text(_action(would), _STYLES[would.action])
            table.add_row(_moment(one.would.when), _window(would), _action(was) if was else "–", action, would.reason)
    console.print()
    if table.row_count:
        console.print(table)
    taken = [one.was.decision for one in replayed if one.was]
    console.print(f"\n This rule: {_totals([one.would.decision for one in replayed])}.", soft_wrap=True)
    console.print(f" As decided: {_totals(taken)}.", soft_wrap=True)
    if len(taken) < len(replayed):
        left = format_quantity(len(replayed) - len(taken), "moment")
        console.print(Text(f" Of {left} the audit log has no decision.", "dim"), soft_wrap=True)


def _is_nothing(record: Record) -> bool:
    return isinstance(record, Decided) and record.decision.action == "nothing"


def _cells(record: Record) -> tuple[str, str, str]:
    """Window, what, and why."""
    match record:
        case Decided():
            decision = record.decision
            return _window(decision), _action(decision), decision.reason
        case Started():
            return "–", f"retraining {record.about} begun", f"attempt {record.attempt}"
        case Ended():
            version = f", version {record.version}" if record.version else ""
            return "–", f"retraining {record.about} {record.result}{version}", record.message or "–"
        case Judged():
            return "–", f"retraining {record.about} {'helped' if record.helped else 'did not help'}", record.message
        case Resumed():
            return "–", "resumed", record.why or "–"


def _action(decision: Decision) -> str:
    dry = " (dry run)" if decision.action == "retrain" and not decision.retrains else ""
    held_back = f", no retraining: {decision.held_back}" if decision.held_back else ""
    return f"{decision.action}{dry}{held_back}"


def _totals(decisions: Sequence[Decision]) -> str:
    actions = [decision.action for decision in decisions]
    retrainings, warnings = actions.count("retrain"), actions.count("warn")
    return (
        f"{format_quantity(retrainings, 'retraining')}, {format_quantity(warnings, 'warning')} and nothing "
        f"{format_quantity(actions.count('nothing'), 'time')} in {format_quantity(len(actions), 'decision')}"
    )


def _window(decision: Decision) -> str:
    start, end = decision.window
    return f"{_moment(start)} – {_moment(end)}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
