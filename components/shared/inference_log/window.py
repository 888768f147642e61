"""A window of the inference log: hours that end now, and of their rows no more than are asked for.

Where the hours hold more rows, each row has the same chance: a simple random sample, the same for the same log. While
that would take more files than can be read at once, neighbouring rows are drawn together, still with equal chances.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.shared.errors import DataError
from components.shared.inference_log.layout import HOUR, LogFile, full_hour
from components.shared.inference_log.reading import HourFolder, day_folders, days, fetched, retry_when_moved
from components.shared.store import Store

T = TypeVar("T")
Positions = NDArray[np.int64]
Read = Callable[[bytes, Positions], T]
Drawn = list[tuple[LogFile, Positions]]

# Errors of reading a file that has another version's columns, is cut short, or is no Parquet file at all.
UNFIT = (DataError, pa.ArrowException, OSError, KeyError, ValueError)

_MOST_DAYS = 40  # days before the window that are searched for more rows
_MOST_FILES, _FEWEST_FILES, _MOST_BYTES = 1_500, 20, 256_000_000
_SMALLEST_SHARE = 0.1  # share of usable rows that a second sample assumes at least, which bounds its size


@dataclass
class LoggedRows(Generic[T]):
    """What was read.

    Attributes:
        end: The end of the window.
        first: The first hour with rows that were looked at.
        last: The last one.
        pieces: What `read` made of each file, the oldest rows first.
        rows: How many rows they hold; a little more than were asked for when files were left out.
        of: How many rows the hours hold.
        skipped: Files that were left out because they are damaged or lack columns.
        extended: Whether hours before the window were taken, because it had too few rows.
    """

    end: datetime
    first: datetime
    last: datetime
    pieces: list[T] = field(default_factory=list)
    rows: int = 0
    of: int = 0
    skipped: int = 0
    extended: bool = False


def read_window(
    store: Store, model: str, read: Read[T], *, now: datetime, hours: float, rows: int, minimum: int
) -> LoggedRows[T]:
    """Read the newest rows of a log.

    Args:
        store: The object store.
        model: Name of the model.
        read: Makes something of a file's content and the ascending places of the rows that were drawn of it; raises one
            of `UNFIT` for a file that is to be left out. Called in several threads.
        now: The end of the window; hours that begin later are read too, whatever the clock says.
        hours: Its length; whole hours are taken, so up to one more.
        rows: Most rows.
        minimum: While there are fewer, hours before the window are taken too, the newest first, of up to 40 days.

    Raises:
        StoreError: The object store cannot be reached, or the keys may not read the log.
    """
    since = full_hour(now - hours * HOUR)

    def look(last: bool) -> LoggedRows[T]:
        found = LoggedRows[T](end=now, first=now, last=datetime.min.replace(tzinfo=UTC))
        reader = _Reader(store, read, found, without=last)
        dates = days(store, model)
        inside = [day for day in dates if day >= since.date()]
        folders = [folder for day in inside for folder in day_folders(store, model, day, since=since)]
        reader.add([file for folder in folders for file in folder.files()], rows=rows)
        before = [day for day in dates if day <= since.date()][-_MOST_DAYS:]
        for folder in _older(store, model, before, since) if found.rows < minimum else ():
            reader.add(folder.files(), rows=rows - found.rows)
            found.extended = True
            if found.rows >= min(minimum, rows):
                break
        return found

    return retry_when_moved(look)


def _older(store: Store, model: str, dates: Sequence[date], since: datetime) -> Iterator[HourFolder]:
    """Hours before a window, the newest first; a day is listed when it is asked for."""
    for day in reversed(dates):
        yield from (folder for folder in reversed(day_folders(store, model, day)) if folder.hour < since)


class _Reader(Generic[T]):
    """Draws rows of files, reads them, and adds them to what was found."""

    def __init__(self, store: Store, read: Read[T], found: LoggedRows[T], *, without: bool) -> None:
        self._store = store
        self._read = read
        self._found = found
        self._without = without  # files that are there no more
        self._random = np.random.default_rng(0)

    def add(self, files: Sequence[LogFile], *, rows: int) -> None:
        """Add rows of files that are older than what was found so far, at most so many."""
        known = [file for file in self._counted(files) if file.rows]
        drawn = draw(known, rows, self._random)
        pieces, unfit = self._pieces(drawn)
        total, taken = sum(file.rows or 0 for file in known), sum(len(places) for _, places in drawn)
        if unfit and taken < total:
            # Draw again from the usable files, more rows than asked for in proportion to the share that was unusable.
            fitting = [file for file in known if file not in unfit]
            rest = sum(file.rows or 0 for file in fitting)
            share = min(1.0, total * _count(pieces) / taken / max(1, rest))
            pieces, more = self._pieces(draw(fitting, int(rows / max(share, _SMALLEST_SHARE)), self._random))
            unfit |= more
        found = self._found
        found.first = min([found.first, *(file.hour for file in known)])
        found.last = max([found.last, *(file.hour for file in known)])
        found.pieces[:0] = [piece for piece, _ in pieces]
        found.rows += _count(pieces)
        found.of += total
        found.skipped += len(files) - len(known) + len(unfit)

    def _counted(self, files: Sequence[LogFile]) -> list[LogFile]:
        """The files with their numbers of rows, read from the file where its name lacks it; 0 for damaged files."""

        def count(file: LogFile, content: bytes) -> LogFile:
            try:
                rows = pq.ParquetFile(io.BytesIO(content)).metadata.num_rows
            except UNFIT:
                rows = 0
            return LogFile(file.key, file.hour, file.size, rows)

        unknown = [file for file in files if file.rows is None]
        gone = (lambda file: LogFile(file.key, file.hour, file.size, 0)) if self._without else None
        counted = fetched(self._store, unknown, count, gone=gone)
        return [file if file.rows is not None else next(counted) for file in files]

    def _pieces(self, drawn: Drawn) -> tuple[list[tuple[T, int]], set[LogFile]]:
        """The results of `read`, each with its number of rows; and the files that could not be used."""
        places = {file.key: chosen for file, chosen in drawn}

        def piece(file: LogFile, content: bytes) -> tuple[T, int] | LogFile:
            try:
                return self._read(content, places[file.key]), len(places[file.key])
            except UNFIT:
                return file

        gone: Callable[[LogFile], tuple[T, int] | LogFile] | None = (lambda file: file) if self._without else None
        made = list(fetched(self._store, [file for file, _ in drawn], piece, gone=gone))
        unfit = {one for one in made if isinstance(one, LogFile)}
        return [one for one in made if not isinstance(one, LogFile)], unfit


def _count(pieces: Sequence[tuple[object, int]]) -> int:
    return sum(rows for _, rows in pieces)


# Example: of two files of 3 and 5 rows four rows are drawn, at the places 1, 3, 4 and 7 of all eight. The first file
# owns the places 0 to 2, so of it row 1 is read, and of the second one the rows 0, 1 and 4.
def draw(files: Sequence[LogFile], rows: int, random: np.random.Generator) -> Drawn:
    """Draw rows of files without replacement, each with the same chance; all when there are no more.

    Args:
        files: Where rows are, with their numbers.
        rows: How many to draw.
        random: Where chance comes from.

    Returns:
        The files of which there are any, with the ascending places of the rows drawn.
    """
    counts = np.array([file.rows for file in files], dtype=np.int64)
    ends = np.cumsum(counts)
    total = int(counts.sum())
    if total <= rows:
        return [(file, np.arange(count)) for file, count in zip(files, counts, strict=True) if count]
    chosen = np.sort(random.choice(total, size=rows, replace=False))
    most = _most_files(files)
    if len(np.unique(np.searchsorted(ends, chosen, side="right"))) > most:
        chosen = _blocks(total, rows, most=most, random=random)
    owner = np.searchsorted(ends, chosen, side="right")
    starts = ends - counts
    return [(files[place], chosen[owner == place] - starts[place]) for place in np.unique(owner)]


def _most_files(files: Sequence[LogFile]) -> int:
    size = sum(file.size for file in files) / len(files)
    return int(np.clip(_MOST_BYTES / max(1.0, size), _FEWEST_FILES, _MOST_FILES))


# Example: 10 of 100 rows in at most 5 blocks: blocks have 2 rows, and 5 of the 50 blocks are drawn. Block 20 is the
# rows 40, 41.
def _blocks(total: int, rows: int, *, most: int, random: np.random.Generator) -> Positions:
    """Ascending positions of a sample of about `rows` rows, drawn in at most `most` blocks of neighbouring rows.

    All rows are cut into blocks of equal size, of which some are drawn: a cluster sample with equal chances (Cochran
    1977, chapter 9). Neighbouring rows are alike, so it is somewhat less precise than as many single rows.
    """
    size = -(-rows // most)
    blocks = random.choice(-(-total // size), size=-(-rows // size), replace=False)
    places: Positions = (np.sort(blocks)[:, None] * size + np.arange(size)).ravel()
    return places[places < total]
