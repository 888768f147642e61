"""How good the answers of windows were: asked again when labels have come, and daily until a window is mature.

Quality is found from the sample of a window's rows that is kept, so that the log need not be read again. By event time,
labels are late from the event on; which answer a label is about is told by the moment at which it was asked for.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.monitor.observation.calendar import Calendar
from components.monitor.observation.columns import event_times
from components.monitor.observation.counts import Counts
from components.monitor.observation.versions import Version
from components.monitor.quality.lines import History, WindowQuality, quality_of
from components.monitor.quality.model import QualityModel
from components.monitor.quality.rows import HAPPENED
from components.shared.config import WindowsConfig
from components.shared.decisions.evidence import Quality
from components.shared.inference_rows import RECEIVED, logged_name
from components.shared.labels.joining import join
from components.shared.labels.layout import LabelColumns, labels_prefix
from components.shared.labels.store import Labels
from components.shared.store import Store

_KEPT_MODELS = 8
EARLIER = 14  # earlier windows of a version that the lag of labels and the errors of estimates are learned from


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier window of a version.

    Attributes:
        rows: Some of its rows.
        quality: How good its answers were; None where it is not known.
    """

    rows: pa.Table
    quality: Quality | None


class Judge:
    """Finds out how good answers were, by the labels that are known at a moment.

    Args:
        store: The object store.
        model: Name of the model.
        windows: How windows are cut.
        now: The moment.
    """

    def __init__(self, store: Store, model: str, windows: WindowsConfig, *, now: datetime) -> None:
        self._store = store
        self._model = model
        self._windows = windows
        self._calendar = Calendar(windows)
        self._now = now
        self._labels: dict[tuple[str, ...], pa.Table] = {}

    @cached_property
    def stored(self) -> str:
        """A fingerprint of all stored labels, made of the names of their files without reading them."""
        keys = [item.key for item in self._store.list(labels_prefix(self._model))]
        return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]

    @property
    def day(self) -> str:
        """Today, YYYY-MM-DD: how many labels should have arrived by now changes from day to day."""
        return f"{self._now:%Y-%m-%d}"

    def seen(self, version: Version, rows: pa.Table) -> str:
        """A fingerprint of the labels that some rows have now: it changes when a label is added or corrected."""
        joined = join(rows, self._known(version), version.schema).table
        columns = LabelColumns(version.schema)
        frame = joined.select([columns.label, columns.arrival]).to_pandas()
        hashes = np.asarray(pd.util.hash_pandas_object(frame, index=False), np.uint64)
        return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]

    def judge(self, version: Version, rows: pa.Table, past: Sequence[Past]) -> WindowQuality:
        """How good the answers of some rows were.

        Args:
            version: The version that answered them.
            rows: As `rows` gives them.
            past: Earlier windows of the version, the oldest first.
        """
        model = _quality_model(version)
        history = History([one.rows for one in past], [one.quality for one in past if one.quality])
        return quality_of(rows, self._known(version), history, model, version.settings.labels, now=self._now)

    def rows(self, version: Version, sample: pa.Table, counts: Counts) -> pa.Table:
        """Rows of a sample as they are judged: without columns that no row has, and with the time that counts.

        In a replay of the past, requests are received after `now`: their time of receipt means nothing and is null.
        """
        nothing = [
            name
            for name in (*counts.left_out, *counts.lacking)
            if counts.left_out.get(name, 0) + counts.lacking.get(name, 0) >= counts.rows and name in sample.column_names
        ]
        sample = sample.drop_columns(nothing)
        if self._windows.time == "server":
            return sample
        times = event_times(sample, version.schema, self._calendar)
        name = logged_name(RECEIVED, version.schema)
        moments = pa.array(times.seconds * 1_000_000, pa.timestamp("us", tz="UTC"), mask=~times.known)
        received = sample.column(name)
        sample = sample.append_column(HAPPENED, pc.coalesce(moments, received))
        is_past = pc.less_equal(received, pa.scalar(self._now.astimezone(UTC), received.type))
        asked = pc.if_else(is_past, received, pa.scalar(None, received.type))
        return sample.set_column(sample.column_names.index(name), name, asked)

    def _known(self, version: Version) -> pa.Table:
        """The labels, read once for all versions whose labels have the same columns."""
        columns = tuple(LabelColumns(version.schema).arrow().names)
        if columns not in self._labels:
            self._labels[columns] = Labels(self._store, self._model, version.schema).known_at(self._now)
        return self._labels[columns]


_models: OrderedDict[str, QualityModel] = OrderedDict()


def _quality_model(version: Version) -> QualityModel:
    """What is known of a version's quality before it served.

    Its name is a hash of its package: where one process looks many times, the last few versions are worked out once.
    """
    model = _models.get(version.name)
    if model is None:
        model = _models[version.name] = QualityModel.load(version.package, version=version.name)
        if len(_models) > _KEPT_MODELS:
            _models.popitem(last=False)
    _models.move_to_end(version.name)
    return model
