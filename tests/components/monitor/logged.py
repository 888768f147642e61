"""Rows of the inference log for tests: what an endpoint would have written."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.inference_log.layout import HOUR, full_hour, hour_prefix, raw_name
from components.shared.inference_rows import log_schema
from components.shared.package.schema import Schema
from components.shared.package.scoring import Scorer, parse_rows
from components.shared.store import Store
from components.shared.tasks import TASKS
from tests.helpers import make_table

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def requests(
    scorer: Scorer,
    rows: int,
    *,
    start: datetime = START,
    span: timedelta = DAY,
    seed: int = 7,
    shift: float = 0.0,
    version: str = "",
    leave_out: Sequence[str] = (),
    events: Sequence[datetime] | None = None,
) -> pa.Table:
    """Rows as they are logged, evenly spread over a span of server time, one a request.

    Args:
        scorer: The version that answers.
        rows: How many.
        start: When the first one came.
        span: From the first one to the end.
        seed: Of the features.
        shift: Added to the feature `amount`.
        version: What the log says answered; by default the scorer's version.
        leave_out: Columns that are not logged.
        events: The rows' own times; by default when they came.
    """
    schema = scorer.schema
    asked = make_table(schema.task, rows=rows, seed=seed).drop_columns(["target"])
    received = [start + span * place / rows for place in range(rows)]
    columns: dict[str, Any] = {name: asked.column(name).to_pylist() for name in asked.column_names}
    columns["amount"] = [None if value is None else value + shift for value in columns["amount"]]
    columns["opened at"] = [moment.replace(tzinfo=None) for moment in events or received]
    answers = _answers(scorer, [{name: values[row] for name, values in columns.items()} for row in range(rows)])
    columns["opened at"] = list(events or received)
    columns["id"] = [str(value) for value in columns["id"]]
    columns |= answers | {
        "request_id": [f"{start:%m%d%H%M}-{seed}-{row}" for row in range(rows)],
        "request_row": [0] * rows,
        "received": received,
        "model_version": [version or scorer.version] * rows,
        "latency_ms": [2.5] * rows,
    }
    arrow = log_schema(schema, leave_out)
    return pa.Table.from_arrays([pa.array(columns[field.name], field.type) for field in arrow], schema=arrow)


def _answers(scorer: Scorer, rows: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    schema = scorer.schema
    scores = scorer.score(parse_rows(rows, schema))
    if not TASKS[schema.task].has_classes:
        return {"prediction": scores.tolist()}
    names = [schema.labels[place] for place in np.argmax(scores, axis=1)]
    return {"prediction": names} | {
        f"probability_{label}": scores[:, place].tolist() for place, label in enumerate(schema.labels)
    }


def put_log(store: Store, table: pa.Table, *, model: str = "demo", writer: str = "w") -> list[str]:
    """Write rows to the log as an endpoint does, a file for each hour; the keys."""
    received = table.column("received").to_pylist()
    hours = sorted({full_hour(moment) for moment in received})
    keys = []
    for hour in hours:
        inside = [hour <= moment < hour + HOUR for moment in received]
        rows = table.filter(pa.array(inside))
        first = min(moment for moment, there in zip(received, inside, strict=True) if there)
        keys.append(hour_prefix(model, hour) + raw_name(first, writer, rows.num_rows))
        store.put_bytes(keys[-1], encoded(rows))
    return keys


def encoded(table: pa.Table) -> bytes:
    """A table as a Parquet file."""
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def without_zone(schema: Schema) -> Schema:
    """The same columns with local times."""
    features = [
        feature.model_copy(update={"zoned": False}) if feature.kind == "timestamp" else feature
        for feature in schema.features
    ]
    return schema.model_copy(update={"features": features, "time_column_zoned": False})
