"""Objects of an S3 store: one, all below a prefix, or those that match a glob.

Objects are downloaded and then treated as files, so that nothing behind needs to know where they came from. The bucket
may be another one than the project's; keys and endpoint are those of the environment, never of the configuration. The
fingerprint is made of etags, without reading an object.
"""

import glob
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from components.shared.config.table import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.base import Fingerprint, Source
from components.shared.sources.listing import below_glob, partitions_in, tables_among, visible
from components.shared.sources.table_files import TableFile, nearest, place_for

if TYPE_CHECKING:  # its client takes a while to import, and whoever reads a configuration needs none
    from components.shared.store import Store


class S3Source(Source):
    """A table in objects of a store that the environment names (`AWS_ENDPOINT_URL` and the others)."""

    schemes = ("s3",)

    kind: Literal["s3"] = Field(default="s3", description="Objects of an S3 store.")
    path: str = Field(
        description="Where the table is: s3://bucket/key, a prefix or a glob. Folders named key=value below a prefix "
        "or glob are columns.",
        json_schema_extra={"pattern": "^[sS]3://"},
    )

    def read(self, scratch: Path) -> list[TableFile]:
        """The objects, downloaded."""
        store, key = self._place()
        files = []
        for found in _keys(store, key, self):
            path = place_for(PurePosixPath(found).name, scratch)
            store.get_file(found, path)
            files.append(TableFile(store.uri(found), path, _below_key(key, found)))
        return files

    def fingerprint(self) -> Fingerprint:
        """All objects that the key, the prefix or the glob may stand for, by their etags; a few more do no harm."""
        return Fingerprint("its objects", self.objects())

    def objects(self) -> list[tuple[str, str, int]]:
        """Keys, ETags and sizes of all objects that the key, the prefix or the glob may stand for.

        Raises:
            StoreError: The object store cannot be reached or refuses.
        """
        store, key = self._place()
        fixed = next((index for index, character in enumerate(key) if character in "*?["), len(key))
        return [(item.key, item.etag, item.size) for item in store.list(key[:fixed])]

    def _place(self) -> "tuple[Store, str]":
        from components.shared.store import Store, parse_s3_uri

        bucket, key = parse_s3_uri(self.path)
        return Store.connect().for_bucket(bucket), key


def _below_key(key: str, found: str) -> tuple[str, ...]:
    """The partitions of an object below a prefix or a glob; of one named itself there are none."""
    if glob.has_magic(key):
        return below_glob(PurePosixPath(key), PurePosixPath(found))
    return partitions_in(PurePosixPath(found.removeprefix(key).lstrip("/")))


def _keys(store: "Store", key: str, table: TableConfig) -> list[str]:
    """The objects that a key, a prefix or a glob stands for."""
    if glob.has_magic(key):
        keys = [found.key for found in store.glob(key)]
        if not keys:
            raise SourceError(
                f"no object matches {store.uri(key)!r}. Check the pattern; ** stands for any number of folders."
            )
        return keys
    if key and not key.endswith("/") and store.exists(key):
        return [key]
    prefix = f"{key.rstrip('/')}/" if key else ""
    below = [Path(found.key) for found in store.list(prefix) if visible(Path(found.key.removeprefix(prefix)))]
    if not below:
        parent = "".join(key.rpartition("/")[:2])
        raise SourceError(
            f"there is no object {store.uri(key)}.{nearest(key, (found.key for found in store.list(parent)))}"
        )
    return [path.as_posix() for path in tables_among(below, table, f"the folder {store.uri(prefix)}")]
