"""What is said about rows that were removed, or that stay though they are equal: shares, warnings, what to do.

Removing a few rows is a repair, removing many is a sign that something else is wrong: a time column that is mostly
empty, or a key that is none. So every removal is counted by its reason, and more than a twentieth of the rows is worth
a sentence that says what to check.
"""

from components.prepare.repair import Removed, share
from components.shared.config import PrepareConfig, ProblemConfig
from components.shared.errors import DataError
from components.shared.tasks import TASKS

SMALL_SHARE = 0.05  # of the rows; a removal of more is a warning


def warnings_of_removals(rows: int, removed: Removed, problem: ProblemConfig, settings: PrepareConfig) -> list[str]:
    """A sentence about each reason for which more than a small share of the rows was removed.

    Args:
        rows: Rows found.
        removed: Counts by reason.
        problem: Names of target, time column and keys.
        settings: The repairs.
    """
    keys, about_labels = ", ".join(problem.keys), TASKS[problem.task].target.about_missing(problem.target)
    reasons = [
        (removed.duplicates, "equal another row in every column and were removed (prepare.drop_duplicates)."),
        (removed.without_label, f"have no label in {problem.target!r} and were removed. {about_labels}"),
        (removed.without_time, f"have no time in {problem.time_column!r} and were removed: the split goes by time."),
        *(
            (count, f"lie outside prepare.bounds.{name} and were removed.")
            for name, count in removed.out_of_bounds.items()
        ),
        (
            removed.duplicate_keys,
            f"repeat a key ({keys}) and were removed; the {settings.duplicate_keys} row of each key stays "
            "(prepare.duplicate_keys). Check that problem.keys names a single row.",
        ),
    ]
    return [
        f"{count:,} of {rows:,} rows ({share(count, rows)}) {what}"
        for count, what in reasons
        if count > SMALL_SHARE * rows
    ]


def remarks_on_equal_rows(equals: int, rows: int) -> list[str]:
    """What to know when more than a small share of the rows that stay equal another one.

    Args:
        equals: Rows that equal an earlier one in every column.
        rows: All rows that stay.
    """
    if equals <= SMALL_SHARE * rows:
        return []
    return [
        f"{equals:,} of {rows:,} rows ({share(equals, rows)}) equal another row in every column and stay, each as an "
        "observation of its own. If they are copies, set prepare.drop_duplicates to true, or name what tells rows "
        "apart in problem.keys."
    ]


def too_few(rows: int, removed: Removed, *, minimum_rows: int) -> DataError:
    """The error of repairs that leave fewer rows than the contract asks for.

    Args:
        rows: Rows found.
        removed: Counts by reason.
        minimum_rows: What the contract asks for.
    """
    left = rows - removed.total
    return DataError(
        f"{left:,} of {rows:,} rows are left after repairs, fewer than contract.minimum_rows ({minimum_rows:,}); "
        f"removed were {removed.text(rows)}. {_remedy(removed)}"
    )


def _remedy(removed: Removed) -> str:
    """What to do about the most frequent reason."""
    reasons = {
        "Set prepare.drop_duplicates to false when equal rows are different observations.": removed.duplicates,
        "Check the target's spellings of missing values, or widen the data window.": removed.without_label,
        "Check problem.time_column, or choose another prepare.split.method.": removed.without_time,
        "Widen prepare.bounds.": sum(removed.out_of_bounds.values()),
        "Check that problem.keys names a single row.": removed.duplicate_keys,
    }
    return max(reasons, key=lambda remedy: reasons[remedy])
