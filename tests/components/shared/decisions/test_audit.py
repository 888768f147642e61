from concurrent.futures import ThreadPoolExecutor

import pytest

from components.shared.config import PolicyConfig
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence_files import (
    evidence_key,
    keep_evidence,
    models_with_evidence,
    read_evidence,
)
from components.shared.decisions.records import Resumed
from components.shared.decisions.retrainings import retrainings_of
from components.shared.errors import PackageError
from tests.components.shared.decisions.windows import DAY, FIRST, ON, dropped, window

NOW = FIRST + 10 * DAY


def test_every_decision_is_an_entry_also_no(store):
    log = AuditLog(store, "demo", by="monitor-1")
    assert log.records() == []
    first = log.decide([window(0)], ON, NOW, champion="v1")
    assert first is not None
    assert (first.number, first.by, first.decision.action) == (1, "monitor-1", "nothing")
    second = log.decide([window(0), dropped(1), dropped(2)], ON, NOW + DAY, champion="v1")
    assert second is not None
    assert second.decision.retrains
    assert AuditLog(store, "demo").records() == [first, second]
    assert [item.key for item in store.list("monitoring/demo/decisions/")] == [
        "monitoring/demo/decisions/00000001.json",
        "monitoring/demo/decisions/00000002.json",
    ]
    entry = store.get_bytes("monitoring/demo/decisions/00000002.json").decode()
    for said in ('"window"', '"evidence"', '"allowed_drop"', '"measured_drop"', '"reason"'):
        assert said in entry


def test_nothing_is_written_where_nothing_is_new(store):
    log = AuditLog(store, "demo")
    assert log.decide([], ON, NOW, champion="v1") is None
    assert log.decide([window(0)], PolicyConfig(mode="off"), NOW, champion="v1") is None
    assert log.decide([window(0)], ON, NOW, champion="v1") is not None
    assert log.decide([window(0)], ON, NOW + DAY, champion="v1") is None
    assert len(log.records()) == 1


def test_many_monitors_at_once_take_one_decision(store):
    evidence = [dropped(0), dropped(1)]
    for day in (2, 3, 4):
        evidence.append(window(day))
        with ThreadPoolExecutor(8) as pool:
            made = list(
                pool.map(
                    lambda number: AuditLog(store, "demo", by=f"{number}").decide(evidence, ON, NOW, champion="v1"),
                    range(8),
                )
            )
        assert sum(one is not None for one in made) == 1
    records = AuditLog(store, "demo").records()
    assert [record.number for record in records] == [1, 2, 3]
    assert sum(one.is_open for one in retrainings_of(records)) == 1


def test_what_others_add_is_seen_without_reading_everything_again(store):
    mine, others = AuditLog(store, "demo"), AuditLog(store, "demo", by="anna")
    mine.decide([window(0)], ON, NOW, champion="v1")
    others.add(Resumed(when=NOW, why="looked at"))
    newest = mine.records()[-1]
    assert isinstance(newest, Resumed)
    assert (newest.number, newest.by, newest.why) == (2, "anna", "looked at")


def test_a_damaged_record_is_said(store):
    store.put_bytes("monitoring/demo/decisions/00000001.json", b'{"kind": "guessed"}')
    with pytest.raises(
        PackageError, match=r"00000001\.json is no entry of an audit log: b'\{\"kind\": \"guessed\"\}'\."
    ):
        AuditLog(store, "demo").records()


def test_evidence_is_read_as_it_became_known(store):
    early, late = window(1, known=1), window(1, known=4, rows=1001)
    for one in (late, window(0), early, window(2, version="v2")):
        keep_evidence(store, one)
    assert evidence_key(early).startswith("monitoring/demo/windows/20260302T0000Z--20260303T0000Z/v1/evidence-")
    assert read_evidence(store, "demo") == [window(0), early, window(2, version="v2"), late]
    assert read_evidence(store, "demo", windows=2) == [early, window(2, version="v2"), late]
    assert read_evidence(store, "demo-2") == []
    assert models_with_evidence(store) == ["demo"]
    store.put_bytes(evidence_key(early), b"{}")
    with pytest.raises(PackageError, match="is no evidence of a window: model: Field required"):
        read_evidence(store, "demo")
