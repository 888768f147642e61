"""The history of a model's champions: what an entry says, and what a list of entries means.

The list is only ever added to, so that it answers both what serves now, which is its newest entry, and where a
roll-back leads, which is not simply the entry before: after a roll-back, that is the version somebody has just turned
away from.
"""

import getpass
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from components.shared.append_only import Numbered
from components.shared.errors import PackageError

Action = Literal["promoted", "rolled back"]
RUN_VARIABLE = "KFP_RUN_ID"

_BEFORE_THE_HISTORY = "champion when the history began"


class Entry(Numbered):
    """One move of the champion pointer. The newest entry is the pointer."""

    number: int = Field(description="1, 2, …; below 1 for what was champion before there was a history.")
    version: str = Field(min_length=1, description="The champion from here on; it had served before this was written.")
    action: Action
    when: str = Field(description="ISO 8601, UTC.")
    run: str = Field(default="", description="The run that did it; empty for a person.")
    replaced: str | None = Field(default=None, description="The champion until then.")
    why: str = Field(default="", description="Why, in words.")

    def is_same(self, other: "Entry | None") -> bool:
        """Whether both are the same move, and not two moves to the same version."""
        mine, others = ((one.number, one.token, one.version) if one else None for one in (self, other))
        return mine == others


def earlier_entries(pointer: Mapping[str, object]) -> list[Entry]:
    """What an object `champion.json`, which earlier releases moved in place of a history, counts as.

    Args:
        pointer: Its content: `version`, `previous` (or none) and `moved`; a version of None says that there is none.

    Raises:
        KeyError, ValueError: It is no such content.
    """
    if set(pointer) == {"version"} and pointer["version"] is None:
        return []
    previous, moved = pointer.get("previous"), pointer["moved"]
    if not isinstance(pointer["version"], str) or set(pointer) - {"version", "previous", "moved"}:
        raise ValueError(sorted(pointer))
    about: dict[str, Any] = {"action": "promoted", "when": moved, "why": _BEFORE_THE_HISTORY}
    entries = [Entry(number=0, version=pointer["version"], replaced=previous, **about)]
    if previous:
        entries.insert(0, Entry(number=-1, version=previous, **about))
    return entries


def rollback_path(entries: Sequence[Entry]) -> list[str]:
    """The versions that roll-backs lead to: the champion comes last, before it what was champion before it was, ….

    A promotion puts a version on top; a roll-back takes away what lies above the version it went back to. So after A,
    B and a roll-back to A the way back from A leads to what was champion before A, and not to B again.

    Five moves, one after the other:

    | move | path | a roll-back then leads to |
    |---|---|---|
    | promoted A | A | nothing |
    | promoted B | A B | A |
    | promoted C | A B C | B |
    | rolled back to B | A B | A |
    | promoted D | A B D | B |

    Args:
        entries: The history, oldest first.
    """
    way: list[str] = []
    for entry in entries:
        if entry.action == "rolled back" and entry.version in way:
            del way[_last_place(way, entry.version) + 1 :]
        elif not way or way[-1] != entry.version:
            way.append(entry.version)
    return way


def rolled_back(entries: Sequence[Entry]) -> dict[str, Entry]:
    """The versions that roll-backs have turned away from and that have not come back since, each with its roll-back.

    Args:
        entries: The history, oldest first.
    """
    found: dict[str, Entry] = {}
    for number, entry in enumerate(entries):
        if entry.action == "rolled back":
            kept = len(rollback_path(entries[: number + 1]))
            found |= dict.fromkeys(rollback_path(entries[:number])[kept:], entry)
        found.pop(entry.version, None)
    return found


def champion_at(entries: Sequence[Entry], moment: datetime) -> str:
    """The champion at a moment: of before the history its first one; empty where no version has served.

    Args:
        entries: The history, oldest first.
        moment: UTC.
    """
    until = [entry.version for entry in entries if datetime.fromisoformat(entry.when) <= moment]
    return (until or [entry.version for entry in entries[:1]] or [""])[-1]


def rollback_target(entries: Sequence[Entry], name: str, *, wanted: str = "") -> str:
    """The version that a roll-back from the champion goes to.

    Args:
        entries: The history, oldest first.
        name: Name of the model.
        wanted: A version that was champion before; empty for the one before the champion.

    Raises:
        PackageError: There is none, or the wanted one never served as champion.
    """
    served = list(dict.fromkeys(entry.version for entry in entries))
    if not served:
        raise PackageError(f"No version of {name!r} has served yet: there is nothing to roll back to.")
    if wanted:
        if wanted not in served:
            raise PackageError(
                f"Version {wanted} of {name!r} was never the champion: expected one that has served, "
                f"{', '.join(served)}. See `make versions MODEL={name}`."
            )
        return wanted
    way = rollback_path(entries)
    if len(way) < 2:
        others = [version for version in served if version != way[-1]]
        back = f" To go to one that served later, name it: VERSION={others[-1]}." if others else ""
        raise PackageError(
            f"Version {way[-1]} of {name!r} is the first one that served: there is none to roll back to.{back}"
        )
    return way[-2]


def now() -> str:
    """The moment, as entries say it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def this_run(environment: Mapping[str, str] | None = None) -> str:
    """The run that this process belongs to; empty for a person's."""
    return (os.environ if environment is None else environment).get(RUN_VARIABLE, "")


def this_person() -> str:
    """Who runs this process; empty where the system knows no name, as in many pods."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _last_place(way: Sequence[str], version: str) -> int:
    return len(way) - 1 - list(reversed(way)).index(version)
