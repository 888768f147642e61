"""From a place named in the configuration to plain files on the local disk.

A place is a file, a folder, a glob, `http(s)://…`, `s3://bucket/key` or `package://module/path`. Remote files are
streamed into a scratch folder, archives are unpacked there, other encodings become UTF-8 there; local plain files
are used where they are.
"""

import codecs
import contextlib
import difflib
import glob
import gzip
import hashlib
import http.client
import importlib.util
import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Literal
from urllib.parse import unquote, urlsplit

from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.package.model_package import file_hash
from components.shared.store import Store, parse_s3_uri

Format = Literal["csv", "parquet", "jsonl"]

HTTP_SECONDS = 30.0  # how long a server may stay silent
_CHUNK_BYTES = 1024 * 1024
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_PACKED = (".gz", ".zip")
_KNOWN = f"{', '.join(_ENDINGS)}, each also with {' or '.join(_PACKED)}"
_PLACES = "a file, a folder, a glob, http(s)://…, s3://bucket/key or package://module/path"
_GZIP_MAGIC = b"\x1f\x8b"
_ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06")  # the second is an archive without files
_ENCODING_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table.

    Attributes:
        name: What the user knows it as: a path, an address, or a member of an archive.
        path: Where it is on the local disk.
    """

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of a table, plain and in UTF-8 (text formats), all of one format.

    Attributes:
        files: In the order of their names; at least one.
        format: How to read them.
        fingerprint: `sha256:…` of what was fetched, before unpacking.
    """

    files: list[TableFile]
    format: Format
    fingerprint: str


def fetch(table: TableConfig, scratch: Path) -> Fetched:
    """Bring the files of a table to the local disk.

    Args:
        table: Where the table is and how to read it.
        scratch: An existing folder for copies; the caller removes it.

    Raises:
        SourceError: There is nothing to read, or it cannot be downloaded, unpacked or decoded.
        StoreError: The object store cannot be reached or refuses.
    """
    found = _locate(table, scratch)
    fingerprint = _fingerprint(file.path for file in found)
    files = [_unpack(file, scratch) for file in found]
    chosen = _common_format(files, table)
    if chosen != "parquet":
        files = [_as_utf8(file, table.encoding, scratch) for file in files]
    return Fetched(files, chosen, fingerprint)


def locate_undecodable(file: TableFile, encoding: str) -> SourceError | None:
    """Say where a text file does not follow its encoding; None when all of it does."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset, pending = 1, 0, b""
    with file.path.open("rb") as content:
        while True:
            chunk = content.read(_CHUNK_BYTES)
            try:
                line += decoder.decode(chunk, final=not chunk).count("\n")
            except UnicodeDecodeError as error:
                before = error.object[: error.start]
                return _undecodable(
                    file, encoding, line=line + before.count(b"\n"), error=error, offset=offset - len(pending)
                )
            if not chunk:
                return None
            offset += len(chunk)
            pending = decoder.getstate()[0]


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the most similar name, beginning with a space; empty when none is similar."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def format_of(name: str) -> Format | None:
    """The format that a file's ending stands for, below .gz and .zip; None when it says nothing."""
    path = PurePosixPath(name.lower())
    return _ENDINGS.get(PurePosixPath(path.stem).suffix if path.suffix in _PACKED else path.suffix)


# Places


def _locate(table: TableConfig, scratch: Path) -> list[TableFile]:
    scheme, separator, rest = table.path.partition("://")
    if not separator:
        return _local(table.path, table)
    match scheme.lower():
        case "http" | "https":
            return [_download(table.path, scratch)]
        case "s3":
            return _from_store(table, scratch)
        case "package":
            return _local(str(_in_package(rest)), table)
    raise SourceError(f"{table.path!r} has the scheme {scheme!r}; expected {_PLACES}.")


def _local(place: str, table: TableConfig) -> list[TableFile]:
    path = Path(place).expanduser()
    if path.is_dir():
        below = [file for file in sorted(path.rglob("*")) if _visible(file.relative_to(path)) and file.is_file()]
        return [TableFile(str(file), file) for file in _tables_among(below, table, f"the folder {place}")]
    if path.exists():
        return [TableFile(place, path)]
    if glob.has_magic(place):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207, ** and absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise SourceError(f"no file matches the glob {place!r} (looked from {Path.cwd()}).")
        return [TableFile(str(file), file) for file in files]
    raise SourceError(_missing(place, path))


def _visible(relative: Path) -> bool:
    """Whether a file is data: names beginning with a dot or an underscore are notes of the programs that wrote them."""
    return not any(part.startswith((".", "_")) for part in relative.parts)


def _tables_among(paths: list[Path], table: TableConfig, where: str) -> list[Path]:
    """The data files of a folder, by their endings; with a stated format and no such ending, all of them."""
    known = [path for path in paths if format_of(path.name) or path.suffix.lower() == ".zip"]
    if table.format != "auto":
        known = [path for path in known if format_of(path.name) in (table.format, None)] or paths
    if not known:
        held = f"it holds {len(paths)} other file(s), such as {paths[0].name}" if paths else "it is empty"
        raise SourceError(f"no table in {where}: {held}. Expected files ending in {_KNOWN}; or set `format`.")
    return known


def _missing(place: str, path: Path) -> str:
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    hint = nearest(str(path), (str(entry) for entry in parent.iterdir()))
    from_here = "" if Path(place).is_absolute() else f" (looked from {Path.cwd()})"
    return f"there is no file or folder {place!r}{from_here}.{hint}"


def _in_package(rest: str) -> Path:
    """The path of `module/path` inside an installed package, found without importing it."""
    module, _, inside = rest.partition("/")
    # A dotted name would make Python import the package around it.
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        problem = "is not an installed package" if module.isidentifier() else "is not the name of a top-level package"
        raise SourceError(
            f"package://{rest}: {module!r} {problem}; expected package://module/path. Install it (pip install) "
            "or correct the name."
        )
    roots = [Path(root) for root in spec.submodule_search_locations]
    return next((root / inside for root in roots if (root / inside).exists()), roots[0] / inside)


def _download(address: str, scratch: Path) -> TableFile:
    name = PurePosixPath(unquote(urlsplit(address).path)).name or "download"
    path = _place_for(name, scratch)
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "fullcircle"})
        with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file, _CHUNK_BYTES)
            promised = response.headers.get("Content-Length")
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(
            f"{address} answered {error.code} {error.reason}; expected the file. Check the address and who may read it."
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(f"{address} could not be downloaded: {_network_cause(error)}.") from error
    if promised and path.stat().st_size != int(promised):
        raise SourceError(f"{address} broke off after {path.stat().st_size:,} of {int(promised):,} bytes. Try again.")
    return TableFile(address, path)


def _network_cause(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"no answer within {HTTP_SECONDS:g} s. Check the address and the network"
    if isinstance(reason, ConnectionRefusedError):
        return "nothing answers there (connection refused). Check host and port, and that the server runs"
    if isinstance(reason, http.client.HTTPException):
        return f"what answers there does not speak HTTP ({str(reason).strip()!r}). Check host and port"
    return f"{reason}. Check the address and the network"


def _from_store(table: TableConfig, scratch: Path) -> list[TableFile]:
    bucket, key = parse_s3_uri(table.path)
    store = Store.connect().for_bucket(bucket)
    files = []
    for found in _keys(store, key, table):
        path = _place_for(PurePosixPath(found).name, scratch)
        store.get_file(found, path)
        files.append(TableFile(store.uri(found), path))
    return files


def _keys(store: Store, key: str, table: TableConfig) -> list[str]:
    """The objects that a key, a prefix or a glob stands for."""
    if glob.has_magic(key):
        keys = [found.key for found in store.glob(key)]
        if not keys:
            raise SourceError(
                f"no object matches {store.uri(key)!r}. Check the pattern; ** stands for any number of folders."
            )
        return keys
    if key and not key.endswith("/") and store.exists(key):
        return [key]
    prefix = f"{key.rstrip('/')}/" if key else ""
    below = [Path(found.key) for found in store.list(prefix) if _visible(Path(found.key.removeprefix(prefix)))]
    if not below:
        parent = "".join(key.rpartition("/")[:2])
        raise SourceError(
            f"there is no object {store.uri(key)}.{nearest(key, (found.key for found in store.list(parent)))}"
        )
    return [path.as_posix() for path in _tables_among(below, table, f"the folder {store.uri(prefix)}")]


def _place_for(name: str, scratch: Path) -> Path:
    """A path of this name in a folder of its own."""
    return Path(tempfile.mkdtemp(dir=scratch)) / name


def _fingerprint(paths: Iterable[Path]) -> str:
    hashes = [file_hash(path) for path in paths]
    return f"sha256:{hashes[0] if len(hashes) == 1 else hashlib.sha256(''.join(hashes).encode()).hexdigest()}"


# Archives


def _unpack(file: TableFile, scratch: Path) -> TableFile:
    """The plain file inside a gzip or zip file, known by its first bytes; other files as they are."""
    with file.path.open("rb") as content:
        start = content.read(4)
    if start in _ZIP_MAGICS:
        return _unzip(file, scratch)
    if start.startswith(_GZIP_MAGIC):
        return _gunzip(file, scratch)
    suffix = PurePosixPath(file.name).suffix.lower()
    if suffix in _PACKED and start:
        raise SourceError(
            f"{file.name} ends in {suffix} but is not such an archive: it begins with {start!r}. Check how it "
            "was made, or rename it."
        )
    return file


def _gunzip(file: TableFile, scratch: Path) -> TableFile:
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    path = _place_for(PurePosixPath(name).name, scratch)
    try:
        with gzip.open(file.path) as packed:
            _copy(packed, path)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{file.name} is truncated or damaged ({error}). Fetch or make it again.") from error
    return TableFile(name, path)


def _unzip(file: TableFile, scratch: Path) -> TableFile:
    try:
        with zipfile.ZipFile(file.path) as archive:
            member = _only_member(file, archive)
            path = _place_for(PurePosixPath(member).name, scratch)
            with archive.open(member) as packed:
                _copy(packed, path)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"{file.name} is truncated or damaged ({error}). Fetch or make it again.") from error
    except (RuntimeError, NotImplementedError) as error:  # a password, or a compression Python does not know
        raise SourceError(
            f"{file.name} cannot be unpacked ({error}). Pack it again without a password, by deflate."
        ) from error
    return TableFile(f"{file.name}/{member}", path)


def _only_member(file: TableFile, archive: zipfile.ZipFile) -> str:
    members = [
        name
        for name in archive.namelist()
        if not name.endswith("/") and not name.startswith("__MACOSX/") and _visible(Path(name))
    ]
    if len(members) != 1:
        held = f"{len(members)}: {', '.join(members[:5])}{', …' if len(members) > 5 else ''}" if members else "none"
        raise SourceError(
            f"{file.name}: expected exactly one data file in the archive, found {held}. Pack each table by itself."
        )
    return members[0]


def _copy(packed: IO[bytes] | gzip.GzipFile, path: Path) -> None:
    with path.open("wb") as plain:
        shutil.copyfileobj(packed, plain, _CHUNK_BYTES)


# Formats and encodings


def _common_format(files: list[TableFile], table: TableConfig) -> Format:
    if table.format != "auto":
        return table.format
    formats = {file.name: format_of(file.path.name) for file in files}
    if unknown := [name for name, found in formats.items() if found is None]:
        raise SourceError(
            f"the ending of {unknown[0]!r} does not tell its format; expected {_KNOWN}. Set `format` to csv, "
            "parquet or jsonl."
        )
    if len(set(formats.values())) > 1:
        examples = {str(found): name for name, found in formats.items()}
        listed = ", ".join(f"{name} ({found})" for found, name in sorted(examples.items()))
        raise SourceError(
            f"files of several formats: {listed}. Keep one format, set `format`, or name the files by a glob "
            "such as '*.csv'."
        )
    return next(found for found in formats.values() if found)


def _as_utf8(file: TableFile, encoding: str, scratch: Path) -> TableFile:
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise SourceError(
            f"`encoding: {encoding}` is not known; expected a name such as utf-8, latin-1, cp1252 or utf-16."
        ) from error
    if name in ("utf-8", "utf-8-sig"):
        return file
    path = _place_for(file.path.name, scratch)
    with (
        contextlib.suppress(UnicodeError),
        file.path.open(encoding=name, newline="") as text,
        path.open("w", encoding="utf-8", newline="") as plain,
    ):
        shutil.copyfileobj(text, plain, _CHUNK_BYTES)
        return replace(file, path=path)
    raise locate_undecodable(file, name) or SourceError(
        f"{file.name} is not text in {encoding}. Set `encoding` to what it is."
    )


def _undecodable(file: TableFile, encoding: str, *, line: int, error: UnicodeDecodeError, offset: int) -> SourceError:
    with file.path.open("rb") as content:
        start = content.read(2)
    likely = _ENCODING_MARKS.get(start, "latin-1")
    byte = error.object[error.start]
    return SourceError(
        f"{file.name} is not {encoding} text: line {line} holds the byte 0x{byte:02x} (byte "
        f"{offset + error.start + 1:,} of the file), "
        f"which {encoding} does not allow there. Set `encoding` to what the file is in, perhaps `encoding: {likely}`."
    )
