"""Dividing rows into train, validation and test: by time, at random, per class or per group.

Where chance decides, rows are ordered by a hash of their values and the seed: the same rows fall into the same parts
in whatever order they arrive and however many threads work.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from components.prepare.repair import ROW_INDEX
from components.shared.config import ProblemConfig, SplitConfig
from components.shared.errors import DataError
from components.shared.tables import Engine, fetch, fetch_arrow, fetch_row
from components.shared.tasks import TASKS

ROW_PARTS = "row_parts"  # arrival, shuffle, moment, label, and part: 0 train, 1 validation, 2 test
FEWEST_ROWS = 2  # in each part


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rows wanted in each part."""

    train: int
    validation: int
    test: int

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return self.train + self.validation + self.test

    @property
    def cuts(self) -> tuple[int, int]:
        """Rows before the validation part, and before the test part."""
        return self.train, self.train + self.validation


def choose_method(settings: SplitConfig, problem: ProblemConfig) -> str:
    """The method that `auto` stands for: by time if there is one, else per class if there are any.

    Raises:
        DataError: The method does not fit the problem.
    """
    method = settings.method
    if method == "chronological" and not problem.time_column:
        raise DataError(
            "prepare.split.method is `chronological`, but problem.time_column is empty. Name the column that orders "
            "the rows."
        )
    if method == "stratified" and not TASKS[problem.task].has_classes:
        raise DataError(
            f"prepare.split.method is `stratified`, but a {problem.task} has no classes. Use `random`, `grouped` or "
            "`chronological`."
        )
    if method != "auto":
        return method
    if problem.time_column:
        return "chronological"
    return TASKS[problem.task].target.default_split


def assign_parts(backend: Engine, method: str, settings: SplitConfig, *, rows: int, lost: str = "") -> list[str]:
    """Create `ROW_PARTS`, which says for each row that stays (`ROW_INDEX`) which part it is in.

    Args:
        backend: Where `ROW_INDEX` is.
        method: As `choose_method` answers.
        settings: Shares.
        rows: Number of rows.
        lost: A sentence about the rows that were removed before; empty when none was.

    Returns:
        Warnings.

    Raises:
        DataError: A part would have fewer than `FEWEST_ROWS` rows.
    """
    validation, test = round(rows * settings.validation), round(rows * settings.test)
    sizes = Sizes(rows - validation - test, validation, test)
    if min(sizes.train, validation, test) < FEWEST_ROWS:
        raise DataError(
            f"{rows:,} usable {'row is' if rows == 1 else 'rows are'} too few to divide into train, validation "
            f"({settings.validation:.0%}) and test ({settings.test:.0%}): each part needs at least {FEWEST_ROWS} "
            f"rows. {lost}{' ' if lost else ''}Use more data or other shares."
        )
    warnings = _by_group(backend, sizes, settings.seed) if method == "grouped" else _ASSIGNERS[method](backend, sizes)
    counts = dict(fetch(backend, f"SELECT part, count(*) FROM {ROW_PARTS} GROUP BY part"))
    if min(counts.get(part, 0) for part in range(3)) < FEWEST_ROWS:
        raise DataError(
            f"The {method} split leaves a part with fewer than {FEWEST_ROWS} rows ({_sizes(counts)}). Use more data, "
            "larger shares or another method."
        )
    return warnings


def _sizes(counts: dict[int, int]) -> str:
    return ", ".join(f"{name} {counts.get(number, 0):,}" for number, name in enumerate(("train", "validation", "test")))


def _assign(backend: Engine, part: str, source: str = ROW_INDEX) -> None:
    select = f"SELECT arrival, shuffle, moment, label, ({part})::UTINYINT AS part FROM {source}"
    fetch(backend, f"CREATE OR REPLACE TEMP TABLE {ROW_PARTS} AS {select}")


def _by_time(backend: Engine, sizes: Sizes) -> list[str]:
    """The oldest rows train, the newest test; rows of one moment stay together unless that empties a part."""
    cuts = _best_cuts(_possible_cuts(backend, sizes), sizes)
    if cuts is None:
        _by_rank(backend, "moment, shuffle", sizes)
        return ["Too few distinct times to divide between them: rows of the same time stand in two parts."]
    _assign(
        backend,
        "CASE WHEN moment < make_timestamp({}) THEN 0 WHEN moment < make_timestamp({}) THEN 1 ELSE 2 END".format(*cuts),
    )
    return []


def _possible_cuts(backend: Engine, sizes: Sizes) -> list[tuple[int, int]]:
    """Moments near the wanted places, as microseconds since 1970, with the number of rows before each.

    A cut has to lie between two moments, so that rows of one moment stay together. Example: 10 rows at the moments
    1 1 1 2 3 3 3 3 4 5, wanted 6 + 2 + 2. The cuts wanted, after 6 and after 8 rows, fall on the moment 3. The
    candidates are the last moment before it and the next ones from it on: 2 (3 rows before), 3 (4), 4 (8) and 5 (9).
    `_best_cuts` takes 3 and 4: parts of 4, 4 and 2 rows.
    """
    shares = [place / sizes.rows for place in sizes.cuts]
    near = (
        f"WITH wanted AS (SELECT unnest(quantile_disc(moment, {shares})) AS t FROM {ROW_INDEX}), "
        f"after AS (SELECT DISTINCT moment FROM {ROW_INDEX} WHERE moment >= (SELECT min(t) FROM wanted) "
        "ORDER BY moment LIMIT 3), "
        f"later AS (SELECT DISTINCT moment FROM {ROW_INDEX} WHERE moment >= (SELECT max(t) FROM wanted) "
        "ORDER BY moment LIMIT 2), "
        f"before AS (SELECT max(moment) AS moment FROM {ROW_INDEX} WHERE moment < (SELECT min(t) FROM wanted)) "
        "SELECT DISTINCT epoch_us(moment) AS m FROM (FROM after UNION ALL FROM later UNION ALL FROM before) WHERE "
        "moment IS NOT NULL ORDER BY m"
    )
    moments = [moment for (moment,) in fetch(backend, near)]
    counts = ", ".join(f"count(*) FILTER (moment < make_timestamp({moment}))" for moment in moments)
    return list(zip(moments, fetch_row(backend, f"SELECT {counts} FROM {ROW_INDEX}"), strict=True))


def _best_cuts(cuts: Iterable[tuple[int, int]], sizes: Sizes) -> tuple[int, int] | None:
    """The two moments whose parts come nearest to the wanted sizes, none too small."""
    pairs = [
        (abs(first - sizes.cuts[0]) + abs(second - sizes.cuts[1]), start, end)
        for (start, first), (end, second) in itertools.combinations(cuts, 2)
        if min(first, second - first, sizes.rows - second) >= FEWEST_ROWS
    ]
    if not pairs:
        return None
    _, start, end = min(pairs)
    return start, end


def _by_rank(backend: Engine, order: str, sizes: Sizes) -> None:
    first, second = sizes.cuts
    _assign(
        backend,
        f"CASE WHEN rank <= {first} THEN 0 WHEN rank <= {second} THEN 1 ELSE 2 END",
        f"(SELECT *, row_number() OVER (ORDER BY {order}) AS rank FROM {ROW_INDEX})",
    )


def _at_random(backend: Engine, sizes: Sizes) -> list[str]:
    _by_rank(backend, "shuffle", sizes)
    return []


def _by_class(backend: Engine, sizes: Sizes) -> list[str]:
    """Each class has its share of each part, to within one row; a class of one row trains."""
    counted = fetch_arrow(backend, f"SELECT label, count(*) AS n FROM {ROW_INDEX} GROUP BY label ORDER BY label")
    counts = counted.column("n").to_numpy().astype(np.int64)
    test = quotas(counts, sizes.test, spare=1)
    validation = quotas(counts, sizes.validation, spare=test + 1)
    table = pa.table({"label": counted.column("label"), "first": test, "second": test + validation})
    backend.con.register("class_quotas", table)
    _assign(
        backend,
        "CASE WHEN rank <= first THEN 2 WHEN rank <= second THEN 1 ELSE 0 END",
        f"(SELECT *, row_number() OVER (PARTITION BY label ORDER BY shuffle) AS rank FROM {ROW_INDEX}) "
        "JOIN class_quotas USING (label)",
    )
    backend.con.unregister("class_quotas")
    return []


# Example: 4 rows of classes of 10, 5 and 1, one of each staying out. Their exact shares are 2.5, 1.25 and 0.25; rounded
# down that is 2, 1 and 0, and the row that is left goes to the largest remainder: 3, 1 and 0.
def quotas(sizes: NDArray[np.int64], total: int, *, spare: NDArray[np.int64] | int) -> NDArray[np.int64]:
    """Divide rows of a part among classes in proportion to their sizes, by largest remainder.

    Args:
        sizes: Rows of each class.
        total: Rows of the part.
        spare: Rows of each class that have to stay out of the part.

    Returns:
        Rows of each class, each its exact share rounded down or up, together `total` where the spare rows allow it.
    """
    exact = sizes * (total / sizes.sum())
    quota: NDArray[np.int64] = np.minimum(np.floor(exact).astype(np.int64), np.maximum(sizes - spare, 0))
    by_remainder = np.argsort(quota - exact, kind="stable")
    growing = by_remainder[(quota < np.minimum(np.ceil(exact), sizes - spare))[by_remainder]]
    quota[growing[: max(0, total - int(quota.sum()))]] += 1
    return quota


def _by_group(backend: Engine, sizes: Sizes, seed: int) -> list[str]:
    """Whole groups, by chance, each to the part that lacks most rows; rows without a group are one group."""
    groups = fetch_arrow(
        backend, f"SELECT lot, count(*) AS n FROM {ROW_INDEX} GROUP BY lot ORDER BY hash(lot, {seed}), lot"
    )
    parts = assign_groups(groups.column("n").to_pylist(), (sizes.train, sizes.validation, sizes.test))
    backend.con.register("group_parts", groups.append_column("group_part", pa.array(parts, pa.uint8())))
    _assign(backend, "group_part", f"{ROW_INDEX} JOIN group_parts USING (lot)")
    backend.con.unregister("group_parts")
    return []


# Example: groups of 5, 3 and 2 rows, wanted 6, 2 and 2. The first goes to train, which then lacks 1; the others lack 2
# each, so the second group goes to validation and the third to test.
def assign_groups(sizes: Sequence[int], wanted: tuple[int, int, int]) -> list[int]:
    """Give each group, in turn, to the part that lacks most rows.

    Args:
        sizes: Rows of each group.
        wanted: Rows wanted in train, validation and test.

    Returns:
        The part of each group: 0, 1 or 2.
    """
    lacking = list(wanted)
    parts = []
    for size in sizes:
        part = lacking.index(max(lacking))
        lacking[part] -= size
        parts.append(part)
    return parts


_ASSIGNERS = {"chronological": _by_time, "random": _at_random, "stratified": _by_class}
