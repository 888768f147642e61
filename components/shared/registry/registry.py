"""The registry of a model: which versions are stored, which have served, and which one is the champion.

`models/<name>/versions/<version>/` contains a version, stored by publish and never changed. That makes it no champion:
deploy proves it where clients ask it, and only then, as its last act, appends an entry to `models/<name>/history/`.

The history is an append-only log (see `append_only`), and its newest entry is the champion pointer. So moving the
pointer and remembering the move are one write: a process that is killed leaves both done or neither, of several at once
one gets the number and the others learn of it, and nobody ever writes an entry again. Whoever reads the champion reads
a version that has served.

Example: runs X and Y both begin while `00000002.json` is the newest entry, and both put `00000003.json` on the
condition `If-None-Match: *`. The store takes the one that comes first, say X's, and refuses the other: Y fails with a
`MovedError` and changes nothing. A run that lost the store's answer reads the entry: a random token in it shows whose
it is.

Earlier releases kept `models/<name>/champion.json` instead: it is read as what came before the first entry, and never
written.
"""

import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from components.shared.append_only import AppendOnlyLog
from components.shared.errors import PackageError, in_short
from components.shared.package.model_package import MANIFEST, Manifest, verify, version_prefix
from components.shared.package.schema import FILE as SCHEMA
from components.shared.package.schema import Schema
from components.shared.registry.history import Action, Entry, earlier_entries, now, this_run
from components.shared.registry.pending import Pending, PendingVersions
from components.shared.store import Store

State = Literal["champion", "served", "stored, never served", "waits for approval", "rejected", "expired"]

_ROOT = "models/"
_HISTORY = "history"
_EARLIER = "champion.json"


class MovedError(PackageError):
    """Another run has moved the champion meanwhile."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model.

    Attributes:
        version: Its id.
        state: Whether it is the champion, was, or never served.
        stored: When it was stored, ISO 8601, UTC; empty when its package is gone.
        entry: The newest move of the pointer to it; None when there was none.
        pending: What is known of its approval; None where it needed none.
    """

    version: str
    state: State
    stored: str
    entry: Entry | None
    pending: Pending | None = None


class Registry:
    """The versions of one model in the object store.

    Every method raises `StoreError` when the store cannot be reached or refuses, and `PackageError` when an entry of
    the history is damaged: neither is ever taken for "there is none".

    Args:
        store: The object store.
        name: Name of the model.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.store = store
        self.name = name
        self._history = AppendOnlyLog(store, f"{_ROOT}{name}/{_HISTORY}/", TypeAdapter(Entry), name="a history")

    # Versions

    def publish(self, package: Path, manifest: Manifest) -> bool:
        """Store a package as a version; the champion stays what it is.

        The manifest goes last, by a conditional write: a version is there completely or not at all, and is never
        overwritten. Files that a complete version has lost since, or that were cut short, are put back.

        Args:
            package: The folder of the package.
            manifest: Its manifest, verified.

        Returns:
            False when the version was there already.
        """
        prefix = version_prefix(self.name, manifest.version)
        stored = {item.key: item.size for item in self.store.list(prefix)}
        complete = prefix + MANIFEST in stored
        for name in sorted(manifest.files):
            if not complete or stored.get(prefix + name) != (package / name).stat().st_size:
                self.store.put_file(prefix + name, package / name)
        return not complete and self.store.create(prefix + MANIFEST, (package / MANIFEST).read_bytes())

    def versions(self) -> list[Version]:
        """Every version that is stored or was champion, the oldest first."""
        prefix = f"{_ROOT}{self.name}/versions/"
        manifests = [item for item in self.store.list(prefix) if item.key.endswith(f"/{MANIFEST}")]
        stored = {item.key.removeprefix(prefix).split("/")[0]: item.modified.isoformat() for item in manifests}
        entries = self.history()
        newest = {entry.version: entry for entry in entries}
        champion = entries[-1].version if entries else ""
        pending = PendingVersions(self.store, self.name).all()

        def described(version: str) -> Version:
            waits = pending.get(version)
            state: State = "champion" if version == champion else "served" if version in newest else _stored(waits)
            return Version(version, state, stored.get(version, ""), newest.get(version), waits)

        versions = [described(version) for version in {**stored, **newest}]
        return sorted(versions, key=lambda found: found.entry.when if found.entry else found.stored)

    def fetch(self, version: str, folder: Path) -> Manifest:
        """Bring a version's package here, verified; the champion's when no version is named.

        Args:
            version: Its name, or "".
            folder: A folder that is new or empty.

        Raises:
            PackageError: There is no such version, or its package is altered or incomplete.
        """
        version = version or self.champion_version()
        prefix = version_prefix(self.name, version)
        if not self.store.list(prefix):
            known = sorted(found.version for found in self.versions() if found.stored)
            listed = f"there are {', '.join(known)}" if known else "there is none"
            raise PackageError(f"There is no version {version!r} of {self.name} in {self.store.uri('')}; {listed}.")
        self.store.get_folder(prefix, folder)
        return verify(folder, version=version)

    def schema(self, version: str = "") -> Schema:
        """What a version expects and answers; the champion's when no version is named.

        Raises:
            PackageError: There is no champion, or no such version, or its schema cannot be read.
        """
        version = version or self.champion_version()
        key = version_prefix(self.name, version) + SCHEMA
        try:
            return Schema.model_validate_json(self.store.get_bytes(key))
        except ValidationError as error:
            raise PackageError(f"{self.store.uri(key)} is no schema of a model: {in_short(error)}.") from error

    def champion_version(self) -> str:
        """The name of the champion.

        Raises:
            PackageError: There is none.
        """
        champion = self.champion()
        if champion is None:
            raise PackageError(
                f"{self.name} has no champion yet in {self.store.uri('')}: no version of it has served. Deploy one "
                "(make run), or name one."
            )
        return champion.version

    # The champion

    def champion(self) -> Entry | None:
        """The newest entry of the history, which names the champion; None when no version has served yet."""
        if newest := self._history.newest():
            return newest
        earlier = self._earlier()
        return earlier[-1] if earlier else None

    def history(self) -> list[Entry]:
        """All entries, the oldest first."""
        return [*self._earlier(), *self._history.entries()]

    def promote(
        self,
        version: str,
        *,
        expected: Entry | None,
        action: Action = "promoted",
        run: str | None = None,
        why: str = "",
    ) -> Entry:
        """Make a version that has served the champion, if nobody else has moved the pointer in the meantime.

        Args:
            version: The version.
            expected: The champion that was read before; None when there was none.
            action: Whether it is a new version or a way back.
            run: The run that does it; empty for a person, None for the run of this process.
            why: Why, in words.

        Returns:
            The entry that was written.

        Raises:
            MovedError: Somebody else has; nothing was written then.
        """
        entry = Entry(
            number=max(0, expected.number if expected else 0) + 1,
            version=version,
            action=action,
            when=now(),
            run=this_run() if run is None else run,
            replaced=expected.version if expected else None,
            why=why,
            token=uuid.uuid4().hex,
        )
        if not self._history.create(entry):
            raise self.moved(version, self.champion(), instead_of=entry.replaced, action=action)
        return entry

    def moved(
        self, version: str, champion: Entry | None, *, instead_of: str | None, action: Action = "promoted"
    ) -> MovedError:
        """The error of a run that was overtaken.

        Args:
            version: The version that is not promoted.
            champion: What is champion instead.
            instead_of: The champion that the run went by.
            action: What the run was about to do.
        """
        if action == "rolled back":
            return MovedError(
                f"A run has moved the champion of {self.name!r} from {_in_words(instead_of)} to "
                f"{_in_words(champion.version if champion else None)} just now. Look at what serves, then try again."
            )
        return MovedError(
            f"The champion of {self.name!r} is {_in_words(champion.version if champion else None)}, and version "
            f"{version} was compared with {_in_words(instead_of)}: another run came in between. Version {version} is "
            "stored but not promoted; run the pipeline again."
        )

    def _earlier(self) -> list[Entry]:
        """The entries for `champion.json`, in which earlier releases kept the champion; empty without one."""
        key = f"{_ROOT}{self.name}/{_EARLIER}"
        if (found := self.store.read_with_etag(key)) is None:
            return []
        try:
            return earlier_entries(dict(json.loads(found[0])))
        except (ValueError, TypeError, KeyError) as error:
            raise PackageError(
                f"{self.store.uri(key)} is no champion pointer: {found[0][:80]!r}. Repair or remove it."
            ) from error


def _stored(pending: Pending | None) -> State:
    """The state of a version that has never served."""
    if pending is None or pending.answer == "approved":
        return "stored, never served"
    return pending.answer or "waits for approval"


def models_that_served(store: Store) -> list[str]:
    """Names of the models that have, or once had, a champion."""
    parts = [item.key.split("/") for item in store.list(_ROOT)]
    return sorted({part[1] for part in parts if part[2:3] == [_HISTORY] or part[2:] == [_EARLIER]})


def _in_words(version: str | None) -> str:
    return f"version {version}" if version else "no version"
