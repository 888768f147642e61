from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from components.shared.config import MonitoringConfig, ServingConfig
from components.shared.config.monitoring_policy import RetrainingBudget
from components.shared.decisions.audit import AuditLog
from components.shared.decisions.evidence_files import keep_evidence
from components.shared.decisions.records import Ended, Judged
from components.shared.registry.judgement import Judgement
from components.shared.registry.monitoring import keep_settings
from components.shared.registry.pending import PendingVersions, Terms
from components.shared.registry.registry import Registry
from components.shared.store import Store
from pipelines.decisions.retraining import Outcome, RetrainingRun, RetrainingTask
from pipelines.decisions.watching import Watcher, in_words
from tests.components.shared.decisions.windows import ON, dropped, measured, window
from tests.pipelines.decisions.retrainers import QuickRetrainer


@pytest.fixture
def watcher(store: Store) -> Watcher:
    """Of a model whose champion is watched by a policy that acts."""
    Registry(store, "demo").promote("v1", expected=None)
    keep_settings(store, "demo", "v1", MonitoringConfig(policy=ON))
    return Watcher(store, "demo", QuickRetrainer(store), lambda: datetime.now(UTC), by="monitor")


def look(watcher: Watcher) -> list[str]:
    return list(in_words(watcher.look()))


def test_from_evidence_to_what_came_of_it(watcher, store):
    assert look(watcher) == []
    keep_evidence(store, window(0, quality=measured(0.8)))
    assert look(watcher) == ["decision 1: nothing: no rule asks for anything"]
    assert look(watcher) == []
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    assert look(watcher) == [
        "decision 2: retrain: roc_auc is measured as 0.7 (0.69 to 0.71), and was 0.8 (2 of the last 3 windows)",
        "retraining 2 begun, attempt 1",
        "retraining 2 promoted, version v-2: passed the gate",
    ]
    keep_settings(store, "demo", "v-2", MonitoringConfig(policy=ON))
    for day in (3, 4, 5):
        keep_evidence(store, window(day, version="v-2", quality=measured(0.81)))
    assert look(watcher) == [
        "decision 5: nothing: no rule asks for anything",
        "retraining 2 helped: what asked for it is not found with version v-2 any more",
    ]
    assert look(watcher) == []


def test_a_model_that_is_not_to_be_retrained_is_only_decided_about(watcher, store):
    dry = ON.model_copy(update={"mode": "dry_run"})
    keep_settings(store, "demo", "v1", MonitoringConfig(policy=dry))
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    (line,) = look(watcher)
    assert line.startswith("decision 1: retrain, were it not a dry run: roc_auc is measured as 0.7")
    assert watcher.retrainer.runs() == []


class WaitingRetrainer(QuickRetrainer):
    """Makes a version that waits for approval."""

    def begin(self, task: RetrainingTask) -> RetrainingRun:
        PendingVersions(self.store, task.model).add(
            "v9", Judgement(promoted=True), Terms(serving=ServingConfig()), run="run-9"
        )
        return RetrainingRun("run-9", Outcome("pending", "v9", 0.5, "it waits for approval"))


@pytest.mark.parametrize(("answer", "result"), [("approved", "promoted"), ("rejected", "rejected")])
def test_what_a_person_says_of_a_version_that_waited_becomes_its_end(watcher, store, answer, result):
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    waiting = Watcher(store, "demo", WaitingRetrainer(store), lambda: datetime.now(UTC))
    assert look(waiting)[-1] == "retraining 1 pending, version v9: it waits for approval"
    assert look(waiting) == []
    PendingVersions(store, "demo").answer("v9", answer, by="anna", why="seen")
    (line,) = look(waiting)
    assert line.startswith(f"retraining 1 {result}, version v9: {answer} by anna on 20")
    (*_, waited, last) = AuditLog(store, "demo").records()
    assert isinstance(waited, Ended)
    assert isinstance(last, Ended)
    assert (last.run, last.cpu_hours) == (waited.run, waited.cpu_hours) == ("run-9", 0.5)
    assert look(waiting) == []


def test_one_that_did_not_help_is_found_out(watcher, store):
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    watcher.look()
    later = Watcher(store, "demo", QuickRetrainer(store), lambda: datetime.now(UTC) + timedelta(hours=1))
    keep_settings(store, "demo", "v-1", MonitoringConfig(policy=ON))
    for day in (3, 4, 5):
        keep_evidence(store, dropped(day, version="v-1"))
    records = later.look()
    assert [record.helped for record in records if isinstance(record, Judged)] == [False]
    assert "retraining 1 did not help" in list(in_words(records))[-1]


def test_a_promotion_that_was_rolled_back_did_not_help(watcher, store):
    keep_settings(
        store, "demo", "v1", MonitoringConfig(policy=ON.model_copy(update={"give_up_after": 1, "cool_down_hours": 0}))
    )
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    assert look(watcher)[-1] == "retraining 1 promoted, version v-1: passed the gate"
    registry = Registry(store, "demo")
    registry.promote("v1", expected=registry.champion(), action="rolled back", why="wrong on Mondays")
    keep_evidence(store, dropped(3))
    judged, decided = look(watcher)
    assert judged == "retraining 1 did not help: somebody went back to version v1: wrong on Mondays"
    assert decided.startswith("decision 5: warn: the last 1 retrainings did not help")
    assert look(watcher) == []


def test_windows_of_a_version_that_was_replaced_are_not_decided_on(watcher, store):
    for day in (1, 2):
        keep_evidence(store, dropped(day))
    watcher.look()
    keep_settings(store, "demo", "v-1", MonitoringConfig(policy=ON.model_copy(update={"cool_down_hours": 0})))
    for day in (3, 4):
        keep_evidence(store, dropped(day, rows=9000))
    assert look(watcher) == []
    keep_evidence(store, window(4, version="v-1", rows=10))
    assert look(watcher) == ["decision 4: nothing: no rule asks for anything"]


class TestNewObjects:
    @pytest.fixture
    def fed(self, watcher: Watcher, store: Store, monkeypatch: pytest.MonkeyPatch) -> Watcher:
        """A watcher of a model whose tables come into a folder of the store; one is there."""
        for name, value in store.settings.environment().items():
            monkeypatch.setenv(name, value)
        self.keep_places(store, "v1")
        store.put_bytes("data/flights/january.csv", b"1")
        return watcher

    def keep_places(self, store: Store, version: str, **policy: object) -> None:
        places = [store.uri("data/flights/*.csv")]
        settings = MonitoringConfig(
            policy=ON.model_copy(update={"new_objects": places, "cool_down_hours": 0, **policy})
        )
        keep_settings(store, "demo", version, settings)

    def test_each_set_is_retrained_on_once(self, fed, store):
        assert look(fed) == ["decision 1: nothing: no rule asks for anything"]
        assert look(fed) == []
        store.put_bytes("data/flights/february.csv", b"2")
        asked, begun, promoted = look(fed)
        assert asked.startswith("decision 2: retrain: there is something new at s3://")
        assert asked.endswith("data/flights/*.csv (2 objects)")
        assert begun == "retraining 2 begun, attempt 1"
        assert promoted == "retraining 2 promoted, version v-2: passed the gate"
        self.keep_places(store, "v-2")
        helped, noted = look(fed), look(fed)
        assert "retraining 2 helped: version v-2 has learned from what was new at the source" in helped
        assert noted == []
        store.put_bytes("data/flights/february.csv", b"22")  # corrected
        assert "retrain: there is something new" in look(fed)[0]

    def test_what_is_held_back_is_done_later(self, fed, store):
        look(fed)
        self.keep_places(store, "v1", budget=RetrainingBudget(runs=0))
        store.put_bytes("data/flights/february.csv", b"2")
        (held,) = look(fed)
        assert "warn: 0 retrainings in seven days, and the budget is 0" in held
        assert look(fed) == []
        self.keep_places(store, "v1")
        assert "retrain: there is something new" in look(fed)[0]

    def test_evidence_and_objects_are_decided_on_together(self, fed, store):
        look(fed)
        for day in (1, 2):
            keep_evidence(store, dropped(day))
        store.put_bytes("data/flights/february.csv", b"2")
        decided, *_ = look(fed)
        assert "roc_auc is measured as 0.7" in decided
        assert "there is something new" in decided

    def test_eight_at_once_begin_one_retraining(self, fed, store):
        look(fed)
        store.put_bytes("data/flights/february.csv", b"2")
        with ThreadPoolExecutor(8) as pool:
            watchers = [Watcher(store, "demo", fed.retrainer, fed.clock, by=str(number)) for number in range(8)]
            list(pool.map(lambda one: one.look(), watchers))
        assert len(fed.retrainer.runs()) == 1
