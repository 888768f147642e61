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
    """The object store that runs here use: that of the environment, else one that is started in the current folder.

    Raises:
        FullcircleError: It cannot be reached or started.
    """
    from components.shared.store import Store
    from pipelines.local.store import settings_or_start

    return Store(settings_or_start(Path.cwd()))


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
