"""What is counted of rows besides their values: how many there are, and what is wrong with them."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict


class Counts(BaseModel):
    """Numbers of rows of one version in one step or window.

    Attributes:
        rows: Rows that count.
        copies: Records that were there already, such as a file that was stored twice; they do not count.
        repeated: Rows that share id and number with another request; they count.
        moved: Rows without a usable time of their own (none, an impossible or a too rare one); they are counted by
            server time.
        lacking: Rows in files that should have a column and do not, by column.
        left_out: Rows in files that leave a column out by configuration, by column.
        newest: The time of the newest row.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int = 0
    copies: int = 0
    repeated: int = 0
    moved: int = 0
    lacking: dict[str, int] = {}
    left_out: dict[str, int] = {}
    newest: datetime | None = None

    def plus(self, other: Self) -> Self:
        """Both together."""
        added: dict[str, object] = {
            name: getattr(self, name) + getattr(other, name) for name in ("rows", "copies", "repeated", "moved")
        }
        added |= {name: _sum(getattr(self, name), getattr(other, name)) for name in ("lacking", "left_out")}
        newest = max((moment for moment in (self.newest, other.newest) if moment), default=None)
        return type(self).model_validate({**added, "newest": newest})


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
