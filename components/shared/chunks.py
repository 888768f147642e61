"""Many small tables as fewer larger ones: the overhead of one table is that of looking at some hundred rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

_SMALL = 2**20  # bytes of a file for which several threads are not worth their start


def chunks(tables: Iterable[pa.Table], rows: int, *, cells: int | None = None) -> Iterator[pa.Table]:
    """The same rows in fewer tables: tables of the same schema and metadata are concatenated.

    Args:
        tables: The tables, of any schemas; none of them is cut.
        rows: A table is yielded once it has so many rows; what is left comes at the end.
        cells: A table is also yielded once it has so many values (rows × columns); None for no such limit.
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
