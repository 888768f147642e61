"""The parts of `make bench-alarms`: what changes do to rows, and how outcomes are counted."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.benchmarks.alarms.changes.kind import STRENGTHS, Kind
from tests.benchmarks.alarms.changes.kinds import KINDS
from tests.benchmarks.alarms.figures import behind, by_kind, figures
from tests.benchmarks.alarms.measuring import ALARM, ANY_COLUMN, EVIDENTLY, RETRAINING, UNLABELLED, Outcome
from tests.benchmarks.alarms.page import markdown
from tests.benchmarks.alarms.rows import Columns, Rows, Scene

COLUMNS = Columns("a", "b", "noise", "city", "kind", ("a", "b", "noise"))
BY_NAME = {kind.name: kind for kind in KINDS}
TASKS = ("binary", "regression")


def rows(count: int, *, task: str, seed: int) -> Rows:
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": random.normal(50, 10, count),
            "b": random.exponential(3, count),
            "noise": random.random(count),
            "city": random.choice(["Oslo", "Rome", "Bern"], count, p=[0.6, 0.3, 0.1]).astype(object),
            "kind": random.choice(["x", "y"], count).astype(object),
        }
    )
    frame.loc[::100, ["a", "city"]] = [np.nan, None]
    score = frame["a"].fillna(50).to_numpy() / 10 + random.normal(0, 1, count)
    return Rows(frame, (score > 5).astype(int) if task == "binary" else score)


def scene(kind: Kind, strength: int = 2, *, task: str = "binary", place: int = 0) -> Scene:
    window, pool = rows(400, task=task, seed=1), rows(4_000, task=task, seed=2)
    return Scene(window, pool, COLUMNS, kind.amounts[strength], place, np.random.default_rng(3))


def changed(name: str, strength: int = 2, *, task: str = "binary", place: int = 0) -> tuple[Rows, Rows]:
    """The rows of a window, before and after."""
    kind = BY_NAME[name]
    given = scene(kind, strength, task=task, place=place)
    return given.rows, kind.change(given)


def test_there_are_fifty_kinds_with_names_of_their_own():
    assert len(BY_NAME) == len(KINDS) >= 50
    assert {
        "shift",
        "scale",
        "unit",
        "category",
        "swap",
        "frozen",
        "missing",
        "labels",
        "concept",
        "slow",
        "harmless",
    } <= {kind.family for kind in KINDS}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_gives_rows_of_the_same_columns_and_leaves_those_given_alone(kind: Kind, task: str):
    for strength in range(len(STRENGTHS)):
        given = scene(kind, strength, task=task)
        before, pool = given.rows.frame.copy(), given.pool.frame.copy()
        target = given.rows.target.copy()
        found = kind.change(given)
        assert sorted(found.frame) == sorted(before)
        assert (found.frame.dtypes[list(before)] == before.dtypes).all()
        assert len(found.frame) == len(found.target) > 0
        assert found.frame.index.equals(pd.RangeIndex(len(found)))
        assert not (set(found.target) - {0, 1} and task == "binary")
        pd.testing.assert_frame_equal(given.rows.frame, before)
        pd.testing.assert_frame_equal(given.pool.frame, pool)
        np.testing.assert_array_equal(given.rows.target, target)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.is_harmless], ids=lambda kind: kind.name)
def test_a_change_changes_something(kind: Kind):
    given = scene(kind)
    found = kind.change(given)
    assert not (found.frame.equals(given.rows.frame) and np.array_equal(found.target, given.rows.target))


def moved(name: str, strength: int, column: str = "a") -> float:
    before, after = changed(name, strength)
    return float(np.nanmean(after.frame[column]) - np.nanmean(before.frame[column])) / 10


def test_a_shift_is_of_so_many_standard_deviations():
    name = "first number higher, standard deviations"
    assert [moved(name, strength) for strength in range(3)] == pytest.approx([0.25, 0.5, 1.0], rel=0.05)


def test_a_slow_change_is_whole_in_the_fourth_window_and_a_season_turns():
    slow, season = (f"first number {word}, standard deviations" for word in ("higher step by step", "in seasons"))
    steps = [moved_at(slow, place) for place in range(5)]
    assert steps == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0], rel=0.05)
    assert [moved_at(season, place) for place in range(4)] == pytest.approx([1, 0, -1, 0], abs=0.05)


def moved_at(name: str, place: int) -> float:
    before, after = changed(name, place=place)
    return float(np.nanmean(after.frame["a"]) - np.nanmean(before.frame["a"])) / 10


@pytest.mark.parametrize(("name", "column"), [
    ("rows in another order, share", "a"), ("rows in the order of the first number, share", "a"),
    ("columns in another order", "b"), ("categories of other rows, share of rows", "city"),
    ("first number of other rows, share of rows", "a"),
])  # fmt: skip
def test_another_order_keeps_what_a_column_has(name: str, column: str):
    before, after = changed(name)
    assert sorted(map(str, before.frame[column])) == sorted(map(str, after.frame[column]))


def test_a_share_of_the_values_is_missing():
    before, after = changed("first number missing, share of rows", 1)
    assert float(after.frame["a"].isna().mean()) == pytest.approx(0.3, abs=0.02)
    assert float(before.frame["a"].isna().mean()) < 0.02


def test_a_frozen_column_has_one_value():
    _, after = changed("all numbers frozen, share of rows")
    assert after.frame[["a", "b", "noise"]].nunique().tolist() == [1, 1, 1]


def test_labels_are_flipped_and_features_are_not():
    for task in TASKS:
        before, after = changed("labels flipped, share of rows", task=task)
        pd.testing.assert_frame_equal(before.frame, after.frame)
        assert float(np.mean(before.target != after.target)) == pytest.approx(0.5, abs=0.01)


def test_rows_are_drawn_by_what_becomes_true():
    before, after = changed("rows by what becomes true, log odds")
    assert after.target.mean() > before.target.mean() + 0.2


# Counting


def outcome(kind: str, strength: int, ours: int | None, peer: int | None) -> Outcome:
    found = {ALARM: ours, RETRAINING: None, EVIDENTLY: peer, ANY_COLUMN: 1}
    return Outcome("flights", 0, kind, strength, found, {})


def clean(retrainings: int) -> Outcome:
    return Outcome("flights", 0, "", -1, {}, {ALARM: 1, RETRAINING: retrainings, UNLABELLED: 0, EVIDENTLY: 2})


def test_outcomes_become_shares_and_false_alarms_of_a_hundred_windows():
    name = KINDS[0].name
    outcomes = [clean(0), clean(1), outcome(name, 0, 2, None), outcome(name, 0, 3, 1), outcome(name, 0, None, None)]
    found = {figure.name: figure for figure in figures(outcomes)}
    assert found["false retraining, of 100 windows without a change"].value == 10
    assert found["false retraining, of 100 windows without a change"].holds is False
    assert found["false alarms of Evidently, of 100 windows without a change"].value == 40
    ours = found["weak changes found by ours, of those that Evidently looked at"]
    assert ours.value == pytest.approx(2 / 3, abs=1e-4)
    assert ours.holds
    assert found["windows until weak changes are found by ours, where they are"].value == 2.5


def test_the_tables_of_the_documentation():
    name = KINDS[0].name
    text = markdown([clean(0), outcome(name, 0, 1, None), outcome(name, 1, None, None), outcome(name, 2, 1, 2)])
    assert "| Evidently | 40.0 |" in text
    assert "| numbers that moved | 1 | 100 / 0 / 100 | 0 / 0 / 0 | 0 / 0 / 100 | 100 / 100 / 100 |" in text


def test_harmless_changes_are_not_to_be_found():
    name = "rows in another order, share"
    found = {figure.name: figure for figure in figures([clean(0), outcome(name, 0, 1, None)])}
    assert found["harmless changes with an alarm within 4 windows by ours"].holds is False


def test_kinds_of_which_a_peer_finds_more_are_named():
    name = KINDS[0].name
    kinds = by_kind([outcome(name, 0, None, 1), outcome(name, 1, 1, 1)])
    json.dumps(kinds)
    assert behind(kinds, EVIDENTLY) == [f"{name}, weak: 0.00 and 1.00"]


def test_work_of_another_seed_deals_other_rows():
    from tests.benchmarks.alarms.tables import dealt

    whole = rows(1_000, task="binary", seed=0)
    one, other = (dealt(whole, 300, seed=seed) for seed in (0, 1))
    assert [len(part) for part in one] == [300, 700]
    assert not one[0].frame.equals(other[0].frame)
    both = pd.concat([part.frame for part in one])["noise"]
    assert sorted(both) == sorted(whole.frame["noise"])


def test_a_scene_draws_the_same_again():
    kind = BY_NAME["labels flipped, share of rows"]
    given = scene(kind)
    one, other = (kind.change(replace(given, random=np.random.default_rng(9))) for _ in range(2))
    np.testing.assert_array_equal(one.target, other.target)
