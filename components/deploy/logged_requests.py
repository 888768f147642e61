"""The requests that the endpoint was asked last, from its inference log: to be asked again.

A dark launch sends what clients sent, and clients send requests, not rows: a request that is not in the log with all of
its rows is left out. The log is read from its newest file backwards, and no further than necessary. Rows come as the
version that logged them took them; times are turned into what the new version takes.
"""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.shared.agreed_names import MONITORING
from components.shared.errors import DeployError, StoreError
from components.shared.inference_log.access import ACCESS_KEY, SECRET_KEY
from components.shared.inference_log.reading import fetched, newest_hours, retry_when_moved
from components.shared.inference_log.window import UNFIT
from components.shared.inference_rows import REQUEST_ID, REQUEST_ROW, logged_name
from components.shared.package.schema import Schema
from components.shared.store import Store

# A request: rows by column, as a client sends them.
Request = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class LoggedRequests:
    """What was found in the log.

    Attributes:
        requests: The newest, in the order in which they came.
        remarks: What was left out, and why.
    """

    requests: list[Request]
    remarks: tuple[str, ...] = ()


def newest_requests(
    store: Store, name: str, schema: Schema, *, requests: int, rows: int, largest: int
) -> LoggedRequests:
    """Read the newest requests of a model's log.

    Args:
        store: The object store, with keys that may read the log.
        name: Name of the model.
        schema: Of the version that is to answer them.
        requests: Most requests.
        rows: Most rows of them together.
        largest: Most rows of one; larger ones are left out.

    Raises:
        DeployError: The log cannot be read.
    """
    try:
        parts, unfit = retry_when_moved(lambda _: _newest_rows(store, name, schema, requests=requests, rows=rows))
    except StoreError as error:
        raise DeployError(
            f"The inference log, whose requests a new version has to answer first, cannot be read: {error} Give keys "
            f"that may read it in {ACCESS_KEY} and {SECRET_KEY} (those of the secret {MONITORING}), or set "
            "serving.dark_launch.requests to 0."
        ) from error
    whole, cut = _grouped(part for table in reversed(parts) for part in table)
    fitting = [request for request in whole if len(request) <= largest]
    remarks = []
    if unfit:
        remarks.append(f"{unfit} files of the log were left out: damaged, or without columns that this version needs")
    if cut:
        remarks.append(f"{cut} logged requests were left out: the log does not hold all of their rows")
    if len(fitting) < len(whole):
        remarks.append(
            f"{len(whole) - len(fitting)} logged requests were left out: of more than {largest:,} rows, which the "
            "configuration allows"
        )
    return LoggedRequests(_newest_of(fitting, requests=requests, rows=rows), tuple(remarks))


# A row of the log: the request's id, the row's place in it, the columns.
_Row = tuple[str, int, dict[str, Any]]


def _newest_rows(store: Store, name: str, schema: Schema, *, requests: int, rows: int) -> tuple[list[list[_Row]], int]:
    """Rows by file, the newest file first, until there are enough; and how many files lack a column or are damaged."""
    parts: list[list[_Row]] = []
    unfit, count, ids = 0, 0, set[str]()

    def read(_: object, content: bytes) -> list[_Row] | None:
        try:
            return _read(content, schema, newest=rows + 1)
        except UNFIT:
            return None

    for folder in newest_hours(store, name):
        for part in fetched(store, reversed(folder.files()), read):
            if part is None:
                unfit += 1
                continue
            parts.append(part)
            count += len(part)
            ids |= {row[0] for row in part}
            if len(ids) > requests or count > rows:  # one request more than asked for: the oldest may be incomplete
                return parts, unfit
    return parts, unfit


def _read(content: bytes, schema: Schema, *, newest: int) -> list[_Row]:
    """The newest rows of a file, without the rest of a request whose first row is cut off.

    Raises:
        KeyError: A column is missing.
    """
    about = [logged_name(REQUEST_ID, schema), logged_name(REQUEST_ROW, schema)]
    with pq.ParquetFile(io.BytesIO(content)) as file:
        if missing := {*about, *schema.columns} - set(file.schema_arrow.names):
            raise KeyError(*missing)
        table = file.read(columns=[*about, *schema.columns])
    if table.num_rows > newest:
        table = table.slice(table.num_rows - newest)
        table = table.slice(max(0, pc.index(table[about[1]], 0).as_py()))
    ids, places = (table[column].to_pylist() for column in about)
    rows = table.select(schema.columns).to_pylist()
    zones = {feature.name: feature.zoned for feature in schema.features}
    return [
        (one, place, {name: _as_sent(value, zoned=zones[name]) for name, value in row.items()})
        for one, place, row in zip(ids, places, rows, strict=True)
    ]


def _as_sent(value: object, *, zoned: bool | None) -> Any:
    """A logged value as JSON has it; times as this version takes them, whichever version logged them."""
    if not isinstance(value, datetime):
        return value
    if zoned is not None:
        value = value.replace(tzinfo=UTC if zoned else None)
    return value.isoformat()


# Example: the log's rows (id, place) are (a, 0), (a, 1), (b, 1), (a, 0). They are two whole requests, one of two rows
# and one of a single row, both called a; of b row 0 is missing, so it is counted as incomplete.
def _grouped(rows: Iterable[_Row]) -> tuple[list[Request], int]:
    """The complete requests, in the order of their first rows, and the number of incomplete ones.

    A client may use a request id twice: row 0 then begins another request.
    """
    groups: dict[tuple[str, int], list[tuple[int, dict[str, Any]]]] = {}
    turns: Counter[str] = Counter()
    for one, place, row in rows:
        turns[one] += place == 0
        groups.setdefault((one, turns[one]), []).append((place, row))
    whole = [
        [row for _, row in group]
        for group in groups.values()
        if [place for place, _ in group] == list(range(len(group)))
    ]
    return whole, len(groups) - len(whole)


def _newest_of(given: list[Request], *, requests: int, rows: int) -> list[Request]:
    chosen: list[Request] = []
    for request in reversed(given[-requests:]):
        rows -= len(request)
        if rows < 0:
            break
        chosen.append(request)
    return chosen[::-1]
