"""Trying out what keys may do in the object store, without writing, changing or removing anything.

What a purpose may do is `components.shared.store_admin.GRANTS`; here each right is asked for with a request that cannot
take effect: reading lists a prefix, writing replaces an object that does not exist, removing names an object that does
not exist.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, Literal

from components.shared.errors import StoreError
from components.shared.purposes import Purpose
from components.shared.store import Store, StoreSettings, is_refused
from components.shared.store_admin import GRANTS

Action = Literal["read", "write", "remove"]

# The last one is where compaction writes.
PREFIXES = (
    "data/", "models/", "predictions/", "monitoring/", "labels/", "shadow/", "inference/",
    "inference/.rights/compacted",
)  # fmt: skip
_NO_ETAG = "0" * 32


@dataclass(frozen=True, slots=True)
class Right:
    """One right: what was expected and what was found.

    Attributes:
        action: What was tried.
        place: The prefix; empty for the whole bucket.
        expected: Whether the purpose should be allowed.
        allowed: Whether it is.
    """

    action: Action
    place: str
    expected: bool
    allowed: bool


def try_rights(settings: StoreSettings, purpose: Purpose) -> list[Right]:
    """Try every right below every prefix of the project's bucket, or of KFP's for the purpose "artifacts".

    Raises:
        StoreError: The store cannot be reached, does not know the keys, or has no such bucket.
    """
    store = Store(settings)
    grant = GRANTS[purpose]
    _prove_keys(store, grant.read)
    granted: dict[Action, tuple[str, ...]] = {"read": grant.read, "write": grant.write, "remove": grant.remove}
    return [
        Right(action, place, _covers(granted[action], place), _is_allowed(attempt))
        for place in PREFIXES
        for action, attempt in _attempts(store, place)
        if not (grant.look_up and action == "read" and not _covers(grant.read, place))
    ]


def _covers(prefixes: tuple[str, ...], place: str) -> bool:
    """Whether one of the prefixes, which may hold stars as in an S3 policy, is one of a place's keys."""
    return any(fnmatchcase(place, f"{prefix}*") for prefix in prefixes)


def report(settings: StoreSettings, purpose: Purpose) -> dict[str, Any]:
    """The same as plain values for a program to read: `rights` or `error`, the bucket, and this machine's clock."""
    try:
        found: dict[str, Any] = {"rights": [asdict(right) for right in try_rights(settings, purpose)]}
    except StoreError as error:
        found = {"error": str(error)}
    return {"purpose": purpose, "bucket": settings.bucket, "clock": time.time(), **found}


def _prove_keys(store: Store, readable: tuple[str, ...]) -> None:
    """Read what must be readable: the error of wrong keys or of a missing bucket, not a list of rights."""
    for prefix in readable[:1]:
        _is_allowed(partial(store.list, f"{prefix}{_unused()}"))


def _attempts(store: Store, place: str) -> Iterator[tuple[Action, Callable[[], object]]]:
    key = f"{place}{_unused()}"
    yield "read", lambda: store.list(key)
    yield "write", lambda: store.replace(key, b"", _NO_ETAG)
    yield "remove", lambda: store.delete(key)


def _unused() -> str:
    return f".rights-{uuid.uuid4().hex}"


def _is_allowed(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except StoreError as error:
        if not is_refused(error):
            raise
        return False
    return True
