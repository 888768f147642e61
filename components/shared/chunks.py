"""Many small tables as fewer larger ones: each costs more by itself than looking at some hundred rows does."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

_SMALL = 2**20  # bytes of a file for which several threads are not worth their start


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


def parquet_rows(content: bytes, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of one Parquet file; `pyarrow.parquet.read_table` takes three times as long for a small one.

    Args:
        content: The file.
        columns: What is read of it; by default everything. What it does not have is left out.

    Raises:
        pyarrow.ArrowException: It is no Parquet file.
    """
    with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
        return file.read(columns=columns, use_threads=len(content) > _SMALL)
