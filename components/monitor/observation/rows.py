"""Reading a piece: all of its rows, once, in bounded memory, to statistics for each version and step.

Files are put together to some 100,000 rows, cut by version and by step, and counted. What is wrong with files and rows
is counted too, and stops nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from components.monitor.observation.calendar import EPOCH, Calendar, Seconds, Span
from components.monitor.observation.columns import (
    Mask,
    Times,
    event_times,
    received_times,
    record_keys,
    watched_columns,
)
from components.monitor.observation.counts import Counts
from components.monitor.observation.pieces import Piece
from components.monitor.observation.sample import Sample
from components.monitor.observation.versions import Version, Versions
from components.monitor.statistics import Statistics, gather
from components.shared.chunks import chunks, parquet_rows
from components.shared.config import WindowsConfig
from components.shared.inference_log.layout import LogFile
from components.shared.inference_log.reading import fetched
from components.shared.inference_log.window import UNFIT
from components.shared.inference_rows import MODEL_VERSION, logged_name
from components.shared.package.schema import Schema
from components.shared.store import Store

_CHUNK = 100_000  # rows that are counted together
_CELLS = 10_000_000  # values that are counted together: fewer rows where there are very many columns
_SMALL = 256_000  # size in bytes up to which a file that was read ahead is held as decoded rows
_MOST_STEPS = 500  # steps of one piece; rows of rarer steps are counted by server time


@dataclass
class Group:
    """Rows of one version in one step.

    Attributes:
        counts: How many there are.
        statistics: Of their watched columns; None where the store does not have the version.
        sample: Some of them.
    """

    counts: Counts = Counts()  # noqa: RUF009, it is frozen
    statistics: Statistics | None = None
    sample: Sample | None = None


@dataclass
class Found:
    """What was read of a piece.

    Attributes:
        groups: By step and version.
        files: How many files there were.
        damaged: How many of them cannot be read.
        lost: How many rows these have, by their names.
    """

    groups: dict[tuple[int, str], Group] = field(default_factory=dict)
    files: int = 0
    damaged: int = 0
    lost: int = 0


class PieceReader:
    """Reads a piece.

    Args:
        store: The object store.
        versions: The versions of the model.
        champion: The version that answered where rows do not tell it.
        settings: How windows are cut.
        calendar: Its steps.
    """

    def __init__(
        self, store: Store, versions: Versions, champion: Version, *, settings: WindowsConfig, calendar: Calendar
    ) -> None:
        self._store = store
        self._versions = versions
        self.champion = champion
        self._settings = settings
        self._calendar = calendar

    def read(self, piece: Piece, *, last_look: bool = False) -> Found:
        """Read all rows of a piece.

        Args:
            piece: What to read.
            last_look: Whether files that are there no more count as damaged.

        Raises:
            MovedError: A file is there no more, and this is not the last look.
            StoreError: The object store cannot be reached or refuses.
        """
        found = Found(files=len(piece.files))
        counting = _Counting(self, piece, found)
        for rows in chunks(self._tables(piece, found, last_look=last_look), _CHUNK, cells=_CELLS):
            counting.add(rows)
        return found

    def _tables(self, piece: Piece, found: Found, *, last_look: bool) -> Iterator[pa.Table]:
        """The rows of each file that can be read; the others are counted."""

        def opened(file: LogFile, content: bytes) -> tuple[LogFile, bytes | pa.Table | None]:
            # Large files that are read ahead are held as they are stored, which takes less.
            return file, content if len(content) > _SMALL else _rows(content)

        gone = (lambda file: (file, None)) if last_look else None
        for file, content in fetched(self._store, piece.files, opened, gone=gone):
            rows = _rows(content) if isinstance(content, bytes) else content
            if rows is None:
                found.damaged += 1
                found.lost += file.rows or 0
            else:
                yield rows

    def split(self, rows: pa.Table) -> Iterator[tuple[str, Version | None, pa.Table]]:
        """The rows of each version; those that do not tell it are the champion's."""
        column = logged_name(MODEL_VERSION, self.champion.schema)
        if column not in rows.column_names:
            yield self.champion.name, self.champion, rows
            return
        names = rows.column(column).cast(pa.string()).fill_null(self.champion.name)
        found = sorted(pc.unique(names).to_pylist())
        for name in found:
            own = rows if len(found) == 1 else rows.filter(pc.equal(names, name))
            yield name, self._versions.find(name), own

    def times(self, rows: pa.Table, schema: Schema, piece: Piece) -> tuple[Seconds, Mask]:
        """The moment by which each row is counted, and which rows had to be given another one than their own."""
        received, moved = inside(received_times(rows, schema), piece.span)
        if self._settings.time == "server":
            return received, moved
        own = event_times(rows, schema, self._calendar)
        return np.where(own.known, own.seconds, received), ~own.known

    def steps(self, seconds: Seconds, piece: Piece) -> tuple[Seconds, Mask]:
        """The step of each row, and which rows are counted by server time because their own step is too rare."""
        steps = self._calendar.numbers(seconds)
        known, place, counts = np.unique(steps, return_inverse=True, return_counts=True)
        common = np.zeros(len(known), np.bool_)
        common[np.argsort(-counts, kind="stable")[:_MOST_STEPS]] = True
        rare = ~common[place]
        return np.where(rare, self._calendar.number(piece.span.start), steps), rare

    @property
    def has_features(self) -> bool:
        """Whether rows should have the model's features."""
        return not self._settings.table


def _rows(content: bytes) -> pa.Table | None:
    """The rows of a file; None where it is damaged."""
    try:
        return parquet_rows(content)
    except UNFIT:
        return None


class _Counting:
    """Adds chunks of rows to what was found of a piece."""

    def __init__(self, reader: PieceReader, piece: Piece, found: Found) -> None:
        self._reader = reader
        self._piece = piece
        self._found = found
        self._requests = np.empty(0, np.uint64)
        self._records = np.empty(0, np.uint64)
        self._rows = 0

    def add(self, rows: pa.Table) -> None:
        """Add rows that have all the same columns."""
        for name, version, own in self._reader.split(rows):
            if version is None:
                self._add_unknown(name, own)
            else:
                self._add(version, own)

    def _add(self, version: Version, rows: pa.Table) -> None:
        hashes, copies, repeated = self._identities(rows, version.schema)
        seconds, moved = self._reader.times(rows, version.schema, self._piece)
        steps, rare = self._reader.steps(seconds, self._piece)
        moved |= rare
        watched = watched_columns(rows, version.schema, features=self._reader.has_features)
        for step in np.unique(steps):
            inside = steps == step
            kept = inside & ~copies
            table = watched.table if kept.all() else watched.table.filter(pa.array(kept))
            count = int(kept.sum())
            counts = Counts(
                rows=count,
                copies=int((inside & copies).sum()),
                repeated=int((kept & repeated).sum()),
                moved=int((kept & moved).sum()),
                lacking=dict.fromkeys(sorted(watched.lacking), count),
                left_out=dict.fromkeys(sorted(watched.left_out), count),
                newest=_newest(seconds[kept & ~moved]),
            )
            sample = Sample.of(rows, np.flatnonzero(kept), hashes, version.schema)
            self._put((int(step), version.name), Group(counts, gather([table], version.reference.bins), sample))

    def _add_unknown(self, name: str, rows: pa.Table) -> None:
        """Rows of a version that the store does not have: they can only be counted."""
        schema = self._reader.champion.schema
        seconds, _ = self._reader.times(rows, schema, self._piece)
        for step, count in Counter(self._reader.steps(seconds, self._piece)[0].tolist()).items():
            self._put((step, name), Group(Counts(rows=count)))

    def _identities(self, rows: pa.Table, schema: Schema) -> tuple[NDArray[np.uint64], Mask, Mask]:
        """Hashes of the records, which of them are copies, and which share their id and number with another one."""
        keys = record_keys(rows, schema)
        start = self._rows
        self._rows += rows.num_rows
        if keys is None:
            none = np.zeros(rows.num_rows, np.bool_)
            places = np.arange(start, self._rows).astype(np.uint64)
            return np.asarray(pd.util.hash_array(places), np.uint64), none, none
        requests, records = keys
        copies = _seen(records, self._records)
        repeated = _seen(requests, self._requests) & ~copies
        self._records = np.concatenate([self._records, records[~copies]])
        self._requests = np.concatenate([self._requests, requests[~copies]])
        return records, copies, repeated

    def _put(self, key: tuple[int, str], group: Group) -> None:
        self._found.groups[key] = merged(self._found.groups[key], group) if key in self._found.groups else group


def merged(one: Group, other: Group) -> Group:
    """Both together."""
    return Group(
        one.counts.plus(other.counts),
        one.statistics.merge(other.statistics) if one.statistics and other.statistics else None,
        one.sample.plus(other.sample) if one.sample and other.sample else None,
    )


def inside(times: Times, span: Span) -> tuple[Seconds, Mask]:
    """Server times, and which known ones were moved: times unknown or outside of the span become its start."""
    first, last = (int((moment - EPOCH).total_seconds()) for moment in (span.start, span.end))
    outside = (times.seconds < first) | (times.seconds >= last)
    return np.where(outside | ~times.known, first, times.seconds), outside & times.known


def _seen(keys: NDArray[np.uint64], before: NDArray[np.uint64]) -> Mask:
    """Which keys are repeated: they are in `before`, or occur earlier in `keys`."""
    _, first = np.unique(keys, return_index=True)
    again = np.ones(len(keys), np.bool_)
    again[first] = False
    return again | np.isin(keys, before)


def _newest(seconds: Seconds) -> datetime | None:
    return EPOCH + timedelta(seconds=int(seconds.max())) if len(seconds) else None
