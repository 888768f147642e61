"""What is kept of pieces that were read, and of windows: where it is in the object store, and when it counts.

```
monitoring/<model>/pieces/<identity>/<piece>/<amount>/…
    <step>_<version>_<rows>_<digest>.json, ….parquet   statistics, sample
    read_<files>_<damaged>_<lost>                      the piece was read
```

The last one is written last: what is there without it does not count. A listing tells which pieces were read, how many
rows each version has in each step, and by the digest whether the same was counted as before, so that no object has to
be read for it. A piece that was read again because there was more of it has a larger amount, which counts instead. The
identity stands for how steps are cut and for the format of statistics: what was kept by others is left alone.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal
from urllib.parse import quote, unquote

from pydantic import BaseModel, ConfigDict, ValidationError

from components.monitor.observation.calendar import Calendar, Span, moment_name, parse_moment
from components.monitor.observation.counts import Counts
from components.monitor.observation.pieces import Piece
from components.monitor.observation.rows import Found, Group, merged
from components.monitor.observation.sample import Sample
from components.monitor.observation.versions import Version
from components.monitor.statistics.bins import FORMAT as BINS_FORMAT
from components.monitor.statistics.statistics import FORMAT as STATISTICS_FORMAT
from components.monitor.statistics.statistics import Statistics
from components.shared.errors import DataError, StoreError, in_short
from components.shared.inference_log.layout import full_hour
from components.shared.inference_log.reading import MovedError
from components.shared.store import ObjectInfo, Store, is_missing

FORMAT: Final = "fullcircle-piece/2"
_THREADS = 8
_NOT_EXACT = {"outside", "sums", "mean", "squares"}


class _KeptGroup(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["fullcircle-piece/2"] = FORMAT
    counts: Counts
    statistics: str  # JSON of `Statistics`; empty where the store does not have the version


@dataclass(frozen=True, slots=True, order=True)
class GroupKey:
    """Where the statistics of one version in one step of a piece are.

    Attributes:
        piece: The piece.
        amount: How much there was of it.
        step: The step.
        version: The version that answered.
        rows: How many rows it answered.
        stem: Key of its objects up to the suffix.
        digest: Of what was counted: the same as long as the same was.
    """

    piece: str
    amount: str
    step: Span
    version: str
    rows: int
    stem: str
    digest: str = ""


@dataclass(slots=True)
class KeptPiece:
    """A piece that was read.

    Attributes:
        name: The piece.
        amount: How much there was of it.
        files: How many files.
        damaged: How many of them could not be read.
        lost: How many rows these have, by their names.
        groups: What was found.
    """

    name: str
    amount: str
    files: int
    damaged: int
    lost: int
    groups: list[GroupKey] = field(default_factory=list)

    @property
    def received(self) -> datetime:
        """When its rows were received: the hour of the log, or when the file of a table was written."""
        if self.name.startswith("table-"):
            return datetime.strptime(self.amount[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        return parse_moment(self.name)


class Pieces:
    """What is kept of the pieces of a model.

    Args:
        store: The object store.
        model: Name of the model.
        calendar: How steps are cut.
        table: Prefix of the table that is watched in place of the log; empty for the log.
    """

    def __init__(self, store: Store, model: str, calendar: Calendar, *, table: str = "") -> None:
        self._store = store
        self._calendar = calendar
        about = "\n".join((FORMAT, BINS_FORMAT, STATISTICS_FORMAT, calendar.identity, table))
        self._prefix = f"monitoring/{model}/pieces/{hashlib.sha256(about.encode()).hexdigest()[:8]}/"

    def index(self, since: datetime, *, earlier: bool = False) -> dict[str, KeptPiece]:
        """The pieces that were read, by name.

        Args:
            since: Hours before the one that contains this moment are left out.
            earlier: Whether such hours are kept too if they have rows of steps that begin at `since` or later. By
                event time a prediction may be asked for long before its event.
        """
        first = moment_name(full_hour(since))
        newest = self._newest("" if earlier else f"{first}/")
        for name, piece in newest.items():
            if name < first:
                piece.groups = [group for group in piece.groups if group.step.start >= since]
        return {name: piece for name, piece in newest.items() if name >= first or piece.groups}

    def _newest(self, first: str) -> dict[str, KeptPiece]:
        """Of each piece, from the folder `first` on, what was read of it when its amount was largest."""
        found: dict[str, dict[str, KeptPiece]] = {}
        groups: dict[tuple[str, str], list[GroupKey]] = {}
        for item in self._store.list(self._prefix, start_after=f"{self._prefix}{first}"):
            parts = item.key.removeprefix(self._prefix).split("/")
            if len(parts) != 3:
                continue
            piece, amount, name = parts
            if name.startswith("read_"):
                files, damaged, lost = map(int, name.removeprefix("read_").split("_"))
                found.setdefault(piece, {})[amount] = KeptPiece(piece, amount, files, damaged, lost)
            elif name.endswith(".json"):
                groups.setdefault((piece, amount), []).append(_group_key(piece, amount, item))
        newest = {piece: amounts[max(amounts)] for piece, amounts in found.items()}
        for piece, kept in newest.items():
            kept.groups = groups.get((piece, kept.amount), [])
        return newest

    def keep(self, piece: Piece, found: Found) -> KeptPiece:
        """Keep what was found of a piece; what was kept of less of it counts no more."""
        folder = f"{self._prefix}{piece.name}/{piece.amount}/"
        groups = []
        for (number, version), group in sorted(found.groups.items()):
            step = self._calendar.step(number)
            rows, digest = group.counts.rows, _digest(group)
            stem = f"{folder}{step.name}_{quote(version, safe='')}_{rows}_{digest}"
            self._put(stem, group)
            groups.append(GroupKey(piece.name, piece.amount, step, version, rows, stem, digest))
        self._store.put_bytes(f"{folder}read_{found.files}_{found.damaged}_{found.lost}", b"{}", "application/json")
        return KeptPiece(piece.name, piece.amount, found.files, found.damaged, found.lost, groups)

    def load(self, groups: Sequence[GroupKey], version: Version | None) -> Group:
        """What was counted of several groups of one version, together.

        Raises:
            MovedError: A piece was read again meanwhile, by another monitor.
            DataError: What was kept cannot be read.
            StoreError: The object store cannot be reached or refuses.
        """
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="monitor") as workers:
            loaded = list(workers.map(lambda group: self._get(group, version), sorted(groups)))
        total = loaded[0]
        for group in loaded[1:]:
            total = merged(total, group)
        return total

    def _put(self, stem: str, group: Group) -> None:
        if group.sample:
            self._store.put_bytes(f"{stem}.parquet", group.sample.to_parquet())
        statistics = group.statistics.to_json().decode() if group.statistics else ""
        kept = _KeptGroup(counts=group.counts, statistics=statistics)
        self._store.put_bytes(f"{stem}.json", kept.model_dump_json().encode())

    def _get(self, group: GroupKey, version: Version | None) -> Group:
        kept = self._parsed(f"{group.stem}.json")
        if not kept.statistics or version is None:
            return Group(kept.counts)
        statistics = Statistics.from_json(kept.statistics.encode(), version.reference.bins)
        return Group(kept.counts, statistics, Sample.from_parquet(self._read(f"{group.stem}.parquet")))

    def _parsed(self, key: str) -> _KeptGroup:
        try:
            return _KeptGroup.model_validate_json(self._read(key))
        except ValidationError as error:
            raise DataError(
                f"{self._store.uri(key)} is not what the monitor keeps: {in_short(error)}. Remove all that is beside "
                "it, and the rows are read again."
            ) from error

    def _read(self, key: str) -> bytes:
        try:
            return self._store.get_bytes(key)
        except StoreError as error:
            if not is_missing(error):
                raise
            raise MovedError(f"{self._store.uri(key)} is there no more.") from error


def _group_key(piece: str, amount: str, item: ObjectInfo) -> GroupKey:
    stem = item.key.removesuffix(".json")
    step, rest = stem.rpartition("/")[2].split("_", 1)
    version, rows, digest = rest.rsplit("_", 2)
    return GroupKey(piece, amount, Span.parse(step), unquote(version), int(rows), stem, digest)


def _digest(group: Group) -> str:
    """A fingerprint of the statistics of a group, made of its exact counts alone.

    The sketches are left out because they are randomised, and sums because their last digits depend on the order in
    which files are read.
    """
    found = hashlib.sha256(group.counts.model_dump_json().encode())
    for name, column in sorted(group.statistics.columns.items() if group.statistics else ()):
        found.update(f"\n{name} {column.model_dump_json(exclude=_NOT_EXACT)}".encode())
    return found.hexdigest()[:16]
