"""What the source tables are at this moment, told by as little reading as possible.

Kubeflow Pipelines takes the outputs of an earlier task where inputs, parameters and program are the same; of what lies
behind a path it knows nothing. This mark goes to ingest as a parameter, so that the same tables are read once and
everything below is taken from before. It may change though the tables have not, never the other way round as far as
file systems and servers say the truth: whatever cannot be told without reading it all is another one each time.
"""

import glob
import hashlib
import http.client
import importlib.util
import json
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from components.shared.config import SourceConfig
from components.shared.errors import StoreError
from components.shared.package.model_package import file_hash
from components.shared.store import Store, parse_s3_uri

_SMALL = 64 * 1024**2  # bytes up to which a file is read, rather than known by its size and the time of its change
_HTTP_SECONDS = 30.0
_GLOB = "*?["
_LENGTH = 24  # digits of the mark: it is among the parameters of a task


def fingerprint(source: SourceConfig, paths: dict[str, str]) -> tuple[str, list[str]]:
    """The mark of all source tables, and a line for people on each.

    Args:
        source: The tables.
        paths: Other places of tables for this run, by table name.

    Returns:
        Hexadecimal digits that change whenever a table has; and by table, how it was told.
    """
    told = {name: of_place(paths.get(name, table.path)) for name, table in sorted(source.tables.items())}
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_LENGTH]
    return mark, [f"{name} by {how}" for name, (how, _) in told.items()]


def of_place(place: str) -> tuple[str, Any]:
    """How a place is told, and what it is.

    Of a place that is not there it is that, of one that cannot be read the time: ingest says what is wrong with which
    table.
    """
    scheme, separator, rest = place.partition("://")
    try:
        match scheme.lower() if separator else "":
            case "":
                return "its files", _files(place)
            case "package":
                return "its files", _package(rest)
            case "s3":
                return "its objects", _objects(place)
            case "http" | "https":
                return _answer(place)
    except (StoreError, OSError, http.client.HTTPException, ValueError):
        return "the time", time.time_ns()
    return "its name", place


def _files(place: str) -> list[tuple[str, str]]:
    path = Path(place).expanduser()
    if path.is_file():
        return [(place, _file(path))]
    pattern = str(path / "**") if path.is_dir() else str(path)
    found = (Path(name) for name in glob.glob(pattern, recursive=True, include_hidden=True))  # noqa: PTH207
    return sorted((str(file), _file(file)) for file in found if file.is_file())


def _file(path: Path) -> str:
    about = path.stat()
    return file_hash(path) if about.st_size <= _SMALL else f"{about.st_size} bytes, {about.st_mtime_ns}"


def _package(rest: str) -> list[tuple[str, str]]:
    module, _, inside = rest.partition("/")
    spec = importlib.util.find_spec(module) if module.isidentifier() else None
    roots: Iterable[str] = (spec.submodule_search_locations or []) if spec else []
    return [mark for root in roots for mark in _files(str(Path(root, inside)))]


def _objects(place: str) -> list[tuple[str, str, int]]:
    """All objects that a key, a folder or a glob may stand for; a few more do no harm."""
    bucket, key = parse_s3_uri(place)
    fixed = next((index for index, character in enumerate(key) if character in _GLOB), len(key))
    return [(item.key, item.etag, item.size) for item in Store.connect().for_bucket(bucket).list(key[:fixed])]


def _answer(address: str) -> tuple[str, Any]:
    """What a server says of a file: its ETag or time of change; without both its content, and where long, the time."""
    request = urllib.request.Request(address, headers={"User-Agent": "fullcircle"})
    try:
        opened = urllib.request.urlopen(request, timeout=_HTTP_SECONDS)
    except HTTPError as error:
        error.close()
        raise
    with opened as response:
        named = {name: response.headers.get(name) for name in ("ETag", "Last-Modified", "Content-Length")}
        if named["ETag"] or named["Last-Modified"]:
            return "what its server says", named
        content = response.read(_SMALL + 1)
    if len(content) > _SMALL:
        return "the time", time.time_ns()
    return "its content", hashlib.sha256(content).hexdigest()
