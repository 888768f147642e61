"""Publishing: an immutable version in the object store, and the pointer that makes it the champion."""

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.shared.errors import PackageError, in_short
from components.shared.package.model_package import (
    CARD,
    FILES,
    FORMAT,
    MANIFEST,
    METRICS,
    TRAINED_FILES,
    TRAINING,
    Manifest,
    file_hash,
    verify,
    version_of,
    version_prefix,
    write_manifest,
)
from components.shared.registry.champion import Champion, move_champion, read_champion
from components.shared.store import Store


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing did.

    Attributes:
        version: The version's id.
        created: Whether the version is new; the same inputs published again are the version that is there already.
        promoted: Whether the champion pointer was moved.
    """

    version: str
    created: bool
    promoted: bool

    @property
    def message(self) -> str:
        """One line for people."""
        stored = "stored" if self.created else "was stored already"
        return f"version {self.version} {stored}, {'now' if self.promoted else 'already'} the champion"


def publish_version(store: Store, name: str, *, model: Path, evaluated: Path, verdict: Path) -> Published:
    """Store a model package and make it the champion.

    The manifest goes last, by a conditional write: a version is there completely or not at all, and is never
    overwritten. An upload that was cut off is completed by publishing again: the same files are the same version.

    Args:
        store: The object store.
        name: Name of the model.
        model: Folder with the files that training wrote.
        evaluated: Folder with `metrics.json` and `card.html`.
        verdict: The gate's verdict, JSON; what it compared with must still be the champion.

    Raises:
        PackageError: A file of the package is missing or not as training writes it, the verdict is not to promote this
            model, or another run promoted one since the gate compared.
        StoreError: The object store cannot be reached or refuses.
    """
    judged = _read_json(verdict)
    with tempfile.TemporaryDirectory(prefix="fullcircle-package-") as temporary:
        package = Path(temporary, "package")
        manifest = assemble(package, name, model=model, evaluated=evaluated)
        _check_verdict(judged, manifest.version, verdict)
        created = _upload(store, package, manifest)
    promoted = _promote(store, name, manifest.version, judged.get("champion"))
    return Published(manifest.version, created=created, promoted=promoted)


def assemble(package: Path, name: str, *, model: Path, evaluated: Path) -> Manifest:
    """Put a package together in a new folder, manifest last.

    Raises:
        PackageError: A file is missing or not as training writes it.
    """
    package.mkdir(parents=True)
    origins = {**dict.fromkeys(TRAINED_FILES, model), METRICS: evaluated, CARD: evaluated}
    for file, folder in origins.items():
        try:
            shutil.copyfile(folder / file, package / file)
        except FileNotFoundError as error:
            raise PackageError(
                f"The model package needs {file}, and {folder} has none. Run the stage that writes it again."
            ) from error
    training = _read_json(package / TRAINING)
    files = {file: file_hash(package / file) for file in sorted(FILES)}
    try:
        manifest = Manifest(
            format=FORMAT,
            name=name,
            version=version_of(files),
            created=_now(),
            git_commit=training["git_commit"],
            libraries=training["libraries"],
            lineage=training["lineage"],
            files=files,
        )
    except (KeyError, ValueError) as error:
        raise PackageError(
            f"{model / TRAINING} is not a training record: {in_short(error)}. Run the training again."
        ) from error
    write_manifest(package, manifest)
    return verify(package)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PackageError(f"{path} cannot be read as JSON: {error}. Run the stage that writes it again.") from error
    if not isinstance(content, dict):
        raise PackageError(f"{path} holds no JSON object. Run the stage that writes it again.")
    return content


def _check_verdict(judged: dict[str, Any], version: str, path: Path) -> None:
    """Refuse to publish what the gate did not let through."""
    if judged.get("promoted") is not True:
        raise PackageError(f"The gate's verdict, {path}, is not to promote this model; nothing was published.")
    if judged.get("candidate", version) != version:
        raise PackageError(
            f"The gate judged version {judged['candidate']}, and the model is version {version}; nothing was published."
        )


def _upload(store: Store, package: Path, manifest: Manifest) -> bool:
    """Upload a package unless its version is there; False when it is.

    Files that a complete version has lost since, or that were cut short, are put back: they are those of the version.
    """
    prefix = version_prefix(manifest.name, manifest.version)
    stored = {item.key: item.size for item in store.list(prefix)}
    complete = prefix + MANIFEST in stored
    for name in sorted(manifest.files):
        if not complete or stored.get(prefix + name) != (package / name).stat().st_size:
            store.put_file(prefix + name, package / name)
    return not complete and store.create(prefix + MANIFEST, (package / MANIFEST).read_bytes())


def _promote(store: Store, name: str, version: str, judged_against: Any) -> bool:
    """Move the champion pointer, unless it is there already."""
    current = read_champion(store, name)
    previous = current.version if current else None
    if previous == version:
        return False
    if previous != judged_against:
        raise PackageError(
            f"The champion of {name!r} is {_in_words(previous)}, and the gate compared this model with "
            f"{_in_words(judged_against)}: another run came in between. Version {version} is stored but not "
            "promoted; run the pipeline again."
        )
    pointer = Champion(version=version, previous=previous, moved=_now())
    if not move_champion(store, name, pointer, expected=current):
        raise PackageError(
            f"Another run promoted a model of {name!r} at this very moment. Version {version} is stored but not "
            "promoted; run the pipeline again."
        )
    return True


def _in_words(version: Any) -> str:
    return f"version {version}" if version else "no version"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
