import itertools
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.shared.config import EvidenceRule, PolicyConfig, RetrainingBudget
from components.shared.decisions.evidence import Evidence, PredictionDrift, Problem
from components.shared.decisions.policy import decide, judge, next_record
from components.shared.decisions.records import Decided, Judged, Record, Resumed
from components.shared.decisions.retrainings import retrainings_of, without_help
from components.shared.decisions.rules import RULES
from tests.components.shared.decisions.windows import (
    BAD_ROWS,
    DAY,
    FEW_ROWS,
    FIRST,
    ON,
    drifted,
    dropped,
    ended,
    estimated,
    log,
    measured,
    window,
)

NOON = FIRST + timedelta(days=10.5)
MOVED = PredictionDrift(column="prediction", value=0.3, threshold=0.1)
STILL = PredictionDrift(column="prediction", value=0.05, threshold=0.1, drifted=False)


def kinds(evidence: list[Evidence], policy: PolicyConfig = ON) -> set[str]:
    return {finding.kind for finding in decide(evidence, [], policy, NOON, champion="v1").findings}


def after(evidence: list[Evidence], past: list[Record], policy: PolicyConfig = ON, *, now: datetime = NOON) -> str:
    """What is done, or what holds a retraining back."""
    decision = decide(evidence, past, policy, now, champion="v1")
    assert (decision.action == "warn") or not decision.held_back
    return decision.held_back or decision.action


def retraining(policy: PolicyConfig = ON, *, day: int = 2, now: datetime = NOON) -> Decided:
    """A decision to retrain, on drops in two windows up to a day."""
    decision = decide([dropped(day - 1), dropped(day)], [], policy, now, champion="v1")
    assert decision.action == "retrain"
    return Decided(when=now, number=1, decision=decision)


# What the rules find


def test_good_windows_lead_to_nothing():
    decision = decide([window(day, quality=measured(0.79)) for day in range(5)], [], ON, NOON, champion="v1")
    assert (decision.action, decision.findings, decision.reason) == ("nothing", (), "no rule asks for anything")
    assert decision.window == (FIRST + 4 * DAY, FIRST + 5 * DAY)
    assert decision.policy == ON.model_dump(mode="json")


@pytest.mark.parametrize(
    ("bad", "action"),
    [
        ({"quality": measured(0.70)}, "retrain"),
        ({"quality": measured(0.79, relation_changed=True, estimated=measured(0.8).measured)}, "retrain"),
        ({"drifted": (drifted(0.15), drifted(0.1, "b"))}, "warn"),
        ({"prediction": PredictionDrift(column="prediction", value=0.2, threshold=0.1)}, "warn"),
        ({"prediction": PredictionDrift(column="prediction", method="ks", value=1e-9, threshold=0.05)}, "warn"),
    ],
)
def test_a_rule_asks_when_two_of_three_windows_and_the_latest_say_so(bad, action):
    good = {"quality": measured(0.8, estimated=measured(0.8).measured), "prediction": STILL}
    for said, expected in [("x", "nothing"), ("xx", action), ("x.x", action), ("xx.", "nothing"), ("x..x", "nothing")]:
        windows = [window(day, **(bad if mark == "x" else good)) for day, mark in enumerate(said)]
        assert decide(windows, [], ON, NOON, champion="v1").action == expected, said


def test_windows_in_which_the_predictions_did_not_drift_count_as_well():
    """One that drifted 40 windows ago is none of the last three, and chance may make a distance reach its threshold."""
    windows = [window(day, prediction=MOVED if day in (0, 40) else STILL) for day in range(41)]
    assert kinds(windows) == set()
    by_chance = MOVED.model_copy(update={"drifted": False})
    assert kinds([window(day, prediction=by_chance) for day in range(3)]) == set()


def test_a_p_value_is_told_as_one():
    tested = MOVED.model_copy(update={"method": "ks", "value": 0.001, "threshold": 0.05})
    decision = decide([window(day, prediction=tested) for day in range(3)], [], ON, NOON, champion="v1")
    assert "their p-value is 0.001, and below 0.05 it counts" in decision.reason
    likely = tested.model_copy(update={"value": 0.4, "drifted": False})
    assert kinds([window(day, prediction=likely) for day in range(3)]) == set()


def test_predictions_of_records_of_before_drifted():
    old = window(0, prediction=MOVED).model_dump(mode="json")
    old["prediction"] = {"column": "prediction", "value": 0.3, "threshold": 0.1, "importance": 1.0}
    read = Evidence.model_validate(old)
    assert read.prediction is not None
    assert read.prediction.drifted


def test_an_estimate_needs_three_of_four():
    low, good = estimated(0.7), estimated(0.8)
    assert kinds([window(day, quality=low) for day in (0, 1)]) == set()
    windows = [window(day, quality=quality) for day, quality in enumerate([low, good, low, low])]
    assert kinds(windows) == {"estimated_drop"}


def test_a_drop_is_one_that_the_whole_interval_shows():
    def holds(value: float, half: float, **policy: float) -> bool:
        rule = PolicyConfig(mode="on", **policy)
        return bool(kinds([window(day, quality=measured(value, half=half)) for day in (0, 1)], rule))

    assert holds(0.70, 0.05)
    assert not holds(0.70, 0.09)  # up to 0.79, and 0.784 is allowed
    assert not holds(0.784, 0.001)
    assert holds(0.784, 0.001, allowed_drop=0.0)
    errors = measured(12.0, half=1.0).model_copy(update={"metric": "rmse", "higher_is_better": False, "reference": 10})
    assert kinds([window(day, quality=errors) for day in (0, 1)]) == {"measured_drop"}
    unsure = errors.model_copy(update={"reference_low": 9.5, "reference_high": 12.5})
    assert kinds([window(day, quality=unsure) for day in (0, 1)]) == set()


@pytest.mark.parametrize("known", [True, False])
def test_a_lucky_reference_is_no_drop(known):
    """Of windows as good as the reference 2.5 % may look worse, however few rows the reference has."""
    generator = np.random.default_rng(0)
    true, few, many, trials = 0.8, 300, 3000, 2000
    spread = {rows: 1.96 * (true * (1 - true) / rows) ** 0.5 for rows in (few, many)}
    rule, found = next(rule for rule in RULES if rule.kind == "measured_drop"), 0
    for _ in range(trials):
        reference, value = generator.binomial(few, true) / few, generator.binomial(many, true) / many
        quality = measured(value, half=spread[many]).model_copy(update={"reference": reference})
        if known:
            ends = {"reference_low": reference - spread[few], "reference_high": reference + spread[few]}
            quality = quality.model_copy(update=ends)
        found += bool(rule.found(window(0, quality=quality), PolicyConfig(allowed_drop=0.0)))
    share = found / trials
    assert (share < 0.035) if known else (share > 0.2)


def test_labels_come_late_so_measured_windows_are_the_last_mature_ones():
    mature = [dropped(0), dropped(1)]
    later = [window(day, quality=measured(0.9, mature=False)) for day in (2, 3, 4)]
    decision = decide([*mature, *later], [], ON, NOON, champion="v1")
    assert decision.action == "retrain"
    assert [one.start for one in decision.windows if one.start < FIRST + 2 * DAY] == [FIRST, FIRST + DAY]
    assert decision.window[0] == FIRST + 4 * DAY


def test_drift_in_features_that_the_model_ignores_is_no_alarm():
    assert kinds([window(day, drifted=tuple(drifted(0.01, f"c{n}") for n in range(9))) for day in (0, 1)]) == set()


def test_only_the_windows_of_the_champion_count_however_much_of_the_latest_another_version_answered():
    old = [dropped(day) for day in range(3)]
    for rows in (10, 3000):
        shared = [*old, window(2, version="v2", rows=rows)]
        after_promotion = decide(shared, [], ON, NOON, champion="v2")
        assert (after_promotion.action, after_promotion.version) == ("nothing", "v2")
        assert decide([*shared, window(3, version="v2")], [], ON, NOON, champion="v1").action == "retrain"


def test_a_version_that_was_replaced_asks_for_no_other_retraining():
    """Its windows become mature after the promotion, when the cool-down is over."""
    decided = retraining()
    past = log(decided, ended(decided, "promoted"))
    known = [dropped(day) for day in range(6)]
    assert after(known, past, now=NOON + 5 * DAY) == "retrain"  # as it would go on, were it champion
    assert next_record(known, past, ON, NOON + 5 * DAY, champion="v2") is None  # of which nothing is known yet
    with pytest.raises(ValueError, match="a window of version v2"):
        decide(known, past, ON, NOON, champion="v2")
    first = next_record([*known, window(5, version="v2", rows=9)], past, ON, NOON + 5 * DAY, champion="v2")
    assert first is not None
    assert (first.decision.action, first.decision.findings) == ("nothing", ())


def test_a_fault_of_the_source_is_seen_in_the_windows_of_the_champion():
    """A source that breaks with a promotion; the version before had learned from other ranges, and is not asked."""
    broken, whole = window(5, version="v2", problems=(BAD_ROWS,)), window(5, version="v2")
    old = window(5, problems=(BAD_ROWS,), rows=9000)
    assert decide([old, broken], [], ON, NOON, champion="v2").action == "warn"
    assert decide([old, whole], [], ON, NOON, champion="v2").action == "nothing"


def test_requests_that_stop_with_a_promotion_are_the_champions():
    empty = Problem(kind="empty", value=0.0, severe=True, message="No request came in this window.")
    silent = window(5, rows=0, problems=(empty,))  # noted for the version that answered last
    stopped = decide([window(4), silent], [], ON, NOON, champion="v2")
    assert (stopped.action, stopped.reason, stopped.window[1]) == ("warn", empty.message, silent.end)
    # One from before that, and one that turned out to be answered, say nothing of it.
    assert next_record([silent, window(6)], [], ON, NOON, champion="v2") is None
    late = decide([silent, window(5, version="v2", known=9)], [], ON, NOON, champion="v2")
    assert (late.action, late.windows[-1].version) == ("nothing", "v2")


def test_what_is_known_later_of_a_window_replaces_what_was_known_before():
    windows = [dropped(0), dropped(1, known=1)]
    assert decide(windows, [], ON, NOON, champion="v1").action == "retrain"
    corrected = window(1, known=3, quality=measured(0.81))
    assert decide([corrected, *windows], [], ON, NOON, champion="v1").action == "nothing"


def test_problems_of_the_rows_are_warned_of_and_severe_ones_stop_a_retraining():
    assert after([dropped(0), dropped(1, problems=(FEW_ROWS,))], []) == "retrain"
    assert after([window(0, problems=(FEW_ROWS,))], []) == "warn"
    broken = decide([dropped(0), dropped(1), window(2, problems=(BAD_ROWS,))], [], ON, NOON, champion="v1")
    assert (broken.action, broken.held_back) == ("warn", "severe problems")
    assert "delay holds seconds, not minutes" in broken.reason
    # Windows that cannot be trusted count for nothing else.
    assert kinds([dropped(0), dropped(1, problems=(BAD_ROWS,))]) == {"rows"}
    assert kinds([window(0, rows=0, drifted=(drifted(1.0),)), window(1, drifted=(drifted(1.0),))]) == set()


def test_a_rule_can_be_turned_off_or_made_stricter():
    rules = {"measured_drop": {"action": "nothing"}, "feature_drift": {"action": "retrain"}}
    policy = PolicyConfig.model_validate({"mode": "on", "rules": rules})
    decision = decide([dropped(0, drifted=(drifted(0.5),))], [], policy, NOON, champion="v1")
    assert decision.action == "retrain"
    assert [(finding.kind, finding.action) for finding in decision.findings] == [
        ("measured_drop", "nothing"),
        ("feature_drift", "retrain"),
    ]
    with pytest.raises(ValidationError, match="`windows` is 3, which is more than `of_last`, 2"):
        EvidenceRule(action="warn", windows=3, of_last=2)


# What holds a retraining back


def test_there_is_never_more_than_one_open():
    past = log(retraining())
    assert after([dropped(3), dropped(4)], past, now=NOON + 9 * DAY) == "open"


@pytest.mark.parametrize("result", ["failed", "blocked", "promoted"])
def test_the_cool_down_starts_at_the_end_whatever_it_was(result):
    decided = retraining()
    past = log(decided, ended(decided, result, hours=2))
    new = [dropped(3), dropped(4)]
    assert after(new, past, now=NOON + timedelta(hours=25.9)) == "cool-down"
    assert after(new, past, now=NOON + timedelta(hours=26)) == "retrain"


def test_windows_that_a_retraining_was_decided_on_count_once_unless_it_failed():
    decided = retraining()
    same = [dropped(1), dropped(2), window(3, quality=measured(0.7, mature=False))]
    assert after(same, log(decided, ended(decided, "blocked")), now=NOON + 3 * DAY) == "same evidence"
    assert after(same, log(decided, ended(decided, "failed")), now=NOON + 3 * DAY) == "retrain"
    assert after([*same, dropped(3, known=9)], log(decided, ended(decided, "blocked")), now=NOON + 3 * DAY) == "retrain"


def test_the_budget_of_a_week():
    def used(*, runs: int, cpu_hours: float) -> list[Record]:
        records: list[Record] = []
        for number in range(runs):
            decided = retraining(now=NOON + number * DAY).model_copy(update={"number": 2 * number + 1})
            records += [decided, ended(decided, "promoted", cpu_hours=cpu_hours)]
        return log(*records)

    new = [dropped(3), dropped(4)]
    assert after(new, used(runs=2, cpu_hours=1), now=NOON + 4 * DAY) == "budget"
    assert after(new, used(runs=1, cpu_hours=1), now=NOON + 4 * DAY) == "retrain"
    assert after(new, used(runs=1, cpu_hours=24), now=NOON + 4 * DAY) == "budget"
    assert after(new, used(runs=1, cpu_hours=24), now=NOON + 7.1 * DAY) == "retrain"
    assert after(new, [], PolicyConfig(mode="on", budget=RetrainingBudget(runs=0))) == "budget"


@pytest.mark.parametrize("answer", ["promoted", "rejected", "expired"])
@pytest.mark.parametrize("cpu_hours", [0.0, 60.0])  # earlier releases wrote none with the answer
def test_the_answer_to_a_version_that_waited_is_no_run_and_gives_no_hours_back(answer, cpu_hours):
    decided = retraining()
    waits = ended(decided, "pending", hours=2, cpu_hours=60.0)
    past = log(decided, waits, ended(decided, answer, hours=5 * 24, cpu_hours=cpu_hours))
    new = [dropped(3), dropped(4)]
    assert after(new, past, now=NOON + 6 * DAY) == "budget"
    assert after(new, past, now=NOON + 7.1 * DAY) == "retrain"
    cheap = PolicyConfig(mode="on", budget=RetrainingBudget(cpu_hours=1000))
    assert after(new, past, cheap, now=NOON + 5.1 * DAY) == "retrain"  # the run ended five days ago


def test_after_retrainings_that_did_not_help_a_person_is_asked():
    records: list[Record] = []
    for number, result in enumerate(["blocked", "failed", "blocked"]):
        decided = retraining(now=NOON + number * 8 * DAY).model_copy(update={"number": len(records) + 1})
        records += [decided, ended(decided, result)]  # type: ignore[arg-type]
    past, later, new = log(*records), NOON + 40 * DAY, [dropped(3), dropped(4)]
    decision = decide(new, past, ON, later, champion="v1")
    assert (decision.held_back, decision.asks_a_person) == ("not helping", True)
    assert "the last 3 retrainings did not help" in decision.reason
    resumed = log(*past, Resumed(when=later, why="the source is whole again"))
    assert after(new, resumed, now=later) == "retrain"
    assert without_help(retrainings_of(resumed), resumed) == 0


def test_one_that_helped_ends_the_row_and_one_that_proved_not_to_does_not():
    first, second = retraining(), retraining().model_copy(update={"number": 3})
    past = log(first, ended(first, "failed"), second, ended(second, "promoted"))
    assert without_help(retrainings_of(past), past) == 0
    past = log(*past, Judged(when=NOON, about=3, helped=False))
    assert without_help(retrainings_of(past), past) == 2
    pending = log(first, ended(first, "failed"), second, ended(second, "pending"))
    assert without_help(retrainings_of(pending), pending) == 1


def test_a_dry_run_decides_like_one_that_acts_and_holds_back_no_other_mode():
    dry = PolicyConfig(mode="dry_run")
    decided = retraining(dry)
    assert not decided.decision.retrains
    assert after([dropped(3), dropped(4)], log(decided), dry, now=NOON + timedelta(hours=5)) == "cool-down"
    assert after([dropped(3), dropped(4)], log(decided), dry, now=NOON + 2 * DAY) == "retrain"
    assert after([dropped(3), dropped(4)], log(decided), ON, now=NOON + timedelta(hours=5)) == "retrain"


# Deciding again


def test_each_evidence_is_decided_once_by_one_rule():
    windows = [dropped(1), dropped(2)]
    first = next_record(windows, [], ON, NOON, champion="v1")
    assert first is not None
    past = log(first)
    found_out_again = [one.model_copy(update={"made": one.made + DAY}) for one in windows]
    assert next_record(found_out_again, past, ON, NOON + DAY, champion="v1") is None
    assert next_record(windows, past, PolicyConfig(mode="on", allowed_drop=0.05), NOON, champion="v1") is not None
    assert next_record([*windows, window(3)], past, ON, NOON, champion="v1") is not None


def test_what_was_held_back_by_time_alone_is_decided_again_when_that_is_over():
    decided = retraining()
    past = log(decided, ended(decided, "promoted"))
    new = [dropped(3), dropped(4)]
    waiting = next_record(new, past, ON, NOON + timedelta(hours=2), champion="v1")
    assert waiting is not None
    assert waiting.decision.held_back == "cool-down"
    past = log(*past, waiting)
    assert next_record(new, past, ON, NOON + timedelta(hours=3), champion="v1") is None
    again = next_record(new, past, ON, NOON + timedelta(hours=26), champion="v1")
    assert again is not None
    assert again.decision.retrains


def test_whether_it_helped_is_judged_by_as_many_windows_as_the_rule_looks_at():
    decided = retraining()
    (done,) = retrainings_of(log(decided, ended(decided, "promoted")))
    good = [window(day, version="v2", quality=measured(0.81)) for day in range(3, 6)]
    assert judge(done, [dropped(1), dropped(2), *good[:2]], ON) is None
    assert judge(done, [dropped(1), dropped(2), *good], ON) == (
        True, "what asked for it is not found with version v2 any more"
    )  # fmt: skip
    bad = [dropped(day, version="v2") for day in range(3, 6)]
    verdict = judge(done, bad, ON)
    assert verdict is not None
    assert verdict[0] is False
    assert "roc_auc is measured as 0.7 (0.69 to 0.71), and was 0.8" in verdict[1]


def test_whether_a_retraining_for_drifted_predictions_helped_is_judged():
    policy = PolicyConfig.model_validate({"mode": "on", "rules": {"prediction_drift": {"action": "retrain"}}})
    asked = decide([window(day, prediction=MOVED) for day in range(3)], [], policy, NOON, champion="v1")
    assert asked.action == "retrain"
    decided = Decided(when=NOON, number=1, decision=asked)
    (done,) = retrainings_of(log(decided, ended(decided, "promoted")))
    good = [window(day, version="v2", prediction=STILL) for day in range(3, 6)]
    assert judge(done, good, policy) == (True, "what asked for it is not found with version v2 any more")


@st.composite
def histories(draw: st.DrawFn) -> list[Evidence]:
    """Windows of a few versions, with everything that can be found."""
    found = []
    for day in range(draw(st.integers(1, 8))):
        quality = draw(st.sampled_from([None, measured(0.7), measured(0.8), estimated(0.7), estimated(0.8)]))
        problems = draw(st.sampled_from([(), (FEW_ROWS,), (BAD_ROWS,)]))
        columns = draw(st.sampled_from([(), (drifted(0.5),)]))
        version, rows = draw(st.sampled_from(["v1", "v2"])), draw(st.sampled_from([0, 10, 1000]))
        found.append(
            window(day, version=version, rows=rows, quality=quality, problems=problems, drifted=columns)
        )  # fmt: skip
    return found


def unanswered(evidence: list[Evidence]) -> set[str]:
    """Versions of windows without a row."""
    return {one.version for one in evidence if not one.rows}


@given(
    histories(),
    st.randoms(),
    st.sampled_from(["failed", "blocked", "promoted"]),
    st.lists(st.sampled_from(["v1", "v2"]), min_size=8, max_size=8),
)
def test_any_history_goes_the_same_way_in_any_order(evidence, random, result, champions):
    """Day by day with an audit log: never two open, never a retraining on severe problems, nothing decided twice."""
    past: list[Record] = []
    for count in range(1, len(evidence) + 1):
        known, now = evidence[:count], FIRST + (count + 0.1) * DAY
        shuffled = random.sample(known, count)
        champion = champions[count - 1]
        record = next_record(shuffled, past, ON, now, champion=champion)
        assert record == next_record(known, past, ON, now, champion=champion)
        if record is None:
            continue
        past = log(*past, record)
        assert next_record(known, past, ON, now, champion=champion) is None
        assert {finding.version for finding in record.decision.windows if finding.version != champion} <= unanswered(
            known
        )
        if record.decision.retrains:
            assert not any(problem.severe for one in known if one.start == record.decision.window[0]
                           and one.version == record.decision.version for problem in one.problems)  # fmt: skip
            assert sum(one.is_open for one in retrainings_of(past)) == 1
            past = log(*past, ended(past[-1], result))  # type: ignore[arg-type]
    runs = [one.decided.when for one in retrainings_of(past)]
    assert all(later - earlier > DAY for earlier, later in itertools.pairwise(runs))
    assert len(runs) <= 3
