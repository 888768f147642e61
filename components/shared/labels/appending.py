"""What of a table of labels is new: the rows are cleaned, held against what is known, and counted.

The same table of labels is often given again, grown by a few rows, and labels are corrected. What is known already must
not be added twice, a correction must not be taken for a repetition, and a table that contradicts itself must not decide
by the order of its rows. All of it is done in SQL on what rows say (`spelled`), not on how they spell it; the counts
are told to whoever gave the table, since labels that silently do not arrive look like a model that cannot be judged.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from components.shared.chunks import chunks
from components.shared.errors import DataError
from components.shared.labels.layout import LabelColumns
from components.shared.labels.spelled import (
    PLACE,
    composed,
    key_texts,
    label_meaning,
    label_said,
    moment,
    readable_subject,
    subject,
)
from components.shared.package.schema import Schema
from components.shared.tables import Engine, fetch_arrow, fetch_row, identifier

_ROWS_AT_ONCE = 200_000  # stored labels that one query looks at


@dataclass(frozen=True, slots=True)
class AppendReport:
    """What became of a table of labels.

    Attributes:
        rows: Rows of the table.
        added: Labels that are in the store now and were not before, corrections among them.
        corrected: Of these, labels of subjects that had another one.
        duplicates: Rows that say what is known already, or what another row of the table says.
        conflicts: Rows of subjects to which the table gives different labels; none of these rows is taken.
        missing: Rows without a label.
        incomplete: Rows without a request's id and without one of the keys.
        unreadable: Of the added labels, those that are none of the model's classes, or no numbers.
        early: Of the added labels, those whose event is later than their arrival: some clock is wrong.
        example: A subject with different labels; empty when there is none.
        labels: The labels that were added, as they are in the store; None when there are none.
    """

    rows: int
    added: int
    corrected: int
    duplicates: int
    conflicts: int
    missing: int
    incomplete: int
    unreadable: int
    early: int
    example: str = ""
    labels: pa.Table = field(default=None, compare=False, repr=False)

    @property
    def message(self) -> str:
        """One line for people."""
        kinds = (
            (self.corrected, "of them correct earlier ones"),
            (self.duplicates, "known already"),
            (self.conflicts, f"left out because they contradict each other, such as those of {self.example}"),
            (self.missing, "left out without a label"),
            (self.incomplete, "left out without a request id or without a key"),
            (self.unreadable, "added that the model does not know as labels"),
            (self.early, "added whose event is later than their arrival"),
        )
        return "; ".join(
            [f"{self.added:,} of {self.rows:,} labels added", *(f"{n:,} {what}" for n, what in kinds if n)]
        )


def check_columns(table: pa.Table, columns: LabelColumns) -> None:
    """Refuse a table that cannot be one of labels.

    Raises:
        DataError: It is empty, or lacks the label or what tells what it is about.
    """
    present = set(table.column_names)
    if not table.num_rows:
        raise DataError("The table of labels has no rows.")
    if columns.label not in present:
        raise DataError(f"The table has no column of labels, {columns.label!r}; it has {_listed(table)}.")
    missing = [key for key in columns.keys if key not in present]
    if columns.request_id in present or (columns.keys and not missing):
        return
    keys = (
        f"in those of the keys {', '.join(map(repr, columns.keys))}" if columns.keys else "keys, which this model lacks"
    )
    lacking = f" Of the keys it lacks {', '.join(map(repr, missing))}." if missing else ""
    raise DataError(
        f"Labels need what they are about: the request's id in a column {columns.request_id!r}, or {keys}. The table "
        f"has {_listed(table)}.{lacking}"
    )


def clean(backend: Engine, table: pa.Table, schema: Schema) -> None:
    """Make the SQL tables `cleaned` (columns of a file of labels) and `given` (subject and meaning of each row)."""
    columns, present = LabelColumns(schema), set(table.column_names)
    names = [columns.request_id, columns.request_row, *columns.keys, columns.label, columns.event_time]
    for name in names:
        if name not in present:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    table = table.select(names)
    backend.con.register("raw_labels", table.append_column(PLACE, pa.array(np.arange(table.num_rows))))
    texts = {
        PLACE: identifier(PLACE),
        columns.request_id: f"nullif({composed(f'CAST({identifier(columns.request_id)} AS VARCHAR)')}, '')",
        columns.request_row: f"try_cast(try_cast({identifier(columns.request_row)} AS DOUBLE) AS INTEGER)",
        **key_texts(table.schema, schema),
        columns.label: f"nullif(trim({composed(f'CAST({identifier(columns.label)} AS VARCHAR)')}), '')",
        columns.event_time: moment(columns.event_time),
    }
    chosen = ", ".join(f"{text} AS {identifier(name)}" for name, text in texts.items())
    backend.con.execute(f"CREATE TABLE cleaned AS SELECT {chosen} FROM raw_labels")
    label = identifier(columns.label)
    backend.con.execute(
        f"CREATE TABLE given AS SELECT {identifier(PLACE)} AS place, {subject(columns)} AS subject, {label} AS label, "
        f"{label_meaning(label, schema)} AS meaning, {label_said(label, schema)} AS said, "
        f"{identifier(columns.event_time)} AS event FROM cleaned"
    )


def find_known(backend: Engine, stored: Iterable[pa.Table], schema: Schema, file: str) -> None:
    """Make the SQL table `known`: the newest stored label of each subject that occurs in `given`.

    Args:
        backend: Has the table `given`.
        stored: Tables of labels; some at a time are in memory.
        schema: The model's target, classes and keys.
        file: The column of the file that a label is in: of labels that arrived at one moment the last one counts.
    """
    columns = LabelColumns(schema)
    said = label_said(identifier(columns.label), schema)
    backend.con.execute("CREATE TABLE candidates (subject VARCHAR, said VARCHAR, arrival TIMESTAMPTZ, file VARCHAR)")
    backend.con.execute("CREATE TABLE wanted AS SELECT DISTINCT subject FROM given WHERE subject IS NOT NULL")
    for table in chunks(stored, _ROWS_AT_ONCE):
        backend.con.register("stored_part", table)
        backend.con.execute(
            f"INSERT INTO candidates SELECT * FROM (SELECT {subject(columns)} AS subject, {said}, "
            f"{identifier(columns.arrival)}, {identifier(file)} FROM stored_part) SEMI JOIN wanted USING (subject)"
        )
        backend.con.unregister("stored_part")
    backend.con.execute(
        "CREATE TABLE known AS SELECT subject, said FROM candidates "
        "QUALIFY row_number() OVER (PARTITION BY subject ORDER BY arrival DESC, file DESC) = 1"
    )


# Example: it is known that request a was false. The table says a true, a true, b false, b true. One label is added,
# which corrects the one of a; one row is a duplicate; the two rows of b are conflicts, and none of them is taken.
def sort_out(backend: Engine, arrival: datetime) -> AppendReport:
    """Make the table `fresh` of what is to be added, and count what became of all rows of `given`."""
    backend.con.execute(
        "CREATE TABLE subjects AS SELECT subject, count(DISTINCT said) AS labels, count(*) AS rows FROM given "
        "WHERE subject IS NOT NULL AND label IS NOT NULL GROUP BY subject"
    )
    backend.con.execute(
        "CREATE TABLE fresh AS SELECT given.*, known.said IS NOT NULL AS corrects FROM given "
        "JOIN subjects USING (subject) LEFT JOIN known USING (subject) WHERE given.label IS NOT NULL "
        "AND subjects.labels = 1 AND known.said IS DISTINCT FROM given.said "
        "QUALIFY row_number() OVER (PARTITION BY subject ORDER BY place) = 1"
    )
    missing, incomplete, conflicts, example = fetch_row(
        backend,
        "SELECT count(*) FILTER (label IS NULL), count(*) FILTER (label IS NOT NULL AND subject IS NULL), "
        "count(*) FILTER (label IS NOT NULL AND subjects.labels > 1), "
        "min(subject) FILTER (subjects.labels > 1) FROM given LEFT JOIN subjects USING (subject)",
    )
    added, corrected, unreadable, early = fetch_row(
        backend,
        "SELECT count(*), count(*) FILTER (corrects), count(*) FILTER (meaning IS NULL), "
        f"count(*) FILTER (event > TIMESTAMPTZ '{arrival.isoformat()}') FROM fresh",
    )
    (rows,) = fetch_row(backend, "SELECT count(*) FROM given")
    return AppendReport(
        rows=rows,
        added=added,
        corrected=corrected,
        duplicates=rows - missing - incomplete - conflicts - added,
        conflicts=conflicts,
        missing=missing,
        incomplete=incomplete,
        unreadable=unreadable,
        early=early,
        example=readable_subject(example),
    )


def check_readable(backend: Engine, report: AppendReport, schema: Schema) -> None:
    """Refuse a table in which nothing is a label: its column is surely another one.

    Raises:
        DataError: None of the labels to be added is one that the model knows.
    """
    if report.unreadable < report.added:
        return
    (found,) = fetch_row(
        backend, "SELECT list(DISTINCT label ORDER BY label)[:5] FROM (SELECT label FROM fresh LIMIT 1000)"
    )
    expected = f"one of {', '.join(schema.labels[:20])}" if schema.classes else "numbers"
    raise DataError(
        f"None of the labels can be one of {schema.target!r}: expected {expected}, found "
        f"{', '.join(map(repr, found))}. Name the column that contains the labels."
    )


def fresh_rows(backend: Engine, columns: LabelColumns) -> pa.Table:
    """The rows to add, in the order of the table, without arrival and source."""
    names = [columns.request_id, columns.request_row, *columns.keys, columns.label, columns.event_time]
    return fetch_arrow(
        backend,
        f"SELECT {', '.join(map(identifier, names))} FROM cleaned WHERE {identifier(PLACE)} IN (SELECT place FROM "
        f"fresh) ORDER BY {identifier(PLACE)}",
    )


def _listed(table: pa.Table) -> str:
    names = table.column_names
    return ", ".join(map(repr, names[:30])) + (", …" if len(names) > 30 else "")
