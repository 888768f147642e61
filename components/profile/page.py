"""The EDA report as a page.

Of ten thousand columns nobody reads all. Drawings are limited to the first or the most telling ones, and each limit
says so on the page and where the rest is, because a figure that is silently missing is taken for one that does not
matter.
"""

from collections.abc import Callable

import numpy as np

from components.profile.figures import ColumnProfile, Profile
from components.profile.relations import Points
from components.profile.statistics import MEDIAN, MOST_COLUMNS, QUANTILES
from components.shared.formatting import format_count, format_number, format_quantity, format_share
from components.shared.pages.blocks import Block, Card, Chart, Facts, Table, table
from components.shared.pages.charts import bars, heatmap, histogram, lines, scatter
from components.shared.pages.reports import Page
from components.shared.tasks import TASKS

MOST_DRAWN = 60  # columns that get a drawing
MOST_BY_CATEGORY = 12  # columns the target is drawn by
_CATEGORIES = 8  # values drawn of a column
_FEW = 2  # values a category needs for the target to be compared
_POINTS = 1_500
_LOADINGS = 6


def build(profile: Profile, points: Points | None) -> Page:
    """Lay out the figures of a profile.

    Args:
        profile: The figures.
        points: Rows of the sample in the plane of the principal components.
    """
    page = Page(
        f"Profile of the data: {profile.target}",
        f"{profile.rows:,} rows, {len(profile.columns) + profile.left_out:,} columns, all parts of the split together",
        status="warning" if profile.warnings else "passed",
        status_label=format_quantity(len(profile.warnings), "remark"),
    )
    _overview(page, profile)
    _target(page, profile)
    _columns(page, profile)
    _distributions(page, profile)
    _by_category(page, profile)
    _correlations(page, profile)
    _components(page, profile, points)
    return page


def _overview(page: Page, profile: Profile) -> None:
    section = page.section("Overview")
    sizes = {part: f"{rows:,} rows ({rows / profile.rows:.0%})" for part, rows in profile.parts.items()}
    features = sum("feature" in column.role for column in profile.columns)
    section.facts({"task": profile.task, "target": profile.target, "features": format_count(features), **sizes})
    if profile.sampled < profile.rows:
        section.note(
            "Counts, extremes, means and categories are those of all rows. Quantiles, histograms, correlations and "
            "principal "
            f"components come from a sample of {profile.sampled:,} rows."
        )
    if profile.left_out:
        section.note(f"{profile.left_out:,} columns beyond the first {MOST_COLUMNS} are not described.", "warning")
    if profile.warnings:
        section.list(profile.warnings[:MOST_DRAWN])
    if len(profile.warnings) > MOST_DRAWN:
        section.note(f"{len(profile.warnings) - MOST_DRAWN:,} more remarks are in the JSON summary.")


def _target(page: Page, profile: Profile) -> None:
    target = profile.columns[0]
    section = page.section(f"The target: {profile.target}")
    if target.histogram is not None:
        section.chart(
            histogram(
                target.histogram.counts,
                target.histogram.edges,
                title=f"Distribution of {target.name}",
                x_label=target.name,
            )
        )
    elif target.categories:
        labels = [category.value for category in target.categories]
        section.chart(
            bars(labels, [category.rows for category in target.categories], title="Rows by class", x_label="rows")
        )
    if len(profile.over_time) > 1:
        starts = [np.datetime64(moment.start) for moment in profile.over_time]
        series = {
            name: [moment.target[place] for moment in profile.over_time] for place, name in enumerate(profile.measures)
        }
        section.chart(
            lines(
                starts,
                series,
                title=f"The target by {profile.time_unit}",
                x_label=profile.time_column,
                y_label=_axis(profile),
                size="wide",
            )
        )
        rows = {"rows": [moment.rows for moment in profile.over_time]}
        section.chart(
            lines(
                starts,
                rows,
                title=f"Rows by {profile.time_unit}",
                x_label=profile.time_column,
                y_label="rows",
                size="wide",
            )
        )


def _axis(profile: Profile) -> str:
    return profile.measures[0] if len(profile.measures) == 1 else "share of rows"


def _columns(page: Page, profile: Profile) -> None:
    section = page.section(
        "Columns", "Distinct values are counted exactly for categories, to within some percent for the rest."
    )
    section.table(
        ["column", "type", "role", "missing", "distinct", "smallest", "largest"],
        ([c.name, c.type.lower(), c.role, c.null_share, c.distinct, c.minimum, c.maximum] for c in profile.columns),
        formats={"missing": format_share, "distinct": format_count, "smallest": _short, "largest": _short},
        align={"smallest": "right", "largest": "right"},
    )
    numbers = [column for column in profile.columns if column.quantiles]
    if numbers:
        names = ["mean", "deviation", *(format_share(quantile) for quantile in QUANTILES)]
        rows = ([c.name, c.mean, c.deviation, *c.quantiles.values()] for c in numbers)
        section.table(["number", *names], rows, caption="Mean, standard deviation and quantiles of the numbers")


def _short(value: float | str) -> str:
    """A number, or the day of a moment."""
    return value[:10] if isinstance(value, str) else format_number(value)


def _distributions(page: Page, profile: Profile) -> None:
    drawable = [column for column in profile.columns if _is_feature(column) and (column.histogram or column.categories)]
    cards = [_card(column) for column in drawable[:MOST_DRAWN]]
    if not cards:
        return
    section = page.section("Distributions")
    if len(drawable) > len(cards):
        section.note(
            f"The first {len(cards)} of {len(drawable):,} columns are drawn; the figures of the others are in the "
            "table above."
        )
    section.grid(cards)


def _is_feature(column: ColumnProfile) -> bool:
    return "feature" in column.role


def _card(column: ColumnProfile) -> Card:
    return Card(column.name, (_drawing(column), Facts(_facts(column))))


def _drawing(column: ColumnProfile) -> Chart:
    if column.histogram is not None:
        return histogram(
            column.histogram.counts, column.histogram.edges, title="", alt=f"Histogram of {column.name}", size="small"
        )
    shown = column.categories[:_CATEGORIES]
    values, rows = [category.value for category in shown], [category.rows for category in shown]
    return bars(values, rows, title="", alt=f"Most frequent values of {column.name}", size="small")


def _facts(column: ColumnProfile) -> dict[str, object]:
    missing = {"missing": format_share(column.null_share)}
    if column.histogram is not None:
        return {**missing, "median": format_number(column.quantiles[str(MEDIAN)])}
    return {**missing, "distinct": format_count(column.distinct)}


def _by_category(page: Page, profile: Profile) -> None:
    columns = [column for column in profile.columns if _is_feature(column) and len(column.categories) >= _FEW]
    if not columns:
        return
    columns = sorted(columns, key=_spread, reverse=True)
    section = page.section(
        f"{profile.target} by category",
        f"{_axis(profile).capitalize()}{', in percent,' if TASKS[profile.task].has_classes else ''} among the rows of "
        "each of the most frequent values; columns where it differs most come first.",
    )
    draw: Callable[[ColumnProfile, Profile], Block] = _rate_table if len(profile.measures) > 1 else _rates
    section.grid([Card(column.name, (draw(column, profile),)) for column in columns[:MOST_BY_CATEGORY]])
    if len(columns) > MOST_BY_CATEGORY:
        section.note(f"{len(columns) - MOST_BY_CATEGORY:,} more columns are in the JSON summary.")


def _spread(column: ColumnProfile) -> float:
    """How much the target differs between the values of a column, weighted by rows."""
    rows = np.array([category.rows for category in column.categories], dtype=np.float64)
    means = np.array([category.target for category in column.categories], dtype=np.float64)
    middle = np.average(means, axis=0, weights=rows)
    return float(np.average(np.square(means - middle), axis=0, weights=rows).sum())


def _rates(column: ColumnProfile, profile: Profile) -> Chart:
    values = [category.value for category in column.categories]
    means = [category.target[0] for category in column.categories]
    if TASKS[profile.task].has_classes:
        means = [None if mean is None else round(100 * mean, 1) for mean in means]
    return bars(values, means, title="", alt=f"{_axis(profile)} by {column.name}", size="small")


def _rate_table(column: ColumnProfile, profile: Profile) -> Table:
    shown = [name.removeprefix("share of ") for name in profile.measures]
    rows = ([category.value, *category.target] for category in column.categories)
    return table(["", *shown], rows, formats=dict.fromkeys(shown, format_share), limit=_CATEGORIES)


def _correlations(page: Page, profile: Profile) -> None:
    found = profile.correlations
    if found is None:
        return
    section = page.section(
        "Correlations", "Pearson's correlation of each pair of numbers, on the rows where both are known."
    )
    matrix = [[np.nan if cell is None else cell for cell in row] for row in found.matrix]
    section.chart(heatmap(matrix, found.names, found.names, title="", top=1, alt="Correlation matrix"))
    if found.left_out:
        section.note(f"{found.left_out:,} more numeric columns are left out; the ones shown go most with the target.")


def _components(page: Page, profile: Profile, points: Points | None) -> None:
    found = profile.components
    if found is None or points is None:
        return
    section = page.section(
        "Principal components",
        f"The two directions in which the {len(found.names):,} numeric features vary most, each brought to unit "
        "variance: they hold "
        f"{found.explained[0]:.0%} and {found.explained[1]:.0%} of it.",
    )
    chosen = slice(None, None, max(1, -(-len(points.places) // _POINTS)))
    first, second = (f"component {place} ({share:.0%})" for place, share in enumerate(found.explained, start=1))
    chart = scatter(
        points.places[chosen, 0],
        points.places[chosen, 1],
        groups=points.groups[chosen],
        title=f"Rows, coloured by {profile.target}",
        x_label=first,
        y_label=second,
        size="wide",
    )
    section.chart(chart)
    section.grid(
        [_loadings(found.names, weights, name) for name, weights in zip((first, second), found.loadings, strict=True)]
    )


def _loadings(names: list[str], weights: list[float], title: str) -> Chart:
    heaviest = sorted(zip(names, weights, strict=True), key=lambda pair: -abs(pair[1]))[:_LOADINGS]
    return bars(
        [name for name, _ in heaviest],
        [weight for _, weight in heaviest],
        title=f"Features that make up {title}",
        size="medium",
    )
