"""From a place named in the configuration to plain files on the local disk.

A place is a file, a folder, a glob, `http(s)://…`, `s3://bucket/key` or `package://module/path`. Remote files are
streamed into a scratch folder, archives are unpacked there, other encodings become UTF-8 there; local plain files
are used where they are.
"""

import glob
import hashlib
import http.client
import importlib.util
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote, urlsplit

from components.ingest.excel import as_csv
from components.ingest.partitions import partitions_in
from components.ingest.table_files import (
    CHUNK_BYTES,
    KNOWN,
    Format,
    TableFile,
    format_of,
    nearest,
    place_for,
    unread,
)
from components.ingest.unpack import as_utf8, common_format, unpack, visible, with_doubled_quotes, without_comments
from components.shared.config import TableConfig
from components.shared.errors import SourceError
from components.shared.package.model_package import file_hash
from components.shared.store import Store, parse_s3_uri

HTTP_SECONDS = 30.0  # how long a server may stay silent
_PLACES = "a file, a folder, a glob, http(s)://…, s3://bucket/key or package://module/path"


@dataclass(frozen=True, slots=True)
class Fetched:
    """The files of a table, plain and in UTF-8 (text formats), all of one format; sheets of Excel's are CSV.

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
    fingerprint = _fingerprint(found)
    files = [unpack(file, scratch) for file in found]
    chosen = common_format(files, table)
    if chosen == "excel":
        files = [as_csv(file, table, scratch) for file in files]
    elif chosen != "parquet":
        files = [as_utf8(file, table.encoding, scratch) for file in files]
    if chosen == "csv" and table.comment:
        files = [without_comments(file, table, scratch) for file in files]
    if chosen == "csv" and table.escape != '"':
        files = [with_doubled_quotes(file, table, scratch) for file in files]
    return Fetched(files, chosen, fingerprint)


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
        below = [file for file in sorted(path.rglob("*")) if visible(file.relative_to(path)) and file.is_file()]
        tables = _tables_among(below, table, f"the folder {place}")
        return [TableFile(str(file), file, partitions_in(file.relative_to(path))) for file in tables]
    if path.exists():
        return [TableFile(place, path)]
    if glob.has_magic(place):
        matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))  # noqa: PTH207, ** and absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise SourceError(f"no file matches the glob {place!r} (looked from {Path.cwd()}).")
        return [TableFile(str(file), file, _below_glob(path, file)) for file in files]
    raise SourceError(_missing(place, path))


def _below_glob(pattern: PurePath, file: PurePath) -> tuple[str, ...]:
    """The partitions of a file from the first part of a glob on that is one: above it is the table's own folder."""
    fixed = next(place for place, part in enumerate(pattern.parts) if glob.has_magic(part))
    return partitions_in(PurePath(*file.parts[fixed:]))


def _tables_among(paths: list[Path], table: TableConfig, where: str) -> list[Path]:
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
    path = place_for(name, scratch)
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "fullcircle"})
        with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file, CHUNK_BYTES)
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
        path = place_for(PurePosixPath(found).name, scratch)
        store.get_file(found, path)
        files.append(TableFile(store.uri(found), path, _below_key(key, found)))
    return files


def _below_key(key: str, found: str) -> tuple[str, ...]:
    """The partitions of an object below a prefix or a glob; of one named itself there are none."""
    if glob.has_magic(key):
        return _below_glob(PurePosixPath(key), PurePosixPath(found))
    return partitions_in(PurePosixPath(found.removeprefix(key).lstrip("/")))


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
    below = [Path(found.key) for found in store.list(prefix) if visible(Path(found.key.removeprefix(prefix)))]
    if not below:
        parent = "".join(key.rpartition("/")[:2])
        raise SourceError(
            f"there is no object {store.uri(key)}.{nearest(key, (found.key for found in store.list(parent)))}"
        )
    return [path.as_posix() for path in _tables_among(below, table, f"the folder {store.uri(prefix)}")]


def _fingerprint(files: Iterable[TableFile]) -> str:
    hashes = [file_hash(file.path) + "".join(f":{part}" for part in file.partitions) for file in files]
    is_plain = len(hashes) == 1 and ":" not in hashes[0]
    return f"sha256:{hashes[0] if is_plain else hashlib.sha256(''.join(hashes).encode()).hexdigest()}"
