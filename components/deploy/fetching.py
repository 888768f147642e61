"""Bringing a version's package here."""

import shutil
from pathlib import Path

from components.shared.errors import FullcircleError
from components.shared.package.model_package import verify, version_prefix
from components.shared.store import Store


def fetch(store: Store, name: str, version: str, versions: Path) -> Path:
    """Bring a version's package here, unless it is here intact, and verify it.

    Args:
        store: The object store.
        name: Name of the model.
        version: The version's id.
        versions: Folder of the packages here; a folder named by the version is made in it.

    Raises:
        PackageError: What the store holds is altered or incomplete.
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
    partial = versions / f".{version}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a deployment that was killed
    try:
        store.get_folder(version_prefix(name, version), partial)
        verify(partial, version=version)
        partial.replace(package)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return package
