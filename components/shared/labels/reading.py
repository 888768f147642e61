"""Converts a person's table of labels, with its own column names and formats, to the columns of the label store.

Whoever knows what became of the predictions has a table from another system: its columns have other names, its decimals
a comma, its dates the order of another country. It is read as the configuration says that the model's own tables are
written, so that the same value means the same. What does not fit stays as it is, to be counted as unreadable with its
spelling shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.errors import DataError
from components.shared.labels.layout import LabelColumns
from components.shared.package.schema import Schema
from components.shared.sources.table_files import nearest
from components.shared.spelling import Spelling

Table = pa.Table


@dataclass(frozen=True, slots=True)
class Names:
    """What columns are called in a person's table, where not as expected.

    Attributes:
        label: The column of labels; by default the target's name, or else `label`.
        request_id: That of the request's ids; by default `request_id`, if it is there.
        event_time: That of the moment at which the labelled event happened; by default `event_time`, if it is there.
    """

    label: str = ""
    request_id: str = ""
    event_time: str = ""


def read_labels(path: Path, schema: Schema, names: Names, spellings: Mapping[str, Spelling]) -> pa.Table:
    """The labels in a table that ingest wrote; see `label_table`.

    Args:
        path: The Parquet file.
        schema: The model's target and keys.
        names: What columns are called.
        spellings: How columns are written, by name, where that is not the usual way.

    Raises:
        DataError: A column is missing.
    """
    return label_table(pq.read_table(path), schema, names, spellings)


def label_table(table: pa.Table, schema: Schema, names: Names, spellings: Mapping[str, Spelling]) -> pa.Table:
    """The columns that `Labels.append` takes.

    Args:
        table: As ingest reads it, texts as they are spelled.
        schema: The model's target and keys.
        names: What columns are called.
        spellings: How columns are written, by name, where that is not the usual way.

    Raises:
        DataError: A column that is named is not there.
    """
    columns, present = LabelColumns(schema), table.column_names
    label = names.label or next((name for name in (schema.target, columns.label) if name in present), schema.target)
    wanted = {
        **{key: key for key in schema.keys if key in present},
        columns.label: label,
        columns.request_id: names.request_id or (columns.request_id if columns.request_id in present else ""),
        columns.request_row: columns.request_row if columns.request_row in present else "",
        columns.event_time: names.event_time or (columns.event_time if columns.event_time in present else ""),
    }
    found = {}
    for name, given in wanted.items():
        if given and given not in present:
            what = "labels" if name == columns.label else f"the {name.strip('_').replace('_', ' ')}"
            raise DataError(
                f"The table has no column {given!r} for {what}; it has {', '.join(map(repr, present[:30]))}."
                f"{nearest(given, present)}"
            )
        if given:
            found[name] = _usual(table.column(given), _spelling_of(name, spellings.get(given), schema))
    return pa.table(found)


def _spelling_of(name: str, spelling: Spelling | None, schema: Schema) -> Spelling | None:
    """How a column is written; numbers are no dates, though a whole table's date format, as `%Y%m%d`, may fit them."""
    numbers = {feature.name for feature in schema.features if feature.kind in ("number", "integer")}
    is_number = name == LabelColumns(schema).label or name in numbers
    return replace(spelling, date_format="") if spelling and is_number else spelling


def _usual(column: pa.ChunkedArray, spelling: Spelling | None) -> pa.ChunkedArray:
    """Texts as programs write numbers and times; what a spelling does not fit stays as it is."""
    if spelling is None or spelling.is_usual or not pa.types.is_string(column.type):
        return column
    encoded = column.combine_chunks().dictionary_encode()
    texts = pa.array([_usual_text(text, spelling) for text in encoded.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([texts.take(encoded.indices)])


def _usual_text(text: str, spelling: Spelling) -> str:
    if (moment := spelling.moment(text)) is not None:
        return _iso(moment)
    return text if spelling.unit or spelling.is_plain else spelling.plain_number(text) or text


def _iso(moment: datetime) -> str:
    return (moment.astimezone(UTC) if moment.tzinfo else moment).isoformat()
