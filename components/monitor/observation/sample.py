"""A bounded sample of rows that adds up as statistics do: those with the smallest hashes of what tells them apart.

Any row is among them with the same chance, whichever hour it is in and however often it is read: bottom-k sampling
(Cohen and Kaplan, "Summarizing Data using Bottom-k Sketches", 2007). Pages are made of it, and
so is the quality of the answers, which needs rows and their labels.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.monitor.observation.columns import as_logged
from components.shared.chunks import parquet_rows
from components.shared.package.schema import Schema

SIZE = 5_000  # rows
PRIORITY = "__priority"


@dataclass(frozen=True, slots=True)
class Sample:
    """Rows with the smallest hashes, at most `SIZE`.

    Attributes:
        table: Columns of a complete log and `PRIORITY`, the hash, which is ascending.
    """

    table: pa.Table

    @classmethod
    def of(cls, rows: pa.Table, places: NDArray[np.int64], hashes: NDArray[np.uint64], schema: Schema) -> "Sample":
        """A sample of logged rows.

        Args:
            rows: The rows.
            places: Which of them to draw from.
            hashes: What chance is made of, one for each of the rows.
            schema: The model's columns.
        """
        chosen = places[np.argsort(hashes[places], kind="stable")[:SIZE]]
        drawn = as_logged(rows.take(pa.array(chosen)), schema)
        return cls(drawn.append_column(PRIORITY, pa.array(hashes[chosen], pa.uint64())))

    # Example, were the size 3: of the hashes 3 and 8 in one hour and 1 and 5 in another one, 1, 3 and 5 stay, in
    # whichever order the hours are added.
    def plus(self, other: "Sample") -> "Sample":
        """A sample of both."""
        both = pa.concat_tables([self.table, other.table]).combine_chunks()
        return Sample(both.take(pc.sort_indices(both, [(PRIORITY, "ascending")])[:SIZE]))

    @property
    def rows(self) -> pa.Table:
        """The rows alone, as logged."""
        return self.table.drop_columns([PRIORITY])

    def to_parquet(self) -> bytes:
        """As a file."""
        sink = pa.BufferOutputStream()
        pq.write_table(self.table, sink, compression="zstd")
        content: bytes = sink.getvalue().to_pybytes()
        return content

    @classmethod
    def from_parquet(cls, content: bytes) -> "Sample":
        """From a file."""
        return cls(parquet_rows(content))
