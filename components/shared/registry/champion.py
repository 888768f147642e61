"""The champion pointer: `models/<name>/champion.json`, moved only by conditional writes.

It is never deleted, because a deletion cannot be made conditional: a pointer to no version means that there is none.
"""

import json

from pydantic import BaseModel, ConfigDict, Field

from components.shared.errors import PackageError
from components.shared.package.model_package import champion_key
from components.shared.store import Store

_NO_VERSION = b'{"version": null}'


class Champion(BaseModel):
    """Which version serves, and which did before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str = Field(min_length=1, description="The version that serves.")
    previous: str | None = Field(default=None, description="The version before it, for a roll-back.")
    moved: str = Field(description="When the pointer was moved, ISO 8601, UTC.")
    etag: str = Field(default="", exclude=True, description="The object's tag when it was read.")


def read_champion(store: Store, name: str) -> Champion | None:
    """The champion of a model; None when there is none yet.

    Raises:
        PackageError: The pointer is not what this program writes.
        StoreError: The object store cannot be reached or refuses.
    """
    found = store.read_with_etag(champion_key(name))
    if found is None or found[0] == _NO_VERSION:
        return None
    content, etag = found
    try:
        return Champion.model_validate({**json.loads(content), "etag": etag})
    except (ValueError, TypeError) as error:
        raise PackageError(
            f"{store.uri(champion_key(name))} is no champion pointer: {content[:80]!r}. Mend or remove it."
        ) from error


def move_champion(store: Store, name: str, champion: Champion, *, expected: Champion | None) -> bool:
    """Move the pointer if nobody else has in the meantime.

    Args:
        store: The object store.
        name: Name of the model.
        champion: Where it should point.
        expected: What was read before; None when there was none.

    Returns:
        False when another run moved it first; then nothing was changed.
    """
    key, content = champion_key(name), champion.model_dump_json(indent=2).encode()
    if expected is not None:
        return store.replace(key, content, expected.etag)
    if store.create(key, content):
        return True
    found = store.read_with_etag(key)
    return found is not None and found[0] == _NO_VERSION and store.replace(key, content, found[1])


def withdraw_champion(store: Store, name: str, *, expected: Champion) -> bool:
    """Point at no version, as if there had never been one, if nobody else has moved the pointer in the meantime.

    Args:
        store: The object store.
        name: Name of the model.
        expected: What was read before.

    Returns:
        False when another run moved it first; then nothing was changed.
    """
    return store.replace(champion_key(name), _NO_VERSION, expected.etag)
