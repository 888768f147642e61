"""The pieces in which rows are read, each of them once: the hours of the inference log, or the files of a table.

A piece says how much there is of it. When there is more than was read, such as rows that an endpoint could not store
earlier, it is read again as a whole. When there is less, because the log's days are over, what was kept stays.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from components.monitor.observation.calendar import Span, moment_name
from components.shared.config import WindowsConfig
from components.shared.inference_log.layout import HOUR, LogFile, full_hour
from components.shared.inference_log.reading import HourFolder, day_folders, days
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class Piece:
    """Files that are read together.

    Attributes:
        name: What it is kept by; names of hours are in the order of time.
        amount: How much there is of it, as text that sorts: what sorts later is more.
        files: Where its rows are.
        span: When its rows were received; of a table's file, the second in which it was written.
    """

    name: str
    amount: str
    files: tuple[LogFile, ...]
    span: Span


def pieces(
    store: Store, model: str, settings: WindowsConfig, *, since: datetime, now: datetime, lateness: timedelta
) -> Iterator[Piece]:
    """What there is to read, the oldest hours first.

    The current hour is left out until it is over. By server time, hours after `now` are left out too: they come from an
    endpoint whose clock is wrong. By event time they are read, because in a replay `now` is a moment of the past and
    all hours of the log come after it.

    Args:
        store: The object store.
        model: Name of the model.
        settings: Where rows are, and which time counts.
        since: What was received before it is not looked at.
        now: This moment.
        lateness: How long after its end an hour may get rows.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if settings.table:
        yield from _files(store, settings.table)
        return
    for folder in _folders(store, model, since):
        over = folder.hour + HOUR + lateness <= now
        if over or (settings.time == "event" and folder.hour > now):
            yield hour_piece(folder)


def hours_ahead(store: Store, model: str, now: datetime) -> list[datetime]:
    """Hours of the log that have not begun, the oldest first: somewhere a clock is wrong."""
    return [folder.hour for folder in _folders(store, model, now) if folder.hour > now]


def hour_piece(folder: HourFolder) -> Piece:
    """An hour of the log; of files whose names do not tell their rows the size in bytes counts."""
    files = tuple(folder.files())
    amount = sum(file.size if file.rows is None else file.rows for file in files)
    return Piece(moment_name(folder.hour), f"{amount:015}", files, Span(folder.hour, folder.hour + HOUR))


def _folders(store: Store, model: str, since: datetime) -> Iterator[HourFolder]:
    for day in days(store, model):
        if day >= since.date():
            yield from day_folders(store, model, day, since=full_hour(since))


def _files(store: Store, prefix: str) -> Iterator[Piece]:
    """Each file of a table; one that was overwritten counts as grown, because its time of writing is later."""
    for item in store.list(prefix):
        if item.key.endswith(".parquet") and not item.key.endswith("/rejected.parquet"):
            name = f"table-{hashlib.sha256(item.key.encode()).hexdigest()[:12]}"
            when = f"{item.modified:%Y%m%dT%H%M%S}-{item.etag[:12]}"
            written = item.modified.replace(microsecond=0)
            span = Span(written, written + timedelta(seconds=1))
            yield Piece(name, when, (LogFile(item.key, written, item.size, None),), span)
