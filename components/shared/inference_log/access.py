"""The store with the keys that may read the inference log; a pipeline task's ordinary keys may not."""

import os
from collections.abc import Mapping
from dataclasses import replace

from components.shared.store import Store

ACCESS_KEY = "FULLCIRCLE_LOG_ACCESS_KEY_ID"
SECRET_KEY = "FULLCIRCLE_LOG_SECRET_ACCESS_KEY"  # noqa: S105, the name of a variable


def log_store(store: Store, environment: Mapping[str, str] | None = None) -> Store:
    """The store with the log-reading keys of the environment; the given store where the environment has none."""
    given = os.environ if environment is None else environment
    access, secret = given.get(ACCESS_KEY), given.get(SECRET_KEY)
    if not (access and secret):
        return store
    found = Store(replace(store.settings, access_key=access, secret_key=secret, session_token=""))
    found.patience = store.patience
    return found
