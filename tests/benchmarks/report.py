"""What a benchmark ends with: a table for people, and its figures as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

FOLDER = Path("build", "bench")


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value and what was asked of it; `holds` is computed from the value, nowhere else.

    What is only told, with nothing asked of it, has neither `target` nor `holds`.
    """

    name: str
    value: float
    unit: str
    target: str | None
    holds: bool | None


def at_most(name: str, value: float, limit: float, *, unit: str, target: str) -> Figure:
    """A figure that holds when its value, unrounded, is at most `limit`.

    Args:
        name: What was measured.
        value: In `unit`.
        limit: In `unit`.
        unit: Of both.
        target: What was asked, in the words it was asked in.
    """
    return Figure(name=name, value=round(value, 4), unit=unit, target=target, holds=bool(value <= limit))


def at_least(name: str, value: float, limit: float, *, unit: str, target: str) -> Figure:
    """A figure that holds when its value, unrounded, is at least `limit`; the arguments are those of `at_most`."""
    return Figure(name=name, value=round(value, 4), unit=unit, target=target, holds=bool(value >= limit))


def told(name: str, value: float, *, unit: str) -> Figure:
    """A figure of which nothing is asked."""
    return Figure(name=name, value=round(value, 4), unit=unit, target=None, holds=None)


def report(name: str, figures: Sequence[Figure], *, console: Console, folder: Path = FOLDER) -> Path:
    """Print the figures and write them.

    Args:
        name: Of the file, without `.json`.
        figures: The figures.
        console: Where to print.
        folder: Where the file goes.

    Returns:
        Path of the file: a list of objects with the fields of `Figure`.
    """
    table = Table(title=name, title_justify="left", box=None, pad_edge=False)
    for column, justify in (
        ("", "left"),
        ("measured", "right"),
        ("unit", "left"),
        ("target", "left"),
        ("holds", "left"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for figure in figures:
        shown = {True: "[green]yes[/]", False: "[red]NO[/]", None: ""}[figure.holds]
        table.add_row(figure.name, f"{figure.value:,.3g}", figure.unit, figure.target, shown)
    console.print()
    console.print(table)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n", encoding="utf-8")
    console.print(f"\nwrote {path}")
    return path


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, console: Console) -> None:
    """Print a table of what figures are made of; the first column is text, numbers are rounded."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(f"{cell:,.2f}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print()
    console.print(table)
