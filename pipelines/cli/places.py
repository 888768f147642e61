"""The folders that verbs write to, below the current one, and the object store of what runs here."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.shared.store import Store

BUILD = Path("build")
LOCAL_ENDPOINTS = BUILD / "local" / "serving"


def local_store() -> "Store":
    """The object store of what has run here: that of the environment, else that of the current folder, started again.

    Raises:
        StoreError: Nothing has run here, or the store cannot be reached or started.
    """
    from components.shared.errors import StoreError
    from components.shared.store import Store
    from pipelines.local.store import LocalStore, settings_or_start

    here = Path.cwd()
    if not os.environ.get("AWS_ENDPOINT_URL") and not LocalStore(here).state_file.is_file():
        raise StoreError(
            f"There is no object store here: nothing has run in {here} yet. Go to the folder in which `make run` was "
            "started. For a model on a cluster, set AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "as docs/kubernetes.md says."
        )
    return Store(settings_or_start(here))


def endpoint_folder(model: str, namespace: str) -> Path | None:
    """The folder of the endpoints of this machine where the model is served here; None where it is on a cluster.

    Args:
        model: Name of the model.
        namespace: Of the endpoint on a cluster; empty where the user named none.
    """
    from components.deploy.rollback import is_served_here

    here = not namespace and is_served_here(model, LOCAL_ENDPOINTS.resolve())
    return LOCAL_ENDPOINTS.resolve() if here else None


@contextlib.contextmanager
def as_environment(store: "Store") -> Iterator[None]:
    """Tell servers that are started in this context where the store is, by environment variables."""
    before = dict(os.environ)
    os.environ.update(store.settings.environment())
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
