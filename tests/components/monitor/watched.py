"""A model that is watched: its evidence, decisions and labels, as monitor, policy and `make labels` write them."""

from datetime import datetime, timedelta

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence import Estimate, Evidence, PredictionDrift, Problem, Quality
from components.shared.decisions.evidence_files import keep_evidence
from components.shared.decisions.records import Resumed
from components.shared.labels.layout import file_key
from components.shared.store import Store
from tests.components.shared.decisions.windows import ON, drifted, dropped, ended, window

LABELLED = timedelta(days=2, hours=3)  # from the first day


def quality(measured: float | None, guess: float, *, mature: bool = False, changed: bool = False) -> Quality:
    """Both lines of a window, of a reference of 0.80."""
    return Quality(
        metric="roc_auc",
        higher_is_better=True,
        reference=0.80,
        measured=None if measured is None else Estimate(value=measured, low=measured - 0.02, high=measured + 0.02),
        estimated=Estimate(value=guess, low=guess - 0.01, high=guess + 0.01),
        labelled=0.9 if mature else 0.2,
        expected=0.95 if mature else 0.6,
        mature=mature,
        relation_changed=changed,
    )


def evidence() -> list[Evidence]:
    """Three days: the first with its labels, of which less was known before; the last with drift and bad rows."""
    range_problem = Problem(kind="range", column="delay", value=0.4, severe=True, message="seconds, not minutes")
    return [
        window(0, quality=quality(None, 0.78)),
        window(0, known=3, quality=quality(0.70, 0.78, mature=True)),
        window(1, quality=quality(0.60, 0.77)),
        window(
            2,
            rows=500,
            drifted=(drifted(0.3), drifted(0.1, "carrier")),
            prediction=PredictionDrift(column="prediction", value=0.2, threshold=0.1),
            problems=(range_problem, Problem(kind="volume", value=0.5, message="half of the usual rows")),
            quality=quality(None, 0.75, changed=True),
        ),
    ]


def fill(store: Store, *, model: str = "demo") -> list[Evidence]:
    """Write all of it, with a retraining that was decided and failed; what was written."""
    found = [one.model_copy(update={"model": model}) for one in evidence()]
    for one in found:
        keep_evidence(store, one)
    audit = AuditLog(store, model, by="a test")
    drops = [dropped(day).model_copy(update={"model": model}) for day in (0, 1)]
    decided = audit.decide(drops, ON, now=drops[1].made, champion="v1")
    assert decided is not None
    assert decided.decision.retrains
    audit.add(ended(decided, "failed"))
    audit.add(Resumed(when=decided.when + timedelta(hours=2), why="for the test"))
    for hours in (0, 2):
        arrival: datetime = found[0].start + LABELLED - timedelta(hours=hours)
        store.put_bytes(file_key(model, arrival, "w", 5), b"")
    return found
