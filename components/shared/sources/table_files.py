"""The files of a table, and what their names and their bytes say about them.

People give what they have: a Stata file, a workbook, a CSV in an old encoding. What is read is recognised by its
ending, and what is not is still known by name or first bytes, so that the answer is how to convert it and not a stack
trace. Pickles are among those on purpose, since reading one may execute code.
"""

import codecs
import difflib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from components.shared.errors import SourceError

Format = Literal["csv", "parquet", "jsonl", "excel"]

CHUNK_BYTES = 1024 * 1024
ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "excel"),
}
PACKED = (".gz", ".bz2", ".zst", ".zip")
KNOWN = f"{', '.join(ENDINGS)}, each also with {', '.join(PACKED[:-1])} or {PACKED[-1]}"
_ENCODING_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_PANDAS = "Convert it once, for instance by pandas.{}(…).to_parquet('table.parquet')"
_UNPACK = "Unpack it and give the folder, or pack the one table as .gz, .bz2, .zst or .zip"
_UNREAD = {
    **dict.fromkeys((".feather", ".arrow", ".ipc"), ("an Arrow file", _PANDAS.format("read_feather"))),
    ".orc": ("an ORC file", _PANDAS.format("read_orc")),
    ".avro": ("an Avro file", "Convert it once to Parquet, for instance by Spark or fastavro"),
    **dict.fromkeys((".sas7bdat", ".xpt"), ("a SAS file", _PANDAS.format("read_sas"))),
    **dict.fromkeys((".sav", ".zsav"), ("an SPSS file", _PANDAS.format("read_spss"))),
    ".dta": ("a Stata file", _PANDAS.format("read_stata")),
    **dict.fromkeys((".rds", ".rda", ".rdata"), ("an R file", "Write it from R by arrow::write_parquet(…)")),
    **dict.fromkeys((".pkl", ".pickle"), ("a pickle, which may execute code", _PANDAS.format("read_pickle"))),
    **dict.fromkeys((".h5", ".hdf", ".hdf5"), ("an HDF5 file", _PANDAS.format("read_hdf"))),
    **dict.fromkeys((".npy", ".npz"), ("a NumPy file", "Write it as Parquet or CSV, with column names")),
    **dict.fromkeys((".sqlite", ".sqlite3", ".db", ".duckdb", ".mdb", ".accdb"), (
        "a database", "Export the table as Parquet or CSV")),
    ".json": ("JSON, which may be one object or many", "Where each line is one object, set `format: jsonl`; convert "
              "one array by `jq -c '.[]' FILE > table.jsonl`"),
    **dict.fromkeys((".xml", ".html", ".htm", ".pdf"), ("a document", "Export the table as CSV")),
    ".arff": ("an ARFF file", "Convert it once to CSV, for instance by scipy.io.arff"),
    **dict.fromkeys((".tar", ".tgz", ".7z", ".rar"), ("an archive of another kind", _UNPACK)),
}  # fmt: skip
_MAGICS = {
    b"ARROW1": ".arrow", b"FEA1": ".feather", b"ORC": ".orc", b"Obj\x01": ".avro", b"SQLite format 3": ".sqlite",
    b"\x89HDF": ".h5", b"\x93NUMPY": ".npy", b"%PDF": ".pdf", b"7z\xbc\xaf\x27\x1c": ".7z", b"Rar!": ".rar",
    b"$FL2": ".sav", b"\x80\x04\x95": ".pkl", b"\x80\x05\x95": ".pkl",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class TableFile:
    """One file of a table.

    Attributes:
        name: What the user knows it as: a path, an address, or a member of an archive.
        path: Where it is on the local disk.
        partitions: The folders `key=value` it lies in, from the table's own folder on.
    """

    name: str
    path: Path
    partitions: tuple[str, ...] = ()


def format_of(name: str) -> Format | None:
    """The format that a file's ending stands for, below .gz and the like; None when it says nothing."""
    path = PurePosixPath(name.lower())
    return ENDINGS.get(PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix)


def unread(name: str, start: bytes = b"") -> str:
    """What a file of a known format that is not read is, and what to do with it; empty for others.

    Args:
        name: Its name.
        start: Its first bytes, where they are to decide; otherwise its ending does.
    """
    ending = next((ending for magic, ending in _MAGICS.items() if start.startswith(magic)), "")
    if not start:
        path = PurePosixPath(name.lower())
        ending = PurePosixPath(path.stem).suffix if path.suffix in PACKED else path.suffix
    if ending not in _UNREAD:
        return ""
    what, remedy = _UNREAD[ending]
    return f"it is {what}, which is not read. {remedy}."


def place_for(name: str, scratch: Path) -> Path:
    """A path of this name in a folder of its own."""
    return Path(tempfile.mkdtemp(dir=scratch)) / name


def nearest(name: str, names: Iterable[str]) -> str:
    """A hint at the most similar name, beginning with a space; empty when none is similar."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def locate_undecodable(file: TableFile, encoding: str) -> SourceError | None:
    """Say where a text file does not follow its encoding; None when all of it does."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset, pending = 1, 0, b""
    with file.path.open("rb") as content:
        while True:
            chunk = content.read(CHUNK_BYTES)
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
