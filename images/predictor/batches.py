"""Answered requests as rows of the inference log, made of whole columns: a fraction of a microsecond a row.

The log is written for every request, on the cores that also answer; row by row it would take longer than the model. So
requests are collected and each column is made at once. Only columns that the log has are computed: a column that the
configuration leaves out costs nothing, which is why they are functions.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.shared import inference_rows
from components.shared.package.schema import Feature
from components.shared.package.scoring import MISSING_TIME, Scorer
from images.predictor.answered import Answered, AnsweredRequest

if TYPE_CHECKING:
    import pyarrow as pa


class Batches:
    """Makes Arrow record batches of `inference_rows.log_schema`.

    Args:
        scorer: The model that answers.
        leave_out: Features, keys or the time column that are not wanted.
    """

    def __init__(self, scorer: Scorer, leave_out: Collection[str]) -> None:
        self.scorer = scorer
        self.schema = scorer.schema
        self._leave_out = frozenset(leave_out)
        self._arrow: pa.Schema | None = None

    def of(self, answered: Answered) -> "pa.RecordBatch":
        """The rows of answered requests."""
        import pyarrow as pa

        if self._arrow is None:
            self._arrow = inference_rows.log_schema(self.schema, self._leave_out)
        columns = self._columns(answered)
        arrays = [_array(columns[field.name](), field.type) for field in self._arrow]
        return pa.RecordBatch.from_arrays(arrays, schema=self._arrow)

    def _columns(self, answered: Answered) -> dict[str, Any]:
        """For each column of the log, a function that gives its values."""
        schema, inputs, scores, requests = self.schema, answered.inputs, answered.scores, answered.requests
        counts = np.array([request.rows for request in requests])
        request_of = np.repeat(np.arange(len(requests)), counts)
        columns: dict[str, Any] = {}
        for place, feature in enumerate(schema.numbers):
            columns[feature.name] = lambda p=place, f=feature: _logged_numbers(inputs.numbers[:, p], f)
        for place, feature in enumerate(schema.categories):
            columns[feature.name] = lambda p=place, f=feature: _logged_texts(inputs.categories[:, p], f)
        for place, feature in enumerate(schema.timestamps):
            columns[feature.name] = lambda p=place: _logged_times(inputs.times[:, p])
        for name in schema.extras:
            columns[name] = lambda n=name: _extra_texts(requests, n)
        about: dict[str, Any] = {
            inference_rows.REQUEST_ID: lambda: _taken([item.request_id.decode() for item in requests], request_of),
            inference_rows.REQUEST_ROW: lambda: _numbers_within(counts),
            inference_rows.RECEIVED: lambda: np.array([item.arrived * 1e6 for item in requests]).astype(
                "datetime64[us]"
            )[request_of],
            inference_rows.MODEL_VERSION: lambda: _taken([self.scorer.version], np.zeros(len(inputs), dtype=np.int64)),
            inference_rows.LATENCY: lambda: np.array([item.seconds * 1e3 for item in requests])[request_of],
            inference_rows.PREDICTION: lambda: self.scorer.answer.logged(scores, schema),
        }
        columns |= {inference_rows.logged_name(name, schema): values for name, values in about.items()}
        for place, name in enumerate(inference_rows.probability_names(schema)):
            columns[name] = lambda p=place: scores[:, p]
        return columns


# Example: requests of 2 and 3 rows have the numbers 0, 1, 0, 1, 2.
def _numbers_within(counts: NDArray[np.int64]) -> NDArray[np.int32]:
    """The number of each row in its request, from 0, for requests of `counts` rows one after another."""
    starts = np.cumsum(counts) - counts
    return (np.arange(counts.sum()) - np.repeat(starts, counts)).astype(np.int32)


def _extra_texts(requests: Sequence[AnsweredRequest], name: str) -> list[str | None]:
    return [text for item in requests for text in item.extras.get(name) or [None] * item.rows]


def _logged_numbers(values: NDArray[Any], feature: Feature) -> Any:
    if feature.kind == "number":
        return values
    import pyarrow as pa

    missing = np.isnan(values)
    whole = np.where(missing, 0, np.clip(values, -(2.0**63), 2.0**63 - 1024)).astype(np.int64)
    return pa.array(whole.astype(bool) if feature.kind == "boolean" else whole, mask=missing)


def _logged_texts(values: NDArray[np.object_], feature: Feature) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pa.array(values, pa.string())
    return pc.if_else(pc.not_equal(texts, ""), texts, None) if feature.nullable else texts


def _logged_times(values: NDArray[np.int64]) -> Any:
    import pyarrow as pa

    return pa.array(values, mask=values == MISSING_TIME).cast(pa.timestamp("s"))


def _taken(texts: list[str], places: NDArray[np.int64]) -> Any:
    """The Arrow array of the texts at some positions of a list."""
    import pyarrow as pa

    return pa.array(texts, pa.string()).take(pa.array(places))


def _array(values: Any, kind: "pa.DataType") -> "pa.Array":
    import pyarrow as pa

    if isinstance(values, pa.Array):
        return values.cast(kind)
    return pa.array(values, type=kind, from_pandas=True)
