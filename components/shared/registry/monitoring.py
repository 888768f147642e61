"""How a version is watched: the `monitoring` section of the configuration that published it.

It is kept beside the version, at `models/<name>/monitoring/<version>.json`, and not among its files: the version's name
is a hash of these, and another threshold makes no other model. Publishing the same files with another section therefore
replaces the section, and the next scheduled report heeds it. A version of before there were such objects is watched by
the defaults.
"""

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.config import MonitoringConfig
from components.shared.errors import PackageError, in_short
from components.shared.store import Store

FORMAT = "fullcircle-monitoring/1"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    monitoring: MonitoringConfig


def settings_key(name: str, version: str) -> str:
    """Where the section of a version is."""
    return f"models/{name}/monitoring/{version}.json"


def keep_settings(store: Store, name: str, version: str, settings: MonitoringConfig) -> None:
    """Keep the section of a version; what was kept for it before is replaced.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    kept = _Kept(format=FORMAT, monitoring=settings)
    store.put_bytes(settings_key(name, version), kept.model_dump_json(indent=2).encode())


def read_settings(store: Store, name: str, version: str) -> MonitoringConfig:
    """The section of a version; the defaults when none was kept.

    Raises:
        PackageError: What was kept is not what this program writes.
        StoreError: The object store cannot be reached or refuses.
    """
    found = store.read_with_etag(settings_key(name, version))
    if found is None:
        return MonitoringConfig()
    try:
        return _Kept.model_validate_json(found[0]).monitoring
    except ValidationError as error:
        raise PackageError(
            f"{store.uri(settings_key(name, version))} does not say how version {version} is watched: "
            f"{in_short(error)}. A newer program may have written it: use its image for the report, or remove it for "
            "the defaults."
        ) from error
