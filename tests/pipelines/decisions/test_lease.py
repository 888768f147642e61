import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from components.shared.errors import PackageError
from components.shared.store import Store
from pipelines.decisions.lease import Lease, LeaseLostError

KEY = "monitoring/demo/retraining.json"


def lease(store: Store, holder: str = "a", *, seconds: float = 120, margin: float = 15) -> Lease:
    return Lease(store, KEY, holder=holder, seconds=seconds, margin=margin)


def test_one_has_it_at_a_time_and_numbers_only_rise(store):
    first = lease(store).acquire()
    assert first is not None
    assert first.number == 1
    assert lease(store, "b").acquire() is None
    assert lease(store, "a").acquire() is None  # nor the same holder's other process
    first.renew()
    first.check()
    first.release()
    second = lease(store, "b").acquire()
    assert second is not None
    assert second.number == 2
    first.release()  # what it has no more it cannot give away
    assert lease(store, "c").acquire() is None
    with pytest.raises(LeaseLostError):
        first.renew()


def test_of_many_at_once_one_gets_it(store):
    for number in (1, 2, 3):
        with ThreadPoolExecutor(8) as pool:
            (held,) = [held for held in pool.map(lambda name: lease(store, f"{name}").acquire(), range(8)) if held]
        assert held.number == number
        held.release()


def test_one_that_is_gone_does_not_block_the_others_for_ever(store):
    gone = lease(store, "gone", seconds=2, margin=0.5).acquire()
    assert gone is not None
    until = time.monotonic() + 20
    while (taken := lease(store, "b", seconds=2, margin=0.5).acquire()) is None:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert taken.number == 2
    # It gave the lease up by its own clock before the other took it.
    with pytest.raises(LeaseLostError, match="was not renewed in time"):
        gone.check()
    gone.until = time.monotonic() + 100  # even if its clock stood still meanwhile
    with pytest.raises(LeaseLostError, match="taken over"):
        gone.renew()


def test_it_is_kept_in_the_background_for_longer_than_its_time(store):
    held = lease(store, seconds=2, margin=0.5).acquire()
    assert held is not None
    with held.kept():
        time.sleep(4)
        held.check()
        assert lease(store, "b", seconds=2, margin=0.5).acquire() is None
    held.release()
    assert lease(store, "b").acquire() is not None


def test_who_lost_it_learns_of_it_while_working(store):
    held = lease(store, seconds=2, margin=0.5).acquire()
    assert held is not None
    store.put_bytes(KEY, b'{"number": 7, "holder": "another", "seconds": 100, "token": "x"}')
    lost = threading.Event()
    with held.kept(lost.set):
        assert lost.wait(5)
    assert lease(store).acquire() is None


def test_a_wrong_clock_of_this_machine_changes_nothing(store, monkeypatch):
    """Neither side compares its clock with a moment of another machine."""
    held = lease(store).acquire()
    assert held is not None
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert lease(store, "b").acquire() is None
    held.renew()


def test_the_store_says_how_old_an_object_is(store):
    assert store.age(KEY) is None
    store.put_bytes(KEY, b"{}")
    assert 0 <= store.age(KEY) <= timedelta(seconds=30).total_seconds()
    time.sleep(2)
    assert store.age(KEY) >= 1


def test_a_damaged_lease_is_said(store):
    store.put_bytes(KEY, b"{}")
    with pytest.raises(PackageError, match=r"retraining\.json is no lease: number: .* Remove it while nothing runs\."):
        lease(store).acquire()
