"""Scoring rows with a model package: the one code that evaluation, the endpoint and batch prediction use.

Needs numpy and onnxruntime only. The graph takes up to three tensors, each there only when the schema has
such features: `numbers` float32, `categories` string and `times` int64, each of shape (rows, features of that kind).
It answers `probabilities` float32 of shape (rows, classes), or `values` float32 of shape (rows, 1).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from components.shared.errors import InputError, PackageError, in_short
from components.shared.schema import FILE as SCHEMA_FILE
from components.shared.schema import Feature, Schema

MODEL_FILE = "model.onnx"
MISSING_TIME = int(np.iinfo(np.int64).min)
_LONGEST_CODE = 10**30
_FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The tensors of a request: missing numbers are NaN, missing categories "", missing times `MISSING_TIME`."""

    numbers: NDArray[np.float32]
    categories: NDArray[np.object_]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def rows(self, chosen: slice | NDArray[Any]) -> "Inputs":
        """Some of the rows."""
        return Inputs(self.numbers[chosen], self.categories[chosen], self.times[chosen])


class Scorer:
    """A loaded model: schema in, predictions out. Safe to share between threads."""

    def __init__(self, session: ort.InferenceSession, schema: Schema, *, version: str = "") -> None:
        self.session = session
        self.schema = schema
        self.version = version

    @classmethod
    def load(cls, folder: Path, *, threads: int = 1, version: str = "") -> "Scorer":
        """Load `model.onnx` and `schema.json` of a model package's folder; nothing of it is executed as code.

        Raises:
            PackageError: A file is missing or is not what its name says.
        """
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin take the cores of whatever else runs here.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(str(folder / MODEL_FILE), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base class of their own
            raise PackageError(
                f"{folder / MODEL_FILE} cannot be loaded as an ONNX model: {in_short(error)}. Train the model again."
            ) from error
        try:
            schema = Schema.read(folder)
        except (OSError, ValueError) as error:
            raise PackageError(
                f"{folder / SCHEMA_FILE} cannot be read: {in_short(error)}. Train the model again."
            ) from error
        return cls(session, schema, version=version)

    def score(self, inputs: Inputs) -> NDArray[np.float32]:
        """Probabilities of shape (rows, classes), or values of shape (rows,) for regression."""
        feeds = {
            name: tensor
            for name, tensor in (
                ("numbers", inputs.numbers),
                ("categories", inputs.categories),
                ("times", inputs.times),
            )
            if tensor.shape[1]
        }
        output: NDArray[np.float32] = self.session.run([self.output], feeds)[0]
        return output.reshape(-1) if self.schema.task == "regression" else output

    @property
    def output(self) -> str:
        """Name of the graph's output."""
        return "values" if self.schema.task == "regression" else "probabilities"

    def answers(self, scores: NDArray[np.float32]) -> list[dict[str, Any]]:
        """Scores as the endpoint answers them: label and probability per class, or the value."""
        if self.schema.task == "regression":
            return [{"value": float(value)} for value in scores]
        chosen = choose_classes(scores, threshold=self.schema.threshold)
        names = [label_name(label) for label in self.schema.classes]
        return [
            {"label": self.schema.classes[index], "probabilities": dict(zip(names, map(float, row), strict=True))}
            for index, row in zip(chosen.tolist(), scores, strict=True)
        ]


def choose_classes(probabilities: NDArray[Any], *, threshold: float = 0.5) -> NDArray[np.int64]:
    """Class index per row: the most probable one, or by the threshold on the positive class when there are two."""
    if probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def label_name(label: bool | int | str) -> str:
    """A class label as a JSON key, which is how Arrow spells it when cast to text, too."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def parse_rows(rows: Sequence[Mapping[str, Any]], schema: Schema) -> Inputs:
    """Turn row objects, columns by name in any order, into tensors.

    Args:
        rows: One mapping a row; columns the schema does not have are ignored. None is a missing value, and so is NaN
            where a number is expected.
        schema: What the model expects.

    Raises:
        InputError: A row is no mapping, or a column is missing or of another type; the message names row (counted from
            0), column and what was expected.
    """
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"Row {number}: found {_shown(row)}; expected an object with a value for each column.")
    return Inputs(
        numbers=_fill(rows, schema.numbers, np.float32),
        categories=_fill(rows, schema.categories, object),
        times=_fill(rows, schema.timestamps, np.int64),
    )


def _fill(rows: Sequence[Mapping[str, Any]], features: list[Feature], dtype: Any) -> NDArray[Any]:
    tensor = np.empty((len(rows), len(features)), dtype=dtype)
    for column, feature in enumerate(features):
        parse = _PARSERS[feature.kind]
        for row, values in enumerate(rows):
            try:
                value = values[feature.name]
            except KeyError:
                raise InputError(
                    f"Row {row}: column {feature.name!r} is missing; expected {_expected(feature)}."
                ) from None
            tensor[row, column] = parse(value, feature, row)
    return tensor


def _expected(feature: Feature) -> str:
    kinds = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "category": "a text",
        "timestamp": "a date and time such as 2013-06-30T17:45:00",
    }
    return kinds[feature.kind] + (" or null" if feature.nullable else "")


def _refuse(value: Any, feature: Feature, row: int) -> InputError:
    return InputError(f"Row {row}, column {feature.name!r}: found {_shown(value)}; expected {_expected(feature)}.")


def _shown(value: Any) -> str:
    """A value as JSON spells the simple ones, cut short."""
    if isinstance(value, int) and abs(value) >= _LONGEST_CODE:
        return "a whole number of more than 30 digits"
    text = (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}…"


def _number(value: Any, feature: Feature, row: int) -> float:
    if feature.nullable and (value is None or value != value):  # noqa: PLR0124, only NaN differs from itself
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _FLOAT32_MAX:
        raise _refuse(value, feature, row)
    if feature.kind == "integer" and value != int(value):
        raise _refuse(value, feature, row)
    return float(value)


def _boolean(value: Any, feature: Feature, row: int) -> float:
    if value is None and feature.nullable:
        return math.nan
    if not isinstance(value, bool):
        raise _refuse(value, feature, row)
    return float(value)


def _category(value: Any, feature: Feature, row: int) -> str:
    if value is None and feature.nullable:
        return ""
    # Codes declared as categories; Python refuses to spell very long numbers.
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LONGEST_CODE:
        return str(value)
    if not isinstance(value, str) or not _is_unicode(value):
        raise _refuse(value, feature, row)
    return value


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which halves of surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _timestamp(value: Any, feature: Feature, row: int) -> int:
    if value is None and feature.nullable:
        return MISSING_TIME
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(value)
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        return math.floor((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (TypeError, ValueError, OverflowError):
        raise _refuse(value, feature, row) from None


_PARSERS = {"number": _number, "integer": _number, "boolean": _boolean, "category": _category, "timestamp": _timestamp}
