"""The object store: plain S3, spoken through the `minio` client. Only `store_admin` imports it too, to set one up.

Any S3 server will do; the environment names it (see `settings`). Every failure is a `StoreError` in the user's words.
"""

from components.shared.store.failures import is_missing, is_refused
from components.shared.store.keys import ObjectInfo, S3Location, parse_s3_uri
from components.shared.store.settings import DEFAULT_BUCKET, StoreSettings
from components.shared.store.store import Store

__all__ = [
    "DEFAULT_BUCKET",
    "ObjectInfo",
    "S3Location",
    "Store",
    "StoreSettings",
    "is_missing",
    "is_refused",
    "parse_s3_uri",
]
