"""Pages for people: one look for the validation result, profile, model card, gate verdict and index of a run.

A page is one HTML file with no script, no network and no other file beside it, so that it looks the same in the
sandboxed frame of the KFP UI, opened from disk and printed. Everything given to it is text and is escaped; only the
drawings made by `components.shared.pages.charts` enter as markup.
"""

import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from numbers import Integral, Real
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

Status = Literal["passed", "warning", "failed", "info"]
Align = Literal["left", "right", "center"]

_TEMPLATE = "page.html.j2"
_MISSING = "–"
_LINK_SCHEMES = ("http", "https", "file")
_SYMBOLS: Mapping[Status, str] = {"passed": "✓", "warning": "!", "failed": "✕", "info": "i"}
# Characters HTML cannot hold: controls, lone surrogates, non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SECTIONS_NEEDING_CONTENTS = 4
_LONGEST_FACT = 28


# Numbers as text


def format_number(x: object, digits: int = 4) -> str:
    """Write a number for a reader: thousands grouped, `digits` significant digits, no trailing zeros.

    Args:
        x: An int, float, Decimal, bool, NumPy scalar or None.
        digits: Significant digits kept after rounding; whole numbers below 1e15 keep all of theirs.

    Returns:
        Text such as `336,776`, `0.8123`, `1.5e-7`, `NaN`, `∞`, or `–` for None.

    Raises:
        ValueError: `digits` is below 1, or `x` is no number.
    """
    if digits < 1:
        raise ValueError(f"digits: expected at least 1, found {digits}")
    if x is None:
        return _MISSING
    if _is_bool(x):
        return "yes" if x else "no"
    if isinstance(x, Integral):
        return f"{int(x):,}" if abs(int(x)) < 10**15 else _scientific(Decimal(int(x)), digits)
    if isinstance(x, Real | Decimal):
        return _format_real(float(x), digits)
    raise ValueError(f"expected a number or None, found {type(x).__name__}: {str(x)[:80]!r}")


def format_count(n: float | None) -> str:
    """Write a whole number with its thousands grouped, `–` for None; fractions are rounded."""
    return format_number(n if n is None or not math.isfinite(n) else round(n))


def format_share(x: float | None, digits: int = 1) -> str:
    """Write a share of 1 as a percentage with `digits` decimals; only exactly 0 and 1 read as 0% and 100%."""
    if x is None or not math.isfinite(x):
        return format_number(x)
    smallest = 10.0**-digits
    if 0 < x * 100 < smallest / 2:
        return f"<{smallest:.{digits}f}%"
    if 100 - smallest / 2 < x * 100 < 100:
        return f">{100 - smallest:.{digits}f}%"
    percent = f"{x * 100:,.{digits}f}"
    percent = percent.rstrip("0").rstrip(".") if "." in percent else percent
    return f"{'0' if percent == '-0' else percent}%"


def format_duration(seconds: float | None) -> str:
    """Write a time span given in seconds: `420 µs`, `12 ms`, `8.4 s`, `2 min 05 s`, `1 h 02 min`, `3 d 4 h`."""
    if seconds is None or not math.isfinite(seconds):
        return format_number(seconds)
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    for limit, scale, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if 0 < seconds < limit and round(seconds * scale) < 1000:
            return f"{format_number(seconds * scale, 3)} {unit}"
    if round(seconds, 1) < 60:
        return f"{format_number(round(seconds, 1), 3)} s"
    return _long_duration(round(seconds))


def format_bytes(n: float | None) -> str:
    """Write a size given in bytes with binary units: `512 B`, `1.5 MiB`."""
    if n is None or not math.isfinite(n):
        return format_number(n)
    size, units = float(n), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while abs(size) >= 1023.5 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{format_number(size, 3)} {units[0]}"


def format_value(value: object) -> str:
    """Write any cell: numbers by `format_number`, times in ISO form, None as `–`, everything else by `str`."""
    if value is None or _is_bool(value) or isinstance(value, Real | Decimal):
        return format_number(value)
    if isinstance(value, timedelta):
        return format_duration(value.total_seconds())
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return value.isoformat() if isinstance(value, date) else str(value)


def _is_bool(value: object) -> bool:
    """Tell Python's and NumPy's booleans, without importing NumPy."""
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _format_real(x: float, digits: int) -> str:
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "∞" if x > 0 else "-∞"
    if x == 0:
        return "0"
    if not 1e-4 <= abs(x) < 1e15:
        return _scientific(Decimal(x), digits)
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(x))))
    text = f"{x:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def _scientific(x: Decimal, digits: int) -> str:
    """Write `1.5e-7`; a Decimal, because an int may be beyond a float's range."""
    mantissa, exponent = f"{x:.{digits - 1}e}".split("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa}e{int(exponent)}"


def _long_duration(seconds: int) -> str:
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 60:
        return f"{minutes} min {seconds % 60:02d} s"
    if hours < 24:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{days:,} d {hours % 24} h"


# What can stand inside a cell, a fact or a list


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


# Blocks of a section


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
    """Blocks side by side, as many in a row as the screen holds."""

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
    numeric = all(isinstance(value, Real | Decimal | timedelta) and not _is_bool(value) for value in values)
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


# The page


def _no_blocks() -> list[Block]:
    """Named here because inside Section the name `list` is its method."""
    return []


@dataclass(slots=True)
class Section:
    """A heading with blocks under it; each method adds one block and returns the section for the next call."""

    heading: str
    text: str = ""
    blocks: MutableSequence[Block] = field(default_factory=_no_blocks)

    def facts(self, mapping: Mapping[str, object]) -> Self:
        """Add names with their values; a value may be a Badge or a Link."""
        return self._add(Facts(dict(mapping)))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        align: Mapping[str, Align] | None = None,
        formats: Mapping[str, Callable[..., str]] | None = None,
        caption: str = "",
        limit: int = 200,
    ) -> Self:
        """Add a table; see the function `table` for the arguments and errors."""
        return self._add(table(columns, rows, align=align, formats=formats, caption=caption, limit=limit))

    def chart(self, chart: Chart) -> Self:
        """Add one chart."""
        return self._add(chart)

    def grid(self, blocks: Iterable[Block]) -> Self:
        """Add blocks side by side: small multiples, or cards."""
        return self._add(Grid(tuple(blocks)))

    def card(self, heading: str, blocks: Iterable[Block]) -> Self:
        """Add a small heading with blocks under it."""
        return self._add(Card(heading, tuple(blocks)))

    def list(self, items: Iterable[object]) -> Self:
        """Add a bulleted list; an item may be a Badge or a Link."""
        return self._add(Items(tuple(items)))

    def note(self, text: str, status: Status = "info") -> Self:
        """Add a remark set apart."""
        return self._add(Note(text, status))

    def link(self, label: str, href: str) -> Self:
        """Add a link on a line of its own; see Link for what `href` may be."""
        return self._add(Link(label, href))

    def _add(self, block: Block) -> Self:
        self.blocks.append(block)
        return self


class Page:
    """A page: a title, a line under it, a verdict, and sections."""

    def __init__(self, title: str, subtitle: str = "", *, status: Status | None = None, status_label: str = "") -> None:
        """Start an empty page.

        Args:
            title: Heading of the page and name of its browser tab.
            subtitle: Line under the title.
            status: Verdict shown beside the title.
            status_label: Word for the verdict; otherwise the status itself ("Passed").

        Raises:
            ValueError: `status` is not one of the four.
        """
        self.title = title
        self.subtitle = subtitle
        self.badge = None if status is None else Badge(status, status_label)
        self.sections: list[Section] = []

    def section(self, heading: str, text: str = "") -> Section:
        """Add a section and return it to be filled; blank lines in `text` separate paragraphs."""
        self.sections.append(Section(heading, text))
        return self.sections[-1]

    def render(self) -> str:
        """Return the page as HTML."""
        contents = len(self.sections) >= _SECTIONS_NEEDING_CONTENTS
        html = _environment().get_template(_TEMPLATE).render(page=self, contents=contents)
        return _UNPRINTABLE.sub("\ufffd", html)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the page as UTF-8 at once or not at all, making the folder when it is missing.

        Returns:
            The path written.

        Raises:
            OSError: The folder or file cannot be written; what was there stays as it was.
        """
        target = Path(path)
        content = self.render().encode("utf-8")
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content)
        return target


def _replace(target: Path, content: bytes) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never half of one."""
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:40]}.", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        # mkstemp makes files private; a page is as readable as any other new file.
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    """Return the process's umask; /proc is read because asking os.umask sets it for every thread."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0o022
    found = re.search(r"^Umask:\s*([0-7]+)$", status, re.MULTILINE)
    return int(found[1], 8) if found else 0o022


def _inline(value: object) -> Markup:
    """Write a cell, fact or list item as escaped markup."""
    if isinstance(value, Badge):
        label = value.label or value.status.capitalize()
        return Markup('<span class="badge {}">{} {}</span>').format(value.status, _symbol(value.status), label)
    if isinstance(value, Link):
        return Markup('<a href="{}" rel="noopener noreferrer">{}</a>').format(value.href, value.label)
    return escape(format_value(value))


def _symbol(status: Status) -> Markup:
    return Markup('<span aria-hidden="true">{}</span>').format(_SYMBOLS[status])


def _is_long(value: object) -> bool:
    """Tell values too long for a cell of the grid of facts."""
    text = value.label if isinstance(value, Badge | Link) else format_value(value)
    return len(text) > _LONGEST_FACT


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = _inline
    environment.filters["symbol"] = _symbol
    environment.filters["is_long"] = _is_long
    environment.filters["paragraphs"] = _paragraphs
    environment.filters["count"] = format_count
    return environment
