"""Reading the inference log: its days and hours by listings with a delimiter, its files by several threads.

What is read here is what counts (see `layout`): never a raw file beside the part that contains its rows, never neither.
A file that was compacted or removed between the listing and the reading is a `MovedError`: `retry_when_moved` lists
again.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TypeVar

from pydantic import ValidationError

from components.shared.errors import StoreError, in_short
from components.shared.inference_log.layout import (
    COMMIT,
    COMMIT_FORMAT,
    PART,
    Commit,
    LogFile,
    day_prefix,
    hour_of,
    hour_prefix,
    rows_of,
)
from components.shared.inference_rows import LOG_ROOT, log_prefix
from components.shared.store import ObjectInfo, Store, is_missing

T = TypeVar("T")

_THREADS = 8  # fewer than the store keeps connections
_AHEAD = 4 * _THREADS  # files that are read before anybody asks for them
_LOOKS = 4


class MovedError(StoreError):
    """A file was listed and is there no more: its hour was compacted meanwhile, or its days are over."""


@dataclass
class HourFolder:
    """What a listing shows of an hour.

    Attributes:
        prefix: What its keys begin with, up to its names.
        hour: The hour.
        raw: Files of rows as the endpoint wrote them, replaced ones included, by key.
        parts: Parts of a compaction, those of one that was cut off included.
        committed: The commit's object; None before the hour is compacted.
        commit: What it says.
        etag: Of the commit that was read.
    """

    prefix: str
    hour: datetime
    raw: list[ObjectInfo] = field(default_factory=list)
    parts: list[ObjectInfo] = field(default_factory=list)
    committed: ObjectInfo | None = None
    commit: Commit = Commit()  # noqa: RUF009, it is frozen
    etag: str = ""

    def name(self, item: ObjectInfo) -> str:
        """The name of an object in the folder."""
        return item.key.removeprefix(self.prefix)

    def uncompacted(self) -> list[ObjectInfo]:
        """Raw files that no part contains yet."""
        return [item for item in self.raw if self.name(item) not in self.commit.replaces]

    def objects(self) -> list[ObjectInfo]:
        """Everything in the folder."""
        return [*self.raw, *self.parts, *([self.committed] if self.committed else [])]

    def files(self) -> list[LogFile]:
        """What counts, the oldest rows first."""
        parts = [LogFile(self.prefix + part.name, self.hour, part.size, part.rows) for part in self.commit.parts]
        return parts + [LogFile(item.key, self.hour, item.size, rows_of(item.key)) for item in self.uncompacted()]


def models(store: Store, *, root: str = LOG_ROOT) -> list[str]:
    """Names of the models that have a log."""
    return store.folders(root)


def days(store: Store, model: str, *, root: str = LOG_ROOT) -> list[date]:
    """The days of which there is anything, the oldest first; one listing for 1,000 of them."""
    found = []
    for name in store.folders(log_prefix(model, root)):
        try:
            found.append(date.fromisoformat(name.removeprefix("date=")))
        except ValueError:
            continue  # not of this log
    return sorted(found)


def hours(store: Store, model: str, day: date) -> list[datetime]:
    """The hours of a day of which there is anything, the oldest first; one listing."""
    prefix = day_prefix(model, day)
    found = [hour_of(f"/{prefix}{name}/-") for name in store.folders(prefix)]
    return sorted(hour for hour in found if hour)


def day_folders(
    store: Store, model: str, day: date, *, since: datetime | None = None, root: str = LOG_ROOT
) -> list[HourFolder]:
    """What there is of a day, hour by hour.

    Args:
        store: The object store.
        model: Name of the model.
        day: The day.
        since: Hours before this full one are not looked at.
        root: Of the inference log, or `SHADOW_ROOT` of a candidate's.
    """
    start = hour_prefix(model, since, root=root) if since and since.date() == day else ""
    return _folders(store, day_prefix(model, day, root=root), start_after=start)


def hour_folder(store: Store, model: str, hour: datetime) -> HourFolder:
    """What there is of an hour."""
    prefix = hour_prefix(model, hour)
    return next(iter(_folders(store, prefix)), HourFolder(prefix, hour))


def newest_hours(store: Store, model: str) -> Iterator[HourFolder]:
    """The hours of a log, the newest first; each is listed when it is asked for.

    Raises:
        StoreError: The object store cannot be reached, or the keys may not read the log.
    """
    for day in reversed(days(store, model)):
        for hour in reversed(hours(store, model, day)):
            yield hour_folder(store, model, hour)


def fetched(
    store: Store,
    files: Iterable[LogFile],
    read: Callable[[LogFile, bytes], T],
    *,
    gone: Callable[[LogFile], T] | None = None,
) -> Iterator[T]:
    """Read files in several threads, a bounded number of them ahead.

    Args:
        store: The object store.
        files: What to read.
        read: What to make of a file's content; called in the threads.
        gone: What to make of a file that is there no more; None to raise an error.

    Yields:
        What it made of them, in their order.

    Raises:
        MovedError: A file is there no more.
        StoreError: The object store cannot be reached or refuses.
    """

    def one(file: LogFile) -> T:
        try:
            content = store.get_bytes(file.key)
        except StoreError as error:
            if not is_missing(error):
                raise
            if gone:
                return gone(file)
            raise MovedError(f"{store.uri(file.key)} is there no more.") from error
        return read(file, content)

    pending: deque[Future[T]] = deque()
    workers = ThreadPoolExecutor(_THREADS, thread_name_prefix="inference-log")
    try:
        for file in files:
            pending.append(workers.submit(one, file))
            if len(pending) >= _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        workers.shutdown(wait=True, cancel_futures=True)


def retry_when_moved(action: Callable[[bool], T]) -> T:
    """List the log and read it; again, from the listing on, when a file has moved in between.

    Args:
        action: Called with whether this is the last attempt. A file that is still missing then was not compacted, but
            removed by an expiry rule of the store, which does not know which files belong together.

    Raises:
        MovedError: Files went again and again, and the action does not do without.
    """
    for _ in range(_LOOKS - 1):
        try:
            return action(False)
        except MovedError:
            continue
    return action(True)


def stable_day_folders(store: Store, model: str, day: date, *, root: str = LOG_ROOT) -> list[HourFolder]:
    """The same as `day_folders`, listed again when files are compacted or removed meanwhile."""
    return retry_when_moved(lambda _: day_folders(store, model, day, root=root))


def _folders(store: Store, prefix: str, *, start_after: str = "") -> list[HourFolder]:
    found: dict[datetime, HourFolder] = {}
    for item in store.list(prefix, start_after=start_after):
        hour = hour_of(item.key)
        if hour is None:
            continue
        folder = item.key.rpartition("/")[0] + "/"
        _put(found.setdefault(hour, HourFolder(folder, hour)), item)
    _read_commits(store, [folder for folder in found.values() if folder.committed])
    return list(found.values())


def _put(folder: HourFolder, item: ObjectInfo) -> None:
    name = folder.name(item)
    if name == COMMIT:
        folder.committed = item
    elif name.endswith(".parquet"):
        (folder.parts if name.startswith(PART) else folder.raw).append(item)


def _read_commits(store: Store, folders: Sequence[HourFolder]) -> None:
    """Read the commits of folders, after the listing: a part must not be known before its raw files were listed."""

    def read(folder: HourFolder) -> None:
        found = store.read_with_etag(folder.prefix + COMMIT)
        if found is None:
            raise MovedError(f"{store.uri(folder.prefix + COMMIT)} is there no more.")
        folder.commit, folder.etag = _parsed(found[0], store.uri(folder.prefix + COMMIT)), found[1]

    if folders:
        with ThreadPoolExecutor(min(_THREADS, len(folders)), thread_name_prefix="inference-log") as workers:
            list(workers.map(read, folders))


def _parsed(content: bytes, where: str) -> Commit:
    try:
        commit = Commit.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{where} is no commit of the inference log: {in_short(error)}. Put it back.") from error
    if commit.format != COMMIT_FORMAT:
        raise StoreError(f"{where} is of format {commit.format!r}; this program reads {COMMIT_FORMAT!r}.")
    return commit
