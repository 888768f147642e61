"""The rows of a replay: the table that stands for the source, what is asked of it, and what becomes known, by time.

The replay must not know the future. All that it sees goes through here by time: what is asked in a week, without
outcomes, and what has become known by a moment. The sample of each week is drawn by a hash of the keys, the same in
every replay.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.shared.config import Config, ProblemConfig, SourceConfig
from components.shared.labels.layout import LABEL
from components.shared.tables import engine, identifier, literal, write_sql
from pipelines.demo.cases import Case

if TYPE_CHECKING:
    import pyarrow as pa


def make_source(config: Config, case: Case, folder: Path, *, rows_a_week: int) -> "tuple[Config, Rows]":
    """Write the flights of a case, a sample of each week.

    Args:
        config: Where the flights are, and what of them is key, time and target.
        case: What happens to them.
        folder: Where the table goes.
        rows_a_week: Most rows of a week.

    Returns:
        The configuration that reads them, and they themselves by time.
    """
    from components.ingest.ingest import ingest_table

    whole, changed = folder / "year.parquet", folder / "flights.parquet"
    ingest_table(config.source, config.problem, whole)
    time = identifier(config.problem.time_column)
    keys = ", ".join(map(identifier, config.problem.keys))
    with engine() as backend:
        backend.con.execute(
            f"CREATE VIEW rows AS SELECT * FROM read_parquet({literal(str(whole))}) QUALIFY row_number() OVER "
            f"(PARTITION BY date_trunc('week', {time}) ORDER BY hash({keys}), {keys}) <= {rows_a_week}"
        )
        write_sql(backend, f"SELECT * FROM ({case.select}) ORDER BY {time}, {keys}", changed)
    whole.unlink()
    source = SourceConfig.model_validate({"tables": {"flights": {"path": str(changed)}}})
    return config.model_copy(update={"source": source}), Rows(changed, config.problem)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the source by time.

    Attributes:
        path: The table.
        problem: Its time column, keys and target.
    """

    path: Path
    problem: ProblemConfig

    def between(self, start: datetime, end: datetime) -> "pa.Table":
        """All columns of the rows of a time, the oldest first."""
        table = _by_time(self.path, self.path.stat().st_mtime_ns)
        times = table[self.problem.time_column].to_numpy()
        first, after = np.searchsorted(times, [np.datetime64(one.replace(tzinfo=None), "us") for one in (start, end)])
        return table.slice(first, after - first)

    def requests(self, rows: "pa.Table") -> list[dict[str, Any]]:
        """What a client asks about rows: keys, time and features, as JSON has them."""
        names = list(dict.fromkeys([*self.problem.keys, self.problem.time_column, *self.problem.features]))
        return [
            {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
            for row in rows.select(names).to_pylist()
        ]

    def labels(self, rows: "pa.Table") -> "pa.Table":
        """Keys and labels of those rows that have one, with the columns of a table of labels."""
        labelled = rows.filter(rows[self.problem.target].is_valid())
        return labelled.select([*self.problem.keys, self.problem.target]).rename_columns([*self.problem.keys, LABEL])


@lru_cache(maxsize=1)
def _by_time(path: Path, changed: int) -> "pa.Table":  # noqa: ARG001, tells a table from another one of that name
    """The table, in which the rows are in the order of time."""
    import pyarrow.parquet as pq

    return pq.read_table(path)
