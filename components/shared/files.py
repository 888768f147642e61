"""Files and folders that appear only when they are complete: the one place that writes beside a name and renames.

A stage may be killed at any moment, and its endpoint, its retry or the next stage reads what it left: a reader must
see what was there before, or all of what is new, and never half of it. Renaming within one folder does that on every
file system that this project meets.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LONGEST_NAME = 40  # characters of a name that its partial file takes over: a file system allows 255 bytes in all


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to: what is there becomes `path` when the block ends, and goes when it fails.

    A file replaces a file; a folder replaces nothing but an empty folder. Missing folders above are made.

    Args:
        path: Where the file or folder is to appear.

    Yields:
        The name to write to. Nothing has it yet, and no other writer of the same path is given it.

    Raises:
        OSError: The disk does not take it, or a folder that contains something is in the way.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(path)
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        _remove(partial)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file as UTF-8, completely or not at all.

    Raises:
        OSError: The disk does not take it; what was there stays as it was.
    """
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, completely or not at all.

    Raises:
        OSError: The disk does not take it; what was there stays as it was.
    """
    with replacing(path) as partial:
        partial.write_bytes(content)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_partials(path: Path) -> None:
    """Remove what writers of `path` that were killed left beside it; nobody may be writing it at the moment."""
    for left in path.parent.glob(f".{path.name[:_LONGEST_NAME]}.*.partial"):
        _remove(left)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name[:_LONGEST_NAME]}.{uuid.uuid4().hex[:8]}.partial")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
