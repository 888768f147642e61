"""How long the inference log is kept: whole hours that ended before a moment are removed, and nothing else.

Nothing is half removed for a reader: the raw files that a commit replaces go first, then the raw files that count, then
the commit, with which its parts count no more, and its parts last. What is cut off is ended the next time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from components.shared.errors import StoreError
from components.shared.inference_log.layout import HOUR
from components.shared.inference_log.reading import HourFolder, days, stable_day_folders
from components.shared.inference_rows import LOG_ROOT
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class Pruned:
    """The hours of a log that are older than the retention time.

    Attributes:
        hours: Hours of the log.
        objects: Their objects.
        size: Bytes of these.
        oldest: The first hour; None when there is none.
        newest: The last one.
    """

    hours: int = 0
    objects: int = 0
    size: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def message(self, *, removed: bool) -> str:
        """One line for people."""
        if self.oldest is None or self.newest is None:
            return "nothing is older"
        span = f"{self.oldest:%Y-%m-%d %H:%M} to {self.newest + HOUR:%Y-%m-%d %H:%M} UTC"
        verb = "were removed" if removed else "would be removed"
        return f"{self.hours:,} hours, {span}, {verb}: {self.objects:,} objects of {self.size / 1e6:,.1f} MB"


def prune_log(
    store: Store, model: str, *, keep_days: float, delete: bool, now: datetime | None = None, root: str = LOG_ROOT
) -> Pruned:
    """Find the hours of a model's log that are older, and remove them if that is wanted.

    Args:
        store: The object store, with keys that may remove below the root if anything is to be removed.
        model: Name of the model.
        keep_days: An hour is kept until so many days after its end; at least 1, so that no open hour can be meant.
        delete: Whether to remove them; otherwise they are only counted.
        now: The end of these days; by default this moment.
        root: Of the inference log, or `SHADOW_ROOT` of a candidate's.

    Raises:
        StoreError: `keep_days` is below 1; or the object store cannot be reached or refuses.
    """
    if keep_days < 1:
        raise StoreError(
            f"The inference log is kept for at least 1 day; found {keep_days:g}. Say DAYS=30, for instance."
        )
    end = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    found: list[HourFolder] = []
    for day in days(store, model, root=root):
        if day > end.date():
            break
        old = [one for one in stable_day_folders(store, model, day, root=root) if one.hour + HOUR <= end]
        for folder in old if delete else ():
            _remove(store, folder)
        found += old
    items = [item for folder in found for item in folder.objects()]
    hours = [folder.hour for folder in found]
    return Pruned(
        len(found), len(items), sum(item.size for item in items), min(hours, default=None), max(hours, default=None)
    )


def _remove(store: Store, folder: HourFolder) -> None:
    replaced = [item.key for item in folder.raw if folder.name(item) in folder.commit.replaces]
    committed = [folder.committed.key] if folder.committed else []
    for keys in (replaced, [item.key for item in folder.uncompacted()], committed, [part.key for part in folder.parts]):
        store.delete_many(keys)
