"""Scoring rows with a model package: the one code that evaluation, the endpoint and batch prediction use.

Needs numpy and onnxruntime only. The graph takes up to three tensors, each there only when the schema has
such features: `numbers` float32, `categories` string and `times` int64, each of shape (rows, features of that kind).
It answers `probabilities` float32 of shape (rows, classes), or `values` float32 of shape (rows, 1).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from components.shared.as_written import composed
from components.shared.errors import InputError, PackageError, in_short
from components.shared.package.schema import FILE as SCHEMA_FILE
from components.shared.package.schema import FLOAT32_MAX, Feature, FeatureKind, Schema
from components.shared.tasks import TASKS
from components.shared.tasks.answer import Object

MODEL_FILE = "model.onnx"
CELLS = 5_000_000  # values of the input tensors held at once
MISSING_TIME = int(np.iinfo(np.int64).min)
Values = Sequence[Any] | NDArray[Any]
_LONGEST_CODE = 10**30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WITHOUT_ZONE = datetime(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The tensors of a request: missing numbers are NaN, missing categories "", missing times `MISSING_TIME`.

    Numbers are float32, as the graph takes them, or float64, as they were received.
    """

    numbers: NDArray[np.floating]
    categories: NDArray[np.object_]
    times: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.numbers)

    def rows(self, chosen: slice | NDArray[np.integer] | NDArray[np.bool_]) -> "Inputs":
        """Some of the rows."""
        return Inputs(self.numbers[chosen], self.categories[chosen], self.times[chosen])


def joined(parts: Sequence[Inputs]) -> Inputs:
    """The rows of several inputs, one after another."""
    if len(parts) == 1:
        return parts[0]
    return Inputs(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.categories for part in parts]),
        np.concatenate([part.times for part in parts]),
    )


class Scorer:
    """A loaded model: schema in, predictions out. Safe to share between threads.

    Attributes:
        session: The loaded graph.
        schema: Its inputs and classes.
        version: The model's version.
        answer: The form of its answers.
        output: Name of the graph's output.
    """

    def __init__(self, session: ort.InferenceSession, schema: Schema, *, version: str = "") -> None:
        self.session = session
        self.schema = schema
        self.version = version
        self.answer = TASKS[schema.task].answer
        self.output = self.answer.output
        self._outputs = [self.output]
        self._labels = schema.labels

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
        feeds: dict[str, NDArray[np.generic]] = {}
        if inputs.numbers.shape[1]:
            feeds["numbers"] = inputs.numbers.astype(np.float32, copy=False)
        if inputs.categories.shape[1]:
            feeds["categories"] = inputs.categories
        if inputs.times.shape[1]:
            feeds["times"] = inputs.times
        output: NDArray[np.float32] = self.session.run(self._outputs, feeds)[0]
        return self.answer.scores(output)

    def answers(self, scores: NDArray[np.float32]) -> list[Object]:
        """Scores as the endpoint answers them: label and probability per class, or the value."""
        return self.answer.rows(scores, self.schema, self._labels)


def score_rows(scorer: Scorer, inputs: Inputs) -> NDArray[np.float32]:
    """Predictions of all rows, in blocks that fit in memory: shape (rows, classes) or (rows,)."""
    block = max(1, CELLS // max(1, len(scorer.schema.features)))
    parts = [scorer.score(inputs.rows(slice(start, start + block))) for start in range(0, len(inputs), block)]
    return np.concatenate(parts)


def parse_rows(rows: Sequence[Mapping[str, object]], schema: Schema) -> Inputs:
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
        numbers=_fill(rows, schema.numbers, np.float64),
        categories=_fill(rows, schema.categories, object),
        times=_fill(rows, schema.timestamps, np.int64),
    )


def parse_columns(columns: Mapping[str, Values], schema: Schema) -> Inputs:
    """Turn columns of values, by the same rules as `parse_rows`, into tensors.

    Args:
        columns: The values of each column, all of the same length; columns the schema does not have are ignored.
        schema: What the model expects.

    Raises:
        InputError: A column is missing or contains a value of another type; the message names row and column.
    """
    rows = max((len(values) for values in columns.values()), default=0)
    for feature in schema.features:
        if feature.name not in columns:
            raise InputError(f"Column {feature.name!r} is missing; expected {_expected(feature)} in each row.")
    tensors = []
    for features, dtype in ((schema.numbers, np.float64), (schema.categories, object), (schema.timestamps, np.int64)):
        tensor = np.empty((rows, len(features)), dtype=dtype)
        chosen = [columns[feature.name] for feature in features]
        if dtype is not np.float64 or not _fill_numbers(tensor, chosen, features):
            for place, (values, feature) in enumerate(zip(chosen, features, strict=True)):
                tensor[:, place] = _parse_column(values, feature)
        tensors.append(tensor)
    return Inputs(*tensors)


def _parse_column(values: Values, feature: Feature) -> Any:
    quick = _QUICK.get(feature.kind)
    if quick and (converted := quick(values, feature)) is not None:
        return converted
    parse = _PARSERS[feature.kind]
    one_by_one = values.tolist() if isinstance(values, np.ndarray) else values
    return [parse(value, feature, row) for row, value in enumerate(one_by_one)]


def _fill_numbers(tensor: NDArray[np.float64], columns: Sequence[Values], features: Sequence[Feature]) -> bool:
    """Fill the tensor with numbers and booleans and check all at once; False when one needs the slow, exact check."""
    for place, (values, feature) in enumerate(zip(columns, features, strict=True)):
        if isinstance(values, np.ndarray):
            if values.dtype.kind not in ("b" if feature.kind == "boolean" else "fiu"):
                return False
        elif not (_BOOLEANS if feature.kind == "boolean" else _NUMBERS).issuperset(map(type, values)):
            return False
        try:
            tensor[:, place] = values
        except OverflowError:  # whole numbers beyond float64
            return False
    required = [place for place, feature in enumerate(features) if not feature.nullable]
    whole = tensor[:, [place for place, feature in enumerate(features) if feature.kind == "integer"]]
    return not (
        np.isnan(tensor[:, required]).any()
        or ((whole != np.floor(whole)) & ~np.isnan(whole)).any()
        or (np.abs(tensor) > FLOAT32_MAX).any()
    )


def _quick_texts(values: Values, feature: Feature) -> list[str] | None:
    """Texts in composed form, None as "", or None when any of them is something else or might be no Unicode."""
    if not isinstance(values, list) or not _TEXTS.issuperset(kinds := set(map(type, values))):
        return None
    if type(None) in kinds:
        if not feature.nullable:
            return None
        values = [value or "" for value in values]
    together = "".join(values)
    if together.isascii():
        return values
    return [composed(value) for value in values] if _is_unicode(together) else None


def _quick_times(values: Values, feature: Feature) -> list[int] | None:
    """Times as seconds, or None when any of them is something else."""
    if not isinstance(values, list) or not {datetime}.issuperset(map(type, values)):
        return None
    if not all(fits_zone(value, feature) for value in values):
        return None
    return [epoch_seconds(value) for value in values]


_NUMBERS: frozenset[type] = frozenset({int, float, type(None)})
_BOOLEANS: frozenset[type] = frozenset({bool, type(None)})
_TEXTS: frozenset[type] = frozenset({str, type(None)})
_QUICK: dict[FeatureKind, Callable[[Values, Feature], Any]] = {"category": _quick_texts, "timestamp": _quick_times}


def _fill(rows: Sequence[Mapping[str, object]], features: list[Feature], dtype: Any) -> NDArray[Any]:
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


_EXPECTED_TIMES: dict[bool | None, str] = {
    None: "a date and time such as 2013-06-30T17:45:00",
    True: "a date and time with its zone, such as 2013-06-30T17:45:00Z or 2013-06-30T12:45:00-05:00",
    False: "a date and time without a zone (by the clock of the training data), such as 2013-06-30T17:45:00",
}


def _expected(feature: Feature) -> str:
    kinds = {
        "number": "a number",
        "integer": "a whole number",
        "boolean": "true or false",
        "category": "a text",
        "timestamp": _EXPECTED_TIMES[feature.zoned],
    }
    return kinds[feature.kind] + (" or null" if feature.nullable else "")


def _refuse(value: object, feature: Feature, row: int) -> InputError:
    return InputError(f"Row {row}, column {feature.name!r}: found {_shown(value)}; expected {_expected(feature)}.")


def _shown(value: object) -> str:
    """A value as JSON spells the simple ones, cut short."""
    if isinstance(value, int) and abs(value) >= _LONGEST_CODE:
        return "a whole number of more than 30 digits"
    if isinstance(value, date):
        return value.isoformat()
    text = (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else repr(value)
    )
    return text if len(text) <= 60 else f"{text[:57]}…"


def _number(value: object, feature: Feature, row: int) -> float:
    if feature.nullable and (value is None or value != value):  # noqa: PLR0124, only NaN differs from itself
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= FLOAT32_MAX:
        raise _refuse(value, feature, row)
    if feature.kind == "integer" and value != int(value):
        raise _refuse(value, feature, row)
    return float(value)


def _boolean(value: object, feature: Feature, row: int) -> float:
    if value is None and feature.nullable:
        return math.nan
    if not isinstance(value, bool):
        raise _refuse(value, feature, row)
    return float(value)


def _category(value: object, feature: Feature, row: int) -> str:
    if value is None and feature.nullable:
        return ""
    if isinstance(value, str):
        if not _is_unicode(value):
            raise _refuse(value, feature, row)
        return composed(value)
    # Codes declared as categories; Python refuses to spell very long numbers.
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _LONGEST_CODE:
        raise _refuse(value, feature, row)
    if is_cut_code(value, feature):
        raise InputError(
            f"Row {row}, column {feature.name!r}: found {value}; expected a text such as "
            f'"{feature.padded_code}", in quotes: a number has no leading zeros.'
        )
    return str(value)


def is_cut_code(value: int, feature: Feature) -> bool:
    """Whether a number may be a code that lost its leading zeros on the way, such as 2138 for 02138."""
    text = str(value)
    return len(text) < feature.code_width and text not in feature.categories


def _is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8, which halves of surrogate pairs cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _timestamp(value: object, feature: Feature, row: int) -> int:
    if value is None and feature.nullable:
        return MISSING_TIME
    try:
        moment = value if isinstance(value, date) else read_moment(value)
        if not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        if not fits_zone(moment, feature):
            raise _refuse(value, feature, row)
        return epoch_seconds(moment)
    except (TypeError, ValueError, OverflowError):
        raise _refuse(value, feature, row) from None


def fits_zone(moment: datetime, feature: Feature) -> bool:
    """Whether a moment has a zone where the training data had one, and none where they had none."""
    return feature.zoned is None or (moment.tzinfo is not None) == feature.zoned


def read_moment(text: Any) -> datetime:
    """The moment that a text spells in ISO 8601.

    Raises:
        TypeError: It is no text.
        ValueError: It spells none.
    """
    # RFC 3339 allows a small z, Python does not.
    return datetime.fromisoformat(f"{text[:-1]}Z" if isinstance(text, str) and text.endswith("z") else text)


def epoch_seconds(moment: datetime) -> int:
    """Whole seconds since 1970, rounded down; of a moment without a zone, by the same clock."""
    # In whole numbers: far from 1970 a float has no room for fractions of a second.
    since = moment - (_EPOCH_WITHOUT_ZONE if moment.tzinfo is None else _EPOCH)
    return since.days * 86_400 + since.seconds


_PARSERS = {"number": _number, "integer": _number, "boolean": _boolean, "category": _category, "timestamp": _timestamp}
