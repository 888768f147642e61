"""What is wrong with the rows themselves: faults at the source, which no training on them would help.

Chance is allowed for: a new minimum or maximum, or a rare category that a sample happens to lack, comes with every
window, so that a share counts only beyond what as many rows of the reference would have had by chance.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import numpy as np

from components.monitor.statistics.bins import NumberBins
from components.monitor.statistics.columns import CategoryStatistics, NumberStatistics
from components.monitor.statistics.statistics import Statistics
from components.shared.config import MonitoringConfig
from components.shared.decisions.evidence import Problem
from components.shared.formatting import format_number, format_share

Column = NumberStatistics | CategoryStatistics
Ranges = Mapping[str, tuple[float, float]]

_NEAR = 0.5  # values this share of a range's width outside of the range are still near it
_USUAL = 0.5  # share of the reference's values from which a single value is usual
_CERTAIN = 1e-6  # probability of a false alarm about a column that is constant in a window


def check_rows(
    reference: Statistics,
    current: Statistics,
    settings: MonitoringConfig,
    *,
    rows_before: Sequence[int] = (),
    learned: Ranges | None = None,
    earlier: Ranges | None = None,
) -> list[Problem]:
    """What is wrong with the rows of a window.

    Args:
        reference: Statistics of the reference.
        current: Statistics of the window, counted into the same bins.
        settings: Limits.
        rows_before: Numbers of rows of the earlier windows; without any, the number of rows is not judged.
        learned: Smallest and largest value in the training rows, by column. The reference may hold only the newest
            weeks and so less of the seasons; values within the training range are no fault.
        earlier: Smallest and largest value in the newest trusted window before, by column. Values beyond the training
            range that came gradually, as summer does, are reported but not severe. A change is sudden, and may be
            severe, if at least the share `checks.severe` of the values is far from this range, too. Without it, every
            change counts as sudden.

    Returns:
        Problems with the rows as a whole, then those of each column.
    """
    if not current.rows:
        return [Problem(kind="empty", value=1.0, message="The window has no rows.")]
    found = list(_check_volume(current.rows, settings, rows_before))
    for name, column in current.columns.items():
        found += _check_schema(name, column, rows=current.rows, severe=settings.checks.severe)
        if column.rows:
            found += _check_column(name, reference, column, settings, learned or {}, earlier or {})
    return found


def ranges_of(statistics: Statistics) -> Ranges:
    """From where to where the numbers of rows reach, by column."""
    return {
        name: (column.minimum, column.maximum)
        for name, column in statistics.columns.items()
        if isinstance(column, NumberStatistics) and column.minimum is not None and column.maximum is not None
    }


def _check_volume(rows: int, settings: MonitoringConfig, rows_before: Sequence[int]) -> Iterator[Problem]:
    usual = median(rows_before) if rows_before else 0
    if not usual:
        return
    ratio, limit = rows / usual, settings.checks.volume
    if not 1 / limit < ratio < limit:
        message = f"{rows:,} rows, where the windows before had {usual:,.0f} (median)."
        yield Problem(kind="volume", value=ratio, message=message)


def _check_schema(name: str, column: Column, *, rows: int, severe: float) -> Iterator[Problem]:
    """A column that some rows lack, or that is of another type there."""
    for count, what in ((rows - column.rows, "lack the column"), (column.unfit, "hold another type")):
        share = count / rows
        if count:
            message = f"{name}: {format_share(share)} of the rows {what}."
            yield Problem(kind="schema", column=name, value=share, severe=share >= severe, message=message)


def _check_column(
    name: str, reference: Statistics, column: Column, settings: MonitoringConfig, learned: Ranges, earlier: Ranges
) -> Iterator[Problem]:
    before, checks = reference.columns[name], settings.checks
    was, now = before.null_share, column.null_share
    if now != was and abs(now - was) >= settings.null_share_change:
        message = f"{name}: {format_share(now)} of the rows have no value; in the reference {format_share(was)}."
        severe = now - was >= checks.severe
        yield Problem(kind="nulls", column=name, value=now - was, severe=severe, message=message)
    if not (before.values and column.values):
        return
    bins = reference.bins.columns[name]
    if isinstance(column, NumberStatistics) and isinstance(before, NumberStatistics) and isinstance(bins, NumberBins):
        at_once = name not in earlier or (
            column.outside_of(*_near(*earlier[name]), bins) >= settings.checks.severe * column.values
        )
        yield from _check_numbers(name, before, column, settings, learned.get(name), bins=bins, at_once=at_once)
    elif isinstance(column, CategoryStatistics):
        yield from _check_categories(name, reference, column, settings)


def _check_numbers(
    name: str,
    before: NumberStatistics,
    column: NumberStatistics,
    settings: MonitoringConfig,
    learned: tuple[float, float] | None,
    *,
    bins: NumberBins,
    at_once: bool,
) -> Iterator[Problem]:
    low, high = _known_range(before, learned)
    outside = column.beyond(low, high)
    share, checks = outside / column.values, settings.checks
    # A sample's minimum and maximum leave out 2 in n + 1 rows on average.
    if share >= checks.outside and _exceeds(outside, column.values * 2 / (before.values + 1)):
        ends = [format_number(value) for value in (low, high, column.minimum, column.maximum)]
        message = (
            f"{name}: {format_share(share)} of the values are outside of {ends[0]} to {ends[1]}, which the model "
            f"knows; they reach from {ends[2]} to {ends[3]}."
        )
        severe = at_once and share >= checks.severe
        yield Problem(kind="range", column=name, value=share, severe=severe, message=message)
    # A few values may well be of one moment, and so the same.
    if column.values >= settings.minimum_rows and _is_frozen(before, column):
        message = f"{name}: all {column.values:,} values are {format_number(column.minimum)}."
        severe = not _is_usual(column.minimum or 0.0, before, bins)
        yield Problem(kind="range", column=name, value=1.0, severe=severe, message=message)


def _near(low: float, high: float) -> tuple[float, float]:
    """A range, widened by half of its width on either side: a cold week after a mild one is still within it."""
    near = _NEAR * (high - low)
    return low - near, high + near


def _known_range(before: NumberStatistics, learned: tuple[float, float] | None) -> tuple[float, float]:
    """The smallest range that contains the reference's values and those of the training rows."""
    ends = [(before.minimum or 0.0, before.maximum or 0.0), *([learned] if learned else [])]
    return min(low for low, _ in ends), max(high for _, high in ends)


# Example: the most frequent value fills half of 1,000 rows. 19 rows in a row have it with 0.5005^19 = 2e-6, 20 with
# 1e-6: from 20 on, a column that is constant is no chance.
def _is_frozen(before: NumberStatistics, column: NumberStatistics) -> bool:
    """Whether a column is constant in the window though rows like the reference's would hardly ever make it so."""
    if column.minimum != column.maximum or before.minimum == before.maximum:
        return False
    most_frequent = float(before.counts.max() + 1) / (before.values + 1)
    return column.values * math.log(most_frequent) < math.log(_CERTAIN)


def _is_usual(value: float, before: NumberStatistics, bins: NumberBins) -> bool:
    """Whether at least half of the reference's values equal this one: a week without rain is no fault.

    Rows that are close in time are alike, so a value that is frequent can fill a whole window.
    """
    place = int(np.searchsorted(bins.edges, np.float32(value), side="right"))
    return float(before.counts[place]) >= _USUAL * before.values


def _check_categories(
    name: str, reference: Statistics, column: CategoryStatistics, settings: MonitoringConfig
) -> Iterator[Problem]:
    bins, checks = reference.bins.columns[name], settings.checks
    before = reference.columns[name]
    share = column.new / column.values
    once = _seen_once(before)
    # The share of what a sample has not seen is about that of what it has seen once (Good 1953).
    expected = column.values * (once + 1) / (before.values + 1)
    if bins.kind == "category" and bins.complete and share >= checks.unseen and _exceeds(column.new, expected):
        examples = ", ".join(repr(one) for one in list(column.unseen)[:3])
        message = (
            f"{name}: {format_share(share)} of the rows are of categories the reference has not, such as {examples}."
        )
        yield Problem(kind="unseen", column=name, value=share, severe=share >= checks.severe, message=message)


def _seen_once(column: Column) -> int:
    """How many categories a column has once; rare ones are taken for such."""
    rare = column.rare if isinstance(column, CategoryStatistics) else 0
    return int((column.counts == 1).sum()) + rare


# Example: where 4 rows are expected, up to 4 + 5 * 2 + 1 = 15 may be chance.
def _exceeds(count: float, expected: float) -> bool:
    """Whether a number of rows is more than chance explains: beyond five standard deviations, as of a Poisson."""
    return count > expected + 5 * math.sqrt(expected) + 1
