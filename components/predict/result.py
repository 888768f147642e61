"""What a batch prediction leaves in the object store: `part-…parquet`, `rejected.parquet`, and last `summary.json`.

The summary commits the result: where there is none, the parts are of a run that failed or goes on. A claim keeps two
runs from writing below the same prefix.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from components.shared.errors import InputError, StoreError
from components.shared.package.model_package import Lineage
from components.shared.store import Store, parse_s3_uri

SUMMARY = "summary.json"
REJECTED = "rejected.parquet"
CLAIM = "_started"
ROW = "source_row"  # number of a row in the table, counted from 0


class Values(BaseModel):
    """What the predicted values of a regression are like."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean: float
    minimum: float
    maximum: float


class Summary(BaseModel):
    """A finished batch prediction."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the model.")
    version: str = Field(description="The version that predicted.")
    place: str = Field(description="Where the parts are: s3://bucket/prefix/.")
    created: str = Field(description="When it was finished, ISO 8601, UTC.")
    seconds: float = Field(description="How long reading, predicting and storing took.")
    rows: int = Field(description="Rows of the table.")
    predicted: int = Field(description="Rows with a prediction.")
    rejected: int = Field(description="Rejected rows, in rejected.parquet.")
    parts: dict[str, int] = Field(description="Rows by file.")
    columns: list[str] = Field(description="Columns of the parts.")
    classes: dict[str, int] = Field(default={}, description="Predicted rows by class.")
    values: Values | None = Field(default=None, description="The predicted values of a regression.")
    reasons: list[str] = Field(default=[], description="Why the first rows were rejected.")
    lineage: Lineage = Field(description="Where the rows came from.")

    @property
    def message(self) -> str:
        """The stage's result in one line."""
        rejected = f"; {self.rejected:,} rejected" if self.rejected else ""
        return f"{self.predicted:,} rows predicted by version {self.version}{rejected}, in {self.place}"


class Destination:
    """A prefix of the object store that one run writes below.

    Args:
        store: The object store.
        prefix: What the keys begin with, ending with a slash.
    """

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix
        self._written: list[str] = []

    @classmethod
    def of(cls, store: Store, place: str, name: str) -> "Destination":
        """The destination that a run's parameter names.

        Args:
            store: The object store, at the project's bucket.
            place: A prefix, or s3://bucket/prefix; empty for a new one below `predictions/<name>/`.
            name: Name of the model.
        """
        if not place.strip():
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
            return cls(store, f"predictions/{name}/{stamp}-{uuid.uuid4().hex[:8]}/")
        if "://" in place:
            bucket, place = parse_s3_uri(place.strip())
            store = store.for_bucket(bucket)
        prefix = place.strip().strip("/")
        if not prefix or any(part in ("", ".", "..") for part in prefix.split("/")):
            raise InputError(f"destination: expected a prefix such as predictions/june, found {place!r}.")
        return cls(store, f"{prefix}/")

    @property
    def uri(self) -> str:
        """Its address, s3://bucket/prefix/."""
        return self.store.uri(self.prefix)

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the prefix; what was written below it goes again unless the summary was.

        Raises:
            StoreError: Another run writes there or has, or the store cannot be reached.
        """
        # Keys are compared by bytes, so whatever lies below the prefix is found before the claim is made.
        taken = self.store.list(self.prefix) or not self.store.create(f"{self.prefix}{CLAIM}", uuid.uuid4().bytes)
        if taken:
            raise StoreError(
                f"{self.uri} is in use: another run writes there or has. Choose another destination, or empty it first."
            )
        try:
            yield
        except BaseException:
            for key in self._written:
                with suppress(StoreError):  # the error that ended the run is the one to tell
                    self.store.delete(key)
            raise
        finally:
            with suppress(StoreError):  # beside a summary it means nothing
                self.store.delete(f"{self.prefix}{CLAIM}")

    def put(self, path: Path) -> None:
        """Upload a finished file under its own name."""
        key = f"{self.prefix}{path.name}"
        self._written.append(key)
        self.store.put_file(key, path)

    def commit(self, summary: Summary) -> None:
        """Write the summary: from here on the result is complete."""
        self.store.put_bytes(f"{self.prefix}{SUMMARY}", summary.model_dump_json(indent=2).encode() + b"\n")
