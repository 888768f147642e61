"""Columns that stand in the names of folders, as Spark, Hive and pandas write them: `country=DE/year=2024/…`.

The value is not in the file, only in its path. The engine can read it from there, but it looks at the whole path, so
files are linked into a folder in which only their own partitions are left.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from components.shared.errors import SourceError
from components.shared.sources.table_files import TableFile

NO_VALUE = "__HIVE_DEFAULT_PARTITION__"


def keys_of(file: TableFile) -> list[str]:
    """The columns that the folders of a file are."""
    return [unquote(part.partition("=")[0]) for part in file.partitions]


def partition_values(files: Sequence[TableFile], names: Collection[str]) -> dict[str, set[str]]:
    """The columns that folders' names are and the files do not have themselves, each with its values."""
    held: dict[str, set[str]] = {}
    taken = {name.lower() for name in names}
    for file in files:
        for part in file.partitions:
            key, _, value = part.partition("=")
            if unquote(key).lower() not in taken:
                held.setdefault(unquote(key), set()).update({unquote(value)} - {NO_VALUE})
    return held


# Example: the table is `/data/run=7/sales`, and one of its files is `/data/run=7/sales/country=DE/part-0.csv`. Read
# from there it would have a column `run` as well. It is linked as `<folder>/0/country=DE/part-0.csv`.
def link_files(files: Sequence[TableFile], folder: Path) -> list[TableFile]:
    """The files below a folder in which nothing but their own partitions is named `key=value`.

    The table engine reads partitions from the whole of a path: of what stands above the table's folder, too, and
    nothing of a file that was unpacked or downloaded elsewhere.

    Raises:
        SourceError: The files do not have the same keys.
    """
    if not any(file.partitions for file in files):
        return [*files]
    first = keys_of(files[0])
    links = []
    for number, file in enumerate(files):
        if sorted(keys_of(file)) != sorted(first):
            raise SourceError(
                f"{file.name} lies below the partitions {keys_of(file) or 'none'}, {files[0].name} below {first}. Give "
                "all files of a table the same folders key=value, or name those to read by a glob."
            )
        link = folder.joinpath(str(number), *file.partitions) / file.path.name.replace("=", "_")
        link.parent.mkdir(parents=True)
        link.symlink_to(file.path.resolve())
        links.append(replace(file, path=link))
    return links
