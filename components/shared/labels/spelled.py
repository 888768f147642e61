"""What keys and labels mean however they are spelled, as SQL: a CSV file's `7.0` and the log's 7 are one key.

The log has a key typed when it is a feature and as text otherwise; a table of labels has it as its format does. Both
become one text before they are compared: whole numbers without a fraction, moments in UTC, `true` and `false`, and
letters in Unicode's composed form (NFC), as training and the endpoint have them.
"""

import pyarrow as pa

from components.shared.labels.layout import LabelColumns
from components.shared.package.schema import FeatureKind, Schema
from components.shared.tables import identifier, literal
from components.shared.tasks import TASKS

PLACE = "\x1fplace"  # a column of row numbers; no column of a schema has this name
_EXACT = 2**53  # from here on a DOUBLE cannot tell neighbouring whole numbers apart


def key_texts(kinds: pa.Schema, schema: Schema) -> dict[str, str]:
    """For each key of the schema, a SQL expression that turns its value into text; null where there is no value.

    Args:
        kinds: The types of the table's columns, which include the keys.
        schema: The model's columns and keys.
    """
    features: dict[str, FeatureKind] = {feature.name: feature.kind for feature in schema.features}
    if schema.time_column and schema.time_column not in features:
        features[schema.time_column] = "timestamp"
    return {key: _key_text(key, features.get(key, "category"), kinds.field(key).type) for key in schema.keys}


def _key_text(name: str, kind: FeatureKind, stored: pa.DataType) -> str:
    text = f"CAST({identifier(name)} AS VARCHAR)"
    if kind in ("number", "integer") or pa.types.is_floating(stored):
        found = _number_text(text)
    elif kind == "boolean":
        found = f"coalesce(CAST(try_cast({text} AS BOOLEAN) AS VARCHAR), {text})"
    elif kind == "timestamp":
        found = f"coalesce(strftime({moment(name)} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S'), {text})"
    else:
        found = text
    return f"nullif({composed(found)}, '')"


def composed(text: str) -> str:
    """SQL expression of a text in Unicode's composed form (NFC), in which ü is one character and not two."""
    return f"nfc_normalize({text})"


def moment(name: str) -> str:
    """SQL of a column of times as moments with a zone; UTC where they name none, null where they are no times."""
    return f"try_cast(CAST({identifier(name)} AS VARCHAR) AS TIMESTAMPTZ)"


def label_meaning(text: str, schema: Schema) -> str:
    """SQL of a label as the schema spells it: a class, or a number; null where it is none that the model knows.

    Args:
        text: SQL of the label as text.
        schema: The model's target and classes.
    """
    if not TASKS[schema.task].has_classes:
        number = f"try_cast({text} AS DOUBLE)"
        # Zero has two signs, which mean the same.
        return f"CASE WHEN {number} = 0 THEN '0.0' WHEN isfinite({number}) THEN CAST({number} AS VARCHAR) END"
    known, text = ", ".join(literal(label) for label in schema.labels), composed(text)
    truth = f"CAST(try_cast({text} AS BOOLEAN) AS VARCHAR)"
    spellings = [text, _number_text(text), *([truth] if isinstance(schema.classes[0], bool) else [])]
    cases = " ".join(f"WHEN {spelling} IN ({known}) THEN {spelling}" for spelling in spellings)
    return f"CASE {cases} END"


def label_said(text: str, schema: Schema) -> str:
    """SQL expression by which two labels are compared: the class or number, or the spelling of an unknown label.

    Args:
        text: SQL of the label as text.
        schema: The model's target and classes.
    """
    return f"coalesce({label_meaning(text, schema)}, {composed(text)})"


def subject(columns: LabelColumns) -> str:
    """SQL expression of what a label is about, as one text: the row of a request, or else the keys and event time.

    Null where neither a request's id nor all keys are there.
    """
    request = f"'request', {_text(columns.request_id)}, {_text(columns.request_row)}"
    if not columns.keys:
        return f"CASE WHEN {identifier(columns.request_id)} IS NOT NULL THEN concat_ws(chr(31), {request}) END"
    whole = " AND ".join(f"{identifier(key)} IS NOT NULL" for key in columns.keys)
    entity = ", ".join(["'keys'", *map(_text, columns.keys), _text(columns.event_time)])
    return (
        f"CASE WHEN {identifier(columns.request_id)} IS NOT NULL THEN concat_ws(chr(31), {request}) "
        f"WHEN {whole} THEN concat_ws(chr(31), {entity}) END"
    )


def readable_subject(text: str | None) -> str:
    """A subject for people: `request 8f2c, 0` or `keys UA, 1545`; empty for none."""
    if not text:
        return ""
    kind, *parts = text.split("\x1f")
    return f"{kind} {', '.join(part for part in parts if part)}"


def _text(name: str) -> str:
    return f"coalesce({composed(f'CAST({identifier(name)} AS VARCHAR)')}, '')"


def _number_text(text: str) -> str:
    number = f"try_cast({text} AS DOUBLE)"
    return (
        f"CASE WHEN regexp_full_match({text}, '[+-]?[0-9]{{1,18}}') THEN CAST(try_cast({text} AS BIGINT) AS VARCHAR) "
        f"WHEN {number} = trunc({number}) AND abs({number}) < {_EXACT} "
        f"THEN CAST(try_cast({number} AS BIGINT) AS VARCHAR) "
        f"ELSE coalesce(CAST({number} AS VARCHAR), {text}) END"
    )
