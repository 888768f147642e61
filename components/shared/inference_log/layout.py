"""Where the rows of the inference log are: `inference/<model>/date=YYYY-MM-DD/hour=HH/`, by server time (UTC).

The log of a candidate that is sent copies of requests has the same layout below `shadow/<model>/`.

An hour contains raw files, which the endpoint writes every few seconds, and once it is closed and compacted: parts, the
rows of many raw files in one, and `compacted.json`, which commits them. A part counts only when the commit lists it; a
raw file that the commit replaces counts no more. The commit is one object, written by a conditional write, so a reader
sees either the raw files or the parts that replace them.

Names of raw files begin with the time of day and those of parts and commit with `compacted`: a listing, which is in the
order of keys, shows an hour's commit after all of its raw files. One that does not show it was done with the raw files
before the commit was there, and with that before any of them was removed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pydantic import BaseModel, ConfigDict

from components.shared.inference_rows import LOG_ROOT, log_prefix

HOUR = timedelta(hours=1)
COMMIT = "compacted.json"
COMMIT_FORMAT = "fullcircle-log/1"
PART = "compacted-"

_HOUR_FOLDER = re.compile(r"/date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/[^/]+$")
# A host's name contains no underscore: the writer sees to that.
_ROWS = re.compile(r"_(\d+)\.parquet$")


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of rows.

    Attributes:
        key: In the object store.
        hour: The full hour that its rows were received in.
        size: In bytes.
        rows: How many it contains; None when its name does not tell, as in logs of earlier versions.
    """

    key: str
    hour: datetime
    size: int
    rows: int | None


class Part(BaseModel):
    """A part of a compacted hour, by its name in the hour's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rows: int
    size: int


class Commit(BaseModel):
    """`compacted.json`: which parts hold the hour's rows, and which raw files they replace, by their names.

    The names of replaced files stay when the files are gone: a writer that lost the store's answer writes the same file
    once more, and it must not count again.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = COMMIT_FORMAT
    parts: tuple[Part, ...] = ()
    replaces: frozenset[str] = frozenset()


def day_prefix(model: str, day: date, *, root: str = LOG_ROOT) -> str:
    """What the keys of a day begin with."""
    return f"{log_prefix(model, root)}date={day.isoformat()}/"


def hour_prefix(model: str, hour: datetime, *, root: str = LOG_ROOT) -> str:
    """What the keys of an hour begin with."""
    return f"{day_prefix(model, hour.date(), root=root)}hour={hour:%H}/"


# Example: 060102.123456-host-17-0_250.parquet, of 250 rows; the writer is host-17-0.
def raw_name(moment: datetime, writer: str, rows: int) -> str:
    """The name of a raw file.

    Args:
        moment: Server time of its first row, UTC.
        writer: What tells it from all other files of that moment, without underscores.
        rows: How many rows it contains.
    """
    return f"{moment:%H%M%S.%f}-{writer}_{rows}.parquet"


def part_name(writer: str, rows: int) -> str:
    """The name of a part.

    Args:
        writer: What tells it from all other parts of the hour, without underscores.
        rows: How many rows it contains.
    """
    return f"{PART}{writer}_{rows}.parquet"


def rows_of(name: str) -> int | None:
    """How many rows a file contains, by its name; None when that does not tell."""
    found = _ROWS.search(name)
    return int(found[1]) if found else None


def hour_of(key: str) -> datetime | None:
    """The hour whose folder a key is in; None when it is in none."""
    found = _HOUR_FOLDER.search(key)
    try:
        return datetime.fromisoformat(f"{found[1]}T{found[2]}:00:00").replace(tzinfo=UTC) if found else None
    except ValueError:
        return None


def full_hour(moment: datetime) -> datetime:
    """The hour that a moment is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
