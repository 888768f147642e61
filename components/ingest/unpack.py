"""From the files that were found to plain ones: unpacked, of one format, in UTF-8 without lines of comments.

Files are known by their first bytes: names are often wrong, and a packed file read as text gives rows of noise. Each
step leaves a plainer file in a scratch folder, so that those behind it need to know one kind: UTF-8, quotes doubled, no
comments. The name that people know goes along, for messages.
"""

import bz2
import codecs
import contextlib
import csv
import gzip
import lzma
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.sources.listing import visible
from components.shared.sources.table_files import (
    CHUNK_BYTES,
    KNOWN,
    PACKED,
    Format,
    TableFile,
    format_of,
    locate_undecodable,
    place_for,
    unread,
)

_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is an archive without files
_DAMAGED = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError)


def unpack(file: TableFile, scratch: Path) -> TableFile:
    """The plain file inside a packed one, known by its first bytes; other files as they are.

    Raises:
        SourceError: It is damaged, not what its ending says, or contains several files.
    """
    with file.path.open("rb") as content:
        start = content.read(6)
    if start.startswith(_ZIP_MAGICS):
        return file if _is_workbook(file.path) else _unzip(file, scratch)
    for suffix, (magic, opened) in _STREAMS.items():
        if start.startswith(magic):
            return _unpack_stream(file, scratch, suffix=suffix, opened=opened)
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix in PACKED and start:
        raise SourceError(
            f"{file.name} ends in {suffix} but is not such an archive: it begins with {start[:4]!r}. Check how it "
            "was made, or rename it."
        )
    return file


def _opened_zst(path: Path) -> Any:
    import pyarrow as pa

    return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")


_STREAMS: dict[str, tuple[bytes, Callable[[Path], Any]]] = {
    ".gz": (b"\x1f\x8b", gzip.open),
    ".bz2": (b"BZh", bz2.open),
    ".xz": (b"\xfd7zXZ\x00", lzma.open),
    ".zst": (b"\x28\xb5\x2f\xfd", _opened_zst),
}


def _unpack_stream(file: TableFile, scratch: Path, *, suffix: str, opened: Callable[[Path], Any]) -> TableFile:
    name = file.name.removesuffix(suffix) if file.name.lower().endswith(suffix) else file.name
    path = place_for(PurePosixPath(name).name, scratch)
    try:
        with opened(file.path) as packed:
            _copy(packed, path)
    except _DAMAGED as error:
        raise SourceError(f"{file.name} is truncated or damaged ({error}). Fetch or make it again.") from error
    return replace(file, name=name, path=path)


def _is_workbook(path: Path) -> bool:
    """Whether a zip file is a sheet of Excel's or LibreOffice's; a damaged one is not."""
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        return "[Content_Types].xml" in names or ("mimetype" in names and "content.xml" in names)
    return False


def _unzip(file: TableFile, scratch: Path) -> TableFile:
    try:
        with zipfile.ZipFile(file.path) as archive:
            member = _only_member(file, archive)
            path = place_for(PurePosixPath(member).name, scratch)
            with archive.open(member) as packed:
                _copy(packed, path)
    except _DAMAGED as error:
        raise SourceError(f"{file.name} is truncated or damaged ({error}). Fetch or make it again.") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a compression Python does not know
        raise SourceError(
            f"{file.name} cannot be unpacked ({error}). Pack it again without a password, by deflate."
        ) from error
    return replace(file, name=f"{file.name}/{member}", path=path)


def _only_member(file: TableFile, archive: zipfile.ZipFile) -> str:
    members = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/") and visible(Path(name))
    ]
    if len(members) != 1:
        held = f"{len(members)}: {', '.join(members[:5])}{', …' if len(members) > 5 else ''}" if members else "none"
        raise SourceError(
            f"{file.name}: expected exactly one data file in the archive, found {held}. Pack each table by itself."
        )
    return members[0]


def _copy(packed: IO[bytes] | gzip.GzipFile, path: Path) -> None:
    with path.open("wb") as plain:
        shutil.copyfileobj(packed, plain, CHUNK_BYTES)


def common_format(files: list[TableFile], table: TableConfig) -> Format:
    """How to read the files: as configured, or by their endings.

    Raises:
        SourceError: Their endings say nothing, several formats, or one that is not read.
    """
    if table.format != "auto":
        return table.format
    formats = {file.name: format_of(file.path.name) for file in files}
    if unknown := [name for name, found in formats.items() if found is None]:
        if what := unread(unknown[0]):
            raise SourceError(f"{unknown[0]}: {what}")
        raise SourceError(
            f"the ending of {unknown[0]!r} does not tell its format; expected {KNOWN}. Set `format` to csv, "
            "parquet, jsonl or excel."
        )
    if len(set(formats.values())) > 1:
        examples = {str(found): name for name, found in formats.items()}
        listed = ", ".join(f"{name} ({found})" for found, name in sorted(examples.items()))
        raise SourceError(
            f"files of several formats: {listed}. Keep one format, set `format`, or name the files by a glob "
            "such as '*.csv'."
        )
    return next(found for found in formats.values() if found)


def as_utf8(file: TableFile, encoding: str, scratch: Path) -> TableFile:
    """A text file in UTF-8; one that is in it already stays where it is.

    Raises:
        SourceError: It is not text in this encoding.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise SourceError(
            f"`encoding: {encoding}` is not known; expected a name such as utf-8, latin-1, cp1252 or utf-16."
        ) from error
    if name in ("utf-8", "utf-8-sig"):
        return file
    path = place_for(file.path.name, scratch)
    with (
        contextlib.suppress(UnicodeError),
        file.path.open(encoding=name, newline="") as text,
        path.open("w", encoding="utf-8", newline="") as plain,
    ):
        shutil.copyfileobj(text, plain, CHUNK_BYTES)
        return replace(file, path=path)
    raise locate_undecodable(file, name) or SourceError(
        f"{file.name} is not text in {encoding}. Set `encoding` to what it is."
    )


def without_comments(file: TableFile, table: TableConfig, scratch: Path) -> TableFile:
    """A CSV file without the lines that begin with the comment sign; within quotes there are no comments.

    The table engine's own option takes the sign for one anywhere in a line, and cuts the field.
    """
    mark = table.comment.encode()
    path = place_for(file.path.name, scratch)
    with file.path.open("rb") as lines, path.open("wb") as plain:
        plain.writelines(_uncommented(lines, mark, escape=b"" if table.escape == '"' else table.escape.encode()))
    return replace(file, path=path)


# Example, with the mark #: of the three lines `1,"two`, `# lines",3` and `# a comment`, only the last is left out.
# After the first, one quote is open, so the second belongs to a field.
def _uncommented(lines: Iterable[bytes], mark: bytes, *, escape: bytes) -> Iterator[bytes]:
    is_quoted = False
    for line in lines:
        if not is_quoted and line.removeprefix(codecs.BOM_UTF8).startswith(mark):
            continue
        yield line
        if b'"' in line:
            plain = line.replace(escape * 2, b"").replace(escape + b'"', b"") if escape else line
            is_quoted ^= plain.count(b'"') % 2 == 1


def with_doubled_quotes(file: TableFile, table: TableConfig, scratch: Path) -> TableFile:
    """A CSV file that escapes by a character of its own, written as the standard has it.

    The table engine knows such a character within quotes alone; MySQL writes one before a delimiter, too.
    """
    path = place_for(file.path.name, scratch)
    delimiter = delimiter_of(file, table)
    csv.field_size_limit(table.longest_line_mb * 1024**2)
    with (
        file.path.open(encoding="utf-8-sig", newline="") as lines,
        path.open("w", encoding="utf-8", newline="") as plain,
    ):
        reader = csv.reader(lines, delimiter=delimiter, doublequote=False, escapechar=table.escape)
        try:
            csv.writer(plain, delimiter=delimiter, lineterminator="\n").writerows(reader)
        except (csv.Error, UnicodeDecodeError) as error:
            raise locate_undecodable(file, "utf-8") or SourceError(
                f"{file.name}, line {reader.line_num}: {error}. Check `escape` and the quotes there."
            ) from error
    return replace(file, path=path)


def delimiter_of(file: TableFile, table: TableConfig) -> str:
    """The configured delimiter; a tab where a file says so by its ending and nobody else does."""
    return "\t" if table.delimiter == "," and file.path.suffix.lower() == ".tsv" else table.delimiter
