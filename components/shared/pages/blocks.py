"""What a page is made of: badges, links, charts, tables, facts, lists, notes, and cards and grids of them.

Blocks hold what is shown, as text or numbers; `reports` turns them into markup, and escapes all of it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from numbers import Real
from typing import ClassVar, Literal, get_args

from components.shared.formatting import is_bool

Status = Literal["passed", "warning", "failed", "info"]
Align = Literal["left", "right", "center"]
_LINK_SCHEMES = ("http", "https", "file")


@dataclass(frozen=True, slots=True)
class Badge:
    """A short word with a status: its colour and its symbol, so that colour is never the only sign."""

    status: Status
    label: str = ""

    def __post_init__(self) -> None:
        """Refuse an unknown status."""
        _check_status(self.status)


@dataclass(frozen=True, slots=True)
class Link:
    """A link to a web address, a file beside the page, or `#place` on it."""

    label: str
    href: str
    kind: ClassVar[str] = "link"

    def __post_init__(self) -> None:
        """Refuse what a browser would run instead of open.

        Raises:
            ValueError: The address has a scheme other than http, https and file.
        """
        # Browsers skip blanks and controls here, so "java\nscript:" must not pass.
        scheme = re.match(r"([a-z][a-z0-9+.-]*):", re.sub(r"[\x00-\x20]", "", self.href), re.IGNORECASE)
        if scheme and scheme[1].lower() not in _LINK_SCHEMES:
            raise ValueError(
                f"link {self.label!r}: expected a relative path or one of {', '.join(_LINK_SCHEMES)}, found "
                f"{self.href[:80]!r}; put './' before a file name that holds a colon"
            )


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """One named series of a chart: its colour, `1` to `6`, and the SVG dash pattern of its line ('' is solid)."""

    name: str
    colour: int
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing made by `components.shared.pages.charts`.

    Attributes:
        svg: Inner markup of the drawing, already escaped.
        width: Natural width in CSS pixels.
        height: Natural height in CSS pixels.
        title: Caption above it.
        alt: What it shows, in words, for those who do not see it.
        legend: Names of the series, when there is more than one.
        note: What a reader must know about it, such as points left out.
    """

    svg: str
    width: int
    height: int
    title: str
    alt: str
    legend: tuple[LegendEntry, ...] = ()
    note: str = ""
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names with their values."""

    items: Mapping[str, object]
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose cells are ready to show; make it with `table`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    align: tuple[Align, ...]
    caption: str = ""
    left_out: int = 0
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Items:
    """A bulleted list."""

    items: tuple[object, ...]
    kind: ClassVar[str] = "items"


@dataclass(frozen=True, slots=True)
class Note:
    """A remark set apart, with a status."""

    text: str
    status: Status = "info"
    kind: ClassVar[str] = "note"

    def __post_init__(self) -> None:
        """Refuse an unknown status."""
        _check_status(self.status)


@dataclass(frozen=True, slots=True)
class Card:
    """A small heading with blocks under it, such as one column of a profile; stands in a grid."""

    heading: str
    blocks: tuple["Block", ...]
    kind: ClassVar[str] = "card"


@dataclass(frozen=True, slots=True)
class Grid:
    """Blocks side by side, as many in a row as fit the screen."""

    blocks: tuple["Block", ...]
    kind: ClassVar[str] = "grid"

    @property
    def column_width(self) -> int:
        """Smallest width of a column in CSS pixels, that of the widest chart in it."""
        widths = [block.width for block in _flatten(self.blocks) if isinstance(block, Chart)]
        return max(widths, default=280)


Block = Chart | Facts | Table | Items | Note | Link | Card | Grid


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    align: Mapping[str, Align] | None = None,
    formats: Mapping[str, Callable[..., str]] | None = None,
    caption: str = "",
    limit: int = 200,
) -> Table:
    """Make a table.

    Args:
        columns: Column headings; duplicates are allowed and share their `align` and `formats`.
        rows: One sequence of cells a row, as long as `columns`; read once. A cell may be a Badge or a Link.
        align: Alignment by heading. Otherwise columns that hold only numbers (and None) stand right, others left.
        formats: Function from a value to its text by heading, such as `format_share`; not called for None.
        caption: Line above the table.
        limit: Most rows shown; the page says how many were left out.

    Raises:
        ValueError: A row's length differs from that of `columns`, `limit` is below 1, or `align` or `formats` name
            an unknown column.
    """
    _check_names("align", align or {}, columns)
    _check_names("formats", formats or {}, columns)
    if limit < 1:
        raise ValueError(f"limit: expected at least 1 row, found {limit}")
    kept: list[tuple[object, ...]] = []
    total = 0
    for row in rows:
        total += 1
        if len(row) != len(columns):
            raise ValueError(f"row {total}: expected {len(columns)} cells, one a column, found {len(row)}")
        if total <= limit:
            kept.append(tuple(row))
    return Table(
        columns=tuple(columns),
        rows=tuple(_format_row(row, columns, formats or {}) for row in kept),
        align=tuple((align or {}).get(name, _natural_align(kept, i)) for i, name in enumerate(columns)),
        caption=caption,
        left_out=total - len(kept),
    )


def _natural_align(rows: Sequence[Sequence[object]], column: int) -> Align:
    values = [row[column] for row in rows if row[column] is not None]
    numeric = all(isinstance(value, Real | Decimal | timedelta) and not is_bool(value) for value in values)
    return "right" if values and numeric else "left"


def _format_row(
    row: Sequence[object], columns: Sequence[str], formats: Mapping[str, Callable[..., str]]
) -> tuple[object, ...]:
    return tuple(
        formats[name](value) if name in formats and value is not None else value
        for name, value in zip(columns, row, strict=True)
    )


def _check_names(what: str, given: Mapping[str, object], columns: Sequence[str]) -> None:
    if unknown := sorted(set(given) - set(columns)):
        raise ValueError(f"{what}: expected names among the columns {list(columns)[:20]}, found {unknown}")


def _check_status(status: str) -> None:
    if status not in get_args(Status):
        raise ValueError(f"status: expected one of {', '.join(get_args(Status))}, found {status!r}")


def _flatten(blocks: Iterable[Block]) -> Iterable[Block]:
    for block in blocks:
        yield block
        if isinstance(block, Card | Grid):
            yield from _flatten(block.blocks)
