"""Labels as what metrics are computed from: class indices or numbers.

Labels are kept as they were spelled, so that nothing is lost; metrics want indices. What a label means is asked of the
same expressions as when it was stored (`spelled`), and one that means nothing to this model is counted and left out.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.shared.labels.layout import LabelColumns
from components.shared.labels.spelled import PLACE, label_meaning
from components.shared.metrics.weights import Indices
from components.shared.package.schema import Schema
from components.shared.tables import engine, fetch_arrow, identifier
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray


@dataclass(frozen=True, slots=True)
class Targets:
    """What labels say.

    Attributes:
        rows: Places of the rows whose label the model knows, ascending, shape (labelled,).
        values: Their class indices or numbers, shape (labelled,).
        unreadable: Rows whose label is none of the classes, or no number.
    """

    rows: Indices
    values: TargetArray
    unreadable: int


def read_targets(table: pa.Table, schema: Schema) -> Targets:
    """Read the labels of joined answers.

    Args:
        table: Has the column of labels, null where there is none.
        schema: The model's target and classes.
    """
    label = LabelColumns(schema).label
    raw = pa.table({"label": table[label], PLACE: np.arange(table.num_rows)})
    with engine() as backend:
        backend.con.register("raw", raw)
        found = fetch_arrow(
            backend,
            f"SELECT {identifier(PLACE)} AS place, {label_meaning('label', schema)} AS meaning FROM raw "
            f"WHERE label IS NOT NULL ORDER BY {identifier(PLACE)}",
        )
    known = found.filter(found["meaning"].is_valid())
    values = TASKS[schema.task].target.read(known["meaning"], schema)
    return Targets(known["place"].to_numpy().astype(np.int64), values, found.num_rows - known.num_rows)
