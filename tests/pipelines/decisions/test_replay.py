from datetime import timedelta

from components.shared.config import PolicyConfig
from components.shared.decisions.policy import next_record
from components.shared.decisions.records import Record
from components.shared.registry.history import Entry
from pipelines.decisions.replay import replay
from tests.components.shared.decisions.windows import DAY, FIRST, ON, ended, estimated, log, measured, window

SERVED = [Entry(number=1, version="v1", action="promoted", when=FIRST.isoformat())]

# Each day is known a day later, its labels four days later.
HISTORY = [window(day, quality=estimated(0.79)) for day in range(10)] + [
    window(day, known=4, quality=measured(0.8 if day < 4 else 0.7)) for day in range(10)
]


def test_the_same_rule_decides_the_same():
    past: list[Record] = []
    for moment in sorted({one.made for one in HISTORY}):
        record = next_record([one for one in HISTORY if one.made <= moment], past, ON, moment, champion="v1")
        if record is not None:
            past = log(*past, record)
            if record.decision.retrains:
                numbered = record.model_copy(update={"number": len(past)})
                past = log(*past, ended(numbered, "blocked", hours=0))
    replayed = replay(HISTORY, past, ON, SERVED)
    assert [one.would.decision.action for one in replayed].count("retrain") > 0
    assert not any(one.differs for one in replayed)


def test_another_rule_decides_otherwise_and_only_with_what_was_known():
    def retrains(**policy: object) -> list[float]:
        rule = PolicyConfig.model_validate(policy)
        found = replay(HISTORY, [], rule, SERVED)
        return [(one.would.when - FIRST) / DAY for one in found if one.would.decision.action == "retrain"]

    # Day 4 is the first bad one, and its labels are known on day 8, those of the next on day 9.
    assert retrains(cool_down_hours=1000)[:1] == [9]
    assert retrains(cool_down_hours=1000, rules={"measured_drop": {"action": "retrain"}}) == [8]
    assert retrains(allowed_drop=0.2) == []
    assert len(retrains(budget={"runs": 100})) > len(retrains(budget={"runs": 1}))


def test_where_nothing_was_decided_every_moment_differs():
    replayed = replay([window(0)], [], ON, SERVED)
    assert [(one.was, one.differs) for one in replayed] == [(None, True)]
    decided = next_record([window(0)], [], ON, window(0).made + timedelta(minutes=5), champion="v1")
    assert decided is not None
    (one,) = replay([window(0)], log(decided), ON, SERVED)
    assert one.was is not None
    assert not one.differs


def test_the_windows_that_count_are_those_of_the_champion_of_the_moment():
    promoted = FIRST + 8.5 * DAY  # when one bad day is known, and two would ask for a retraining
    replaced = Entry(number=2, version="v2", action="promoted", when=promoted.isoformat(), replaced="v1")
    rule = PolicyConfig(cool_down_hours=0)
    history = [*HISTORY, window(9, version="v2", rows=10)]
    assert [one.would.decision.action for one in replay(history, [], rule, SERVED)].count("retrain") > 0
    found = [one.would.decision for one in replay(history, [], rule, [*SERVED, replaced])]
    assert {decision.action for decision in found} == {"nothing"}
    assert {decision.version for decision in found} == {"v1", "v2"}
