"""What an endpoint was really asked, with what became of it: logged features, joined with labels that are mature.

The table is a function of objects in the store alone: it goes up to the newest label there is, and not up to this
moment. So the same objects give the same rows whenever they are read, and its fingerprint is that of these objects.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import AwareDatetime, Field

from components.shared.errors import PackageError, SourceError
from components.shared.sources.base import Fingerprint, Source
from components.shared.sources.table_files import TableFile

if TYPE_CHECKING:  # what reads a log takes a while to import, and whoever reads a configuration needs none of it
    from components.shared.labels.labelled import LabelledRequests, Period
    from components.shared.package.schema import Schema
    from components.shared.registry.registry import Registry
    from components.shared.store import Store

_SCHEME = "log://"


class LogSource(Source):
    """Requests that the endpoint of a model was sent, with the labels that have come: one row a labelled request."""

    schemes = ("log",)
    of_requests: ClassVar[bool] = True

    kind: Literal["log"] = Field(default="log", description="Logged requests with their labels.")
    path: str = Field(
        default=_SCHEME,
        description="log:// and the name of a model; without a name that of the configuration's own model.",
        json_schema_extra={"pattern": "^[lL][oO][gG]://"},
    )
    weeks: float = Field(
        default=12, gt=0, description="How far to look back, in weeks before the newest label; whole days are taken."
    )
    known_at: AwareDatetime | None = Field(
        default=None,
        description="Labels that arrived after this moment, ISO 8601 with a zone, do not count, so that an earlier "
        "table can be made again; empty for all labels.",
    )

    @property
    def model(self) -> str:
        """The model whose requests these are; empty where none is named."""
        return self.path.partition("://")[2].strip("/")

    def of_model(self, name: str) -> "LogSource":
        """The same for a model, unless one is named already."""
        return self if self.model else self.model_copy(update={"path": _SCHEME + name})

    def read(self, scratch: Path) -> list[TableFile]:
        """One Parquet file with the features, the keys, the time column and the target, the oldest request first."""
        import pyarrow.parquet as pq

        from components.shared.labels.training_table import training_table
        from components.shared.progress import announce

        store, registry = self._registry()
        try:
            version = registry.champion_version()
        except PackageError as error:
            raise SourceError(f"{self.path}: {error} Train it on tables first.") from error
        schema = registry.schema(version)
        found = self._labelled(store, schema, version)
        announce(f"{self.path}: {found.message}")
        path = scratch / f"{self.model}-requests.parquet"
        pq.write_table(training_table(found, schema), path)
        return [TableFile(self.path, path)]

    def fingerprint(self) -> Fingerprint:
        """The labels, the files of the log in the period, and how the champion is watched."""
        from components.shared.inference_log.layout import day_prefix
        from components.shared.inference_log.reading import days
        from components.shared.labels.layout import labels_prefix
        from components.shared.registry.monitoring import read_settings

        store, registry = self._registry()
        champion, period = registry.champion(), self._period(store)
        version = champion.version if champion else ""
        labels = [(item.key, item.etag) for item in store.list(labels_prefix(self.model))]
        if period is None:
            return Fingerprint("its objects", [version, labels])
        inside = [day for day in days(store, self.model) if period.start.date() <= day <= period.end.date()]
        logged = [(item.key, item.etag) for day in inside for item in store.list(day_prefix(self.model, day))]
        coverage = read_settings(store, self.model, version).labels.coverage
        return Fingerprint("its objects", [version, coverage, labels, logged])

    def _registry(self) -> "tuple[Store, Registry]":
        from components.shared.inference_log.access import log_store
        from components.shared.registry.registry import Registry
        from components.shared.store import Store

        if not self.model:
            raise SourceError(f"{self.path!r} names no model; expected {_SCHEME} and the name of one.")
        store = log_store(Store.connect())
        return store, Registry(store, self.model)

    def _period(self, store: "Store") -> "Period | None":
        """Up to the newest label that counts; None without labels."""
        from components.shared.labels.labelled import Period, start_of
        from components.shared.labels.store import last_arrival

        end = last_arrival(store, self.model, until=self.known_at)
        return None if end is None else Period(start_of(end, self.weeks), end)

    def _labelled(self, store: "Store", schema: "Schema", version: str) -> "LabelledRequests":
        from components.shared.inference_log.reading import days
        from components.shared.labels.labelled import read_labelled
        from components.shared.registry.monitoring import read_settings

        if not days(store, self.model):
            raise SourceError(
                f"{self.path}: the endpoint of {self.model!r} has logged no request yet. Deploy it with "
                "serving.log.enabled, and let clients ask it."
            )
        period = self._period(store)
        if period is None:
            until = f" up to {self.known_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.known_at else ""
            raise SourceError(
                f"{self.path}: no labels of {self.model!r} have arrived{until}. `make labels DATA=…` adds them."
            )
        coverage = read_settings(store, self.model, version).labels.coverage
        found = read_labelled(store, self.model, schema, period, known_at=period.end, coverage=coverage)
        if not found.table.num_rows:
            raise SourceError(f"{self.path}: {_why_empty(found, period.start, schema)}")
        return found


def _why_empty(found: "LabelledRequests", start: datetime, schema: "Schema") -> str:
    """What is to be said where no row is left."""
    logged = found.logged
    if not logged.rows and logged.lacking:
        names = ", ".join(map(repr, sorted(logged.lacking)))
        return (
            f"the log lacks {names}, which the model uses: serving.log.leave_out keeps columns out of the log, or "
            "another version answered. Log them, and learn from the requests that come from then on."
        )
    if not logged.rows:
        return f"the log has no readable rows since {start:%Y-%m-%d}. Raise `weeks`."
    if not found.joined.labelled:
        keys = f" or {', '.join(schema.keys)}" if schema.keys else ""
        return (
            f"none of {found.joined.labels:,} labels is about one of {logged.rows:,} requests since {start:%Y-%m-%d}"
            f" ({found.joined.message}). Labels and requests have to agree in request_id{keys}."
        )
    return f"no labelled request is old enough to learn from ({found.message}). Wait for more labels."
