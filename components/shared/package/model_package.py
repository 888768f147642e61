"""The model package: one folder, the same on disk, in the object store, in the image and in batch prediction.

`model.onnx` (served), `model.skops` (the fitted pipeline, which `python -m pipelines open` gives to a person),
`schema.json`, `reference.parquet` and `reference.json` (for drift), `training.json` (family, parameters, seed, data and
code it came from), `metrics.json`, `golden.json` (requests with expected answers), `card.html`, and `manifest.json`,
written last: it commits the version. There is no pickle in it, and reading it executes nothing; of `model.skops` the
server reads the hash alone.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from components.shared.errors import PackageError, in_short
from components.shared.files import file_hash, write_text

FORMAT = "fullcircle/1"
MANIFEST = "manifest.json"
TRAINING = "training.json"
GOLDEN = "golden.json"
REFERENCE = "reference.parquet"
REFERENCE_STATISTICS = "reference.json"
METRICS = "metrics.json"
CARD = "card.html"
SKOPS = "model.skops"
TRAINED_FILES = ("model.onnx", SKOPS, "schema.json", REFERENCE, REFERENCE_STATISTICS, TRAINING, GOLDEN)
FILES = frozenset({*TRAINED_FILES, METRICS, CARD})

FEW_REFERENCE_ROWS = 500

_REPUBLISH = "Remove the version and publish the model again."


class Lineage(BaseModel):
    """Where the rows came from; ingest writes it, every later stage carries it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    columns: int
    content_hash: str
    window_start: str = ""
    window_end: str = ""
    train_end: str = Field(
        default="",
        description="The newest moment that the model learned from, ISO 8601 in UTC; train writes it, empty without a "
        "time column.",
    )
    sources: dict[str, str] = {}
    warnings: list[str] = []


class Manifest(BaseModel):
    """What a version is made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str
    name: str
    version: str
    created: str
    git_commit: str
    libraries: dict[str, str]
    lineage: Lineage
    files: dict[str, str]


class ReferenceOrigin(BaseModel):
    """Which rows `reference.parquet` contains; stands in `reference.json`.

    Packages of earlier versions say nothing: theirs are of the training part, which the model was fitted on, so that
    its predictions on them are better than on any rows that come later.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    part: Literal["train", "test"] = "train"
    of: int = 0
    first: str = ""
    last: str = ""

    @property
    def words(self) -> str:
        """What stands after their number."""
        if self.part == "train":
            return "rows of the training part"
        times = f", {self.first} to {self.last}" if self.first else ""
        return f"rows of the test part, which the model has not seen{times}"

    def remark(self, rows: int) -> str:
        """What to keep in mind of so many of them; empty when there is nothing."""
        if self.part == "train":
            return (
                "The model was fitted on the reference rows, so its predictions differ on any others: train it again."
            )
        if rows < FEW_REFERENCE_ROWS:
            return (
                f"{rows:,} reference rows are few: distances between windows are then large by chance. Tests "
                "(monitoring.numeric.method: ks, monitoring.categorical.method: chisquare) allow for that."
            )
        return ""


class GoldenRequest(BaseModel):
    """One row with the answer the model gave when it was made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: dict[str, Any]
    answer: dict[str, Any]


_GOLDEN = TypeAdapter(list[GoldenRequest])


def version_of(files: Mapping[str, str]) -> str:
    """A version's id: twelve hexadecimal digits of the hash of its files' hashes.

    Nothing in the files depends on the time, so the same inputs give the same version; and two runs that write the
    same version write the same bytes, so neither can spoil the other's upload.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}:{files[name]}\n".encode())
    return digest.hexdigest()[:12]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Commit a package: from here on it is complete."""
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=2) + "\n")


def verify(folder: Path, *, version: str = "") -> Manifest:
    """Check a package against its manifest before anything of it is loaded.

    Args:
        folder: The package.
        version: The version it has to be; empty for any.

    Returns:
        The manifest.

    Raises:
        PackageError: A file is missing, altered or not listed, or the package is of another format or version.
    """
    found = _found(folder)
    manifest = _read_manifest(folder)
    if set(manifest.files) != FILES:
        raise PackageError(
            f"The manifest of {folder} lists {', '.join(sorted(manifest.files))}; "
            f"a package holds {', '.join(sorted(FILES))}. {_REPUBLISH}"
        )
    if missing := sorted(FILES - found):
        raise PackageError(
            f"The model package {folder} is incomplete: {', '.join(missing)} missing. Publish the model again."
        )
    if extra := sorted(found - FILES):
        raise PackageError(
            f"The model package {folder} holds {', '.join(extra)}, which its manifest does not list; it is refused. "
            "Remove what does not belong there."
        )
    for name, expected in manifest.files.items():
        if _hash_of(folder / name) != expected:
            raise PackageError(f"{folder / name} is not the file the manifest lists: its SHA-256 differs. {_REPUBLISH}")
    if (found_version := version_of(manifest.files)) != manifest.version:
        raise PackageError(
            f"The manifest of {folder} says version {manifest.version}; its files are version {found_version}. "
            f"{_REPUBLISH}"
        )
    if version and version != manifest.version:
        raise PackageError(f"{folder} holds version {manifest.version}, expected version {version}. {_REPUBLISH}")
    return manifest


def _found(folder: Path) -> set[str]:
    """The files of a package besides the manifest, by their paths in it.

    Raises:
        PackageError: Something in it is no file of its own: what a link points at can change after the check.
    """
    entries = list(folder.rglob("*"))
    for path in entries:
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise PackageError(
                f"The model package {folder} holds {path.relative_to(folder).as_posix()}, which is a link or no "
                "regular file; it is refused. Put the file itself there."
            )
    return {path.relative_to(folder).as_posix() for path in entries if path.is_file()} - {MANIFEST}


def _hash_of(path: Path) -> str:
    try:
        return file_hash(path)
    except OSError as error:
        raise PackageError(f"{path} cannot be read: {error.strerror}. Make it readable.") from error


def _read_manifest(folder: Path) -> Manifest:
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise PackageError(
            f"{folder} has no {MANIFEST}: it is no model package, or one whose upload did not finish."
        ) from error
    except OSError as error:
        raise PackageError(f"{folder / MANIFEST} cannot be read: {error.strerror}. {_REPUBLISH}") from error
    except (ValueError, RecursionError) as error:
        raise PackageError(f"{folder / MANIFEST} is not JSON: {in_short(error)}. {_REPUBLISH}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise PackageError(f"{folder} is a package of format {found!r}; this program reads {FORMAT!r}.")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        raise PackageError(
            f"{folder / MANIFEST} does not follow format {FORMAT!r}: {in_short(error)}. {_REPUBLISH}"
        ) from error


def reference_origin(folder: Path) -> ReferenceOrigin:
    """Which rows the reference of a package is.

    Raises:
        PackageError: The package does not say it in the way of this format.
    """
    try:
        return ReferenceOrigin.model_validate_json((folder / REFERENCE_STATISTICS).read_bytes())
    except (OSError, ValueError) as error:
        raise PackageError(
            f"{folder / REFERENCE_STATISTICS} cannot be read: {in_short(error)}. {_REPUBLISH}"
        ) from error


def read_golden(folder: Path) -> list[GoldenRequest]:
    """The golden requests of a package.

    Raises:
        PackageError: There are none, or they are of another format.
    """
    try:
        golden = _GOLDEN.validate_json((folder / GOLDEN).read_bytes())
    except (OSError, ValueError) as error:
        raise PackageError(
            f"{folder / GOLDEN} holds no golden requests that can be read: {in_short(error)}. {_REPUBLISH}"
        ) from error
    if not golden:
        raise PackageError(
            f"{folder / GOLDEN} is empty: a version has to be proven by at least one request. {_REPUBLISH}"
        )
    return golden


# Keys in the object store.


def version_prefix(name: str, version: str) -> str:
    """Where a version lives in the bucket; the trailing slash keeps `v1` from meaning `v10` too."""
    return f"models/{name}/versions/{version}/"
