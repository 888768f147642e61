"""Telling a skops archive that holds nothing but plain data from one that could hide a pickle.

Nothing is loaded: names, array headers and skops's own description are read and compared with what `dump_pipeline`
writes. Needs numpy only.
"""

import json
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from components.shared.errors import PackageError, in_short

_DESCRIPTION = "schema.json"
_DESCRIPTION_BYTES = 512_000_000
_ZIP_START = b"PK\x03\x04"
# What the fitted pipelines of all families are made of. Methods, functions, partials, operators, the arguments of
# `__reduce__` and raw bytes are not in it: they call something, or hide it, on loading.
_NODES = frozenset(
    {
        "CachedNode", "DTypeNode", "DefaultDictNode", "DictNode", "JsonNode", "ListNode", "LossNode", "NdArrayNode",
        "ObjectNode", "RandomGeneratorNode", "RandomStateNode", "SetNode", "SliceNode", "TreeNode", "TupleNode",
        "TypeNode",
    }
)  # fmt: skip
_PACKAGES = frozenset({"collections", "lightgbm", "numpy", "sklearn"})
_BUILTINS = frozenset({"bool", "dict", "float", "int", "list", "set", "slice", "str", "tuple"})
_OURS = frozenset({"components.shared.calibration", "components.shared.dates", "components.shared.preprocessing"})


def refuse_hidden_code(path: Path) -> None:
    """Make sure that a skops archive holds JSON and arrays of plain values, and nothing else.

    Raises:
        PackageError: It is no archive, or something in it could be a pickle or name one.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            why = _unexpected(file, archive)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise PackageError(f"{path} is no skops archive: {in_short(error)}.") from error
    if why:
        raise PackageError(f"{path} holds {why}, which might be a pickle; it is refused.")


def _unexpected(file: IO[bytes], archive: zipfile.ZipFile) -> str:
    """What should not be there, in words; empty when nothing is."""
    names = archive.namelist()
    # A pickle in front of an archive is still read as a pickle, and the archive as an archive.
    file.seek(0)
    if file.read(len(_ZIP_START)) != _ZIP_START or min(entry.header_offset for entry in archive.infolist()):
        return "something before its first entry"
    if len(set(names)) != len(names):
        return "two entries of one name"
    if _DESCRIPTION not in names:
        raise zipfile.BadZipFile(f"it has no {_DESCRIPTION}")
    for entry in archive.infolist():
        if entry.filename != _DESCRIPTION and not _is_plain_array(archive, entry):
            return repr(entry.filename)
    return _unexpected_node(_description(archive), frozenset(names))


def _is_plain_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is an array of plain values and nothing after it."""
    stem, _, ending = entry.filename.rpartition(".")
    if ending != "npy" or not stem.isalnum():
        return False
    with archive.open(entry) as file:
        try:
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            shape, _, dtype = read[np.lib.format.read_magic(file)](file)
        except (KeyError, ValueError):
            return False
        values = 1
        for length in shape:
            values *= length
        return not dtype.hasobject and file.tell() + values * dtype.itemsize == entry.file_size


def _description(archive: zipfile.ZipFile) -> Any:
    with archive.open(_DESCRIPTION) as file:
        content = file.read(_DESCRIPTION_BYTES + 1)
    if len(content) > _DESCRIPTION_BYTES:
        raise zipfile.BadZipFile(f"its {_DESCRIPTION} is larger than {_DESCRIPTION_BYTES:,} bytes")
    found = json.loads(content)
    if not isinstance(found, dict) or "__loader__" not in found:
        raise zipfile.BadZipFile(f"its {_DESCRIPTION} describes no object")
    return found


def _unexpected_node(description: Any, names: frozenset[str]) -> str:
    waiting = [description]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            # A dictionary's own keys may be spelled like skops's; what is described has all three.
            if "__loader__" in node and (why := _odd(node, names)):
                return why
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return ""


def _odd(node: dict[str, Any], names: frozenset[str]) -> str:
    loader, module, kind = (node.get(key) for key in ("__loader__", "__module__", "__class__"))
    if not isinstance(loader, str) or loader not in _NODES:
        return f"a {loader!r}"[:80]
    if not isinstance(module, str) or not isinstance(kind, str) or not _is_known(module, kind):
        return f"a {module}.{kind}"[:200]
    if "file" in node and node["file"] not in names:
        return f"a reference to {node['file']!r}"[:200]
    return ""


def _is_known(module: str, kind: str) -> bool:
    if module == "builtins":
        return kind in _BUILTINS
    return module in _OURS or module.partition(".")[0] in _PACKAGES
