import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from components.shared.decisions.audit import AuditLog
from components.shared.decisions.records import Ended, Started
from components.shared.decisions.retrainings import open_retraining
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.lease import Lease, LeaseLostError, _Content
from pipelines.decisions.retraining import MOST_ATTEMPTS, carry_out, retraining_lease
from tests.components.shared.decisions.windows import ON, dropped
from tests.pipelines.decisions.retrainers import QuickRetrainer

LONGEST = timedelta(hours=24)


def clock() -> datetime:
    return datetime.now(UTC)


class NeverRenewed(Lease):
    """A lease whose renewals do not come through."""

    def write(self, content: _Content, etag: str | None) -> str | None:
        return super().write(content, etag) if etag is None else None


@pytest.fixture
def log(store: Store) -> AuditLog:
    """The audit log of a model that is to be retrained."""
    found = AuditLog(store, "demo", by="monitor")
    assert found.decide([dropped(0), dropped(1)], ON, clock(), champion="v1") is not None
    return found


def act(log: AuditLog, store: Store, retrainer: QuickRetrainer, **given: object) -> Ended | None:
    found = {"lease": retraining_lease(store, "demo", holder="monitor"), "longest": LONGEST, "clock": clock, **given}
    return carry_out(log, retrainer=retrainer, **found)  # type: ignore[arg-type]


def test_the_open_retraining_is_done_once(log, store):
    retrainer = QuickRetrainer(store)
    ended = act(log, store, retrainer)
    assert ended is not None
    assert (ended.about, ended.result, ended.version, ended.run) == (1, "promoted", "v-1", "run-1-1")
    assert [record.kind for record in log.records()] == ["decided", "started", "ended"]
    assert act(log, store, retrainer) is None
    assert len(Registry(store, "demo").history()) == 1


def test_where_none_is_open_no_lease_is_taken(store):
    assert act(AuditLog(store, "demo"), store, QuickRetrainer(store)) is None
    assert store.list("monitoring/") == []


def test_a_run_that_goes_on_elsewhere_is_looked_at_until_it_has_ended(log, store):
    retrainer = QuickRetrainer(store, seconds=2, remote=True)
    assert act(log, store, retrainer) is None
    assert act(log, store, retrainer) is None
    assert len(retrainer.runs()) == 1
    time.sleep(2)
    ended = act(log, store, retrainer)
    assert ended is not None
    assert ended.result == "promoted"
    assert sum(isinstance(record, Started) for record in log.records()) == 1


def test_while_another_has_the_lease_nothing_is_done(log, store):
    held = retraining_lease(store, "demo", holder="another").acquire()
    assert held is not None
    assert act(log, store, QuickRetrainer(store)) is None
    assert open_retraining(log.records()) is not None
    held.release()
    assert act(log, store, QuickRetrainer(store)) is not None


def test_one_that_takes_too_long_has_failed(log, store):
    retrainer = QuickRetrainer(store, seconds=100, remote=True)
    assert act(log, store, retrainer) is None
    ended = act(log, store, retrainer, longest=timedelta(0))
    assert ended is not None
    assert (ended.result, ended.run) == ("failed", "run-1-1")
    assert "has not ended within 0 hours" in ended.message
    assert retrainer.cancelled == ["demo retraining 00000001"]


def test_one_that_is_cut_short_again_and_again_has_failed(log, store):
    for _ in range(MOST_ATTEMPTS):
        retrainer = QuickRetrainer(store, seconds=10)
        retrainer.interrupt()
        with pytest.raises(KeyboardInterrupt):
            act(log, store, retrainer)
    ended = act(log, store, QuickRetrainer(store))
    assert ended is not None
    assert (ended.result, ended.message) == ("failed", f"it was begun {MOST_ATTEMPTS} times, and cut short each time")


@pytest.mark.parametrize("deaf", [False, True])
def test_a_holder_that_was_overtaken_writes_nothing(log, store, deaf):
    """It stood still for longer than its lease while another did the retraining."""
    slow = QuickRetrainer(store, seconds=12, deaf=deaf)
    short = NeverRenewed(store, "monitoring/demo/retraining.json", holder="slow", seconds=2, margin=0.5)
    outcome: list[object] = []

    def stand_still() -> None:
        try:
            outcome.append(act(log, store, slow, lease=short))
        except (LeaseLostError, KeyboardInterrupt) as error:
            outcome.append(error)

    slow_one = threading.Thread(target=stand_still)
    slow_one.start()
    until = time.monotonic() + 30
    while not any(isinstance(record, Started) for record in AuditLog(store, "demo").records()):
        assert time.monotonic() < until
    quick = Lease(store, short.key, holder="quick", seconds=2, margin=0.5)
    while (ended := act(AuditLog(store, "demo"), store, QuickRetrainer(store), lease=quick)) is None:
        assert time.monotonic() < until
        time.sleep(0.2)
    slow_one.join()
    # It is stopped as soon as the lease cannot be renewed; where that comes too late, its end is refused.
    assert isinstance(outcome[0], LeaseLostError if deaf else KeyboardInterrupt)
    records = AuditLog(store, "demo").records()
    assert [record.kind for record in records] == ["decided", "started", "started", "ended"]
    assert records[-1] == ended
    assert [record.lease for record in records if isinstance(record, Started)] == [1, 2]
    assert len(Registry(store, "demo").history()) == 1
