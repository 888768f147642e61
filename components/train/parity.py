"""Parity: whether the served ONNX graph answers as the scikit-learn pipeline does, and if not, which step differs.

The model is trained as one program and served as another one, and converters have faults that show on few rows: a
missing value that goes the other way, a category that is not known. So both answer all test rows before anything is
published. When they disagree, the steps of the preprocessing are compared one after another, since "they differ" helps
nobody to mend it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pandas as pd
from numpy.typing import NDArray
from onnx import TensorProto, helper
from sklearn.base import TransformerMixin
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from components.shared.config import TrainConfig
from components.shared.dates import DateParts, date_outputs
from components.shared.errors import ParityError
from components.shared.families import MODEL, PREPROCESS
from components.shared.frames import Part, inputs
from components.shared.package.schema import Schema
from components.shared.package.scoring import MISSING_TIME, Inputs, Scorer
from components.shared.preprocessing import MissingValues
from components.shared.resources import cpu_count
from components.shared.tasks import TASKS
from components.shared.tasks.arrays import TargetArray

_ROUNDINGS = 8  # float32 roundings of a value that count as none: a sum over trees has several
_STEP_ROUNDINGS = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the two agree.

    Attributes:
        rows: Rows compared.
        share: Share of them within the tolerance.
        largest: Largest difference, in the tolerance's unit.
    """

    rows: int
    share: float
    largest: float


def check(
    model: onnx.ModelProto, pipeline: Pipeline, schema: Schema, *, part: Part, settings: TrainConfig
) -> Agreement:
    """Compare both on all rows of a part.

    Args:
        model: The served graph.
        pipeline: The fitted pipeline it was made from.
        schema: Their columns.
        part: The rows to compare on.
        settings: Tolerance and share of rows.

    Raises:
        ParityError: Too few rows agree; the message names the step that broke it, and the worst row.
    """
    tensors = inputs(part.frame, schema)
    served = Scorer(_session(model.SerializeToString()), schema).score(tensors).astype(np.float64)
    expected = predict(pipeline, part.frame, schema)
    difference, allowed = _difference(served, expected, part.target, schema=schema, tolerance=settings.parity_tolerance)
    differing = ~(difference <= allowed)  # NaN differs
    share = 1 - float(differing.mean())
    if share < settings.parity_share:
        worst = int(np.argmax(np.where(np.isnan(difference), np.inf, difference)))
        raise ParityError(
            f"ONNX and scikit-learn agree on {share:.4%} of {len(expected):,} test rows within "
            f"{settings.parity_tolerance:g}; train.parity_share asks for {settings.parity_share:.4%}. "
            f"{_broken_step(model, pipeline, part.frame, tensors, np.flatnonzero(differing))} "
            f"The worst row ({worst}) gets {_shown(served[worst])} from ONNX and {_shown(expected[worst])} from "
            f"scikit-learn: {_row(part.frame, worst)}."
        )
    return Agreement(len(expected), share, float(difference.max(initial=0.0)))


def predict(pipeline: Pipeline, frame: pd.DataFrame, schema: Schema) -> NDArray[np.float64]:
    """scikit-learn's probabilities, shape (rows, classes), or values, shape (rows,)."""
    answer = getattr(pipeline, TASKS[schema.task].answer.method)(frame)
    return np.asarray(answer, dtype=np.float64)


# Example: values about 3,600,000 with a deviation of 100,000. float32 has steps of 0.25 there; eight of them are 2, or
# 0.00002 deviations. A smaller tolerance than that could not be kept by any model, so it is what is allowed then.
def _difference(
    served: NDArray[np.float64],
    expected: NDArray[np.float64],
    target: TargetArray,
    *,
    schema: Schema,
    tolerance: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Per row, the difference and what is allowed: of probabilities, or in standard deviations of the target."""
    if TASKS[schema.task].has_classes:
        return np.abs(served - expected).max(axis=1), np.full(len(served), tolerance)
    deviation = float(target.std()) or 1.0
    # a target far from zero has no more digits in the float32 that is served
    roundings = _ROUNDINGS * np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64) / deviation
    return np.abs(served - expected) / deviation, np.maximum(tolerance, roundings)


# Which step


def _broken_step(
    model: onnx.ModelProto, pipeline: Pipeline, frame: pd.DataFrame, tensors: Inputs, rows: NDArray[np.int64]
) -> str:
    """The first step of the preprocessing that differs on the rows that do; else it is the model."""
    chosen, tensors = frame.iloc[rows], tensors.rows(rows)
    for tensor, owners, expected in _steps(pipeline, chosen):
        found = _run(model, tensor, tensors)
        gap = _gap(found, expected)
        if gap.any():
            row, output = np.unravel_index(int(np.argmax(gap)), gap.shape)
            return (
                f"The step {tensor!r} of the preprocessing differs in column {chosen.columns[owners[output]]!r}: in "
                f"row {rows[row]} ONNX makes {found[row, output]:.9g}, scikit-learn {expected[row, output]:.9g}."
            )
    return f"The preprocessing agrees; the step that differs is the model ({type(pipeline[MODEL]).__name__})."


def _steps(pipeline: Pipeline, frame: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.int64], NDArray[Any]]]:
    """Each step of the preprocessing: tensor name, the column that each output came from, scikit-learn's output."""
    for group, steps, columns in pipeline[PREPROCESS].transformers_:
        if group == "remainder":
            continue
        values: Any = frame.iloc[:, list(columns)]
        owners = np.asarray(list(columns))
        for name, transformer in steps.steps:
            values = np.asarray(transformer.transform(values))
            owners = _owners(transformer, owners, values.shape[1])
            yield f"{group}/{name}", owners, values


# Example: columns 4 and 5 with 2 and 3 categories, one-hot, have the owners 4, 4, 5, 5, 5. The columns 0, 1 and 2, of
# which 1 gets an indicator of missing values, have the owners 0, 1, 2, 1.
def _owners(transformer: TransformerMixin, columns: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Position of the frame's column behind each output of a step, from those behind its inputs."""
    if isinstance(transformer, OneHotEncoder):
        return np.repeat(columns, [len(values) for values in transformer.categories_])
    if isinstance(transformer, DateParts):
        outputs = date_outputs(transformer.parts, len(columns), cyclic=transformer.cyclic)
        return columns[[output.column for output in outputs]]
    if isinstance(transformer, MissingValues):
        return np.concatenate([columns, columns[transformer.indicated_]])
    return np.repeat(columns, width // len(columns))


def _run(model: onnx.ModelProto, tensor: str, tensors: Inputs) -> NDArray[np.float32]:
    """An inner tensor of the served graph."""
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    probed.graph.output.append(helper.make_tensor_value_info(tensor, TensorProto.FLOAT, None))
    feeds = {"numbers": tensors.numbers, "categories": tensors.categories, "times": tensors.times}
    wanted = {item.name for item in probed.graph.input}
    session = _session(probed.SerializeToString())
    found: NDArray[np.float32] = session.run(
        [tensor], {name: value for name, value in feeds.items() if name in wanted}
    )[0]
    return found


def _gap(found: NDArray[np.floating], expected: NDArray[np.floating]) -> NDArray[np.float64]:
    """How far two tensors are apart beyond rounding; 0 where they agree, NaN with NaN included."""
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    allowed = _STEP_ROUNDINGS * np.spacing(np.abs(expected).astype(np.float32)).astype(np.float64)
    beyond = np.where(difference <= allowed, 0.0, difference)
    both = np.isnan(found) & np.isnan(expected)
    return np.asarray(np.where(both, 0.0, np.where(np.isnan(beyond), np.inf, beyond)))


def _session(model: bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = cpu_count()
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _shown(answer: NDArray[np.generic]) -> str:
    return np.array2string(np.asarray(answer), precision=9, threshold=6)


def _row(frame: pd.DataFrame, row: int, *, most: int = 30) -> str:
    """A row as name=value pairs, shortened when there are many columns."""
    values = [f"{name}={_cell(frame[name].iloc[row])}" for name in frame.columns[:most]]
    return ", ".join(values) + (", …" if len(frame.columns) > most else "")


def _cell(value: Any) -> str:
    missing = value in ("", MISSING_TIME) or value != value  # noqa: PLR0124, NaN is not itself
    return "null" if missing else f"{value!r}" if isinstance(value, str) else f"{value}"
