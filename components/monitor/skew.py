"""Training-serving skew: whether the endpoint is sent what the source's tables say about the same things.

Rows that a run has prepared are held against the newest logged requests. Where the model has keys, the same things are
looked for in both, and each value is compared. Otherwise, where there is a time column, the distributions of the same
time are. Without either nothing can be told: other rows would differ by drift, too.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from components.monitor.reference import reference_statistics, table_of
from components.monitor.statistics import compare, gather
from components.monitor.windows import numeric_columns, plain_frame
from components.shared.config import ColumnDrift, MonitoringConfig
from components.shared.errors import DataError
from components.shared.formatting import format_share
from components.shared.frames import features, part_path
from components.shared.inference_log.window import Positions, read_window
from components.shared.inference_rows import RECEIVED, left_out, logged_name
from components.shared.labels.moments import event_moments
from components.shared.labels.spelled import key_texts
from components.shared.package.schema import Schema
from components.shared.pages.blocks import Badge
from components.shared.pages.reports import Page
from components.shared.store import Store
from components.shared.tables import engine, fetch_arrow, identifier

LARGE = 0.05  # share of rows with differing values from which a person is warned
_HOURS = 28 * 24.0
_PARTS = ("train", "test")
_CLOSE = 1e-5  # relative difference up to which two numbers count as the same value, rounded differently
_EXAMPLES = 60  # characters of an example


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class ColumnSkew(_Frozen):
    """A feature in the source's tables and in the log.

    Attributes:
        column: Its name.
        share: Share of the compared rows with another value; of distributions their distance.
        large: Whether that is so much that a person should look.
        example: A pair of values that differ; empty where none does, and for distributions.
    """

    column: str
    share: float
    large: bool
    example: str = ""


class Skew(_Frozen):
    """What the comparison found.

    Attributes:
        by: Whether the same things were compared, or distributions of the same time.
        rows: Rows of the log that were compared.
        columns: Those that differ most first.
    """

    by: Literal["keys", "time"]
    rows: int
    columns: tuple[ColumnSkew, ...]

    @property
    def warnings(self) -> list[str]:
        """What a run ends with where much differs."""
        if not (large := [one for one in self.columns if one.large]):
            return []
        names = ", ".join(
            f"{one.column} ({format_share(one.share)})" if self.by == "keys" else one.column for one in large[:5]
        )
        more = f" and {len(large) - 5} more" if len(large) > 5 else ""
        what = "rows of the same keys" if self.by == "keys" else "rows of the same time"
        return [
            f"Training-serving skew: {self.rows:,} logged {what} differ from the source's tables in {names}{more}. The "
            "model learns from other values than it is asked about."
        ]


@dataclass(frozen=True, slots=True)
class _Logged:
    """Rows of the log, with the features that all files have."""

    table: pa.Table
    schema: Schema


def find_skew(
    store: Store, model: str, schema: Schema, parts: Path, settings: MonitoringConfig, *, now: datetime | None = None
) -> Skew | None:
    """Compare the rows of a run with the newest logged requests.

    Args:
        store: The object store, with keys that may read `inference/`.
        model: Name of the model.
        schema: Its columns.
        parts: Folder with `train.parquet` and `test.parquet`.
        settings: How many rows are compared at least and at most, and how distributions are.
        now: The end of the 28 days of the log; by default this moment.

    Returns:
        What was found; None where the model has neither keys nor a time column, or too few rows are about the same.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if not schema.keys and not schema.time_column:
        return None
    logged = _logged(store, model, schema, settings, now=now or datetime.now(UTC))
    if logged is None:
        return None
    source = pa.concat_tables([_part(parts, part, logged.schema) for part in _PARTS], promote_options="permissive")
    found = _by_keys(source, logged, settings.minimum_rows) if schema.keys else None
    return found or (_by_time(source, logged, settings) if schema.time_column else None)


def skew_section(page: Page, skew: Skew) -> None:
    """Add what was found to a report."""
    what = "of the same keys" if skew.by == "keys" else "of the same time"
    text = (
        f"{skew.rows:,} logged rows beside rows {what} in the tables that this run learned from: the endpoint should "
        "be sent what the model learns from. It is no drift, which is a change over time."
    )
    heading = "differing rows" if skew.by == "keys" else "distance"
    rows = [
        [
            one.column,
            Badge("warning", "differs") if one.large else "alike",
            format_share(one.share) if skew.by == "keys" else one.share,
            one.example,
        ]
        for one in skew.columns
    ]
    section = page.section("Training-serving skew", text)
    section.table(["column", "outcome", heading, "such as (table, log)"], rows, align={heading: "right"})


def _logged(store: Store, model: str, schema: Schema, settings: MonitoringConfig, *, now: datetime) -> _Logged | None:
    def read(content: bytes, places: Positions) -> pa.Table:
        with pq.ParquetFile(io.BytesIO(content)) as file:
            present = set(file.schema_arrow.names)
            lacking = set(schema.columns) - present - left_out(file.schema_arrow)
            if lacking or logged_name(RECEIVED, schema) not in present:
                raise DataError("the file is of a version with other columns")
            names = [*schema.columns, *schema.extras, logged_name(RECEIVED, schema)]
            return file.read(columns=[name for name in names if name in present]).take(pa.array(places))

    found = read_window(store, model, read, now=now, hours=_HOURS, rows=settings.rows, minimum=1)
    if found.rows < settings.minimum_rows:
        return None
    table = pa.concat_tables([piece.replace_schema_metadata() for piece in found.pieces], promote_options="permissive")
    everywhere = set.intersection(*(set(piece.column_names) for piece in found.pieces))
    known = [feature for feature in schema.features if feature.name in everywhere]
    return _Logged(table.select(sorted(everywhere)), schema.model_copy(update={"features": known}))


def _part(parts: Path, part: str, schema: Schema) -> pa.Table:
    path = part_path(parts, part)
    present = set(pq.read_schema(path).names)
    names = dict.fromkeys([*schema.columns, *schema.identifiers])
    return pq.read_table(path, columns=[name for name in names if name in present])


# By keys


def _by_keys(source: pa.Table, logged: _Logged, fewest: int) -> Skew | None:
    """Values of the same things; None where too few are in both."""
    keys = set(logged.schema.keys)
    if not (keys <= set(source.column_names) and keys <= set(logged.table.column_names)):
        return None
    left, right = _matched(source, logged)
    if len(left) < fewest:
        return None
    before, now = (
        features(table.take(places), logged.schema) for table, places in ((source, left), (logged.table, right))
    )
    columns = [_compared(name, before[name], now[name]) for name in logged.schema.columns if name not in keys]
    return Skew(by="keys", rows=len(left), columns=tuple(sorted(columns, key=lambda one: -one.share)))


def _matched(source: pa.Table, logged: _Logged) -> tuple[pa.Array, pa.Array]:
    """Positions in both tables of rows with the same keys: the newest in the log; none if the source has two."""
    schema = logged.schema
    received = identifier(logged_name(RECEIVED, schema))
    with engine() as backend:
        for name, table in (("source", source), ("logged", logged.table)):
            text = " || chr(31) || ".join(key_texts(table.schema, schema).values())
            extra = f", {received} AS received" if name == "logged" else ""
            numbered = table.append_column("\x1fplace", pa.array(np.arange(table.num_rows)))
            backend.con.register(f"raw_{name}", numbered)
            backend.con.execute(
                f'CREATE TABLE {name} AS SELECT "\x1fplace" AS place, {text} AS entity{extra} FROM raw_{name}'
            )
        pairs = fetch_arrow(
            backend,
            "WITH once AS (SELECT entity, min(place) AS place FROM source WHERE entity IS NOT NULL GROUP BY entity "
            "HAVING count(*) = 1), newest AS (SELECT entity, arg_max(place, received) AS place FROM logged GROUP BY "
            "entity) SELECT once.place AS source, newest.place AS logged FROM once JOIN newest USING (entity) "
            "ORDER BY 1",
        )
    return pairs["source"].combine_chunks(), pairs["logged"].combine_chunks()


def _compared(name: str, before: pd.Series, now: pd.Series) -> ColumnSkew:
    differs = _differing(before.to_numpy(), now.to_numpy())
    share = float(differs.mean())
    place = int(np.argmax(differs))
    example = f"{before.iloc[place]}, {now.iloc[place]}"[:_EXAMPLES] if differs.any() else ""
    return ColumnSkew(column=name, share=share, large=share >= LARGE, example=example)


def _differing(before: NDArray[np.generic], now: NDArray[np.generic]) -> NDArray[np.bool_]:
    if before.dtype.kind == "f":
        same = np.isclose(before.astype(float), now.astype(float), rtol=_CLOSE, atol=0.0, equal_nan=True)
        return np.asarray(~same, dtype=np.bool_)
    return np.asarray(before != now, dtype=np.bool_)


# By time


def _by_time(source: pa.Table, logged: _Logged, settings: MonitoringConfig) -> Skew | None:
    """Distributions of the time that both are about; None where too few rows are of it."""
    schema = logged.schema
    plain = pa.timestamp("us")
    if schema.time_column not in source.column_names or not pa.types.is_timestamp(source[schema.time_column].type):
        return None
    times = source[schema.time_column].cast(plain), event_moments(logged.table, schema).cast(plain)
    ends = [pc.min_max(one).as_py() for one in times]
    if any(end["min"] is None for end in ends):
        return None
    first, last = max(end["min"] for end in ends), min(end["max"] for end in ends)
    inside = [_inside(one, first, last) for one in times]
    before, now = (
        plain_frame(features(table.filter(mask), schema), schema)
        for table, mask in zip((source, logged.table), inside, strict=True)
    )
    if min(len(before), len(now)) < settings.minimum_rows:
        return None
    own = settings.model_copy(update={"columns": _known(settings, list(before))})
    statistics = reference_statistics(before, numeric=numeric_columns(schema).intersection(before))
    findings = compare(statistics, gather([table_of(now)], statistics.bins), own)
    columns = [
        ColumnSkew(column=one.column, share=one.value or 0.0, large=one.drifted or one.nulls_changed)
        for one in findings.columns
    ]
    return Skew(by="time", rows=len(now), columns=tuple(columns))


def _inside(times: pa.ChunkedArray, first: datetime, last: datetime) -> pa.ChunkedArray:
    ends = [pa.scalar(moment, times.type) for moment in (first, last)]
    return pc.and_(pc.greater_equal(times, ends[0]), pc.less_equal(times, ends[1])).fill_null(False)


def _known(settings: MonitoringConfig, names: Sequence[str]) -> dict[str, ColumnDrift]:
    return {name: drift for name, drift in settings.columns.items() if name in names}
