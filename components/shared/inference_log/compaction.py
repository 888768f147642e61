"""Compaction: of each closed hour the many raw files become few parts, and a commit says so (see `layout`).

It may be killed at any point and started twice at once. Parts are written under names of their own and count for
nothing until the commit lists them; the commit is written only if nobody else wrote one meanwhile; raw files go only a
while after the commit that replaces them, so that who listed them before can still read them. A file that comes late,
after its hour was compacted, counts as the raw file it is until the next compaction adds it.

Example, the hour from 5 to 6, in which the files a and b were written, with 10 rows each:

    time   what happens                             what is in the folder         what counts
    6:00   the hour is over                         a b                           a b
    6:10   a compaction writes a part               a b part-1                    a b
    6:11   it commits: part-1 replaces a and b      a b part-1 commit             part-1
    6:20   c comes late                             a b c part-1 commit           part-1 c
    7:10   the next one removes a and b, for the    c part-1 commit               part-1 c
           commit is older than a quarter of an hour; c alone is not worth a part

A compaction that is killed at 6:10 leaves part-1, which counts for nothing: it is removed after six hours.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from components.shared.chunks import parquet_rows
from components.shared.errors import StoreError
from components.shared.inference_log.layout import COMMIT, HOUR, Commit, LogFile, Part, part_name, rows_of
from components.shared.inference_log.reading import HourFolder, MovedError, days, fetched, stable_day_folders
from components.shared.store import ObjectInfo, Store

_GRACE = timedelta(minutes=10)  # after an hour's end, for files that are still being written
_SETTLED = timedelta(minutes=15)  # for readers that had listed raw files before the commit
_ABANDONED = timedelta(hours=6)  # a compaction that has not committed its parts by then never will
_LONGEST_SECONDS = 3_600.0  # from a listing to its commit; well below the time after which parts are abandoned
_PART_ROWS, _PART_BYTES, _PART_FILES = 200_000, 16_000_000, 5_000
_ROW_GROUP = 50_000


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did.

    Attributes:
        hours: Hours that were compacted.
        files: Raw files whose rows are in parts now.
        rows: How many rows these are.
        parts: How many parts.
        removed: Raw files that an earlier commit had replaced, and parts that were never committed: they are gone.
        damaged: Files that cannot be read; they stay as they are.
    """

    hours: int = 0
    files: int = 0
    rows: int = 0
    parts: int = 0
    removed: int = 0
    damaged: int = 0

    def plus(self, other: "Compacted") -> "Compacted":
        """Both together."""
        return Compacted(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))

    @property
    def message(self) -> str:
        """One line for people."""
        done = f"{self.files:,} files of {self.hours:,} hours are {self.parts:,} now ({self.rows:,} rows)"
        return f"{done}; {self.removed:,} that were replaced before are removed" + (
            f"; {self.damaged:,} damaged files stay as they are" if self.damaged else ""
        )


def compact_log(
    store: Store,
    model: str,
    *,
    now: datetime | None = None,
    settled: timedelta = _SETTLED,
    abandoned: timedelta = _ABANDONED,
) -> Compacted:
    """Compact the closed hours of a model's log, the newest day first.

    Args:
        store: The object store, with keys that may read and remove `inference/` and write parts and commits there.
        model: Name of the model.
        now: Hours that ended ten minutes before it are closed; by default this moment.
        settled: How long replaced files stay.
        abandoned: How long parts stay that no commit lists.

    Raises:
        StoreError: The object store cannot be reached or refuses; hours that were committed stay compacted.
    """
    moment = now or datetime.now(UTC)
    done = Compacted()
    for day in reversed(days(store, model)):
        for folder in stable_day_folders(store, model, day):
            if folder.hour + HOUR + _GRACE <= moment:
                done = done.plus(_remove_leftovers(store, folder, settled=settled, abandoned=abandoned)).plus(
                    _compact(store, folder)
                )
    return done


def _remove_leftovers(store: Store, folder: HourFolder, *, settled: timedelta, abandoned: timedelta) -> Compacted:
    """Remove raw files that the commit has replaced, and parts of compactions that were cut off."""
    now = datetime.now(UTC)
    replaced: list[ObjectInfo] = []
    if folder.committed and folder.committed.modified + settled <= now:
        replaced = [item for item in folder.raw if folder.name(item) in folder.commit.replaces]
    listed = {part.name for part in folder.commit.parts}
    lost = [part for part in folder.parts if folder.name(part) not in listed and part.modified + abandoned <= now]
    store.delete_many([item.key for item in [*replaced, *lost]])
    return Compacted(removed=len(replaced) + len(lost))


def _compact(store: Store, folder: HourFolder) -> Compacted:
    """Put the raw files of an hour together; a single one stays as it is."""
    fresh = folder.uncompacted()
    if len(fresh) < 2:
        return Compacted()
    begun, parts = time.monotonic(), list[Part]()
    try:
        replaced = _write_parts(store, folder, fresh, parts)
    except MovedError:  # another compaction or the removal of old hours came in between
        replaced = []
    damaged = len(fresh) - len(replaced) if replaced else 0
    if len(replaced) < 2 or not _commit(store, folder, parts, replaced, seconds=time.monotonic() - begun):
        store.delete_many([folder.prefix + part.name for part in parts])
        return Compacted(damaged=damaged)
    rows = sum(part.rows for part in parts)
    return Compacted(hours=1, files=len(replaced), rows=rows, parts=len(parts), damaged=damaged)


def _write_parts(store: Store, folder: HourFolder, files: Sequence[ObjectInfo], parts: list[Part]) -> list[str]:
    """Write the rows of files as parts, adding these to a list; the names of the files that can be read."""
    writer = uuid.uuid4().hex[:12]
    replaced: list[str] = []
    for chunk in _chunks(files):
        tables = _read(store, folder, chunk)
        replaced += tables
        for table in _joined(list(tables.values())):
            name = part_name(f"{writer}-{len(parts):04}", table.num_rows)
            content = _encoded(table)
            store.put_bytes(folder.prefix + name, content)
            parts.append(Part(name=name, rows=table.num_rows, size=len(content)))
    return replaced


def _commit(store: Store, folder: HourFolder, parts: list[Part], replaced: list[str], *, seconds: float) -> bool:
    """Let parts count instead of raw files; False when another compaction of the hour was quicker."""
    if seconds > _LONGEST_SECONDS:
        raise StoreError(
            f"Compacting {store.uri(folder.prefix)} took {seconds:.0f} s, longer than may pass until the commit; the "
            "raw files stay. Is the store slow?"
        )
    before = folder.commit
    content = Commit(parts=(*before.parts, *parts), replaces=before.replaces | set(replaced)).model_dump_json().encode()
    key = folder.prefix + COMMIT
    return store.replace(key, content, folder.etag) if folder.committed else store.create(key, content)


def _chunks(files: Sequence[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    """Neighbouring files, as many as make a part."""
    chunk: list[ObjectInfo] = []
    rows = size = 0
    for file in files:
        chunk.append(file)
        rows += rows_of(file.key) or 0
        size += file.size
        if rows >= _PART_ROWS or size >= _PART_BYTES or len(chunk) >= _PART_FILES:
            yield chunk
            chunk, rows, size = [], 0, 0
    if chunk:
        yield chunk


def _read(store: Store, folder: HourFolder, chunk: Sequence[ObjectInfo]) -> dict[str, pa.Table]:
    """The rows of files, by their names; damaged ones are left out."""

    def table(file: LogFile, content: bytes) -> tuple[str, pa.Table] | None:
        try:
            return file.key.removeprefix(folder.prefix), parquet_rows(content)
        except (pa.ArrowException, OSError, ValueError):
            return None

    files = [LogFile(item.key, folder.hour, item.size, rows_of(item.key)) for item in chunk]
    return dict(found for found in fetched(store, files, table) if found)


def _joined(tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Concatenate the tables that have the same columns and the same metadata; one table for each such group."""
    groups: list[list[pa.Table]] = []
    for table in tables:
        for group in groups:
            if group[0].schema.equals(table.schema, check_metadata=True):
                group.append(table)
                break
        else:
            groups.append([table])
    return [pa.concat_tables(group) for group in groups]


def _encoded(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=_ROW_GROUP)
    content: bytes = sink.getvalue().to_pybytes()
    return content
