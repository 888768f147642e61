"""Pages for people: one look for the validation result, profile, model card, gate verdict and index of a run.

A page is one HTML file with no script, no network and no other file beside it, so that it looks the same in the
sandboxed frame of the KFP UI, opened from disk and printed. Everything given to it is text and is escaped; only the
drawings made by `components.shared.pages.charts` enter as markup.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from components.shared.files import write_text
from components.shared.formatting import format_count, format_value
from components.shared.pages.blocks import (
    Align,
    Badge,
    Block,
    Card,
    Chart,
    Facts,
    Grid,
    Items,
    Link,
    Note,
    Status,
    table,
)

_TEMPLATE = "page.html.j2"
_SYMBOLS: Mapping[Status, str] = {"passed": "✓", "warning": "!", "failed": "✕", "info": "i"}
# Characters HTML cannot hold: controls, lone surrogates, non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SECTIONS_NEEDING_CONTENTS = 4
_LONGEST_FACT = 28


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
        write_text(target, self.render())
        return target


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
