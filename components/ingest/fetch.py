"""From a source to plain files on the local disk.

Its files are unpacked into a scratch folder, and other encodings become UTF-8 there; plain files are used where they
are.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from components.ingest.excel import as_csv
from components.ingest.unpack import as_utf8, common_format, unpack, with_doubled_quotes, without_comments
from components.shared.files import file_hash
from components.shared.sources.base import Source
from components.shared.sources.table_files import (
    Format,
    TableFile,
)


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


def fetch(table: Source, scratch: Path) -> Fetched:
    """Bring the files of a table to the local disk.

    Args:
        table: Where the table is and how it is written.
        scratch: An existing folder for copies; the caller removes it.

    Raises:
        SourceError: There is nothing to read, or it cannot be downloaded, unpacked or decoded.
        StoreError: The object store cannot be reached or refuses.
    """
    found = table.read(scratch)
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


def _fingerprint(files: Iterable[TableFile]) -> str:
    hashes = [file_hash(file.path) + "".join(f":{part}" for part in file.partitions) for file in files]
    is_plain = len(hashes) == 1 and ":" not in hashes[0]
    return f"sha256:{hashes[0] if is_plain else hashlib.sha256(''.join(hashes).encode()).hexdigest()}"
