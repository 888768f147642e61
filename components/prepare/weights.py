"""The column of weights: how much each row counts.

A negative weight does not fail every fit and then gives a model that is wrong in silence; a missing one fails it late,
in the library's words. Weights are looked at after the split, because a part in which no row counts cannot be judged,
however good the weights of the whole table are.
"""

import math

from components.prepare.columns import ARRIVAL, VIEW, Column
from components.prepare.split import ROW_PARTS
from components.shared.errors import DataError
from components.shared.frames import PARTS
from components.shared.tables import Engine, fetch, identifier


def check_weight_type(column: Column) -> None:
    """Refuse weights that are no numbers.

    Raises:
        DataError: Names the column and its type.
    """
    if column.kind not in ("integer", "number"):
        raise DataError(
            f"problem.weights {column.name!r} is {column.type}; a weight is a number of 0 or more. Convert it in the "
            "query."
        )


def check_weights(backend: Engine, name: str) -> None:
    """Look at the weights of the rows that were placed in the parts.

    Raises:
        DataError: A row has no weight, or one that is negative or not finite; or all rows of a part have the weight 0.
    """
    weight = identifier(name)
    is_bad = f"({weight} < 0 OR NOT isfinite({weight}::DOUBLE))"
    rows = fetch(
        backend,
        f"SELECT part, count(*), count({weight}), count(*) FILTER ({is_bad}), min({weight}) FILTER ({is_bad}), "
        f"max({weight}) FROM {VIEW} JOIN {ROW_PARTS} ON {ARRIVAL} = arrival GROUP BY part ORDER BY part",
    )
    total, given = sum(row[1] for row in rows), sum(row[2] for row in rows)
    if given < total:
        raise DataError(
            f"problem.weights {name!r} has no value in {total - given:,} of {total:,} rows; each row needs a weight of "
            "0 or more. Fill it in by coalesce in the query, or leave these rows out there."
        )
    if bad := [row for row in rows if row[3]]:
        value = bad[0][4]
        found = "an infinite value" if isinstance(value, float) and math.isinf(value) else str(value)
        raise DataError(
            f"problem.weights {name!r} holds {found}, and {sum(row[3] for row in bad):,} of {total:,} rows have such a "
            "weight; a weight is a finite number of 0 or more. Correct it in the query, or leave these rows out there."
        )
    if empty := [PARTS[row[0]] for row in rows if not row[5]]:
        raise DataError(
            f"problem.weights {name!r} is 0 in every row of the {empty[0]} part: none of them would count. Give rows "
            "that matter a weight above 0, or use another split."
        )
