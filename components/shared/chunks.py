"""Many small tables as fewer larger ones: each costs more by itself than looking at some hundred rows does."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pyarrow as pa


def chunks(tables: Iterable[pa.Table], rows: int, *, cells: int | None = None) -> Iterator[pa.Table]:
    """The same rows in fewer tables: those of the same columns together, until they are so many.

    Args:
        tables: Any; one that is large enough stays alone.
        rows: From how many rows on a table is given out.
        cells: Or from how many values on, where tables may have many columns.
    """
    waiting: defaultdict[str, list[pa.Table]] = defaultdict(list)
    counted: defaultdict[str, int] = defaultdict(int)
    for table in tables:
        key = table.schema.to_string(show_schema_metadata=True)
        waiting[key].append(table)
        counted[key] += table.num_rows
        if counted[key] >= (rows if cells is None else min(rows, cells // max(1, table.num_columns))):
            yield pa.concat_tables(waiting.pop(key))
            del counted[key]
    for together in waiting.values():
        yield pa.concat_tables(together)
