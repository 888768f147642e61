"""The end of old hours of the inference log."""

from datetime import timedelta

import pytest

from components.shared.errors import StoreError
from components.shared.inference_log.compaction import compact_log
from pipelines.retention import prune_log
from tests.components.shared.inference_log.test_log import NOW, Failing, Killed, numbers, write


def test_old_hours_are_removed_and_nothing_else(store):
    kept = write(store, NOW - timedelta(days=3) + timedelta(minutes=90), 0)
    old = [write(store, NOW.replace(minute=0) - timedelta(days=days, hours=2), 10) for days in (3, 4, 9)]
    write(store, NOW.replace(minute=0) - timedelta(days=9, hours=2), 20)
    compact_log(store, "demo", now=NOW)
    others = ["models/demo/champion.json", "models/demo/versions/v1/model.onnx", "monitoring/demo/a/drift.json"]
    for key in [*others, "inference/demo-2/date=2020-01-01/hour=00/000000.000000-a_1.parquet"]:
        store.put_bytes(key, b"1")
    before = [item.key for item in store.list()]
    found = prune_log(store, "demo", keep_days=3, delete=False, now=NOW)
    assert (found.hours, found.objects) == (3, 6)  # of one, its part, its commit and the raw files
    assert [item.key for item in store.list()] == before
    assert prune_log(store, "demo", keep_days=3, delete=True, now=NOW) == found
    left = [item.key for item in store.list()]
    assert set(left) == {kept, *others, "inference/demo-2/date=2020-01-01/hour=00/000000.000000-a_1.parquet"}
    assert not set(old) & set(left)
    assert prune_log(store, "demo", keep_days=3, delete=True, now=NOW).hours == 0


def test_an_hour_whose_end_was_cut_off_is_not_seen_again(store):
    hour = NOW.replace(hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    compact_log(store, "demo", now=NOW)
    for point in range(6):
        failing = Failing(store.settings)
        failing.left = point
        try:
            prune_log(failing, "demo", keep_days=1, delete=True, now=NOW + timedelta(days=2))
        except Killed:
            assert numbers(store) in ([0, 1, 2, 10, 11, 12], [])
    assert not store.list("inference/")


@pytest.mark.parametrize("days", [0, 0.5, -3])
def test_open_hours_cannot_be_meant(store, days):
    with pytest.raises(StoreError, match="kept for at least 1 day"):
        prune_log(store, "demo", keep_days=days, delete=True)
