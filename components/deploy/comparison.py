"""How the answers of two versions to the same rows differ.

The other proofs ask whether a version answers as its own package does. This one shows how much its clients will see
change when it takes over. It refuses nothing by itself. The rows come from a log that not everybody may read, so the
examples hold answers only.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.shared.package.schema import Schema, label_name
from components.shared.package.scoring import Scorer, parse_rows, score_rows
from components.shared.tasks import TASKS

_EXAMPLES = 5


class Example(BaseModel):
    """Two answers to one row; the row itself stays in the log, which not everybody may read."""

    model_config = ConfigDict(frozen=True)

    before: Any
    now: Any
    difference: float


class Comparison(BaseModel):
    """What another version answers to the same rows.

    Attributes:
        before: The version that serves.
        now: The new one.
        rows: How many rows were compared.
        changed: Share of rows with another label; of numbers, with a value that differs at all (by more than 1e-6).
        mean_difference: Mean distance between the answers: between values; of classes, the part of the probability that
            moved from one class to another, from 0 to 1.
        p99_difference: 99 of 100 rows differ by no more.
        largest_difference: No row differs by more.
        mean_before: Mean value, or of two classes the mean probability of the positive one.
        mean_now: The same of the new version.
        labels_before: Rows by label; empty for numbers.
        labels_now: The same of the new version.
        examples: The answers that differ most, each pair once.
    """

    model_config = ConfigDict(frozen=True)

    before: str
    now: str
    rows: int
    changed: float
    mean_difference: float
    p99_difference: float
    largest_difference: float
    mean_before: float | None = None
    mean_now: float | None = None
    labels_before: dict[str, int] = {}
    labels_now: dict[str, int] = {}
    examples: list[Example] = []


# Example: of two classes, 0.80 and 0.20 before and 0.65 and 0.35 now differ by 0.15: so much of the probability has
# moved.
def compare(rows: Sequence[dict[str, Any]], before: Scorer, now: Scorer) -> Comparison:
    """Answer rows with two versions.

    Args:
        rows: At least one row, with the columns of both.
        before: The version that serves.
        now: The new one, of the same task and classes.

    Raises:
        InputError: A row does not fit one of them.
    """
    scores = [score_rows(scorer, parse_rows(rows, scorer.schema)) for scorer in (before, now)]
    answers = [scorer.answers(found) for scorer, found in zip((before, now), scores, strict=True)]
    task = TASKS[now.schema.task]
    difference = task.answer.distance(*scores)
    labels = [[label_name(answer["label"]) for answer in found] if task.has_classes else [] for found in answers]
    changed = np.array([a != b for a, b in zip(*labels, strict=True)]) if task.has_classes else difference > 1e-6
    means = [_mean(found, now.schema) for found in scores]
    return Comparison(
        before=before.version,
        now=now.version,
        rows=len(rows),
        changed=float(np.mean(changed)),
        mean_difference=float(difference.mean()),
        p99_difference=float(np.quantile(difference, 0.99)),
        largest_difference=float(difference.max()),
        mean_before=means[0],
        mean_now=means[1],
        labels_before=dict(Counter(labels[0])),
        labels_now=dict(Counter(labels[1])),
        examples=_examples(answers[0], answers[1], difference),
    )


def _examples(before: Sequence[Any], now: Sequence[Any], difference: NDArray[np.float64]) -> list[Example]:
    found: list[Example] = []
    for place in np.argsort(-difference, kind="stable").tolist():
        example = Example(before=before[place], now=now[place], difference=difference[place])
        if len(found) == _EXAMPLES or not example.difference:
            break
        if example not in found:
            found.append(example)
    return found


def _mean(scores: NDArray[np.float32], schema: Schema) -> float | None:
    task = TASKS[schema.task]
    return float(np.mean(task.answer.watched(scores, schema.labels))) if task.is_one_number else None
