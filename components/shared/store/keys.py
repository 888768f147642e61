"""Keys of objects: addresses `s3://bucket/key`, listings, patterns and content types.

S3 knows no folders, only keys that begin alike. What looks like a folder in an address is made one here by its last
slash, and patterns are matched segment by segment, as a shell does, so that `*` does not reach into folders below.
"""

import mimetypes
from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from components.shared.errors import StoreError

if TYPE_CHECKING:
    from minio.datatypes import Object

GLOB_CHARACTERS = frozenset("*?[")


class ObjectInfo(NamedTuple):
    """One object of a listing: its key, size in bytes, etag without quotes, and time of the last change (UTC)."""

    key: str
    size: int
    etag: str
    modified: datetime

    @classmethod
    def of(cls, item: "Object") -> "ObjectInfo":
        """What the client says of an object that it lists."""
        etag, modified = (item.etag or "").strip('"'), item.last_modified or datetime.min
        return cls(str(item.object_name), int(item.size or 0), etag, modified)


class S3Location(NamedTuple):
    """The two halves of an `s3://bucket/key` address; the key may be empty, a prefix or a glob pattern."""

    bucket: str
    key: str


def parse_s3_uri(uri: str) -> S3Location:
    """Split `s3://bucket/key`.

    Raises:
        StoreError: The text is not such an address.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise StoreError(f"Expected an address like s3://bucket/key, found {uri!r}.")
    return S3Location(bucket, key)


def media_type(key: str) -> str:
    """The media type that the suffix of a key stands for."""
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def as_folder(prefix: str) -> str:
    """A prefix with the slash that ends it, without which `v1` would take `v10` too; empty for the whole bucket."""
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


# Example: a/b/c.csv fits a/**/c.csv and **/*.csv, and not a/*.csv.
def matches(segments: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the segments of a key fit those of a pattern, of which `**` stands for any number of segments."""
    if not patterns:
        return not segments
    if patterns[0] == "**":
        return any(matches(segments[skipped:], patterns[1:]) for skipped in range(len(segments) + 1))
    return bool(segments) and fnmatchcase(segments[0], patterns[0]) and matches(segments[1:], patterns[1:])
