"""One bucket of the object store: every request, through the `minio` client, and what it raises as a `StoreError`."""

import functools
import io
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

import certifi
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error

from components.shared.errors import StoreError
from components.shared.files import replacing
from components.shared.store.failures import (
    SERVER_FAILURES,
    cause,
    error_code,
    is_cut_short,
    is_missing,
    is_transient,
    refusal,
)
from components.shared.store.keys import GLOB_CHARACTERS, ObjectInfo, as_folder, matches, media_type
from components.shared.store.settings import StoreSettings
from components.shared.transient import retry_seconds, retry_transient

Item = TypeVar("Item")
P = ParamSpec("P")
_CONNECT_SECONDS = 3.0
_PARALLEL_TRANSFERS = 4
_PROBED = "models/"
_CHUNK_BYTES = 1024 * 1024
_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.2, 5.0
# A conditional write whose answer is lost may have been done: sending it again would report a false defeat.
_CONNECT_ONLY = urllib3.Retry(total=1, connect=1, read=0, status=0, other=0, redirect=0)
# `Store.list` hides the builtin inside the class body.
Objects = list[ObjectInfo]
Names = list[str]


def _repeated(method: Callable[Concatenate["Store", P], Item]) -> Callable[Concatenate["Store", P], Item]:
    """A method of a store that may be done twice.

    It is done again when an answer was cut short, as a request that failed on the way is sent again; and in a pod for a
    while when the store is away.
    """

    @functools.wraps(method)
    def repeating(store: "Store", /, *arguments: P.args, **named: P.kwargs) -> Item:
        return retry_transient(
            lambda: _answered_whole(lambda: method(store, *arguments, **named), retries=store.retries),
            is_transient=lambda error: is_transient(error.__cause__),
            seconds=store.patience,
        )

    return repeating


def _answered_whole(action: Callable[[], Item], *, retries: int) -> Item:
    for _ in range(retries):
        try:
            return action()
        except StoreError as error:
            if not is_cut_short(error.__cause__):
                raise
            time.sleep(_BACKOFF_SECONDS)
    return action()


class Store:
    """One bucket of the object store. Safe to use from several threads.

    Every method raises `StoreError` when the store cannot be reached, refuses the keys, or lacks the bucket.
    """

    patience = 0.0  # seconds for which a store that is away for a moment is tried again

    def __init__(self, settings: StoreSettings, *, read_timeout: float = 30.0, retries: int = 1) -> None:
        """Keep the settings; nothing is contacted before the first request.

        Args:
            settings: Endpoint, keys and bucket.
            read_timeout: Seconds the server may stay silent before a request fails.
            retries: How often a request that failed on the way is sent again.
        """
        self.settings = settings
        self.read_timeout = read_timeout
        self.retries = retries

    @classmethod
    def connect(cls) -> "Store":
        """The store that the environment names."""
        store = cls(StoreSettings.from_environment())
        store.patience = retry_seconds()
        return store

    def for_bucket(self, name: str) -> "Store":
        """The same store, another bucket."""
        settings = replace(self.settings, bucket=name)
        store = Store(settings, read_timeout=self.read_timeout, retries=self.retries)
        store.patience = self.patience
        return store

    def uri(self, key: str) -> str:
        """The address `s3://bucket/key`, the form KServe and DuckDB understand."""
        return f"s3://{self.settings.bucket}/{key}"

    def ensure_bucket(self) -> None:
        """Create the bucket unless it exists."""
        with self._explained("open", ""):
            if not self._bucket_exists():
                self._make_bucket()

    @_repeated
    def put_file(self, key: str, path: Path) -> None:
        """Upload a file, in parts when it is large, so that it never has to fit in memory."""
        with self._explained("upload", key):
            self._client.fput_object(self.settings.bucket, key, str(path), content_type=media_type(key))

    @_repeated
    def put_bytes(self, key: str, data: bytes, content_type: str = "") -> None:
        """Write an object; without a content type the key's suffix gives it."""
        with self._explained("write", key):
            self._client.put_object(
                self.settings.bucket,
                key,
                io.BytesIO(data),
                length=len(data),
                content_type=content_type or media_type(key),
            )

    def get_bytes(self, key: str) -> bytes:
        """Read a whole object."""
        return self._read(key)[0]

    def read_with_etag(self, key: str) -> tuple[bytes, str] | None:
        """Read a whole object and the etag that `replace` wants; None when there is no such object."""
        try:
            return self._read(key)
        except StoreError as error:
            if not is_missing(error):
                raise
            return None

    @_repeated
    def get_file(self, key: str, path: Path) -> None:
        """Download an object; `path` appears only when the download is complete."""
        with (
            self._explained("download", key),
            self._response(key) as response,
            replacing(path) as partial,
            partial.open("wb") as file,
        ):
            shutil.copyfileobj(response, file, _CHUNK_BYTES)

    @_repeated
    def exists(self, key: str) -> bool:
        """Whether there is such an object."""
        with self._explained("look up", key):
            try:
                self._client.stat_object(self.settings.bucket, key)
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                return False
            return True

    @_repeated
    def age(self, key: str) -> float | None:
        """Seconds since an object was written, both moments by the server's own clock; None when there is none.

        Servers say them to the second.
        """
        with self._explained("look up", key):
            try:
                headers = self._client.stat_object(self.settings.bucket, key).metadata or {}
            except S3Error as error:
                if error.code != "NoSuchKey":
                    raise
                return None
            now, written = (parsedate_to_datetime(headers[name]) for name in ("Date", "Last-Modified"))
            return (now - written).total_seconds()

    @_repeated
    def list(self, prefix: str = "", *, start_after: str = "") -> Objects:
        """All objects whose key begins with the prefix, sorted by key; one request for each 1,000 of them.

        Args:
            prefix: What the keys begin with.
            start_after: Keys up to this one are left out; the server does not look at them.
        """
        with self._explained("list", prefix):
            found = self._client.list_objects(
                self.settings.bucket, prefix=prefix, recursive=True, start_after=start_after or None
            )
            keys = [item for item in found if item.object_name and not item.object_name.endswith("/")]
        return sorted(map(ObjectInfo.of, keys))

    @_repeated
    def folders(self, prefix: str = "") -> Names:
        """What follows the prefix up to the next `/`, of all keys that have one: sorted, without looking into any."""
        with self._explained("list", prefix):
            found = self._client.list_objects(self.settings.bucket, prefix=prefix)
            names = [str(item.object_name).removeprefix(prefix) for item in found]
        return sorted(name.rstrip("/") for name in names if name.endswith("/"))

    def glob(self, pattern: str) -> Objects:
        """All objects whose key matches: `*`, `?`, `[…]` within a path segment, `**` for any number of segments."""
        fixed = next((index for index, character in enumerate(pattern) if character in GLOB_CHARACTERS), len(pattern))
        wanted = pattern.split("/")
        return [found for found in self.list(pattern[:fixed]) if matches(found.key.split("/"), wanted)]

    def create(self, key: str, data: bytes) -> bool:
        """Write an object that must not exist yet; False when it already does. Of several at once one wins.

        When the answer is lost, the object is looked up: one that holds these bytes counts as written by this call, so
        that whoever must tell its own writing from another's puts something of its own into them.
        """
        return self._put_surely(key, data, condition={"If-None-Match": "*"}, before="")

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        """Overwrite an object that must still have this etag; False when it changed or is gone.

        When the answer is lost, the object is looked up, as by `create`.
        """
        return self._put_surely(key, data, condition={"If-Match": f'"{etag}"'}, before=etag)

    @_repeated
    def delete(self, key: str) -> None:
        """Remove an object; no error when there is none."""
        with self._explained("delete", key):
            self._client.remove_object(self.settings.bucket, key)

    @_repeated
    def delete_many(self, keys: Sequence[str]) -> None:
        """Remove objects, up to 1,000 a request; no error for those that do not exist."""
        with self._explained("delete", ""):
            for failed in self._client.remove_objects(self.settings.bucket, (DeleteObject(key) for key in keys)):
                raise StoreError(f"Could not delete {self.uri(str(failed.name))}: {failed.code}, {failed.message}.")

    def get_folder(self, prefix: str, folder: Path) -> None:
        """Download all objects below a prefix; `folder` appears only when it is complete.

        Raises:
            StoreError: There are no such objects, a key would land outside the folder, or the folder is not empty.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"Expected {folder} to be a new or empty folder to download {self.uri(prefix)} into.")
        found = self.list(as_folder(prefix))
        if not found:
            raise StoreError(f"Expected objects below {self.uri(as_folder(prefix))}, found none. Check the name.")
        names = {item.key: self._inside(as_folder(prefix), item.key) for item in found}
        with self._explained("download", prefix), replacing(folder) as partial:
            partial.mkdir()
            _in_parallel(lambda key: self.get_file(key, partial / names[key]), names)

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        retry = urllib3.Retry(
            total=self.retries,
            backoff_factor=_BACKOFF_SECONDS,
            status_forcelist=SERVER_FAILURES,
            raise_on_status=False,
        )
        timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=self.read_timeout)
        certificates = self.settings.ca_bundle or os.environ.get("SSL_CERT_FILE") or certifi.where()
        return urllib3.PoolManager(timeout=timeout, retries=retry, maxsize=10, ca_certs=certificates)

    @cached_property
    def _client(self) -> Minio:
        address = urlsplit(self.settings.endpoint)
        return Minio(
            address.netloc,
            access_key=self.settings.access_key,
            secret_key=self.settings.secret_key,
            session_token=self.settings.session_token or None,
            secure=address.scheme == "https",
            region=self.settings.region,
            http_client=self._pool,
        )

    def _bucket_exists(self) -> bool:
        try:
            return self._client.bucket_exists(self.settings.bucket)
        except S3Error:
            # The answer to a HEAD request has no body; a listing's refusal tells unknown keys from a forbidden bucket.
            # Keys with few rights may look at some prefixes only, and that of the models is among them.
            next(iter(self._client.list_objects(self.settings.bucket, prefix=_PROBED)), None)
            return True

    def _make_bucket(self) -> None:
        try:
            self._client.make_bucket(self.settings.bucket)
        except S3Error as error:
            if error.code != "BucketAlreadyOwnedByYou":
                raise

    @contextmanager
    def _response(self, key: str) -> Iterator[urllib3.BaseHTTPResponse]:
        response = self._client.get_object(self.settings.bucket, key)
        try:
            yield response
        finally:
            response.close()
            response.release_conn()

    @_repeated
    def _read(self, key: str) -> tuple[bytes, str]:
        with self._explained("read", key), self._response(key) as response:
            return response.read(), response.headers.get("etag", "").strip('"')

    def _put_surely(self, key: str, data: bytes, *, condition: dict[str, str], before: str) -> bool:
        """A conditional write; one whose answer was lost is looked up, and sent again only if it was not done.

        Args:
            key: The object's.
            data: Its content.
            condition: The header that the server checks.
            before: The etag of what is to be replaced; empty when there is to be nothing.
        """
        attempt, deadline = 0, time.monotonic() + self.patience
        while True:
            try:
                return self._put_if(key, data, condition=condition)
            except StoreError as error:
                over = attempt >= self.retries and time.monotonic() >= deadline
                if over or not is_transient(error.__cause__):
                    raise
                found = self._looked_up(key, error)
            if found is not None and found[0] == data:
                return True
            if (found[1] if found else "") != before:
                return False
            time.sleep(min(_BACKOFF_SECONDS * 2**attempt, _LONGEST_BACKOFF_SECONDS))
            attempt += 1

    def _looked_up(self, key: str, error: StoreError) -> tuple[bytes, str] | None:
        """Content and etag of an object after a failed write; raises the write's error if it cannot be read."""
        try:
            return self.read_with_etag(key)
        except StoreError:
            raise error from error.__cause__

    def _put_if(self, key: str, data: bytes, *, condition: dict[str, str]) -> bool:
        """PUT with a condition that the server checks; the client's own `put_object` cannot send one."""
        with self._explained("write", key):
            url = self._client.get_presigned_url("PUT", self.settings.bucket, key, expires=timedelta(hours=1))
            headers = {**condition, "Content-Type": media_type(key)}
            response = self._pool.request("PUT", url, body=data, headers=headers, retries=_CONNECT_ONLY)
            if response.status == HTTPStatus.OK:
                return True
            refused = refusal(response)
            if error_code(refused) in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                return False
            raise refused

    def _inside(self, prefix: str, key: str) -> PurePosixPath:
        relative = key.removeprefix(prefix)
        if any(part in ("", ".", "..") for part in relative.split("/")):
            raise StoreError(f"Expected plain file names below {self.uri(prefix)}, found the key {key!r}. Rename it.")
        return PurePosixPath(relative)

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        """Turn what the client, the network and the local disk raise into a StoreError."""
        try:
            yield
        except (MinioException, urllib3.exceptions.HTTPError, ElementTree.ParseError, OSError, ValueError) as error:
            # A file name that is not UTF-8 must not break the printing of what is said about it.
            where = f"{self.uri(key)} at {self.settings.endpoint}".encode(errors="backslashreplace").decode()
            raise StoreError(f"Could not {doing} {where}: {cause(error, self.settings)}.") from error


def _in_parallel(action: Callable[[Item], None], items: Iterable[Item]) -> None:
    with ThreadPoolExecutor(_PARALLEL_TRANSFERS) as workers:
        futures = [workers.submit(action, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise
