"""What the object store knows of a model that is watched: evidence of its newest windows, decisions, labels.

Everything is read by bounded listings: the newest windows, the decisions that were not read before, and the newest day
of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence import Evidence
from components.shared.decisions.evidence_files import models_with_evidence, read_evidence
from components.shared.decisions.records import Record
from components.shared.labels.store import last_arrival
from components.shared.store import Store

WINDOWS = 30  # the newest ones of a model: enough for one that has matured, though labels come late


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model.

    Attributes:
        model: Its name.
        evidence: Of each of the newest windows and version what became known last, the newest window first.
        records: The records of the decisions that were seen, the oldest first.
        last_label: When the newest label arrived; None without any.
    """

    model: str
    evidence: Sequence[Evidence]
    records: Sequence[Record]
    last_label: datetime | None


class Models:
    """The models that are watched; what does not change is read once only.

    Args:
        store: The object store, with keys that may read `monitoring/` and `labels/`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._logs: dict[str, AuditLog] = {}
        self._records: dict[str, dict[int, Record]] = {}

    def names(self) -> list[str]:
        """Names of the models of which windows are known.

        Raises:
            StoreError: The object store cannot be reached or refuses.
        """
        return models_with_evidence(self._store)

    def read(self, model: str) -> Known:
        """What is known of a model now.

        Raises:
            PackageError: A record is damaged.
            StoreError: The object store cannot be reached or refuses.
        """
        log = self._logs.setdefault(model, AuditLog(self._store, model))
        latest = {(one.start, one.end, one.version): one for one in read_evidence(self._store, model, windows=WINDOWS)}
        newest_first = sorted(latest.values(), key=lambda one: (one.end, one.rows), reverse=True)
        # A log shows its newest records only; those that were seen are kept, or counters would go back.
        records = self._records.setdefault(model, {})
        records |= {record.number: record for record in log.records()}
        return Known(model, newest_first, list(records.values()), last_arrival(self._store, model))
