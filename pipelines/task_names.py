"""What tasks are called for people: a stage, and inside a loop the item, as in `tune (linear)`."""

import re
from collections.abc import Sequence
from typing import get_args

from components.shared.config import Stage

STAGES: frozenset[str] = frozenset(get_args(Stage))
_ITERATION = re.compile(r"\((\d+)(?::|\))")
_ATTEMPT = re.compile(r"\(\d+\)$")


def stage_of(parts: Sequence[str]) -> str:
    """The stage among the names of nested tasks; empty when it is a driver's or a loop's own."""
    return next((part for part in reversed(parts) if part in STAGES), "")


def label_of(parts: Sequence[str], families: Sequence[str] = ()) -> str:
    """The name for people of nested tasks, from the outermost to the innermost.

    Args:
        parts: Their names, as Argo's nodes have them: `root`, `for-loop-1`, `iteration-item(0:0)`, `tune`, `executor`.
        families: The items of the loop, in order.
    """
    stage = stage_of(parts)
    if not stage:
        return next((_ATTEMPT.sub("", part) for part in reversed(parts) if not part.startswith("executor")), "the run")
    before = parts[: parts.index(stage)]
    index = next((int(found[1]) for found in map(_ITERATION.search, reversed(before)) if found), None)
    if index is None:
        return stage
    return f"{stage} ({families[index] if index < len(families) else index + 1})"


def task_of(parts: Sequence[str]) -> str:
    """What the attempts of one task have in common."""
    return ".".join(_ATTEMPT.sub("", part) if part.startswith("executor") else part for part in parts)
