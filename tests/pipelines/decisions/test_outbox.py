"""Messages to a real HTTP server on this machine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from components.shared.config.notifications import NotificationsConfig
from components.shared.decisions.audit import AuditLog
from components.shared.notifications.sending import SIGNATURE, TIMESTAMP, signature
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.outbox import tell
from tests.components.receivers import SECRET, Receiver, receiving
from tests.components.shared.decisions.windows import ON, dropped, window

NOW = datetime.now(UTC)


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving() as held:
        monkeypatch.setenv("HOOK_URL", held.url)
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        yield held


def settings(kind: str, **more: object) -> NotificationsConfig:
    given = {"kind": kind, "url_variable": "HOOK_URL", "secret_variable": "HOOK_SECRET", **more}
    return NotificationsConfig.model_validate({"receivers": [given], "attempts": 2})


def tell_all(store: Store, given: NotificationsConfig, *, now: datetime = NOW) -> int:
    records, history = AuditLog(store, "demo").records(), Registry(store, "demo").history()
    evidence = [window(0).model_copy(update={"start": NOW - timedelta(hours=25), "end": NOW - timedelta(hours=1)})]
    return tell(store, "demo", given, records=records, history=history, evidence=evidence, now=now)


def test_each_event_is_told_once_and_signed(store, receiver):
    log, registry = AuditLog(store, "demo"), Registry(store, "demo")
    log.decide([window(0)], ON, NOW, champion="v1")
    log.decide([window(0), dropped(1), dropped(2)], ON, NOW, champion="v1")
    first = registry.promote("v1", expected=None, why="passed the gate")
    registry.promote("v0", expected=first, action="rolled back", why="wrong on Mondays")
    assert tell_all(store, settings("webhook")) == 3
    assert tell_all(store, settings("webhook")) == 0
    told = {body["id"]: body for body in receiver.bodies()}
    assert [(one["kind"], one["model"]) for one in told.values()] == [
        ("decision", "demo"), ("promotion", "demo"), ("rollback", "demo")
    ]  # fmt: skip
    assert told["decision-2"]["text"].startswith("decided: retrain: roc_auc is measured as 0.7")
    assert told["champion-2"]["text"] == "version v0 rolled back: wrong on Mondays"
    for headers, body in receiver.got:
        assert headers[SIGNATURE] == signature(SECRET, headers[TIMESTAMP], body)
        assert headers[SIGNATURE] != signature(SECRET, headers[TIMESTAMP], body + b" ")


def test_slack_gets_a_text_and_cloudevents_an_envelope(store, receiver):
    AuditLog(store, "demo").decide([dropped(1), dropped(2)], ON, NOW, champion="v1")
    tell_all(store, settings("slack"))
    store.delete("monitoring/demo/notified.json")
    tell_all(store, settings("cloudevents"))
    slack, event = receiver.bodies()
    assert list(slack) == ["text"]
    assert slack["text"].startswith("*demo*: decided: retrain")
    assert (event["specversion"], event["id"], event["type"]) == ("1.0", "decision-1", "fullcircle.decision")
    assert event["source"] == "/fullcircle/demo"
    assert receiver.got[1][0]["Content-Type"] == "application/cloudevents+json"


def test_a_warning_that_stands_is_told_once(store, receiver):
    log = AuditLog(store, "demo")
    log.decide([window(0)], ON, NOW, champion="v1")
    log.decide([window(0), window(1)], ON, NOW, champion="v1")
    assert tell_all(store, settings("webhook")) == 0


def test_a_receiver_that_stumbles_is_asked_again_and_one_that_refuses_is_not(store, receiver, capsys):
    Registry(store, "demo").promote("v1", expected=None)
    receiver.first = [503]
    tell_all(store, settings("webhook"))
    assert len(receiver.got) == 2
    assert capsys.readouterr().out == ""
    Registry(store, "demo").promote("v2", expected=Registry(store, "demo").champion())
    receiver.first = [403, 403]
    tell_all(store, settings("webhook"))
    assert len(receiver.got) == 3
    said = capsys.readouterr().out
    assert "webhook (HOOK_URL) was not told of champion-2: it answered 403" in said


def test_one_that_is_away_stops_nothing_and_no_secret_is_said(store, receiver, monkeypatch, capsys):
    monkeypatch.setenv("HOOK_URL", "http://127.0.0.1:9/hooks/hidden-part")
    Registry(store, "demo").promote("v1", expected=None)
    assert tell_all(store, settings("webhook")) == 1
    said = capsys.readouterr().out
    assert "was not told of champion-1: it could not be reached" in said
    monkeypatch.delenv("HOOK_SECRET")
    Registry(store, "demo").promote("v2", expected=Registry(store, "demo").champion())
    tell_all(store, settings("webhook"))
    said += capsys.readouterr().out
    assert "HOOK_SECRET holds no key to sign with" in said
    assert "hidden-part" not in said
    assert SECRET not in said


def test_a_receiver_is_told_of_what_it_asks_for_and_of_a_stale_monitor_once(store, receiver):
    wanted = settings("webhook", events=["stale_monitor"])
    later = NOW + timedelta(hours=54)  # the next window was over 31 hours before
    assert tell_all(store, wanted, now=later - timedelta(hours=2)) == 0
    assert tell_all(store, wanted, now=later) == 1
    assert tell_all(store, wanted, now=later + timedelta(hours=1)) == 0
    (told,) = receiver.bodies()
    assert told["kind"] == "stale_monitor"


def test_the_first_receiver_is_not_told_what_happened_long_before(store, receiver):
    registry, later = Registry(store, "demo"), NOW + timedelta(days=2)
    first = registry.promote("v1", expected=None)
    AuditLog(store, "demo").decide([dropped(1), dropped(2)], ON, NOW, champion="v1")
    assert tell_all(store, settings("webhook", events=["promotion", "decision"]), now=later) == 0
    registry.promote("v2", expected=first)
    assert tell_all(store, settings("webhook", events=["promotion", "decision"]), now=later) == 1
    (told,) = receiver.bodies()
    assert told["id"] == "champion-2"
