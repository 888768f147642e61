"""What the exit task tells a real receiver; on a cluster, `tests/cluster/test_diagnose.py`."""

import pytest

from components.notify.notify import notify_of_run
from components.shared.config.notifications import NotificationsConfig
from components.shared.registry.history import RUN_VARIABLE
from components.shared.runs import CAUSE_VARIABLE
from tests.components.receivers import receiving


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch):
    with receiving() as held:
        monkeypatch.setenv("HOOK_URL", held.url)
        monkeypatch.setenv(RUN_VARIABLE, "wine/7")
        monkeypatch.delenv(CAUSE_VARIABLE, raising=False)
        yield held


def settings(*events: str) -> NotificationsConfig:
    receiver = {"kind": "webhook", "url_variable": "HOOK_URL"} | ({"events": events} if events else {})
    return NotificationsConfig.model_validate({"receivers": [receiver], "attempts": 1})


@pytest.mark.parametrize("state", ["SUCCEEDED", "CANCELLED"])
def test_of_a_run_that_did_not_fail_nobody_is_told(receiver, state):
    assert notify_of_run("wine", state=state, error="", settings=settings()).endswith("nobody has to be told")
    assert receiver.got == []


@pytest.mark.parametrize(
    ("cause", "error", "why"),
    [
        ("validate: 3 rows are too few", "Task exit-handler-1 failed.", "validate: 3 rows are too few"),
        ("", "Task exit-handler-1 failed.", "Task exit-handler-1 failed."),
        ("", "", "its logs say why"),
    ],
)
def test_of_a_failed_run_it_is_told_what_is_known(receiver, monkeypatch, cause, error, why):
    if cause:
        monkeypatch.setenv(CAUSE_VARIABLE, cause)
    assert notify_of_run("wine", state="FAILED", error=error, settings=settings()) == f"told that the run failed: {why}"
    (body,) = receiver.bodies()
    assert (body["kind"], body["id"], body["model"]) == ("failed_run", "run-wine/7", "wine")
    assert (body["run"], body["text"]) == ("wine/7", f"run wine/7 failed: {why}")


def test_who_wants_to_know_of_other_things_is_not_told(receiver):
    notify_of_run("wine", state="FAILED", error="", settings=settings("promotion"))
    assert receiver.got == []


def test_a_receiver_that_is_away_does_not_fail_the_task(receiver, capfd):
    receiver.first = [500]
    notify_of_run("wine", state="FAILED", error="", settings=settings())
    assert "was not told of run-wine/7: it answered 500" in capfd.readouterr().out


def test_only_variables_of_receivers_who_want_to_know_are_given_to_the_task():
    given = {
        "receivers": [
            {"kind": "slack", "url_variable": "SLACK", "events": ["failed_run"]},
            {"kind": "webhook", "url_variable": "HOOK", "secret_variable": "KEY"},
            {"kind": "webhook", "url_variable": "OTHER", "events": ["promotion"]},
        ]
    }
    assert NotificationsConfig.model_validate(given).variables("failed_run") == ["SLACK", "HOOK", "KEY"]
    assert NotificationsConfig().variables("failed_run") == []
