"""What is known of a candidate that is sent copies of requests, by the logs and the labels that have come until now.

Approval, the history page and the comparison that a person asks for all ask how a candidate fares, and they must not
come to different answers. The rows compared are those that both versions answered; quality is measured where labels
have come. Fourteen days back is enough for a decision and bounds the reading.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from components.shared.labels.joining import join
from components.shared.labels.store import Labels
from components.shared.names import MetricName
from components.shared.registry.pending import Pending
from components.shared.registry.registry import Registry
from components.shared.shadow.comparison import ShadowComparison, Side, compare_shadow
from components.shared.shadow.reading import read_candidate, read_champion
from components.shared.store import Store
from components.shared.tasks import TASKS

DAYS = 14.0


@dataclass(frozen=True, slots=True)
class Look:
    """How a candidate is looked at.

    Attributes:
        needed: Rows that are enough (`serving.shadow.rows`).
        metric: By what quality is measured; None for the task's own.
        minimum_labels: Fewest labelled rows on which quality is measured.
        days: How far to look back.
    """

    needed: int
    metric: MetricName | None = None
    minimum_labels: int = 100
    days: float = DAYS

    @classmethod
    def at(cls, pending: Pending) -> "Look":
        """The look at a version that waits: with the rows that it has to answer, and the metric of the gate."""
        return cls(needed=pending.serving.shadow.rows, metric=pending.gate.champion.metric)


def look_at_shadow(
    store: Store, model: str, candidate: str, look: Look, *, champion: str = "", now: datetime | None = None
) -> ShadowComparison:
    """Compare a candidate with the version that serves, by the requests that it was sent copies of.

    Args:
        store: The object store, with keys that may read `models/`, `inference/`, `shadow/` and `labels/`.
        model: Name of the model.
        candidate: The version that is sent copies.
        look: What is asked.
        champion: The version that serves; by default the champion.
        now: The end of the days; only labels that had arrived by then count. By default this moment.

    Raises:
        InputError: The versions predict different things.
        PackageError: There is no champion, or a version's package is incomplete.
        StoreError: The object store cannot be reached or refuses.
    """
    moment, registry = now or datetime.now(UTC), Registry(store, model)
    served = champion or registry.champion_version()
    schemas = registry.schema(served), registry.schema(candidate)
    start = moment - timedelta(days=look.days)
    shadow = read_candidate(store, model, candidate, schemas[1], start=start, end=moment).table
    answers = read_champion(store, model, served, schemas[0], candidate=shadow, candidate_schema=schemas[1]).table
    labels = Labels(store, model, schemas[0]).known_at(moment, since=start)
    return compare_shadow(
        model,
        Side(served, schemas[0], join(answers, labels, schemas[0]).table if labels.num_rows else answers),
        Side(candidate, schemas[1], shadow),
        metric=look.metric or TASKS[schemas[0].task].default_metric,
        needed=look.needed,
        minimum_labels=look.minimum_labels,
    )
