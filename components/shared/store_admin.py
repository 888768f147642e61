"""Setting up a MinIO: buckets, and a user for each purpose with the rights that it needs and no others.

Everything may be done again at any time: what is there stays, what differs is put right, and keys that were replaced
are removed. The policies are those of Amazon S3, so that `policy` serves other stores too.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.commonconfig import ENABLED, Filter
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException, MinioException, S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule
from minio.minioadmin import MinioAdmin

from components.shared.errors import StoreError
from components.shared.inference_rows import LOG_ROOT, SHADOW_ROOT
from components.shared.purposes import Purpose
from components.shared.store import Store, StoreSettings

Policy = dict[str, Any]  # a policy of S3, or a statement of one, as JSON
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

_PREFIX = "fullcircle-"
_LOG_RULES = {"fullcircle-inference-log": LOG_ROOT, "fullcircle-shadow-log": SHADOW_ROOT}
_SHORTEST_SECRET = 8
_PAUSE_SECONDS = 2.0
_TIMEOUT = urllib3.Timeout(connect=3.0, read=30.0)


@dataclass(frozen=True)
class Keys:
    """Credentials of a user; the secret half is never shown by `repr`."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Grant:
    """What a purpose may do, by prefixes of keys; an empty prefix is the whole bucket.

    Attributes:
        read: Objects that may be listed and read.
        write: Objects that may be written, anew or over others.
        remove: Objects that may be removed.
        look_up: Whether the bucket itself may be looked up. S3 cannot tell that from a listing without a prefix, so the
            names of all keys, though no contents, are then there to be seen.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    look_up: bool = False


# What compaction writes in an hour's folder of the log; the star stands for anything, as in an S3 policy.
COMPACTED = "inference/*/compacted"

# Versions are immutable and the history of champions is only added to: nobody removes anything below models/.
GRANTS: dict[Purpose, Grant] = {
    "stages": Grant(
        read=("data/", "models/", "predictions/", "monitoring/"),
        write=("models/", "predictions/", "monitoring/"),
        remove=("predictions/",),
    ),
    # KServe's storage-initializer looks up the bucket before it downloads.
    "serving": Grant(read=("models/",), write=("inference/", "shadow/"), look_up=True),
    # It reads what it wrote, the rows of the parts that a run lays beside, tables of predictions, and whether there are
    # new tables. Labels are added and never removed; the endpoint, whose answers they judge, has no access to them.
    # Compaction puts files of the log together: it writes only objects called `compacted…`, never over the endpoint's
    # own, and removes what it replaced.
    "monitoring": Grant(
        read=("models/", "inference/", "shadow/", "labels/", "monitoring/", "predictions/", "data/"),
        write=("monitoring/", "labels/", COMPACTED),
        remove=("inference/", "shadow/"),
    ),
    "artifacts": Grant(read=("",), write=("",), remove=("",)),
}


def policy(purpose: Purpose, bucket: str) -> Policy:
    """The S3 policy of a purpose.

    Args:
        purpose: Who it is for.
        bucket: The bucket of the project; for "artifacts", that of Kubeflow Pipelines.
    """
    grant = GRANTS[purpose]
    statements = [_statement(["s3:GetBucketLocation"], [f"arn:aws:s3:::{bucket}"])]
    listing = _statement(["s3:ListBucket"], [f"arn:aws:s3:::{bucket}"])
    if "" not in grant.read:
        # Of a request without prefix, "for all values" holds, and the plain comparison does not.
        comparison = "ForAllValues:StringLike" if grant.look_up else "StringLike"
        listing["Condition"] = {comparison: {"s3:prefix": [f"{prefix}*" for prefix in grant.read]}}
    statements.append(listing)
    for actions, prefixes in (
        (["s3:GetObject"], grant.read),
        (["s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"], grant.write),
        (["s3:DeleteObject"], grant.remove),
    ):
        if prefixes:
            statements.append(_statement(actions, [f"arn:aws:s3:::{bucket}/{prefix}*" for prefix in prefixes]))
    return {"Version": "2012-10-17", "Statement": statements}


def read_keys(folder: Path) -> Keys:
    """Read `access_key` and `secret_key`, the files of a mounted secret.

    Raises:
        StoreError: A file is missing, is empty, or holds a secret that is too short for MinIO.
    """
    found = {}
    for name in ("access_key", "secret_key"):
        path = folder / name
        try:
            found[name] = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}. Make the secret that it comes from.") from error
        if not found[name]:
            raise StoreError(f"{path} is empty. Give the secret that it comes from a value.")
    if len(found["secret_key"]) < _SHORTEST_SECRET:
        raise StoreError(f"{folder / 'secret_key'} is too short: expected at least {_SHORTEST_SECRET} characters.")
    return Keys(**found)


def prepare(
    settings: StoreSettings,
    users: Mapping[Purpose, Keys],
    *,
    artifact_bucket: str,
    log_days: int = 0,
    wait_seconds: float = 0.0,
) -> list[str]:
    """Make buckets, policies and users, prove that each user can sign in, and say how long the inference log is kept.

    Args:
        settings: The store and its root keys; the project's bucket.
        users: Keys by purpose.
        artifact_bucket: Where Kubeflow Pipelines keeps the artifacts of runs.
        log_days: Days after which rows of the inference log expire; 0 to keep them.
        wait_seconds: How long the store may take to answer.

    Returns:
        What was done, a line each.

    Raises:
        StoreError: The store cannot be reached or refuses, or two users have the same access key.
    """
    _check_distinct(settings, users)
    store = Store(settings)
    _wait(store, wait_seconds)
    buckets = dict.fromkeys((settings.bucket, artifact_bucket))
    for bucket in buckets:
        store.for_bucket(bucket).ensure_bucket()
    done = [f"bucket {bucket} is there" for bucket in buckets]
    done.append(expire_log(settings, days=log_days))
    admin = _Admin(settings)
    for purpose, keys in users.items():
        bucket = artifact_bucket if purpose == "artifacts" else settings.bucket
        admin.grant(_PREFIX + purpose, policy(purpose, bucket), keys)
        _prove(replace(settings, access_key=keys.access_key, secret_key=keys.secret_key, bucket=bucket), purpose)
        done.append(f"user {keys.access_key} has the rights of {purpose}")
    return done + [f"user {name} is removed: its keys were replaced" for name in admin.remove_replaced(users)]


def expire_log(settings: StoreSettings, *, days: int) -> str:
    """Have the store itself remove what is older below `inference/`, and nothing else; other rules of the bucket stay.

    Args:
        settings: The store, its root keys and the project's bucket.
        days: Days after which an object expires, counted from when it was written; 0 to keep all.

    Returns:
        What was done, in words.

    Raises:
        StoreError: The store cannot be reached, or refuses.
    """
    client = _client(settings)
    try:
        found = client.get_bucket_lifecycle(settings.bucket)
        others = [rule for rule in (found.rules if found else []) if rule.rule_id not in _LOG_RULES]
        ours = [
            Rule(ENABLED, rule_filter=Filter(prefix=prefix), rule_id=name, expiration=Expiration(days=days or 1))
            for name, prefix in _LOG_RULES.items()
        ]
        rules = [*others, *ours] if days else others
        if rules:
            client.set_bucket_lifecycle(settings.bucket, LifecycleConfig(rules))
        elif found:
            client.delete_bucket_lifecycle(settings.bucket)
    except (MinioException, urllib3.exceptions.HTTPError, ValueError) as error:
        if days or not (isinstance(error, S3Error) and error.code == "NotImplemented"):
            raise StoreError(
                f"Could not set how long the inference log is kept at {settings.endpoint}: {error}. Expected a store "
                "with lifecycle rules, and its root keys. For one without such rules say --log-days=0, and remove old "
                "rows with `make prune`."
            ) from error
    return f"rows of the inference log expire after {days} days" if days else "rows of the inference log are kept"


def _client(settings: StoreSettings) -> Minio:
    address = urlsplit(settings.endpoint)
    return Minio(
        address.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=address.scheme == "https",
        region=settings.region,
        http_client=_pool(settings),
    )


class _Admin:
    """MinIO's administration, its failures in the user's words."""

    def __init__(self, settings: StoreSettings) -> None:
        address = urlsplit(settings.endpoint)
        self._settings = settings
        self._client = MinioAdmin(
            endpoint=address.netloc,
            credentials=StaticProvider(settings.access_key, settings.secret_key),
            region=settings.region,
            secure=address.scheme == "https",
            http_client=_pool(settings),
        )

    def grant(self, name: str, rights: Policy, keys: Keys) -> None:
        """Give a user exactly these rights; user and policy are made, or put right."""
        self._do("write the policy", lambda: self._client.policy_add(name, policy=rights))
        self._do("make the user", lambda: self._client.user_add(keys.access_key, keys.secret_key))
        self._do("set the policy", lambda: self._client.policy_set(name, user=keys.access_key))

    def remove_replaced(self, users: Mapping[Purpose, Keys]) -> list[str]:
        """Remove users that have one of these purposes' policies and are not the purpose's user."""
        wanted = {keys.access_key for keys in users.values()}
        ours = {_PREFIX + purpose for purpose in users}
        listed: dict[str, dict[str, Any]] = json.loads(self._do("list the users", self._client.user_list)) or {}
        replaced = sorted(
            user for user, about in listed.items() if user not in wanted and about.get("policyName") in ours
        )
        for user in replaced:
            self._do("remove a user", lambda user=user: self._client.user_remove(user))
        return replaced

    def _do(self, what: str, action: Any) -> str:
        try:
            return str(action())
        except (MinioAdminException, urllib3.exceptions.HTTPError, ValueError) as error:
            raise StoreError(
                f"Could not {what} at {self._settings.endpoint}: {error}. Expected a MinIO, and its root keys."
            ) from error


def _pool(settings: StoreSettings) -> urllib3.PoolManager:
    retries = urllib3.Retry(total=2, backoff_factor=0.5)
    return urllib3.PoolManager(timeout=_TIMEOUT, retries=retries, ca_certs=settings.ca_bundle or None)


def _statement(actions: list[str], resources: list[str]) -> Policy:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _check_distinct(settings: StoreSettings, users: Mapping[Purpose, Keys]) -> None:
    names: dict[str, str] = {settings.access_key: "root"}
    for purpose, keys in users.items():
        other = names.setdefault(keys.access_key, purpose)
        if other != purpose:
            raise StoreError(f"{purpose} and {other} have the same access key, {keys.access_key!r}. Give each its own.")


def _wait(store: Store, seconds: float) -> None:
    """Wait until the store takes a signed request."""
    end = time.monotonic() + seconds
    while True:
        try:
            store.ensure_bucket()
        except StoreError:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _prove(settings: StoreSettings, purpose: Purpose) -> None:
    """Sign in as a user and list what it may read."""
    Store(settings).list(GRANTS[purpose].read[0])
