"""From a table's columns to the model's tensors, a block of rows at a time, with the rows that do not fit marked.

What fits is what `scoring.parse_rows` accepts, column by column instead of row by row. One thing comes on top, because
a CSV file has no types: a text where the model expects a number, a truth value or a time counts as what it spells, and
a code such as `007` or `7.0` as the whole number the model has learned.
"""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.shared.as_written import composed
from components.shared.errors import InputError
from components.shared.package.schema import FLOAT32_MAX, Feature, Schema
from components.shared.package.scoring import (
    MISSING_TIME,
    Inputs,
    epoch_seconds,
    fits_zone,
    is_cut_code,
    parse_rows,
    read_moment,
)
from components.shared.spelling import Spelling

_EXACT = 2**53  # whole numbers beyond it are not themselves as DOUBLE
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_BLANKS = " \t\r\n"
_CODE = re.compile(r"(-?)0*([0-9]{1,18})(?:\.0*)?")
_PLAIN_CODE = re.compile(r"0|-?[1-9][0-9]*")
# As the table engine reads a column that is declared boolean.
_TRUTHS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
_FIRST_SECOND = epoch_seconds(datetime(1, 1, 1))
_LAST_SECOND = epoch_seconds(datetime(9999, 12, 31, 23, 59, 59))


@dataclass(frozen=True, slots=True)
class Cells:
    """A column as the model takes it.

    Attributes:
        values: Shape (rows,): float64, `object` strings or int64 seconds; anything where a value does not fit.
        misfits: Which values do not fit, shape (rows,); None when all do.
    """

    values: NDArray[Any]
    misfits: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a table as the model takes them.

    Attributes:
        inputs: The rows that fit.
        fits: Which do, shape (rows,); None when all do.
        culprits: For each row that does not, the position in `Schema.columns` of the first column to blame.
    """

    inputs: Inputs
    fits: NDArray[np.bool_] | None
    culprits: NDArray[np.intp]


class Reader:
    """Reads blocks of rows by a model's schema.

    Args:
        schema: What the model expects.
        date_format: `strptime` format of times that are texts; empty for ISO 8601.
        spellings: How columns are written, by name, where that is not the usual way.
    """

    def __init__(
        self, schema: Schema, *, date_format: str = "", spellings: Mapping[str, Spelling] | None = None
    ) -> None:
        self.schema = schema
        self._usual = Spelling(date_format=date_format)
        self._spellings = spellings or {}
        self.features = [*schema.numbers, *schema.categories, *schema.timestamps]
        self._codes = {feature.name for feature in schema.categories if _is_code(feature)}

    def read(self, batch: pa.RecordBatch) -> Block:
        """Convert rows; texts may be dictionary-encoded, which is the fast way.

        Args:
            batch: Has all columns of the schema, in the types that ingest writes.
        """
        schema, rows = self.schema, batch.num_rows
        tensors = (
            np.empty((rows, len(schema.numbers)), np.float32),
            np.empty((rows, len(schema.categories)), object),
            np.empty((rows, len(schema.timestamps)), np.int64),
        )
        columns = [column for tensor in tensors for column in tensor.T]
        misfits: dict[int, NDArray[np.bool_]] = {}
        with np.errstate(invalid="ignore", over="ignore"):  # of values that are marked as misfits
            for position, (feature, column) in enumerate(zip(self.features, columns, strict=True)):
                cells = self.column(batch.column(feature.name), feature)
                column[:] = cells.values
                if cells.misfits is not None and cells.misfits.any():
                    misfits[position] = cells.misfits
        inputs = Inputs(*tensors)
        if not misfits:
            return Block(inputs, None, np.empty(0, np.intp))
        stacked = np.stack(list(misfits.values()))
        fits = np.asarray(~stacked.any(axis=0))
        culprits = np.array(list(misfits), np.intp)[stacked[:, ~fits].argmax(axis=0)]
        return Block(inputs.rows(fits), fits, culprits)

    def column(self, column: pa.Array, feature: Feature) -> Cells:
        """Convert one column."""
        if feature.kind == "category":
            return self._categories(column, feature)
        if feature.kind == "timestamp":
            return self._times(column, feature)
        return self._numbers(column, feature)

    def reason(self, value: object, feature: Feature) -> str:
        """Why a value does not fit, in the endpoint's words.

        Args:
            value: As Python has it.
            feature: The column to blame.
        """
        alone = self.schema.model_copy(update={"features": [feature]})
        try:
            parse_rows([{feature.name: self.meaning(value, feature)}], alone)
        except InputError as error:
            return str(error).removeprefix("Row 0, ")
        raise AssertionError(f"{value!r} fits {feature}: the two readings differ.")

    def meaning(self, value: object, feature: Feature) -> Any:
        """A value as an endpoint's row would have it: texts as what they spell, where the model expects no text."""
        if feature.kind == "category":
            return self._category_meaning(value, feature)
        if not isinstance(value, str):
            return value
        if feature.kind == "boolean":
            return _TRUTHS.get(value.strip().lower(), value)
        if feature.kind == "timestamp":
            moment = self._moment(value, feature)
            # A refused text is quoted as it is, unless the endpoint would read it otherwise than the format does.
            return (
                value
                if moment is None or not (self._spelling(feature).date_format or fits_zone(moment, feature))
                else moment
            )
        plain = self._plain(value, feature)
        return float(plain) if re.fullmatch(_NUMBER, plain.strip(_BLANKS)) else value

    def _spelling(self, feature: Feature) -> Spelling:
        return self._spellings.get(feature.name, self._usual)

    def _plain(self, text: str, feature: Feature) -> str:
        """A number's text as programs write it; empty when it spells none in the column's own way."""
        spelling = self._spelling(feature)
        return text if spelling.is_plain else spelling.plain_number(text) or ""

    def _category_meaning(self, value: object, feature: Feature) -> Any:
        # Whole numbers are held as DOUBLE when another value of their column has a fraction.
        if isinstance(value, float) and abs(value) <= _EXACT and value == int(value):
            return int(value)
        if isinstance(value, str) and feature.name in self._codes:
            return _plain_code(value)
        return value

    def _moment(self, text: str, feature: Feature) -> datetime | None:
        """The moment that a text spells by the column's unit or format, or in ISO 8601; None for no moment."""
        spelling = self._spelling(feature)
        if moment := spelling.moment(text):
            return moment.replace(tzinfo=UTC) if spelling.unit else moment
        if not spelling.unit:
            with contextlib.suppress(ValueError):
                return read_moment(text)
        return None

    def _numbers(self, column: pa.Array, feature: Feature) -> Cells:
        if _is_text(column):
            return self._spelled_numbers(column, feature)
        is_boolean = pa.types.is_boolean(column.type)
        if is_boolean != (feature.kind == "boolean") or not (is_boolean or _is_numeric(column)):
            return _no_value_fits(column, feature, missing=np.nan)
        if is_boolean:
            column = column.cast(pa.uint8())
        # By way of float64, as Python's float goes; with nulls it is that already, and they are NaN.
        return _checked(column.to_numpy(zero_copy_only=False).astype(np.float64, copy=False), feature)

    def _spelled_numbers(self, column: pa.Array, feature: Feature) -> Cells:
        distinct, codes = _encoded(column)
        if feature.kind == "boolean":
            found = [_TRUTHS.get(text.strip().lower()) for text in distinct.to_pylist()]
            values = np.array([np.nan if value is None else value for value in found], dtype=np.float64)
            is_spelled = ~np.isnan(values)
        else:
            if not self._spelling(feature).is_plain:
                distinct = pa.array([self._plain(text, feature) for text in distinct.to_pylist()], pa.string())
            trimmed = pc.ascii_trim(distinct, characters=_BLANKS)
            spelled = pc.match_substring_regex(trimmed, pattern=_NUMBER)
            is_spelled = spelled.to_numpy(zero_copy_only=False).astype(bool)
            values = _parsed(pc.if_else(spelled, trimmed, pa.scalar(None, pa.string())))
        cells = _checked(np.append(values, np.nan), feature)
        misfits = np.append(~is_spelled, False)
        return Cells(cells.values[codes], (misfits if cells.misfits is None else misfits | cells.misfits)[codes])

    def _categories(self, column: pa.Array, feature: Feature) -> Cells:
        if not _is_text(column) and not _is_numeric(column):
            return _no_value_fits(column, feature, missing="")
        distinct, codes = _encoded(column)
        texts: list[Any] = distinct.to_pylist()
        fits: Sequence[bool] | None = None
        if not _is_text(column):
            meanings = [self._category_meaning(value, feature) for value in texts]
            fits = [isinstance(value, int) and not is_cut_code(value, feature) for value in meanings]
            texts = [str(value) for value in meanings]
        elif feature.name in self._codes:
            texts = [composed(_plain_code(text)) for text in texts]
        else:
            texts = [composed(text) for text in texts]
        lookup = np.empty(len(texts) + 1, dtype=object)
        lookup[:-1] = texts
        lookup[-1] = ""
        return Cells(lookup[codes], _misfits(column, feature, fits=fits, codes=codes))

    def _times(self, column: pa.Array, feature: Feature) -> Cells:
        if _is_text(column):
            distinct, codes = _encoded(column)
            moments = [self._moment(text, feature) for text in distinct.to_pylist()]
            seconds = [MISSING_TIME if moment is None else epoch_seconds(moment) for moment in moments]
            fits = [moment is not None and fits_zone(moment, feature) for moment in moments]
            values = np.array([*seconds, MISSING_TIME], dtype=np.int64)[codes]
            return Cells(values, _misfits(column, feature, fits=fits, codes=codes))
        if not pa.types.is_temporal(column.type) or not _fits_zone(column, feature):
            return _no_value_fits(column, feature, missing=MISSING_TIME)
        if pa.types.is_timestamp(column.type):
            # A cast alone would round towards 1970; without a zone no database of zones is needed.
            column = pc.floor_temporal(column.cast(pa.timestamp(column.type.unit)), unit="second")
        seconds = column.cast(pa.timestamp("s"), safe=False).cast(pa.int64())
        values = seconds.fill_null(MISSING_TIME).to_numpy(zero_copy_only=False)
        outside = (values < _FIRST_SECOND) | (values > _LAST_SECOND)  # what no endpoint can be asked
        if column.null_count and feature.nullable:
            outside &= values != MISSING_TIME
        return Cells(values, outside)


def missing_columns(names: Sequence[str], schema: Schema) -> list[str]:
    """The model's columns that a table lacks."""
    return [name for name in schema.columns if name not in set(names)]


def _fits_zone(column: pa.Array, feature: Feature) -> bool:
    """Whether a column of times has a zone where the model learned from one, and none where it did not."""
    has_zone = pa.types.is_timestamp(column.type) and column.type.tz is not None
    return feature.zoned is None or has_zone == feature.zoned


def _is_text(column: pa.Array) -> bool:
    return bool(pa.types.is_dictionary(column.type) or pa.types.is_string(column.type))


def _is_numeric(column: pa.Array) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _encoded(column: pa.Array) -> tuple[pa.Array, NDArray[np.intp]]:
    """The distinct values, and for each row the position of its value; one past the end where it is missing."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    codes = encoded.indices
    if codes.null_count:
        codes = codes.fill_null(len(encoded.dictionary))
    return encoded.dictionary, codes.to_numpy(zero_copy_only=False)


def _misfits(
    column: pa.Array, feature: Feature, *, fits: Sequence[bool] | None, codes: NDArray[np.generic]
) -> NDArray[np.bool_] | None:
    """Misfits of an encoded column, from which of its distinct values fit (None: all)."""
    if fits is None:
        return None if feature.nullable or not column.null_count else _nulls(column)
    return np.asarray(~np.array([*fits, feature.nullable], dtype=bool)[codes])


def _nulls(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(column.is_null().to_numpy(zero_copy_only=False), dtype=bool)


def _no_value_fits(column: pa.Array, feature: Feature, *, missing: object) -> Cells:
    """A column of a type that the model cannot take: only where a value is missing does it fit."""
    values = np.full(len(column), missing, dtype=object if isinstance(missing, str) else None)
    return Cells(values, ~_nulls(column) if feature.nullable else np.ones(len(column), dtype=bool))


def _checked(values: NDArray[np.float64], feature: Feature) -> Cells:
    """Numbers of any origin, NaN where one is missing, by the rules for their feature."""
    misfits = np.abs(values) > FLOAT32_MAX if feature.nullable else ~(np.abs(values) <= FLOAT32_MAX)
    if feature.kind == "integer":
        misfits |= (values != np.trunc(values)) & ~np.isnan(values)
    return Cells(values, misfits)


def _parsed(texts: pa.Array) -> NDArray[np.float64]:
    return np.asarray(texts.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _is_code(feature: Feature) -> bool:
    """Whether a category was learned from whole numbers, so that other spellings of one mean the same."""
    return bool(feature.categories) and all(map(_PLAIN_CODE.fullmatch, feature.categories))


def _plain_code(text: str) -> str:
    match = _CODE.fullmatch(text)
    return text if match is None else str(int(match[1] + match[2]))
