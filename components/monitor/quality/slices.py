"""Quality by slice, and the gaps between slices: fairness on live traffic.

The slices are those that the version was evaluated by: the values of its categories and truths. Numbers and dates that
the evaluation cut into bins are not looked at.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.shared.bootstrap import simultaneous
from components.shared.evaluation import Gap, Slice
from components.shared.judging import Judged, SliceRows, gaps
from components.shared.metrics.weights import Indices
from components.shared.package.schema import Schema


def slice_rows(
    table: pa.Table, rows: Indices, slices: tuple[Slice, ...], schema: Schema, *, fewest: int
) -> list[SliceRows]:
    """Which of the labelled rows are in which slice.

    Args:
        table: Logged rows.
        rows: The places of those that are labelled.
        slices: The slices of the version's evaluation.
        schema: The model's columns.
        fewest: Slices with fewer labelled rows are left out.

    Returns:
        Slices with places among the labelled rows.
    """
    kinds = {feature.name: feature.kind for feature in schema.features}
    found = []
    for column in dict.fromkeys(item.column for item in slices):
        if kinds.get(column) not in ("category", "boolean") or column not in table.column_names:
            continue
        texts = table[column].combine_chunks().take(pa.array(rows)).cast(pa.string())
        for value in dict.fromkeys(item.value for item in slices if item.column == column):
            inside = pc.is_null(texts) if value is None else pc.fill_null(pc.equal(texts, value), False)
            places = np.flatnonzero(inside.to_numpy(zero_copy_only=False)).astype(np.int64)
            if len(places) >= fewest:
                found.append(SliceRows(column, value, places))
    return found


def widened_gaps(parts: list[Judged], confidence: float) -> tuple[Gap, ...]:
    """The gaps between slices, with intervals that hold for all pairs of slices together, as the gate's do.

    Args:
        parts: The judged slices, those of a column next to one another.
        confidence: Of all intervals together.
    """
    found = gaps(parts, confidence)
    pairs = sum(gap.compared for gap in found)
    return tuple(
        gap
        if gap.interval is None or gap.gap is None
        else gap.model_copy(
            update={
                "interval": simultaneous(
                    gap.gap, gap.interval, confidence=confidence, comparisons=pairs, blocks=gap.blocks
                )
            }
        )
        for gap in found
    )
