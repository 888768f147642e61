"""The product's own way from the rows of a window to a decision: statistics, evidence, quality, policy.

The only thing left out is the object store with its log, which has no say in what is decided, and the classifier of
joint drift, which is reported and decides nothing.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.monitor.observation.calendar import Span
from components.monitor.observation.columns import as_logged, watched_columns
from components.monitor.observation.counts import Counts
from components.monitor.observation.due import DueWindow
from components.monitor.observation.keeping import GroupKey
from components.monitor.observation.report import report_window
from components.monitor.observation.rows import Group
from components.monitor.observation.versions import Version
from components.monitor.quality.lines import History, quality_of
from components.monitor.quality.model import QualityModel
from components.monitor.reference import Reference
from components.monitor.statistics import gather
from components.shared.config import MonitoringConfig
from components.shared.config.monitoring_policy import PolicyConfig
from components.shared.decisions.evidence import Evidence, Quality
from components.shared.decisions.policy import decide
from components.shared.decisions.records import Decision
from components.shared.frames import features, inputs
from components.shared.labels.layout import LabelColumns
from components.shared.metrics import Answers
from components.shared.package.model_package import REFERENCE, REFERENCE_STATISTICS
from components.shared.package.scoring import Scorer
from components.shared.store import Store
from tests.benchmarks.alarms.rows import Rows
from tests.benchmarks.alarms.tables import TARGET

MODEL, VERSION = "alarms", "watched"
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
LABELS_LATE = DAY  # after the end of their window, which is when the next one is decided on
_SETTINGS = MonitoringConfig()
_POLICY = PolicyConfig(mode="on")


@dataclass(frozen=True, slots=True)
class Window:
    """Rows that were asked for, with their answers and their labels.

    Attributes:
        number: Which day, from 0.
        rows: What was asked, and what became true.
        answers: What the model said.
        logged: The rows as the inference log has them.
    """

    number: int
    rows: Rows
    answers: Answers
    logged: pa.Table

    @property
    def span(self) -> Span:
        """The day."""
        return Span(START + self.number * DAY, START + (self.number + 1) * DAY)


def table_of(rows: Rows, *, target: bool = False) -> pa.Table:
    """The rows as a table: numbers as float64, categories as texts."""
    kinds = {name: pa.string() if rows.frame[name].dtype == object else pa.float64() for name in rows.frame}
    columns = {name: pa.array(rows.frame[name], kind, from_pandas=True) for name, kind in kinds.items()}
    return pa.table(columns | ({TARGET: pa.array(rows.target)} if target else {}))


def answered(number: int, rows: Rows, scorer: Scorer) -> Window:
    """Ask a model, and log its answers."""
    schema, table = scorer.schema, table_of(rows)
    scores = scorer.score(inputs(features(table, schema), schema))
    answers = Answers(scores, schema.threshold)
    start = (START + number * DAY).timestamp() * 1e6
    moments = np.linspace(start, start + DAY.total_seconds() * 1e6, len(rows), endpoint=False).astype(np.int64)
    about: dict[str, Any] = {
        "request_id": [f"{number}-{row}" for row in range(len(rows))],
        "received": pa.array(moments, pa.timestamp("us", tz="UTC")),
        "request_row": pa.array(np.zeros(len(rows)), pa.int32()),
        "model_version": [VERSION] * len(rows),
    }
    if scores.ndim == 1:
        about["prediction"] = scores
    else:
        about["prediction"] = [schema.labels[place] for place in answers.chosen]
        about |= {f"probability_{label}": scores[:, place] for place, label in enumerate(schema.labels)}
    logged = pa.table({name: table[name] for name in table.column_names} | about)
    return Window(number, rows, answers, logged)


@dataclass(frozen=True)
class Watched(Version):
    """A version whose reference is counted anew, and not looked for in a store."""

    @cached_property
    def reference(self) -> Reference:
        """Statistics of the reference, and how much the model uses each feature."""
        return Reference.of(self.package, self.scorer)


class Monitor:
    """Watches a model with a reference of its own.

    Args:
        package: The model's folder.
        reference: Rows that the model has not learned from.
        folder: An empty one, for the package with this reference.
    """

    def __init__(self, package: Path, reference: Rows, folder: Path) -> None:
        shutil.copytree(package, folder, dirs_exist_ok=True)
        pq.write_table(table_of(reference, target=True), folder / REFERENCE)
        (folder / REFERENCE_STATISTICS).write_text('{"part": "test"}', encoding="utf-8")
        (folder / "metrics.json").write_text("{}\n", encoding="utf-8")
        self._version = Watched(_NO_STORE, MODEL, VERSION, folder, _SETTINGS)
        self._model = QualityModel.load(folder, version=VERSION)

    @property
    def importance(self) -> dict[str, float]:
        """Share of the model's importance by feature."""
        return self._version.reference.importance

    @property
    def scorer(self) -> Scorer:
        """The model."""
        return self._version.scorer

    def observe(self, window: Window, earlier: Sequence[int]) -> Evidence:
        """Drift and problems of a window that has just ended; nothing is known of its quality yet.

        Args:
            window: The window.
            earlier: How many rows the windows before it had.
        """
        schema, rows = self.scorer.schema, len(window.rows)
        watched = watched_columns(window.logged, schema)
        counts = Counts(rows=rows, newest=window.span.end - timedelta(seconds=1))
        group = Group(counts, gather([watched.table], self._version.reference.bins))
        key = GroupKey("", "", window.span, VERSION, rows, "")
        due = DueWindow(window.span, VERSION, (key,), 1, 0, 0, rows, tuple(earlier))
        return report_window(MODEL, due, group, self._version, _SETTINGS, now=window.span.end).evidence

    def judge(self, evidence: Evidence, window: Window, history: History, *, labelled: bool = True) -> Evidence:
        """The same evidence with the quality of the answers, as it is known a day later.

        Args:
            evidence: Of the window.
            window: The window.
            history: What is known of the windows before it.
            labelled: Whether its labels have come.
        """
        schema, columns = self.scorer.schema, LabelColumns(self.scorer.schema)
        now = window.span.end + LABELS_LATE
        count = len(window.rows) if labelled else 0
        texts = [schema.labels[value] for value in window.rows.target] if schema.labels else window.rows.target
        labels = {
            columns.request_id: window.logged["request_id"].slice(0, count),
            columns.request_row: window.logged["request_row"].slice(0, count),
            columns.label: pa.array([str(value) for value in texts[:count]], pa.string()),
            columns.event_time: window.logged["received"].slice(0, count),
            columns.arrival: pa.array([now] * count, pa.timestamp("us", tz="UTC")),
            columns.source: pa.array(["alarms"] * count, pa.string()),
        }
        found = quality_of(
            as_logged(window.logged, schema), pa.table(labels), history, self._model, _SETTINGS.labels, now=now
        )
        return evidence.model_copy(update={"quality": found.quality, "made": now})


# A version with a reference of its own asks the store for nothing.
_NO_STORE: Store = None  # type: ignore[assignment]


def qualities(evidence: Sequence[Evidence]) -> list[Quality]:
    """What is known of the quality of windows."""
    return [one.quality for one in evidence if one.quality]


def decided(evidence: Sequence[Evidence]) -> Decision:
    """The decision on the newest of these windows, by the default policy, with no retraining before it."""
    return decide(evidence, (), _POLICY, max(one.end for one in evidence), champion=VERSION)
