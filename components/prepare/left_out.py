"""Columns that nobody learns from although nobody named them: the group of the split, row numbers, free text.

Each is reported with the setting that keeps it. A column that `problem.features` names is kept whatever it looks like.
"""

import re
from collections.abc import Mapping, Sequence

from components.prepare.columns import ARRIVAL, BATCH, VIEW, Column, batches
from components.shared.config import ProblemConfig
from components.shared.package.schema import FeatureKind
from components.shared.tables import Engine, fetch_row, identifier

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
# What pandas, R, Spark and a CSV file's empty name are read as.
_NUMBERED = re.compile(
    r"(unnamed: ?\d+(\.\d+)*|(row_?)?index|row_?(names?|num(ber)?|id|no)|column_?[01]|_c0)", re.IGNORECASE
)
_FEWEST_TEXTS = 20  # different ones; below it any text may be a category
_MANY_DIFFERENT = 0.5  # of the values
_SEVERAL_WORDS = 3.0  # on average
_ROWS_READ = 20_000  # for counting words


def about_group(group: str, problem: ProblemConfig) -> tuple[list[str], list[str]]:
    """What is to be said about the column that groups the split.

    Returns:
        Remarks, and warnings.
    """
    if group in problem.features:
        return [], [
            f"prepare.split.group {group!r} is also in problem.features: no {group} of the validation and test part "
            "was seen in training, so what is learned about single ones is of no use there. Take it out of "
            "problem.features."
        ]
    if not group or group in (problem.target, problem.time_column, *problem.keys, *problem.ignore):
        return [], []
    return [
        f"{group!r} groups the split (prepare.split.group) and is no feature: no {group} of the test part was seen in "
        "training."
    ], []


def row_numbers(
    backend: Engine, columns: Mapping[str, Column], kinds: Mapping[str, FeatureKind], problem: ProblemConfig
) -> dict[str, str]:
    """Features that only number the rows, each with the remark that says so."""
    places = {name: place for place, name in enumerate(columns)}
    open_names = [name for name in kinds if name not in (*problem.features, *problem.categorical)]
    remarks = {
        name: f"{name!r} is the row index that pandas wrote, and is no feature. Name it in problem.features to learn "
        "from it."
        for name in open_names
        if _PANDAS_INDEX.fullmatch(name)
    }
    for name in open_names:
        # An unnamed column is a row number only where pandas and R write it: first.
        if not _NUMBERED.fullmatch(name) or kinds[name] != "integer" or places[name] > 1:
            continue
        if _numbers_rows(backend, name):
            remarks[name] = (
                f"{name!r} numbers the rows, and is no feature. Name it in problem.features to learn from it."
            )
    return remarks


# Example: 3, 5, 9 rises, as a filtered index does; 2, 1, 3 are three numbers in a row. 3, 5, 4, 9 is neither.
def _numbers_rows(backend: Engine, name: str) -> bool:
    """Whether a column rises from row to row, as the index of a filtered table does, or holds n numbers in a row."""
    numbered = (
        f"SELECT {identifier(name)} AS value, lag({identifier(name)}) OVER (ORDER BY {ARRIVAL}) AS before FROM {VIEW}"
    )
    rises, is_whole = fetch_row(
        backend,
        "SELECT bool_and(value > before), count(DISTINCT value) = count(*) AND max(value) - min(value) = count(*) - 1 "
        f"FROM ({numbered})",
    )
    (missing,) = fetch_row(backend, f"SELECT count(*) - count({identifier(name)}) FROM {VIEW}")
    return not missing and bool(rises or is_whole)


def free_texts(backend: Engine, kinds: Mapping[str, FeatureKind], problem: ProblemConfig) -> dict[str, str]:
    """Texts of several words of which hardly two are the same, each with the remark that says so."""
    named = {*problem.features, *problem.categorical}
    texts = [name for name, kind in kinds.items() if kind == "category" and name not in named]
    different = _different(backend, texts)
    words = _words(backend, list(different))
    return {
        name: f"{name!r} looks like free text (about {different[name]:,} different values, {words[name]:.0f} words "
        "each) and is no feature: as a category, a value would say nothing about the next. Name it in "
        "problem.categorical to keep it as one, or make features of it in the query."
        for name in different
        if words[name] >= _SEVERAL_WORDS
    }


def _different(backend: Engine, names: Sequence[str]) -> dict[str, int]:
    """About how many values the columns have of which at least half are different."""
    found: dict[str, int] = {}
    for batch in batches(names, BATCH):
        counts = ", ".join(f"count({name}), approx_count_distinct({name})" for name in map(identifier, batch))
        row = fetch_row(backend, f"SELECT {counts} FROM {VIEW}")
        for name, values, distinct in zip(batch, row[::2], row[1::2], strict=True):
            if distinct >= max(_FEWEST_TEXTS, _MANY_DIFFERENT * values):
                found[name] = min(distinct, values)
    return found


def _words(backend: Engine, names: Sequence[str]) -> dict[str, float]:
    """Mean number of words of the first values of columns."""
    found: dict[str, float] = {}
    for batch in batches(names, BATCH):
        counts = ", ".join(f"avg(len(string_split_regex(trim({name}), '\\s+')))" for name in map(identifier, batch))
        row = fetch_row(backend, f"SELECT {counts} FROM (SELECT * FROM {VIEW} LIMIT {_ROWS_READ})")
        found.update(zip(batch, (words or 0.0 for words in row), strict=True))
    return found
