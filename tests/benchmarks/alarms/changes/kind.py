"""What a kind of change is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.alarms.rows import Rows, Scene

Change = Callable[[Scene], Rows]
Family = Literal[
    "shift", "scale", "unit", "category", "swap", "frozen", "missing", "rows", "population", "labels", "concept",
    "slow", "harmless",
]  # fmt: skip
STRENGTHS = ("weak", "middle", "strong")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change.

    Attributes:
        name: For people; says what the amounts are of.
        family: What it is a case of.
        change: Makes the rows of a window from those that would have been.
        amounts: How much, weak, middle and strong.
    """

    name: str
    family: Family
    change: Change
    amounts: tuple[float, float, float]

    @property
    def is_harmless(self) -> bool:
        """Whether there is nothing to find: the model sees the same rows, or does not use what changed."""
        return self.family == "harmless"
