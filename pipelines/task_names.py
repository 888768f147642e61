"""What tasks are called for people: a stage, and inside a loop the item, as in `tune (linear)`."""

import re
from collections.abc import Sequence
from typing import get_args

from components.shared.config import Stage

STAGES: frozenset[str] = frozenset(get_args(Stage))
_ITERATION = re.compile(r"\((\d+):")
_ATTEMPT = re.compile(r"\((\d+)\)$")


def path_of(name: str) -> list[str]:
    """The nested tasks in the name of one of Argo's nodes, from the outermost, without the workflow and the attempts.

    With a retry strategy for every template, as Kubeflow Pipelines 2.17 sets one, each part counts its attempts:
    `wine-x7(0).root(0).ingest(0).executor(1)` is the second attempt of `root`, `ingest`, `executor`.
    """
    return [without_attempt(part) for part in name.split(".")[1:] if part]


def without_attempt(part: str) -> str:
    """A task's name without the number of the attempt; that of an iteration, such as `(1:1)`, stays."""
    return _ATTEMPT.sub("", part)


def attempt_of(name: str) -> int:
    """The number of the attempt that a node is, from 0; -1 for one that stands for all attempts."""
    found = _ATTEMPT.search(name)
    return int(found[1]) if found else -1


def stage_of(parts: Sequence[str]) -> str:
    """The stage among the names of nested tasks; empty when it is a driver's or a loop's own."""
    return next((part for part in reversed(parts) if part in STAGES), "")


def label_of(parts: Sequence[str], families: Sequence[str] = ()) -> str:
    """The name for people of nested tasks, from the outermost to the innermost.

    Args:
        parts: Their names, as `path_of` gives them: `root`, `for-loop-1`, `iteration-item(0:0)`, `tune`, `executor`.
        families: The items of the loop, in order.
    """
    stage = stage_of(parts)
    if not stage:
        return next((part for part in reversed(parts) if part != "executor"), "the run")
    before = parts[: parts.index(stage)]
    index = next((int(found[1]) for found in map(_ITERATION.search, reversed(before)) if found), None)
    if index is None:
        return stage
    return f"{stage} ({families[index] if index < len(families) else index + 1})"
