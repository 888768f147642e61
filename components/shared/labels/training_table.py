"""Labelled requests as a source's table: the columns that a configuration's own tables have as far as requests do."""

import numpy as np
import pyarrow as pa

from components.shared.errors import SourceError
from components.shared.labels.labelled import LabelledRequests
from components.shared.labels.moments import event_moments
from components.shared.package.schema import Schema


def training_table(found: LabelledRequests, schema: Schema) -> pa.Table:
    """The features and keys as they were sent, the time column as a moment, and the target as the model's data had it.

    Where requests do not say their time, that of their arrival stands for it, unless times are local ones.

    Args:
        found: The requests; at least one.
        schema: The model's columns and classes.

    Raises:
        SourceError: A column that weighs or groups rows is not in the log.
    """
    columns = {name: found.table[name] for name in dict.fromkeys([*schema.columns, *schema.extras])}
    for role, name in (("problem.weights", schema.weights), ("prepare.split.group", schema.group)):
        if name and name not in columns:
            raise SourceError(
                f"{role} is {name!r}, which requests do not have and the log lacks. Leave it out to learn from the log."
            )
    if schema.time_column in schema.extras:
        columns[schema.time_column] = event_moments(found.table, schema)
    columns[schema.target] = _target(found, schema)
    return pa.table(columns)


def _target(found: LabelledRequests, schema: Schema) -> pa.Array:
    if not schema.classes:
        return pa.array(found.targets)
    return pa.array([schema.classes[int(index)] for index in np.asarray(found.targets)])
