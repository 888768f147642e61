"""Logged answers, with the labels that were found for them, as arrays.

The log has one column a probability and texts for classes; metrics want matrices and indices. The class that was
answered is read from the log, not computed again from the threshold: what counts is what clients were told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.shared.frames import features
from components.shared.inference_rows import PREDICTION, RECEIVED, logged_name, probability_names
from components.shared.labels.layout import LabelColumns
from components.shared.labels.maturity import Answered, Floats
from components.shared.labels.targets import Targets, read_targets
from components.shared.metrics import Answers
from components.shared.metrics.weights import Indices
from components.shared.package.schema import Schema
from components.shared.tasks import TASKS

HAPPENED = "\x1fhappened"  # when rows happened, where that counts; no column of a schema is called so


@dataclass(frozen=True, slots=True)
class Rows:
    """Answers of one version and what is known of their labels.

    Attributes:
        table: The rows, as logged and joined.
        answers: What the model said.
        targets: What the labels say.
        unanswered: Rows that were left out because the log has no answer of theirs, or one that is no number.
    """

    table: pa.Table
    answers: Answers
    targets: Targets
    unanswered: int

    def times(self, schema: Schema) -> pa.Array:
        """When the rows were, in UTC."""
        return moments(self.table, schema).combine_chunks()

    def answered(self, schema: Schema) -> Answered:
        """When they were, and when their labels came."""
        return answered(self.table, self.targets, schema)

    @property
    def labelled_answers(self) -> Answers:
        """What the model said of the labelled rows."""
        return self.answers.subset(self.targets.rows)


def read_rows(joined: pa.Table, schema: Schema) -> Rows:
    """Read joined answers.

    Args:
        joined: As `join` gives them.
        schema: The model's columns and classes.
    """
    scores, chosen = _scores(joined, schema)
    fits = np.isfinite(scores) if scores.ndim == 1 else np.isfinite(scores).all(axis=1)
    if chosen is not None:
        fits &= chosen >= 0
    if not fits.all():
        kept = np.flatnonzero(fits)
        joined, scores, chosen = joined.take(kept), scores[kept], None if chosen is None else chosen[kept]
    answers = Answers(scores, schema.threshold, chosen)
    return Rows(joined, answers, read_targets(joined, schema), int(np.count_nonzero(~fits)))


def moments(table: pa.Table, schema: Schema) -> pa.ChunkedArray:
    """When rows were: when they happened by event time (`HAPPENED`), else when they were asked for."""
    name = HAPPENED if HAPPENED in table.column_names else logged_name(RECEIVED, schema)
    return table[name]


def answered(joined: pa.Table, targets: Targets, schema: Schema) -> Answered:
    """When joined answers were, and when their first labels came; those that are no labels count as none.

    A correction says what the label is and not when one came: else corrected labels would look late.
    """
    arrived = np.full(joined.num_rows, np.nan)
    arrived[targets.rows] = _seconds(joined[LabelColumns(schema).first_arrival])[targets.rows]
    classes = np.full(joined.num_rows, -1, dtype=np.int64)
    if TASKS[schema.task].has_classes:
        classes[targets.rows] = targets.values
    return Answered(_seconds(moments(joined, schema)), arrived, classes)


def known_features(table: pa.Table, schema: Schema, names: Sequence[str]) -> pd.DataFrame:
    """Some of the model's input columns, as `frames.features` converts them."""
    known = [feature for feature in schema.features if feature.name in names]
    return features(table, schema.model_copy(update={"features": known}))


def _scores(table: pa.Table, schema: Schema) -> tuple[NDArray[np.float32], Indices | None]:
    """What the model said, shape (rows, classes) or (rows,), and the class that it answered."""
    prediction = table[logged_name(PREDICTION, schema)]
    if not TASKS[schema.task].has_classes:
        return np.asarray(prediction.cast(pa.float32()).fill_null(np.nan).to_numpy(), dtype=np.float32), None
    columns = [table[name].cast(pa.float32()).fill_null(np.nan).to_numpy() for name in probability_names(schema)]
    chosen = pc.fill_null(pc.index_in(prediction.cast(pa.string()), pa.array(schema.labels, pa.string())), -1)
    return np.column_stack(columns).astype(np.float32), np.asarray(chosen.to_numpy(), dtype=np.int64)


def _seconds(column: pa.ChunkedArray) -> Floats:
    moments = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).cast(pa.float64())
    return np.asarray(moments.fill_null(np.nan).to_numpy() / 1e6, dtype=np.float64)
