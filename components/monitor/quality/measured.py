"""The quality that labels show: the metric on labelled rows, with intervals by blocks of time, and by slice.

Labels that come late are weighed (`labels.maturity`), so that the value stands for all answers of the window and not
for those whose labels are quick.
"""

import numpy as np
import pyarrow as pa

from components.monitor.quality.model import RESAMPLES, QualityModel
from components.monitor.quality.rows import Rows
from components.monitor.quality.slices import slice_rows
from components.shared import bootstrap
from components.shared.blocks import time_blocks
from components.shared.bootstrap import Draws
from components.shared.decisions.evidence import Estimate
from components.shared.inference_rows import RECEIVED
from components.shared.judging import Judged, judge
from components.shared.labels.maturity import Floats

CONFIDENCE = 0.95
_FEWEST = 20  # labelled rows of which a metric is worth telling


def measure(rows: Rows, weights: Floats, model: QualityModel, *, fewest: int) -> tuple[Judged | None, list[Judged]]:
    """Measure the model's metric on the labelled rows.

    Args:
        rows: The answers and what is known of their labels.
        weights: How many rows each label stands for, shape (labelled,).
        model: Its metric and slices.
        fewest: Slices with fewer labelled rows are not judged.

    Returns:
        All labelled rows, None where they are too few or cannot tell the metric, and the slices.
    """
    targets, schema = rows.targets, model.schema
    if len(targets.rows) < _FEWEST:
        return None, []
    blocks = time_blocks(rows.times(schema).take(pa.array(targets.rows)), RECEIVED)
    draws = Draws(blocks.of, RESAMPLES, run_length=blocks.run_length, weights=weights)
    slices = slice_rows(rows.table, targets.rows, model.slices, schema, fewest=fewest)
    whole, parts = judge(schema.task, targets.values, rows.labelled_answers, slices, draws, only=[model.metric])
    return (whole if np.isfinite(whole.estimates[model.metric].value) else None), parts


def as_evidence(found: bootstrap.Estimate) -> Estimate | None:
    """An estimate with its interval, as decisions look at it; None where the rows cannot tell."""
    interval = found.interval(CONFIDENCE)
    if interval is None or not np.isfinite(found.value):
        return None
    return Estimate(value=found.value, low=interval[0], high=interval[1])
