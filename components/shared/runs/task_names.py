"""What tasks are called for people: a stage, and inside a loop the item, as in `tune (linear)`."""

import re
from collections.abc import Sequence

from components.shared.stages import BY_NAME

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


def stages_in(name: str) -> tuple[str, ...]:
    """The stages that a task runs, by its name: `validate`, or several of them, `ingest-validate-prepare`."""
    stages = tuple(re.split("[-_]", name))
    return stages if all(stage in BY_NAME for stage in stages) else ()


def stages_of(parts: Sequence[str]) -> tuple[str, ...]:
    """The stages of the task among the names of nested tasks; none when it is a driver's or a loop's own."""
    return next((stages for part in reversed(parts) if (stages := stages_in(part))), ())


# Example: root, for-loop-1, iteration-item(0:0), tune, executor, with the families linear and lightgbm, is `tune
# (linear)`.
def label_of(parts: Sequence[str], families: Sequence[str] = ()) -> str:
    """The name for people of nested tasks, from the outermost to the innermost.

    Args:
        parts: Their names, as `path_of` gives them: `root`, `for-loop-1`, `iteration-item(0:0)`, `tune`, `executor`.
        families: The items of the loop, in order.
    """
    position = next((index for index, part in reversed(list(enumerate(parts))) if stages_in(part)), None)
    if position is None:
        return next((part for part in reversed(parts) if part != "executor"), "the run")
    stage, before = ", ".join(stages_in(parts[position])), parts[:position]
    index = next((int(found[1]) for found in map(_ITERATION.search, reversed(before)) if found), None)
    if index is None:
        return stage
    return f"{stage} ({families[index] if index < len(families) else index + 1})"
