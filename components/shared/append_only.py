"""A list in the object store that is only ever added to: one object an entry, `00000001.json`, `00000002.json`, ….

Each is created on the condition that there is none of its name, and never written again. So adding an entry is one
write: a process that is killed leaves it done or not done, of several that add at once one gets the number, and the
others learn of it, look at what was added, and decide again what they want.
"""

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from components.shared.errors import PackageError
from components.shared.store import Store

_DIGITS = 8
_PARALLEL_READS = 8


class Numbered(BaseModel):
    """What every entry of such a list has."""

    model_config = ConfigDict(frozen=True)  # what a later program adds is no damage

    number: int = Field(default=0, description="1, 2, …; the name of its object.")
    token: str = Field(default="", description="Random: tells this writer's entry from another's of the same number.")


EntryType = TypeVar("EntryType", bound=Numbered)


class AppendOnlyLog(Generic[EntryType]):
    """One list. Entries never change, so that each is read once only by one object of this class.

    Every method raises `StoreError` when the store cannot be reached or refuses, and `PackageError` when an entry is
    damaged: neither is ever taken for "there is none".

    Args:
        store: The object store.
        prefix: What the keys of its entries begin with, up to the last `/`.
        entries: Reads an entry.
        name: What the list is, for messages, such as `a history`.
    """

    def __init__(self, store: Store, prefix: str, entries: TypeAdapter[EntryType], *, name: str) -> None:
        self.store = store
        self.prefix = prefix
        self.name = name
        self._adapter = entries
        self._read: dict[str, EntryType] = {}

    def newest(self) -> EntryType | None:
        """The entry that was added last; None when there is none."""
        keys = self._keys()
        return self._entry(keys[-1]) if keys else None

    def entries(self, newest: int | None = None) -> list[EntryType]:
        """The entries, the oldest first: all, or so many of the newest."""
        keys = self._keys()[-newest:] if newest else self._keys()
        if len([key for key in keys if key not in self._read]) > 1:
            with ThreadPoolExecutor(_PARALLEL_READS) as workers:
                return list(workers.map(self._entry, keys))
        return [self._entry(key) for key in keys]

    def create(self, entry: EntryType) -> bool:
        """Add an entry by its own number; False when there is another of this number already."""
        return self.store.create(self.key(entry.number), entry.model_dump_json(indent=2).encode())

    def append(
        self, make: Callable[[Sequence[EntryType]], EntryType | None], *, newest: int | None = None
    ) -> EntryType | None:
        """Add what follows from the entries that are there, whoever adds to them in the meantime.

        Args:
            make: From the entries to the one to be added, whose number and token are given here; None to add nothing.
                It is asked again whenever another writer was quicker.
            newest: How many of the newest entries it has to look at; None for all.

        Returns:
            The entry that was added, or None.
        """
        while True:
            entries = self.entries(newest)
            made = make(entries)
            if made is None:
                return None
            number = entries[-1].number + 1 if entries else 1
            entry = made.model_copy(update={"number": number, "token": uuid.uuid4().hex})
            if self.create(entry):
                return entry

    def key(self, number: int) -> str:
        """The key of an entry."""
        return f"{self.prefix}{number:0{_DIGITS}d}.json"

    def _keys(self) -> list[str]:
        found = [item.key for item in self.store.list(self.prefix)]
        if strange := [key for key in found if not self._is_entry(key)]:
            raise PackageError(f"{self.store.uri(strange[0])} is no entry of {self.name}. Remove it.")
        return found

    def _is_entry(self, key: str) -> bool:
        digits = key.removeprefix(self.prefix).removesuffix(".json")
        return digits.isdecimal() and key == self.key(int(digits))

    def _entry(self, key: str) -> EntryType:
        if key not in self._read:
            self._read[key] = self._parsed(key)
        return self._read[key]

    def _parsed(self, key: str) -> EntryType:
        found = self.store.read_with_etag(key)
        content = found[0] if found else b""
        try:
            entry = self._adapter.validate_json(content)
            if key == self.key(entry.number):
                return entry
        except ValueError:
            pass
        raise PackageError(
            f"{self.store.uri(key)} is no entry of {self.name}: {content[:80]!r}. Put back what it was, or remove it."
        )
