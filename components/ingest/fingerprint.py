"""What the source tables are at this moment, told by as little reading as possible.

Kubeflow Pipelines takes the outputs of an earlier task where inputs, parameters and program are the same; of what lies
behind a path it knows nothing. This mark goes to ingest as a parameter, so that the same tables are read once and
everything below is taken from before. It may change though the tables have not, never the other way round as far as
file systems and servers say the truth: whatever cannot be told without reading it all is another one each time.
"""

import hashlib
import json
import time

from components.shared.config import SourceConfig
from components.shared.errors import StoreError
from components.shared.sources.base import Fingerprint, Source
from components.shared.sources.table import moved

_LENGTH = 24  # digits of the mark: it is among the parameters of a task


def fingerprint(source: SourceConfig, paths: dict[str, str]) -> tuple[str, list[str]]:
    """The mark of all source tables, and a line for people on each.

    Args:
        source: The tables.
        paths: Other places of tables for this run, by table name.

    Returns:
        Hexadecimal digits that change whenever a table has; and by table, how it was told.
    """
    told = {name: of_source(moved(table, paths.get(name, table.path))) for name, table in sorted(source.tables.items())}
    mark = hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_LENGTH]
    return mark, [f"{name} by {how}" for name, (how, _) in told.items()]


def of_source(source: Source) -> Fingerprint:
    """What a table is at this moment; of one that cannot be told the time, and ingest says what is wrong with it."""
    try:
        return source.fingerprint()
    except (StoreError, OSError, ValueError):
        return Fingerprint("the time", time.time_ns())
