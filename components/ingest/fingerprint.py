"""A fingerprint of the source tables as they are at this moment, found by as little reading as possible.

Kubeflow Pipelines takes the outputs of an earlier task where inputs, parameters and program are the same; of what lies
behind a path it knows nothing. This fingerprint goes to ingest as a parameter, so that the same tables are read once
and everything below is taken from the cache. It may change though the tables have not, but never the other way round as
far as file systems and servers say the truth: what cannot be known without reading everything counts as changed each
time.
"""

import hashlib
import json
import time

from components.shared.config import SourceConfig
from components.shared.errors import StoreError
from components.shared.sources.base import Fingerprint, Source
from components.shared.sources.table import at_place

_LENGTH = 24  # digits: the fingerprint is among the parameters of a task


def fingerprint(source: SourceConfig, paths: dict[str, str]) -> tuple[str, list[str]]:
    """The fingerprint of all source tables, and a line for people on each.

    Args:
        source: The tables.
        paths: Other places of tables for this run, by table name.

    Returns:
        Hexadecimal digits that change whenever a table has; and by table, what that was found by.
    """
    found = {
        name: of_source(at_place(table, paths.get(name, table.path))) for name, table in sorted(source.tables.items())
    }
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:_LENGTH]
    return digest, [f"{name} by {how}" for name, (how, _) in found.items()]


def of_source(source: Source) -> Fingerprint:
    """What a table is at this moment; for one that cannot be reached the time; ingest says what is wrong then."""
    try:
        return source.fingerprint()
    except (StoreError, OSError, ValueError):
        return Fingerprint("the time", time.time_ns())
