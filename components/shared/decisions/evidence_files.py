"""Where evidence is kept: `monitoring/<model>/windows/<start>--<end>/<version>/evidence-<digest>.json`.

A window has a record for each time that more was known of it, as labels come late: the newest counts, and the others
say what was known before.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from pydantic import ValidationError

from components.shared.decisions.evidence import Evidence
from components.shared.errors import PackageError, in_short
from components.shared.store import Store

_ROOT = "monitoring/"
_NAME, _ENDING = "evidence-", ".json"
_DIGEST = 12
_WINDOWS_READ = 1000  # of the newest windows: more than any rule looks at
_PARALLEL_READS = 16


def window_prefix(model: str, start: datetime, end: datetime, version: str) -> str:
    """What the keys of everything that is known of a window begin with."""
    return f"{windows_prefix(model)}{_moment(start)}--{_moment(end)}/{version}/"


def windows_prefix(model: str) -> str:
    """What the keys of all windows of a model begin with."""
    return f"{_ROOT}{model}/windows/"


def evidence_key(evidence: Evidence) -> str:
    """Where a record of evidence is."""
    prefix = window_prefix(evidence.model, evidence.start, evidence.end, evidence.version)
    return f"{prefix}{_NAME}{evidence.digest()[:_DIGEST]}{_ENDING}"


def keep_evidence(store: Store, evidence: Evidence) -> str:
    """Write a record of evidence; its key. Writing the same again changes nothing."""
    key = evidence_key(evidence)
    store.put_bytes(key, evidence.model_dump_json(indent=2).encode())
    return key


def read_evidence(store: Store, model: str, *, windows: int = _WINDOWS_READ) -> list[Evidence]:
    """Every record of the newest windows, in the order in which they became known.

    Args:
        store: The object store.
        model: Name of the model.
        windows: Of how many windows.

    Raises:
        PackageError: A record is damaged.
        StoreError: The object store cannot be reached or refuses.
    """
    prefix = windows_prefix(model)
    newest = store.folders(prefix)[-windows:]
    # Older windows are not even listed.
    listed = store.list(prefix, start_after=f"{prefix}{newest[0]}/") if newest else []
    keys = [item.key for item in listed if item.key.rpartition("/")[2].startswith(_NAME)]
    with ThreadPoolExecutor(_PARALLEL_READS) as workers:
        found = list(workers.map(lambda key: _read(store, key), keys))
    return sorted(found, key=lambda one: (one.made, one.start, one.version))


def models_with_evidence(store: Store) -> list[str]:
    """Names of the models of which windows are known."""
    names: Sequence[str] = store.folders(_ROOT)
    return [name for name in names if store.folders(windows_prefix(name))]


def _read(store: Store, key: str) -> Evidence:
    try:
        return Evidence.model_validate_json(store.get_bytes(key))
    except ValidationError as error:
        raise PackageError(
            f"{store.uri(key)} is no evidence of a window: {in_short(error)}. A newer program may have written it: use "
            "its image, or remove it."
        ) from error


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%MZ")
