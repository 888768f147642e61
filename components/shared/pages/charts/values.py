"""Values given to charts, as floats that can be drawn: gaps are NaN, what Matplotlib cannot compute with is clipped."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Values = Sequence[Any] | NDArray[Any]
LARGEST, SMALLEST = 1e300, 1e-280  # Beyond them, the arithmetic of drawing overflows or divides by zero.
MOST_POINTS = 2000  # of one line or cloud that are drawn one by one


def numbers(values: Values) -> Floats:
    """Return values as floats, None as NaN."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "iufb":
        return values.astype(np.float64)
    return np.array([math.nan if value is None else float(value) for value in values], dtype=np.float64)


def drawable(values: Floats) -> Floats:
    """Return values with the finite ones held within what can be drawn; their texts still show the true ones."""
    return np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), values)


def check_length(what: str, values: Sequence[object] | NDArray[np.generic], expected: int) -> None:
    """Refuse data of another length than the data it goes with.

    Raises:
        ValueError: The lengths differ.
    """
    if len(values) != expected:
        raise ValueError(f"{what}: expected {expected} of them, as many as the other data, found {len(values)}")
