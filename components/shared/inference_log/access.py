"""Keys that read the inference log: those of monitoring. The ones that a task of a pipeline has otherwise may not."""

import os
from collections.abc import Mapping
from dataclasses import replace

from components.shared.store import Store

ACCESS_KEY = "FULLCIRCLE_LOG_ACCESS_KEY_ID"
SECRET_KEY = "FULLCIRCLE_LOG_SECRET_ACCESS_KEY"  # noqa: S105, the name of a variable


def log_store(store: Store, environment: Mapping[str, str] | None = None) -> Store:
    """The store with the keys that may read the log, where the environment has them; a stage's own may not."""
    given = os.environ if environment is None else environment
    access, secret = given.get(ACCESS_KEY), given.get(SECRET_KEY)
    if not (access and secret):
        return store
    found = Store(replace(store.settings, access_key=access, secret_key=secret, session_token=""))
    found.patience = store.patience
    return found
