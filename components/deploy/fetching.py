"""Bringing a version's package here.

A package may be here already, from the deployment before or from one that was killed halfway. It is believed only if
its hashes hold, and appears under its version's name only when complete, so that whoever finds a folder of that name
may use it.
"""

import shutil
from pathlib import Path

from pydantic import ValidationError

from components.shared.errors import FullcircleError, PackageError, in_short
from components.shared.files import remove_partials, replacing
from components.shared.package.model_package import MANIFEST, Manifest, verify, version_prefix
from components.shared.store import Store


def fetch(store: Store, name: str, version: str, versions: Path) -> Path:
    """Bring a version's package here, unless it is here intact, and verify it.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version's id.
        versions: Folder of the packages here; a folder named by the version is made in it.

    Raises:
        PackageError: What the store contains is altered or incomplete.
        StoreError: The object store cannot be reached or has no such version.
    """
    package = versions / version
    if package.exists():
        try:
            verify(package, version=version)
        except FullcircleError:
            shutil.rmtree(package)
        else:
            return package
    remove_partials(package)  # of a deployment that was killed
    with replacing(package) as partial:
        store.get_folder(version_prefix(name, version), partial)
        verify(partial, version=version)
    return package


def stored_manifest(store: Store, name: str, version: str) -> Manifest:
    """A version's manifest, without the rest of its package.

    Raises:
        PackageError: There is none, or it cannot be read.
        StoreError: The object store cannot be reached.
    """
    key = version_prefix(name, version) + MANIFEST
    found = store.read_with_etag(key)
    try:
        if found:
            return Manifest.model_validate_json(found[0])
    except ValidationError as error:
        raise PackageError(f"{store.uri(key)} is no manifest: {in_short(error)}. Publish the model again.") from error
    raise PackageError(f"{store.uri(key)} is not there: version {version} of {name!r} is not stored completely.")
