"""Labels and the answers that they are about.

A label by request is about the row of that request; a label by keys is about the newest answer of these keys before its
event, or before its arrival where the event's time is not known. Where an id or keys were used more than once, the
newest answer before the label is meant in both cases. Rows of a batch prediction do not say when they were asked for:
any label of them counts.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from components.shared.inference_rows import RECEIVED, REQUEST_ID, REQUEST_ROW, logged_name
from components.shared.labels.layout import LabelColumns
from components.shared.labels.spelled import PLACE, composed, key_texts, label_said
from components.shared.package.schema import Schema
from components.shared.tables import Engine, engine, fetch_arrow, fetch_row, identifier

SKEW_SECONDS = 60  # clocks of one system differ by less


@dataclass(frozen=True, slots=True)
class Joined:
    """Answers with what became of them.

    Attributes:
        table: The answers, in their order, with the columns of the label, its event time, its arrival and its source,
            and when the first label of the answer became known, which that one may correct; null where there is no
            label.
        labelled: Answers that have one.
        labels: Labels that were given.
        unknown: Labels that are about none of these answers.
        early: Labels of these answers from before them (by more than a minute): what was known already when it was
            asked for, or a wrong clock. They are left out.
        conflicts: Answers with different labels, as by request and by keys; the one that arrived last counts.
        ambiguous: Labels that name a request of several rows and not the row; they are left out.
        repeated: Answers whose request id and row another answer has, too.
    """

    table: pa.Table
    labelled: int
    labels: int
    unknown: int = 0
    early: int = 0
    conflicts: int = 0
    ambiguous: int = 0
    repeated: int = 0

    @property
    def message(self) -> str:
        """One line for people, about the labels."""
        left_out = (
            (self.unknown, "of unknown requests"),
            (self.early, "from before their answers"),
            (self.ambiguous, "that name no row of a request of several"),
        )
        others = "".join(f"; {count:,} {what}" for count, what in left_out if count)
        return f"{self.labelled:,} answers now have one of these labels{others}"


def join(answers: pa.Table, labels: pa.Table, schema: Schema) -> Joined:
    """Find the label of each answer.

    Args:
        answers: Rows of the inference log, with the request's id and row, and `received`, null where that is not known;
            keys may be missing, and are then no way to find a label.
        labels: The newest label of each subject, as `Labels.known_at` gives them; where their `first_arrival` is
            missing, they are the first ones.
        schema: The model's columns and keys.
    """
    columns = LabelColumns(schema)
    added = [columns.label, columns.event_time, columns.arrival, columns.source]
    with engine() as backend:
        _register(backend, answers, labels, schema)
        _match(backend)
        _choose(backend)
        places = fetch_arrow(backend, "SELECT label, first FROM asked LEFT JOIN chosen USING (answer) ORDER BY answer")
        counts = _counts(backend)
    found = labels.select(added).take(places["label"])
    found = found.append_column(columns.first_arrival, places["first"].cast(found[columns.arrival].type))
    for name in found.column_names:
        answers = answers.append_column(found.schema.field(name), found[name])
    labelled = answers.num_rows - answers[columns.label].null_count
    return Joined(answers, labelled, labels.num_rows, **counts)


def answers_about(answers: pa.Table, labels: pa.Table, schema: Schema) -> pa.Table:
    """The answers that one of the labels may be about, in their order; the arguments are those of `join`."""
    with engine() as backend:
        _register(backend, answers, labels, schema)
        _match(backend)
        places = fetch_arrow(backend, "SELECT DISTINCT answer FROM pairs ORDER BY answer")
    return answers.take(places["answer"])


def _register(backend: Engine, answers: pa.Table, labels: pa.Table, schema: Schema) -> None:
    """Make the SQL tables `asked` (answers) and `told` (labels): request ids, keys as one text or null, and times."""
    columns = LabelColumns(schema)
    names = {name: logged_name(name, schema) for name in (REQUEST_ID, REQUEST_ROW, RECEIVED)}
    keys = [key for key in schema.keys if key in answers.column_names]
    has_keys = bool(keys) and len(keys) == len(schema.keys)
    used = answers.select([*names.values(), *(keys if has_keys else [])])
    backend.con.register("raw_answers", _numbered(used))
    backend.con.register("raw_labels", _numbered(labels))
    entity = _entity(list(key_texts(used.schema, schema).values())) if has_keys else "CAST(NULL AS VARCHAR)"
    backend.con.execute(
        f"CREATE TABLE asked AS SELECT {identifier(PLACE)} AS answer, {composed(identifier(names[REQUEST_ID]))} AS id, "
        f"coalesce({identifier(names[REQUEST_ROW])}, 0) AS request_row, "
        f"coalesce({identifier(names[RECEIVED])}, TIMESTAMPTZ '-infinity') AS received, "
        f"{entity} AS entity FROM raw_answers"
    )
    subject = _entity([composed(identifier(key)) for key in schema.keys]) if schema.keys else "CAST(NULL AS VARCHAR)"
    said = label_said(identifier(columns.label), schema)
    event, arrival = identifier(columns.event_time), identifier(columns.arrival)
    first = identifier(columns.first_arrival) if columns.first_arrival in labels.column_names else arrival
    backend.con.execute(
        f"CREATE TABLE told AS SELECT {identifier(PLACE)} AS number, {composed(identifier(columns.request_id))} AS id, "
        f"{identifier(columns.request_row)} AS request_row, {said} AS said, {subject} AS entity, "
        f"{arrival} AS arrival, {first} AS first, "
        f"least(coalesce({event}, {arrival}), {arrival}) + INTERVAL {SKEW_SECONDS} SECOND AS latest FROM raw_labels"
    )


def _numbered(table: pa.Table) -> pa.Table:
    return table.append_column(PLACE, pa.array(np.arange(table.num_rows)))


def _entity(texts: list[str]) -> str:
    """SQL of all keys as one text; null where one of them is."""
    return " || chr(31) || ".join(texts)


# Example: request r was answered at 10:00 and again at 11:00. A label of r that arrived at 10:30 is about the first
# answer, one from 12:00 about the second. Of a request with two rows, a label that names no row is about neither.
def _match(backend: Engine) -> None:
    """Make the SQL tables `pairs` (each label with all answers it may be about) and `meant` (with the one it is)."""
    backend.con.execute(
        "CREATE TABLE requests AS SELECT id, count(DISTINCT request_row) AS rows FROM asked GROUP BY id"
    )
    backend.con.execute(
        "CREATE TABLE pairs AS SELECT t.number AS label, a.answer, a.received, t.latest, false AS ambiguous "
        "FROM told t JOIN asked a ON a.id = t.id AND a.request_row = t.request_row "
        "UNION ALL SELECT t.number, a.answer, a.received, t.latest, r.rows > 1 FROM told t "
        "JOIN requests r ON r.id = t.id AND t.request_row IS NULL JOIN asked a ON a.id = t.id "
        "UNION ALL SELECT t.number, a.answer, a.received, t.latest, false FROM told t "
        "JOIN asked a ON a.entity = t.entity AND t.id IS NULL"
    )
    backend.con.execute(
        "CREATE TABLE meant AS SELECT label, arg_max(answer, (received, answer)) AS answer FROM pairs "
        "WHERE NOT ambiguous AND received <= latest GROUP BY label"
    )


def _choose(backend: Engine) -> None:
    """Make the SQL table `chosen`: the label of each answer, and when the answer's first label became known.

    The label that arrived last counts: it has the highest number, as `known_at` returns labels in the order of arrival.
    Where the same keys are used again, their first label may precede this answer: then it was an earlier answer's.
    """
    backend.con.execute(
        "CREATE TABLE chosen AS SELECT answer, max(number) AS label, min(CASE WHEN first + INTERVAL "
        f"{SKEW_SECONDS} SECOND >= received THEN first ELSE arrival END) AS first FROM meant "
        "JOIN told ON told.number = meant.label JOIN asked USING (answer) GROUP BY answer"
    )


def _counts(backend: Engine) -> dict[str, int]:
    names = ("unknown", "early", "conflicts", "ambiguous", "repeated")
    found = fetch_row(
        backend,
        "SELECT (SELECT count(*) FROM told WHERE number NOT IN (SELECT label FROM pairs)), "
        "(SELECT count(DISTINCT label) FROM pairs WHERE NOT ambiguous AND label NOT IN (SELECT label FROM meant)), "
        "(SELECT count(*) FROM (SELECT answer FROM meant JOIN told ON told.number = meant.label GROUP BY answer "
        "HAVING count(DISTINCT told.said) > 1)), "
        "(SELECT count(DISTINCT label) FROM pairs WHERE ambiguous), "
        "(SELECT coalesce(sum(times), 0) FROM (SELECT count(*) AS times FROM asked WHERE id IS NOT NULL "
        "GROUP BY id, request_row HAVING count(*) > 1))",
    )
    return {name: int(value) for name, value in zip(names, found, strict=True)}
