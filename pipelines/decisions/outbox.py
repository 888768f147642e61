"""What has not been told yet: found by what was told last, `monitoring/<model>/notified.json`.

What happened is in the audit log and in the history of champions, which only grow. So it is enough to keep how far both
have been told. A process that is killed between sending and writing that down tells the last events again, with the
same ids; none is lost. The first look of all, as when the first receiver is configured, begins a day back: what is
older is no news.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, ValidationError

from components.shared.config.notifications import EventKind, NotificationsConfig
from components.shared.decisions.evidence import Evidence, next_window_end
from components.shared.decisions.records import Decided, Ended, Record, decisions_of
from components.shared.notifications.sending import Event, send_to_all
from components.shared.registry.history import Entry
from components.shared.store import Store

_FIRST_LOOK = timedelta(days=1)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True)

    record: int = 0
    entry: int = 0
    stale: str = ""


def tell(
    store: Store,
    model: str,
    settings: NotificationsConfig,
    *,
    records: Sequence[Record],
    history: Sequence[Entry],
    evidence: Sequence[Evidence],
    now: datetime,
) -> int:
    """Tell every receiver what it has not been told yet. A receiver that does not take it is said in the log.

    Returns:
        How many events there were.

    Raises:
        StoreError: The object store cannot be reached or refuses.
    """
    if not settings.receivers:
        return 0
    key = f"monitoring/{model}/notified.json"
    kept = _read(store, key)
    told = kept or _before(records, history, now - _FIRST_LOOK)
    stale = _stale(evidence, settings, now)
    events = [*_of_records(model, records, told.record), *_of_history(model, history, told.entry)]
    if stale and stale != told.stale:
        text = f"the monitor is stale: nothing is known of windows after {stale}"
        events.append(Event("stale_monitor", f"stale-{stale}", model, now, text, {"newest": stale}))
    for event in events:
        send_to_all(event, settings)
    newest = _Told(
        record=max((record.number for record in records), default=told.record),
        entry=max((entry.number for entry in history), default=told.entry),
        stale=stale,
    )
    if newest != kept:
        store.put_bytes(key, newest.model_dump_json().encode())
    return len(events)


def _of_records(model: str, records: Sequence[Record], after: int) -> Iterator[Event]:
    decisions = decisions_of(records)
    for record in records:
        if record.number <= after:
            continue
        data = {"record": record.model_dump(mode="json")}
        if isinstance(record, Decided) and _is_news(record, decisions):
            text = f"decided: {record.decision.action}: {record.decision.reason}"
            yield Event("decision", f"decision-{record.number}", model, record.when, text, data)
        elif isinstance(record, Ended):
            text = f"retraining {record.about} {record.result}: {record.message}"
            yield Event("retraining", f"retraining-{record.number}", model, record.when, text, data)


def _is_news(record: Decided, decisions: Sequence[Decided]) -> bool:
    """Whether a decision differs from the one before, so that a repeated warning is told only once."""
    before = next((one for one in reversed(decisions) if one.number < record.number), None)
    mine, others = ((one.decision.action, one.decision.held_back) if one else None for one in (record, before))
    return mine != others and not (before is None and record.decision.action == "nothing")


def _of_history(model: str, history: Sequence[Entry], after: int) -> Iterator[Event]:
    for entry in history:
        if entry.number > after:
            kind: EventKind = "promotion" if entry.action == "promoted" else "rollback"
            text = f"version {entry.version} {entry.action}: {entry.why or 'no reason given'}"
            when = datetime.fromisoformat(entry.when)
            yield Event(kind, f"champion-{entry.number}", model, when, text, {"entry": entry.model_dump(mode="json")})


def _stale(evidence: Sequence[Evidence], settings: NotificationsConfig, now: datetime) -> str:
    """The end of the newest window where the next one has been over for long; else empty."""
    due = next_window_end(evidence)
    if not due or now - due <= timedelta(hours=settings.stale_hours):
        return ""
    return max(one.end for one in evidence).isoformat()


def _before(records: Sequence[Record], history: Sequence[Entry], moment: datetime) -> _Told:
    """The mark that counts everything before a moment as told."""
    entries = [entry.number for entry in history if datetime.fromisoformat(entry.when) < moment]
    return _Told(
        record=max((record.number for record in records if record.when < moment), default=0),
        entry=max(entries, default=0),
    )


def _read(store: Store, key: str) -> _Told | None:
    """How far it is; None where nobody has been told anything."""
    found = store.read_with_etag(key)
    if not found:
        return None
    try:
        return _Told.model_validate_json(found[0])
    except ValidationError:
        return _Told()  # all is told again, with the same ids
