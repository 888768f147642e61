"""Files on the local disk: one, all of a folder, or those that match a glob.

What a source is read from decides whether a run may reuse an earlier result, so each kind of source gives a
fingerprint: here of contents, or of size and time where a file is large. It may change without need, which costs a run;
it should not stay when the content changes.
"""

import glob
from pathlib import Path
from typing import Literal

from pydantic import Field

from components.shared.config.table import TableConfig
from components.shared.errors import SourceError
from components.shared.files import file_hash
from components.shared.sources import base
from components.shared.sources.listing import below_glob, partitions_in, tables_among, visible
from components.shared.sources.table_files import TableFile, nearest

_PLACES = "a file, a folder, a glob, http(s)://…, s3://bucket/key or package://module/path"


class FilesSource(base.Source):
    """A table in files on the local disk."""

    kind: Literal["files"] = Field(default="files", description="Files on the local disk.")
    path: str = Field(
        description="Where the table is: a file, a folder or a glob. Folders named key=value below a folder or glob "
        "are columns.",
        json_schema_extra={"pattern": r"^(?!\w+://)"},
    )

    def read(self, scratch: Path) -> list[TableFile]:
        """The files where they are."""
        del scratch
        scheme, separator, _ = self.path.partition("://")
        if separator:
            raise SourceError(f"{self.path!r} has the scheme {scheme!r}; expected {_PLACES}.")
        return local_files(self.path, self)

    def fingerprint(self) -> base.Fingerprint:
        """The content of small files, size and time of large ones."""
        if "://" in self.path:
            return base.Fingerprint("its name", self.path)
        return base.Fingerprint("its files", file_fingerprints(self.path))


def local_files(place: str, table: TableConfig) -> list[TableFile]:
    """The files that a path, a folder or a glob stands for.

    Raises:
        SourceError: There are none.
    """
    path = Path(place).expanduser()
    if path.is_dir():
        below = [file for file in sorted(path.rglob("*")) if visible(file.relative_to(path)) and file.is_file()]
        tables = tables_among(below, table, f"the folder {place}")
        return [TableFile(str(file), file, partitions_in(file.relative_to(path))) for file in tables]
    if path.exists():
        return [TableFile(place, path)]
    if glob.has_magic(place):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207, ** and absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise SourceError(f"no file matches the glob {place!r} (looked from {Path.cwd()}).")
        return [TableFile(str(file), file, below_glob(path, file)) for file in files]
    raise SourceError(_missing(place, path))


def file_fingerprints(place: str) -> list[tuple[str, str]]:
    """The files of a place, each with what changes when its content does; more files than are read do no harm."""
    path = Path(place).expanduser()
    if path.is_file():
        return [(place, _file_fingerprint(path))]
    pattern = str(path / "**") if path.is_dir() else str(path)
    found = (Path(name) for name in glob.glob(pattern, recursive=True, include_hidden=True))  # noqa: PTH207
    return sorted((str(file), _file_fingerprint(file)) for file in found if file.is_file())


def _file_fingerprint(path: Path) -> str:
    about = path.stat()
    return file_hash(path) if about.st_size <= base.SMALL else f"{about.st_size} bytes, {about.st_mtime_ns}"


def _missing(place: str, path: Path) -> str:
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    hint = nearest(str(path), (str(entry) for entry in parent.iterdir()))
    from_here = "" if Path(place).is_absolute() else f" (looked from {Path.cwd()})"
    return f"there is no file or folder {place!r}{from_here}.{hint}"
