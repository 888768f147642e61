"""Which of the files below a folder or a glob are a table's, and which of its columns their folders are."""

import glob
from pathlib import Path, PurePath

from components.shared.config.table import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.table_files import KNOWN, format_of, unread


def visible(relative: Path) -> bool:
    """Whether a file is data: names beginning with a dot or an underscore are notes of the programs that wrote them."""
    return not any(part.startswith((".", "_")) for part in relative.parts)


def partitions_in(below: PurePath) -> tuple[str, ...]:
    """The folders `key=value` of a path, which begins where the table's own folder ends."""
    return tuple(part for part in below.parent.parts if part.partition("=")[1] and part.partition("=")[0])


def below_glob(pattern: PurePath, file: PurePath) -> tuple[str, ...]:
    """The partitions of a file from the first part of a glob on that is one: above it is the table's own folder."""
    fixed = next(place for place, part in enumerate(pattern.parts) if glob.has_magic(part))
    return partitions_in(PurePath(*file.parts[fixed:]))


def tables_among(paths: list[Path], table: TableConfig, where: str) -> list[Path]:
    """The data files of a folder, by their endings; with a stated format and no such ending, all of them."""
    known = [path for path in paths if format_of(path.name) or path.suffix.lower() == ".zip"]
    if table.format != "auto":
        known = [path for path in known if format_of(path.name) in (table.format, None)] or paths
    if not known:
        if what := next((what for path in paths if (what := unread(path.name))), ""):
            raise SourceError(f"no table in {where}: it holds {len(paths)} file(s), such as {paths[0].name}: {what}")
        held = f"it holds {len(paths)} other file(s), such as {paths[0].name}" if paths else "it is empty"
        raise SourceError(f"no table in {where}: {held}. Expected files ending in {KNOWN}; or set `format`.")
    return known
