"""Columns that a configuration names and no logged request has."""

from collections.abc import Mapping

from components.shared.config import ProblemConfig
from components.shared.tables import identifier


def with_unlogged(select: str, columns: Mapping[str, str], problem: ProblemConfig) -> tuple[str, dict[str, str]]:
    """A SELECT over logged requests with the columns that no request has, as ones without a value.

    What is known only afterwards, and what nothing is learned from, is not in the log; a configuration that names it
    for tables that have it is good for the log, too.

    Args:
        select: The query.
        columns: What it returns, by name, with DuckDB's types.
        problem: Names the columns.

    Returns:
        The SELECT, and what it returns.
    """
    named = dict.fromkeys([*problem.leaks, *problem.ignore, *problem.features])
    lacking = [name for name in named if name not in columns]
    if not lacking:
        return select, dict(columns)
    added = ", ".join(f"CAST(NULL AS VARCHAR) AS {identifier(name)}" for name in lacking)
    return f"SELECT *, {added} FROM (\n{select}\n) AS requests", {**columns, **dict.fromkeys(lacking, "VARCHAR")}
