"""What a version is compared with, counted once: the reference rows of its package, and how it uses its features.

It is kept at `monitoring/<model>/reference/<version>.json`. Nothing in it depends on the `monitoring` section, so it
serves every comparison. It can be removed at any time, and is then made again from the package.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from components.monitor.importance import feature_importance
from components.monitor.statistics import Bins, Statistics, gather
from components.monitor.windows import numeric_columns, watched
from components.shared.errors import DataError
from components.shared.frames import features
from components.shared.package.model_package import REFERENCE
from components.shared.package.scoring import Scorer
from components.shared.store import Store

FORMAT: Final = "fullcircle-reference/1"


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["fullcircle-reference/1"]
    bins: Bins
    statistics: str
    importance: dict[str, float]


@dataclass(frozen=True, slots=True)
class Reference:
    """A version's reference.

    Attributes:
        statistics: Of all its rows: the watched features and the prediction.
        importance: Share of the model's importance by feature; the prediction is none.
    """

    statistics: Statistics
    importance: dict[str, float]

    @property
    def bins(self) -> Bins:
        """What rows that are compared with it are counted into."""
        return self.statistics.bins

    @classmethod
    def of(cls, package: Path, scorer: Scorer) -> Self:
        """Count the reference rows of a model package.

        Raises:
            DataError: There are none.
        """
        table = pq.read_table(package / REFERENCE, columns=scorer.schema.columns)
        if not table.num_rows:
            raise DataError(f"{REFERENCE} of version {scorer.version} has no rows: train the model again.")
        frame = features(table, scorer.schema)
        statistics = reference_statistics(watched(frame, scorer), numeric=numeric_columns(scorer.schema))
        return cls(statistics, feature_importance(scorer, frame))

    def to_json(self) -> bytes:
        """As JSON."""
        kept = _Kept(
            format=FORMAT,
            bins=self.bins,
            statistics=self.statistics.to_json().decode(),
            importance=self.importance,
        )
        return kept.model_dump_json().encode()

    @classmethod
    def from_json(cls, content: bytes) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: It is something else, such as what an earlier program kept.
        """
        kept = _Kept.model_validate_json(content)
        try:
            statistics = Statistics.from_json(kept.statistics.encode(), kept.bins)
        except DataError as error:
            raise ValueError(str(error)) from error
        return cls(statistics, kept.importance)


def reference_key(name: str, version: str) -> str:
    """Where the reference of a version is kept."""
    return f"monitoring/{name}/reference/{version}.json"


def kept_reference(store: Store, name: str, package: Path, scorer: Scorer) -> Reference:
    """The reference of a version: as it was kept, else counted now and kept.

    Raises:
        DataError: The package has no reference rows.
        StoreError: The object store cannot be reached or refuses.
    """
    key = reference_key(name, scorer.version)
    found = store.read_with_etag(key)
    if found is not None:
        try:
            return Reference.from_json(found[0])
        except ValueError:
            pass  # of another program: made anew
    made = Reference.of(package, scorer)
    store.put_bytes(key, made.to_json(), "application/json")
    return made


def reference_statistics(frame: pd.DataFrame, *, numeric: frozenset[str]) -> Statistics:
    """Bins for rows, and their statistics.

    Args:
        frame: One column a watched feature: numbers (missing: NaN) and categories (text; missing: None).
        numeric: Which of the columns are numbers.
    """
    return gather([table_of(frame)], Bins.of(frame, numeric=numeric))


def table_of(frame: pd.DataFrame) -> pa.Table:
    """A frame of watched columns as a table."""
    columns = {
        name: pa.array(frame[name].to_numpy(), pa.string() if frame[name].dtype == object else None, from_pandas=True)
        for name in frame
    }
    return pa.table(columns)
