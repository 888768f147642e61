"""What the EDA report says, as data: the summary artifact, and what a reader should look at first.

The figures are data first and a page second, so that the page can be tested by its numbers, and programs can read what
people see. Warnings are few and fixed: the report is for a first look, and nothing in the pipeline depends on it.
"""

import itertools
from typing import Literal

from pydantic import BaseModel

from components.shared.formatting import format_quantity
from components.shared.names import TaskName
from components.shared.tasks import TASKS

Kind = Literal["number", "boolean", "category", "timestamp", "other"]

_MANY_NULLS = 0.3
_MANY_VALUES = 1_000
_SKEWED = 5.0
_ALIKE = 0.999
_RARE = 0.05


class Histogram(BaseModel):
    """Rows of the sample by equally wide bins; `edges` has one more than `counts`."""

    edges: list[float]
    counts: list[int]


class Category(BaseModel):
    """A value, its rows, and what the target does in them (see `Profile.measures`)."""

    value: str
    rows: int
    target: list[float | None]


class ColumnProfile(BaseModel):
    """One column; numbers are those of true and false for booleans, and of seconds since 1970 for timestamps."""

    name: str
    type: str
    kind: Kind
    role: str
    nulls: int
    null_share: float
    distinct: int
    minimum: float | str | None = None
    maximum: float | str | None = None
    mean: float | None = None
    deviation: float | None = None
    skewness: float | None = None
    quantiles: dict[str, float] = {}
    histogram: Histogram | None = None
    categories: list[Category] = []


class Correlations(BaseModel):
    """Pearson's correlations of numbers on the rows where both are known, shape (names, names)."""

    names: list[str]
    matrix: list[list[float | None]]
    left_out: int


class Components(BaseModel):
    """The two principal components of the numbers, missing ones taken as the mean, all of unit variance."""

    explained: list[float]
    names: list[str]
    loadings: list[list[float]]


class Moment(BaseModel):
    """A span of time, by its start in ISO 8601."""

    start: str
    rows: int
    target: list[float | None]


class Profile(BaseModel):
    """All figures of the report."""

    task: TaskName
    target: str
    measures: list[str]
    rows: int
    parts: dict[str, int]
    sampled: int
    columns: list[ColumnProfile]
    left_out: int
    correlations: Correlations | None = None
    components: Components | None = None
    time_column: str = ""
    time_unit: str = ""
    over_time: list[Moment] = []
    warnings: list[str] = []


def warnings(found: Profile) -> list[str]:
    """What to look at first, in sentences."""
    return [
        *(remark for column in found.columns for remark in _column_warnings(column, found.rows)),
        *_correlated(found.correlations),
        *_rare(found),
    ]


def _column_warnings(column: ColumnProfile, rows: int) -> list[str]:
    if column.nulls == rows:
        return [f"{column.name} has no values."]
    remarks = []
    if column.null_share >= _MANY_NULLS:
        remarks.append(f"{column.name} is missing in {column.null_share:.0%} of the rows.")
    if column.distinct == 1 and not column.nulls:
        remarks.append(f"{column.name} is constant.")
    if column.kind == "category" and "feature" in column.role and column.distinct > min(_MANY_VALUES, rows // 2):
        remarks.append(f"{column.name} has {column.distinct:,} different values in {rows:,} rows.")
    if column.kind == "number" and abs(column.skewness or 0) >= _SKEWED:
        remarks.append(f"{column.name} is strongly skewed (skewness {column.skewness:.1f}): a few values lie far out.")
    return remarks


def _correlated(correlations: Correlations | None) -> list[str]:
    if correlations is None:
        return []
    pairs = itertools.combinations(enumerate(correlations.names), 2)
    return [
        f"{first} and {second} say nearly the same (correlation {r:.4f})."
        for (row, first), (column, second) in pairs
        if (r := correlations.matrix[row][column]) is not None and abs(r) >= _ALIKE
    ]


def _rare(found: Profile) -> list[str]:
    target = next(column for column in found.columns if column.role == "target")
    rare = [
        category
        for category in target.categories
        if TASKS[found.task].has_classes and category.rows / found.rows < _RARE
    ]
    return [
        f"The class {category.value} has only {category.rows:,} rows ({category.rows / found.rows:.1%})."
        for category in rare
    ]


def headline(found: Profile) -> str:
    """One line for people."""
    remarks = format_quantity(len(found.warnings), "remark")
    return f"{found.rows:,} rows, {len(found.columns) + found.left_out:,} columns described; {remarks}"
