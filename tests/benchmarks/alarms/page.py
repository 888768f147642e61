"""The tables of `docs/monitoring.md`, as Markdown."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.alarms.changes.kind import STRENGTHS
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.figures import LOOKERS, NAMES, of_hundred, share
from tests.benchmarks.alarms.measuring import UNLABELLED, Outcome

_WORDS = {
    "shift": "numbers that moved", "scale": "numbers spread, noisy, rounded, saturated", "unit": "errors of units",
    "category": "categories new, renamed, gone", "swap": "columns and rows mixed up", "frozen": "frozen sensors",
    "missing": "missing values", "rows": "rows lacking or repeated", "population": "other rows come",
    "labels": "wrong labels", "concept": "another relation of features and target", "slow": "slow and seasonal",
    "harmless": "harmless: other order, fewer digits, a feature of no use",
}  # fmt: skip
_FAMILY = {kind.name: kind.family for kind in KINDS}


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Both tables: alarms without a change, and shares of the changes found by family, weak / middle / strong."""
    clean = [one for one in outcomes if not one.kind]
    injected = [one for one in outcomes if one.kind]
    return "\n".join([*_false(clean), "", *_found(injected), ""])


def _false(clean: Sequence[Outcome]) -> Iterator[str]:
    yield "| of 100 windows without a change | |"
    yield "|---|---|"
    for who in (*LOOKERS, UNLABELLED):
        seen = [one for one in clean if who in one.windows]
        if seen:
            yield f"| {NAMES.get(who, who)} | {of_hundred(seen, who):.1f} |"


def _found(injected: Sequence[Outcome]) -> Iterator[str]:
    present = [who for who in LOOKERS if any(who in one.found for one in injected)]
    yield f"| found, % | kinds | {' | '.join(NAMES.get(who, who) for who in present)} |"
    yield f"|---|---|{'---|' * len(present)}"
    for family, words in _WORDS.items():
        some = [one for one in injected if _FAMILY[one.kind] == family]
        if some:
            yield _line(words, some, present)
    yield _line("**all but the harmless**", [one for one in injected if _FAMILY[one.kind] != "harmless"], present)


def _line(words: str, some: Sequence[Outcome], present: Sequence[str]) -> str:
    kinds = len({one.kind for one in some})
    cells = (" / ".join(_percent(some, who, strength) for strength in range(len(STRENGTHS))) for who in present)
    return f"| {words} | {kinds} | {' | '.join(cells)} |"


def _percent(some: Sequence[Outcome], who: str, strength: int) -> str:
    return f"{100 * share([one for one in some if one.strength == strength], who):.0f}"
