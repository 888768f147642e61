"""Tensors of rows that were read as records: numbers first, then categories, then times."""

from datetime import datetime
from typing import Any

import numpy as np

from components.shared.as_written import composed
from components.shared.package.schema import Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, epoch_seconds


class Records:
    """Makes tensors of the records of one model.

    Args:
        schema: Of the model.
    """

    def __init__(self, schema: Schema) -> None:
        self._numbers = len(schema.numbers)
        self._times = self._numbers + len(schema.categories)
        self._features = len(schema.features)

    # Example, with one number, one category and one time: the record (488.0, None, 2013-11-17T06:00Z) becomes the
    # numbers [[488.0]], the categories [[""]] and the times [[1384668000]]: an empty text is a missing category.
    def tensors(self, records: list[tuple[Any, ...]]) -> Inputs:
        """The tensors of records, of one request or of many."""
        first, last, end = self._numbers, self._times, self._features
        numbers = np.array([record[:first] for record in records], dtype=np.float64)
        categories = np.empty((len(records), last - first), dtype=object)
        for row, record in enumerate(records):
            categories[row] = [
                value if value.__class__ is str and value.isascii() else _text(value) for value in record[first:last]
            ]
        times = np.array([[_seconds(value) for value in record[last:end]] for record in records], dtype=np.int64)
        return Inputs(numbers, categories, times)


def _text(value: str | int | None) -> str:
    return "" if value is None else composed(str(value))


def _seconds(moment: datetime | None) -> int:
    return MISSING_TIME if moment is None else epoch_seconds(moment)
