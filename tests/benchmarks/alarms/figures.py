"""What is reported of the outcomes: false alarms, shares detected, and where a peer is better."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.alarms.changes.kind import STRENGTHS, Kind
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.measuring import (
    ALARM,
    ANY_COLUMN,
    ANY_WAY,
    EVIDENTLY,
    QUALITY,
    RETRAINING,
    UNLABELLED,
    Outcome,
)
from tests.benchmarks.alarms.sequences import CHANGED, CLEAN
from tests.benchmarks.report import Figure, at_least, at_most, told

PEERS = (EVIDENTLY, QUALITY)
LOOKERS = (ALARM, RETRAINING, EVIDENTLY, ANY_COLUMN, QUALITY, ANY_WAY)
NAMES = {ALARM: "ours", RETRAINING: "our retraining", UNLABELLED: "our retraining, without labels"}
_BY_NAME: dict[str, Kind] = {kind.name: kind for kind in KINDS}


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """Everything together, of all tables."""
    clean = [one for one in outcomes if not one.kind]
    injected = [one for one in outcomes if one.kind]
    harmful = [one for one in injected if not _BY_NAME[one.kind].is_harmless]
    harmless = [one for one in injected if _BY_NAME[one.kind].is_harmless]
    return [*_false(clean), *_detected(harmful), *_harmless(harmless)]


def _false(clean: Sequence[Outcome]) -> list[Figure]:
    """Alarms in 100 windows without a change."""
    found = []
    for who in (RETRAINING, UNLABELLED):
        name = f"false {who}, of 100 windows without a change"
        found.append(at_most(name, of_hundred(clean, who), 1, unit="windows", target="at most 1"))
    for who in (ALARM, EVIDENTLY, ANY_COLUMN, QUALITY, ANY_WAY):
        if any(who in one.windows for one in clean):
            name = f"false alarms of {NAMES.get(who, who)}, of 100 windows without a change"
            found.append(told(name, of_hundred(clean, who), unit="windows"))
    return found


def of_hundred(clean: Sequence[Outcome], who: str) -> float:
    """How many of 100 clean windows somebody gave an alarm at."""
    counts = [one.windows[who] for one in clean if who in one.windows]
    return 100 * sum(counts) / (CLEAN * max(1, len(counts)))


def _detected(harmful: Sequence[Outcome]) -> list[Figure]:
    """Shares of changes that were found within some windows, by strength."""
    found = []
    for strength, word in enumerate(STRENGTHS):
        some = [one for one in harmful if one.strength == strength]
        for who in LOOKERS:
            if any(who in one.found for one in some):
                name = f"{word} changes found within {CHANGED} windows by {NAMES.get(who, who)}"
                found.append(told(name, share(some, who), unit="share"))
        for peer in PEERS:
            same = [one for one in some if peer in one.found]
            if same:
                name = f"{word} changes found by ours, of those that {peer} looked at"
                limit = share(same, peer)
                found.append(at_least(name, share(same, ALARM), limit, unit="share", target=f"≥ {peer}'s {limit:.3f}"))
        for who in (ALARM, RETRAINING, *PEERS):
            mean = windows_until(some, who)
            if mean is not None:
                found.append(told(f"windows until {word} changes are found by {NAMES.get(who, who)}, where they are",
                                  mean, unit="windows"))  # fmt: skip
    return found


def _harmless(harmless: Sequence[Outcome]) -> list[Figure]:
    """Alarms at changes that mean nothing."""
    found = []
    for who in LOOKERS:
        some = [one for one in harmless if who in one.found]
        name = f"harmless changes with an alarm within {CHANGED} windows by {NAMES.get(who, who)}"
        if who in (ALARM, RETRAINING) and some:
            found.append(at_most(name, share(some, who), 0.05, unit="share", target="as good as never: at most 0.05"))
        elif some:
            found.append(told(name, share(some, who), unit="share"))
    return found


def share(outcomes: Sequence[Outcome], who: str) -> float:
    """Share of the changes that somebody found, of those that they looked at."""
    there = [one.found[who] is not None for one in outcomes if who in one.found]
    return float(np.mean(there)) if there else float("nan")


def windows_until(outcomes: Sequence[Outcome], who: str) -> float | None:
    """Mean number of the window in which somebody found a change, of those that were found; None for none."""
    when = [window for one in outcomes if (window := one.found.get(who)) is not None]
    return float(np.mean(when)) if when else None


def by_kind(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """What was found of each kind of change at each strength, of all tables."""
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        for strength, word in enumerate(STRENGTHS):
            some = [one for one in outcomes if one.kind == kind.name and one.strength == strength]
            if not some:
                continue
            found.append(
                {
                    "kind": kind.name, "family": kind.family, "strength": word, "amount": kind.amounts[strength],
                    "sequences": len(some),
                    "found": {who: share(some, who) for who in LOOKERS if any(who in one.found for one in some)},
                    "windows": {who: windows_until(some, who) for who in (ALARM, RETRAINING)},
                    "by_table": {
                        table: share([one for one in some if one.table == table], ALARM)
                        for table in dict.fromkeys(one.table for one in some)
                    },
                    "why": next((one.why for one in some if one.why), ""),
                }
            )  # fmt: skip
    return found


def behind(kinds: Sequence[dict[str, Any]], who: str, *, by: float = 0.1) -> list[str]:
    """Kinds and strengths of which a peer finds more than we do."""
    return [
        f"{one['kind']}, {one['strength']}: {one['found'][ALARM]:.2f} and {one['found'][who]:.2f}"
        for one in kinds
        if one["family"] != "harmless" and one["found"].get(who, 0.0) > one["found"][ALARM] + by
    ]
