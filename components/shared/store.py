"""The object store: plain S3, spoken through the `minio` client. Only `store_admin` imports it too, to set one up.

Any S3 server will do. The connection comes from the environment, by AWS's standard names:
`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_SESSION_TOKEN`,
`AWS_CA_BUNDLE`, and `FULLCIRCLE_BUCKET` for the bucket. Every failure is a `StoreError` in the user's words.
"""

import errno
import functools
import io
import mimetypes
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

import certifi
import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError

from components.shared.errors import StoreError
from components.shared.transient import patience, retry_transient

Item = TypeVar("Item")
P = ParamSpec("P")

DEFAULT_BUCKET = "fullcircle"
DEFAULT_REGION = "us-east-1"

_REQUIRED = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_SET_IT = "Set what is missing, for instance AWS_ENDPOINT_URL=http://minio.example:9000."
_POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
_IN_A_POD = (
    "A task gets the endpoint from the ConfigMap (fullcircle-store) and the keys from the secret (fullcircle-stages) "
    "that the configuration names under `cluster`: create what is missing in the namespace of the run, then run again."
)
_CONNECT_SECONDS = 3.0
_PARALLEL_TRANSFERS = 4
_PROBED = "models/"
_CHUNK_BYTES = 1024 * 1024
_SERVER_FAILURES = (500, 502, 503, 504)
_GLOB_CHARACTERS = frozenset("*?[")
_FULL_DISK = "the store's disk is full: free some space there, then try again"
_CHECK_ENDPOINT = "check that the server is running and that AWS_ENDPOINT_URL names it"

_BACKOFF_SECONDS, _LONGEST_BACKOFF_SECONDS = 0.2, 5.0

# A conditional write whose answer is lost may have been done: sending it again would report a false defeat.
_CONNECT_ONLY = urllib3.Retry(total=1, connect=1, read=0, status=0, other=0, redirect=0)

_CAUSES = {
    "AccessDenied": "the access key {key!r} is unknown, or not allowed to do this: "
    "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or grant it the permission",
    "InvalidAccessKeyId": "the store does not know the access key {key!r}: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key does not belong to the access key {key!r}: check AWS_SECRET_ACCESS_KEY",
    "InvalidToken": "the session token is not valid: check AWS_SESSION_TOKEN",
    "ExpiredToken": "the session token has expired: renew AWS_SESSION_TOKEN and the keys",
    "AuthorizationHeaderMalformed": "the store is in another region than {region!r}: check AWS_REGION",
    "PermanentRedirect": "the bucket is in another region than {region!r}: check AWS_REGION and AWS_ENDPOINT_URL",
    "RequestTimeTooSkewed": "the clocks of this machine and of the store differ too much: set them right",
    "NoSuchBucket": "the bucket {bucket!r} does not exist: create it, or name another one (FULLCIRCLE_BUCKET)",
    "NoSuchKey": "there is no such object: check its name",
    "InvalidBucketName": "{bucket!r} is not a valid bucket name: use 3 to 63 lower-case letters, digits and hyphens",
    "XMinioStorageFull": _FULL_DISK,
    "InsufficientStorage": _FULL_DISK,
    "InternalError": "the store failed ({message}): see its log, and whether its disk is full",
}


@dataclass(frozen=True)
class StoreSettings:
    """Where the object store is and how to sign in.

    Attributes:
        endpoint: `http://host:port` or `https://host:port`, without a path.
        access_key: The name half of the credentials.
        secret_key: The secret half; never shown by `repr`.
        bucket: The bucket that the project's objects live in.
        region: The region requests are signed for.
        session_token: For temporary credentials; empty otherwise.
        ca_bundle: Path of the certificates an https endpoint is checked against; empty for the usual ones.
    """

    endpoint: str
    access_key: str
    secret_key: str = field(repr=False)
    bucket: str = DEFAULT_BUCKET
    region: str = DEFAULT_REGION
    session_token: str = field(default="", repr=False)
    ca_bundle: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "StoreSettings":
        """Read the settings from the environment (of this process by default).

        Raises:
            StoreError: A required variable is missing, or the endpoint is not a URL.
        """
        given = os.environ if environment is None else environment
        missing = [name for name in _REQUIRED if not given.get(name)]
        if missing:
            raise StoreError(
                f"The object store is not configured: expected the environment variables {', '.join(_REQUIRED)}, "
                f"found no {' and no '.join(missing)}. {_IN_A_POD if given.get(_POD_VARIABLE) else _SET_IT}"
            )
        return cls(
            endpoint=_checked_endpoint(given["AWS_ENDPOINT_URL"]),
            access_key=given["AWS_ACCESS_KEY_ID"],
            secret_key=given["AWS_SECRET_ACCESS_KEY"],
            bucket=given.get("FULLCIRCLE_BUCKET") or DEFAULT_BUCKET,
            region=given.get("AWS_REGION") or DEFAULT_REGION,
            session_token=given.get("AWS_SESSION_TOKEN", ""),
            ca_bundle=given.get("AWS_CA_BUNDLE", ""),
        )

    def environment(self) -> dict[str, str]:
        """The variables that make `from_environment` give these settings back."""
        # An empty token hides one that is left over from other work; an empty bundle would turn off others' checks.
        certificates = {"AWS_CA_BUNDLE": self.ca_bundle} if self.ca_bundle else {}
        return certificates | {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_SESSION_TOKEN": self.session_token,
            "FULLCIRCLE_BUCKET": self.bucket,
        }


class ObjectInfo(NamedTuple):
    """One object of a listing: its key, size in bytes, etag without quotes, and time of the last change (UTC)."""

    key: str
    size: int
    etag: str
    modified: datetime


class S3Location(NamedTuple):
    """The two halves of an `s3://bucket/key` address; the key may be empty, a prefix or a glob pattern."""

    bucket: str
    key: str


def is_refused(error: StoreError) -> bool:
    """Whether the store was reached and knew the keys, but does not allow them to do what was asked."""
    return _code(error.__cause__) == "AccessDenied"


def is_missing(error: StoreError) -> bool:
    """Whether the store was reached, and has no object of that key."""
    return _code(error.__cause__) == "NoSuchKey"


# `Store.list` hides the builtin inside the class body.
Objects = list[ObjectInfo]
Names = list[str]


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


def _repeated(method: Callable[Concatenate["Store", P], Item]) -> Callable[Concatenate["Store", P], Item]:
    """A method of a store that may be done twice: in a pod tried again for a while when the store is away."""

    @functools.wraps(method)
    def repeating(store: "Store", /, *arguments: P.args, **named: P.kwargs) -> Item:
        return retry_transient(
            lambda: method(store, *arguments, **named),
            is_transient=lambda error: _is_fleeting(error.__cause__),
            seconds=store.patience,
        )

    return repeating


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
        store.patience = patience()
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
            self._client.fput_object(self.settings.bucket, key, str(path), content_type=_content_type(key))

    @_repeated
    def put_bytes(self, key: str, data: bytes, content_type: str = "") -> None:
        """Write an object; without a content type the key's suffix gives it."""
        with self._explained("write", key):
            self._client.put_object(
                self.settings.bucket,
                key,
                io.BytesIO(data),
                length=len(data),
                content_type=content_type or _content_type(key),
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
        with self._explained("download", key):
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = _partial(path)
            try:
                with self._response(key) as response, partial.open("wb") as file:
                    shutil.copyfileobj(response, file, _CHUNK_BYTES)
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)

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
            objects = [
                ObjectInfo(
                    key=str(item.object_name),
                    size=int(item.size or 0),
                    etag=(item.etag or "").strip('"'),
                    modified=item.last_modified or datetime.min,
                )
                for item in found
                if item.object_name and not item.object_name.endswith("/")
            ]
        return sorted(objects)

    @_repeated
    def folders(self, prefix: str = "") -> Names:
        """What follows the prefix up to the next `/`, of all keys that have one: sorted, without looking into any."""
        with self._explained("list", prefix):
            found = self._client.list_objects(self.settings.bucket, prefix=prefix)
            names = [str(item.object_name).removeprefix(prefix) for item in found]
        return sorted(name.rstrip("/") for name in names if name.endswith("/"))

    def glob(self, pattern: str) -> Objects:
        """All objects whose key matches: `*`, `?`, `[…]` within a path segment, `**` for any number of segments."""
        fixed = next((index for index, character in enumerate(pattern) if character in _GLOB_CHARACTERS), len(pattern))
        wanted = pattern.split("/")
        return [found for found in self.list(pattern[:fixed]) if _matches(found.key.split("/"), wanted)]

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

    def put_folder(self, prefix: str, folder: Path, last: str | None = "manifest.json") -> None:
        """Upload a folder's files below a prefix.

        Args:
            prefix: What the keys begin with; a `/` follows it.
            folder: The folder; its subfolders are included.
            last: Name of the file uploaded after all others, so that its presence means that they are complete.
                None when no file has that meaning.

        Raises:
            StoreError: The folder has no files, or lacks the file that goes last. Nothing is uploaded then.
        """
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            raise StoreError(f"Expected files to upload to {self.uri(prefix)} in the folder {folder}, found none.")
        closing = [] if last is None else [folder / last]
        if not set(closing) <= set(paths):
            raise StoreError(f"Expected {last} in the folder {folder}: it completes what goes to {self.uri(prefix)}.")

        def upload(path: Path) -> None:
            self.put_file(f"{_as_folder(prefix)}{path.relative_to(folder).as_posix()}", path)

        _in_parallel(upload, [path for path in paths if path not in closing])
        _in_parallel(upload, closing)

    def get_folder(self, prefix: str, folder: Path) -> None:
        """Download all objects below a prefix; `folder` appears only when it is complete.

        Raises:
            StoreError: There are no such objects, a key would land outside the folder, or the folder is not empty.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"Expected {folder} to be a new or empty folder to download {self.uri(prefix)} into.")
        found = self.list(_as_folder(prefix))
        if not found:
            raise StoreError(f"Expected objects below {self.uri(_as_folder(prefix))}, found none. Check the name.")
        partial = _partial(folder)
        targets = {item.key: partial / self._inside(_as_folder(prefix), item.key) for item in found}
        with self._explained("download", prefix):
            try:
                partial.mkdir(parents=True)
                _in_parallel(lambda key: self.get_file(key, targets[key]), targets)
                partial.replace(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        retry = urllib3.Retry(
            total=self.retries,
            backoff_factor=_BACKOFF_SECONDS,
            status_forcelist=_SERVER_FAILURES,
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
                if over or not _is_fleeting(error.__cause__):
                    raise
                found = self._looked_up(key, error)
            if found is not None and found[0] == data:
                return True
            if (found[1] if found else "") != before:
                return False
            time.sleep(min(_BACKOFF_SECONDS * 2**attempt, _LONGEST_BACKOFF_SECONDS))
            attempt += 1

    def _looked_up(self, key: str, error: StoreError) -> tuple[bytes, str] | None:
        """What an object holds after a write of it failed; where that cannot be told, the write's error stands."""
        try:
            return self.read_with_etag(key)
        except StoreError:
            raise error from error.__cause__

    def _put_if(self, key: str, data: bytes, *, condition: dict[str, str]) -> bool:
        """PUT with a condition that the server checks; the client's own `put_object` cannot send one."""
        with self._explained("write", key):
            url = self._client.get_presigned_url("PUT", self.settings.bucket, key, expires=timedelta(hours=1))
            headers = {**condition, "Content-Type": _content_type(key)}
            response = self._pool.request("PUT", url, body=data, headers=headers, retries=_CONNECT_ONLY)
            if response.status == HTTPStatus.OK:
                return True
            refusal = _refusal(response)
            if _code(refusal) in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                return False
            raise refusal

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
            raise StoreError(f"Could not {doing} {where}: {_cause(error, self.settings)}.") from error


def _checked_endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.path.strip("/") or parts.query or parts.username:
        raise StoreError(f"AWS_ENDPOINT_URL: expected http://host:port or https://host:port, found {url!r}.")
    return f"{parts.scheme}://{parts.netloc}"


def _content_type(key: str) -> str:
    return mimetypes.guess_type(key)[0] or "application/octet-stream"


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")


def _as_folder(prefix: str) -> str:
    # Without the slash, `v1` would take `v10` too.
    return f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def _in_parallel(action: Callable[[Item], None], items: Iterable[Item]) -> None:
    with ThreadPoolExecutor(_PARALLEL_TRANSFERS) as workers:
        futures = [workers.submit(action, item) for item in items]
        try:
            for future in futures:
                future.result()
        except BaseException:
            workers.shutdown(cancel_futures=True)
            raise


def _matches(segments: Sequence[str], patterns: Sequence[str]) -> bool:
    if not patterns:
        return not segments
    if patterns[0] == "**":
        return any(_matches(segments[skipped:], patterns[1:]) for skipped in range(len(segments) + 1))
    return bool(segments) and fnmatchcase(segments[0], patterns[0]) and _matches(segments[1:], patterns[1:])


def _refusal(response: urllib3.BaseHTTPResponse) -> MinioException:
    kind = response.headers.get("content-type", "")
    if "application/xml" in kind and response.data:
        return S3Error.fromxml(response)
    return InvalidResponseError(response.status, kind, response.data.decode(errors="replace"))


def _code(error: BaseException | None) -> str:
    return (error.code or "") if isinstance(error, S3Error) else ""


def _is_fleeting(error: BaseException | None) -> bool:
    """Whether the same request may succeed a moment later: the network failed, or the server did."""
    if isinstance(error, S3Error):
        return error.response.status in _SERVER_FAILURES
    if isinstance(error, ServerError):
        return error.status_code in _SERVER_FAILURES
    if isinstance(error, InvalidResponseError):
        return error._code in _SERVER_FAILURES
    return isinstance(error, urllib3.exceptions.HTTPError)


def _cause(error: Exception, settings: StoreSettings) -> str:
    if isinstance(error, S3Error):
        return _s3_cause(error, settings)
    if isinstance(error, ServerError | InvalidResponseError):
        return _http_cause(error)
    if isinstance(error, urllib3.exceptions.HTTPError):
        return _network_cause(error)
    if isinstance(error, OSError):
        full = "; free some space on this machine" if error.errno == errno.ENOSPC else ""
        return f"{error.strerror} ({error.filename or 'while writing'}){full}"
    if isinstance(error, ElementTree.ParseError):
        return f"what answers there is not an S3 server; {_CHECK_ENDPOINT}"
    return f"the bucket or the key is not a valid name {error}".rstrip()


def _s3_cause(error: S3Error, settings: StoreSettings) -> str:
    if error.response.status == HTTPStatus.INSUFFICIENT_STORAGE or "no space left" in (error.message or ""):
        return _FULL_DISK
    template = _CAUSES.get(error.code or "", "the store refused: {code}, {message}")
    return template.format(
        key=settings.access_key,
        bucket=settings.bucket,
        region=settings.region,
        code=error.code,
        message=(error.message or "").rstrip("."),
    )


def _http_cause(error: ServerError | InvalidResponseError) -> str:
    status = error.status_code if isinstance(error, ServerError) else error._code
    if status == HTTPStatus.INSUFFICIENT_STORAGE:
        return _FULL_DISK
    if status in _SERVER_FAILURES:
        return f"the store failed with HTTP status {status}: see its log, and whether its disk is full"
    return f"what answers there is not an S3 server (HTTP status {status}); {_CHECK_ENDPOINT}"


def _network_cause(error: urllib3.exceptions.HTTPError) -> str:
    reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return f"the host name is not known; {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.NewConnectionError):
        return f"nothing answers there ({str(reason).rpartition('] ')[2]}); {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.TimeoutError):
        return f"no answer in time; {_CHECK_ENDPOINT}"
    if isinstance(reason, urllib3.exceptions.SSLError):
        return f"no secure connection ({reason}); check https or http in AWS_ENDPOINT_URL, and AWS_CA_BUNDLE"
    return f"the connection broke off ({reason}); {_CHECK_ENDPOINT} and try again"
