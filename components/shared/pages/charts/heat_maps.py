"""Heat maps: a matrix as coloured cells, such as correlations and confusions.

One colour for above zero and another for below, so that a correlation's sign is seen at once. Cells of equal colour are
one shape, or a map of sixty by sixty cells would be thousands of shapes; numbers stand in the cells only where they
fit.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.path import Path as Outline
from numpy.typing import ArrayLike, NDArray

from components.shared.formatting import format_number
from components.shared.pages.blocks import Chart
from components.shared.pages.charts.canvas import Plot, box_outline, labelled_canvas, no_data
from components.shared.pages.charts.svg import HIGH, LOW, RULE
from components.shared.pages.charts.text import shorten, text_width
from components.shared.pages.charts.values import Floats

_LONGEST_CELL_NAME = 22
_MOST_CELLS = 60
_MOST_NUMBERED = 24
_HEAT_LEVELS = 20
HEAT_OPACITY = 0.75  # Above it, the numbers inside the cells lose their contrast.


def heatmap(  # noqa: PLR0913 - every one is a part of one drawing
    matrix: ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str,
    annotate: bool = True,
    top: float | None = None,
    x_label: str = "",
    y_label: str = "",
    alt: str = "",
) -> Chart:
    """Draw a matrix as coloured cells: one colour above zero, another below, stronger the further away.

    Args:
        matrix: Numbers, shape (rows, columns); cells not finite stay empty.
        row_labels: Names, shape (rows,).
        column_labels: Names, shape (columns,).
        title: Caption.
        annotate: Write the number in each cell, where cells are wide enough to hold it.
        top: Distance from zero that gets the full colour, such as 1 for correlations; otherwise the largest one.
        x_label: What the columns are.
        y_label: What the rows are.
        alt: Description in words; otherwise made from the data.

    Raises:
        ValueError: The shape does not match the labels, or `top` is not above zero.
    """
    cells = np.asarray(matrix, dtype=np.float64)
    if cells.size == 0 and (len(row_labels) == 0 or len(column_labels) == 0):
        return no_data(title, size="medium")
    if cells.shape != (len(row_labels), len(column_labels)):
        raise ValueError(f"matrix: expected shape {(len(row_labels), len(column_labels))}, found {cells.shape}")
    if top is not None and not top > 0:
        raise ValueError(f"top: expected a number above 0, found {top}")
    shown = cells[:_MOST_CELLS, :_MOST_CELLS]
    grid = _HeatGrid(
        shown,
        list(row_labels[:_MOST_CELLS]),
        list(column_labels[:_MOST_CELLS]),
        annotate and max(shown.shape) <= _MOST_NUMBERED,
    )
    with grid.drawing(x_label=x_label, y_label=y_label) as plot:
        grid.draw(plot, top=top)
        note = "" if shown.size == cells.size else f"First {shown.shape[0]} rows and {shown.shape[1]} columns shown."
        return plot.chart(title, alt=alt or _describe_heatmap(title, grid), note=note)


@dataclass(slots=True)
class _HeatGrid:
    """Cells of a heat map, row 0 at the top."""

    cells: Floats
    row_labels: list[str]
    column_labels: list[str]
    annotate: bool

    def drawing(self, *, x_label: str, y_label: str) -> AbstractContextManager[Plot]:
        """Return a drawing sized for the cells."""
        rows, columns = self.cells.shape
        letters = 12
        step = self._step(letters)
        left = max(text_width(shorten(name, _LONGEST_CELL_NAME), letters) for name in self.row_labels) + 10
        bottom = self._slanted_height(step, letters) + (letters * 2.0 if x_label else 4)
        top = letters * 1.9 if y_label else 4
        # Slanted names of the first columns reach to the left of the cells.
        left = max(left, bottom * 0.75 - step if self._slanted(step, letters) else 0)
        width, height = (
            columns * step + left + 6,
            rows * min(step, 52.0 if max(rows, columns) <= 4 else 34.0) + top + bottom,
        )
        return labelled_canvas(
            math.ceil(width),
            math.ceil(height),
            margins=(left, 6.0, top, bottom),
            letters=letters,
            axes=(x_label, y_label),
        )

    def draw(self, plot: Plot, *, top: float | None) -> None:
        """Draw the cells, their numbers and the names of rows and columns."""
        finite = np.abs(self.cells[np.isfinite(self.cells)])
        limit = top or (float(finite.max()) if finite.size else 0.0) or 1.0
        shares = np.nan_to_num(np.clip(self.cells, -limit, limit) / limit)
        levels = np.round(shares * _HEAT_LEVELS).astype(int)
        for level in sorted(set(levels.ravel().tolist()) - {0}):
            color, opacity = (HIGH if level > 0 else LOW), abs(level) / _HEAT_LEVELS * HEAT_OPACITY
            plot.shape(self._outline(levels == level), facecolor=color, alpha=opacity, lw=0)
        frame = box_outline([(0.0, 0.0, 1.0, 1.0)])
        plot.shape(frame, fill=False, edgecolor=RULE, lw=1)
        if self.annotate:
            self._write_numbers(plot)
        self._write_names(plot)

    def _outline(self, chosen: NDArray[np.bool_]) -> Outline:
        rows, columns = self.cells.shape
        places = np.argwhere(chosen).tolist()
        return box_outline([(j / columns, 1 - (i + 1) / rows, (j + 1) / columns, 1 - i / rows) for i, j in places])

    def _number_texts(self) -> list[list[str]]:
        finite = np.abs(self.cells[np.isfinite(self.cells)])
        # Shares and correlations read best with the same two decimals everywhere.
        fixed = finite.size > 0 and finite.max() <= 1 and bool((finite % 1).any())
        return [[self._number_text(float(value), fixed=fixed) for value in row] for row in self.cells]

    def _number_text(self, value: float, *, fixed: bool) -> str:
        if not math.isfinite(value):
            return format_number(None)
        return f"{round(value, 2) + 0.0:.2f}" if fixed else format_number(value, 3)

    def _step(self, letters: int) -> float:
        """Return the width of a cell in pixels: wide enough for its number, while the map stays on a page."""
        texts = self._number_texts() if self.annotate else [[""]]
        widest = max(text_width(text, letters) for row in texts for text in row)
        roomy = 88.0 if self.cells.shape[1] <= 4 else 44.0 if self.annotate else 22.0
        return float(max(14.0, min(max(widest + 12, roomy), 700 / self.cells.shape[1])))

    def _slanted(self, step: float, letters: int) -> bool:
        return max(text_width(shorten(name, _LONGEST_CELL_NAME), letters) for name in self.column_labels) > step - 4

    def _slanted_height(self, step: float, letters: int) -> float:
        longest = max(text_width(shorten(name, _LONGEST_CELL_NAME), letters) for name in self.column_labels)
        return float(longest * 0.72 + letters * 1.3 if self._slanted(step, letters) else letters * 1.7)

    def _write_numbers(self, plot: Plot) -> None:
        texts = self._number_texts()
        rows, columns = self.cells.shape
        width, height = plot.inner_size
        letters = 11 if max(text_width(text, 11) for row in texts for text in row) <= width / columns - 3 else 0
        if not letters or height / rows < 13:
            return
        for i, j in np.ndindex(rows, columns):
            y = 1 - (i + 0.5) / rows - letters * 0.35 / height
            plot.write((j + 0.5) / columns, y, texts[i][j], ha="center", size=letters)

    def _write_names(self, plot: Plot) -> None:
        rows, columns = self.cells.shape
        width, height = plot.inner_size
        slanted = self._slanted(width / columns, plot.letters)
        for i, name in enumerate(self.row_labels):
            y = 1 - (i + 0.5) / rows - plot.letters * 0.35 / height
            plot.write(-6 / width, y, name, limit=_LONGEST_CELL_NAME, ha="right")
        for j, name in enumerate(self.column_labels):
            place = ((j + 0.5) / columns, -plot.letters * (1.1 if slanted else 1.4) / height)
            turned: dict[str, Any] = {"ha": "right", "rotation": 45} if slanted else {"ha": "center"}
            plot.write(*place, name, limit=_LONGEST_CELL_NAME, **turned)


def _describe_heatmap(title: str, grid: _HeatGrid) -> str:
    rows, columns = grid.cells.shape
    text = f"Heat map {title!r} of {rows} rows and {columns} columns"
    if not np.isfinite(grid.cells).any():
        return f"{text} without values."
    i, j = np.unravel_index(int(np.nanargmax(np.where(np.isfinite(grid.cells), grid.cells, np.nan))), (rows, columns))
    return f"{text}; highest {format_number(grid.cells[i, j])} at {grid.row_labels[i]}, {grid.column_labels[j]}."
