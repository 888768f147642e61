import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.shared.errors import PackageError
from components.shared.registry.history import (
    Entry,
    champion_at,
    rollback_path,
    rollback_target,
    rolled_back,
    this_person,
    this_run,
)


def history(moves: str) -> list[Entry]:
    """`A B <A` is A, then B, then a roll-back to A."""
    return [
        Entry(number=number, version=move.lstrip("<"), action="rolled back" if "<" in move else "promoted", when="")
        for number, move in enumerate(moves.split(), 1)
    ]


@pytest.mark.parametrize(
    ("moves", "way"),
    [
        ("", ""),
        ("A", "A"),
        ("A B", "A B"),
        ("A B C <B", "A B"),
        ("A B C <B <A", "A"),
        ("A B <A C", "A C"),
        ("A B A", "A B A"),
        ("A B A <B", "A B"),
        ("A B C <A", "A"),  # by name, past B
        ("A B <A <B", "A B"),  # by name, forth again
        ("A A", "A"),
    ],
)
def test_the_way_back(moves, way):
    assert rollback_path(history(moves)) == way.split()


@pytest.mark.parametrize(("moves", "target"), [("A B", "A"), ("A B C <B", "A"), ("A B <A C", "A"), ("A B A", "B")])
def test_where_a_roll_back_goes(moves, target):
    assert rollback_target(history(moves), "demo") == target


@pytest.mark.parametrize(
    ("moves", "versions"),
    [
        ("", ""),
        ("A B C", ""),
        ("A B <A", "B"),
        ("A B C <A", "B C"),  # by name, past B
        ("A B A <B", "A"),
        ("A B <A <B", ""),  # by name, forth again
        ("A B <A B", ""),
        ("A B <A C", "B"),
    ],
)
def test_what_was_turned_away_from(moves, versions):
    found = rolled_back(history(moves))
    assert sorted(found) == versions.split()
    assert all(entry.action == "rolled back" for entry in found.values())


def test_the_champion_at_a_moment():
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    entries = [
        one.model_copy(update={"when": (noon + timedelta(hours=one.number)).isoformat()}) for one in history("A B <A")
    ]
    hours = (0, 1, 1.5, 2, 3, 90)
    assert [champion_at(entries, noon + timedelta(hours=one)) for one in hours] == ["A", "A", "A", "B", "A", "A"]
    assert champion_at([], noon) == ""


def test_where_none_goes():
    with pytest.raises(PackageError, match="No version of 'demo' has served yet"):
        rollback_target([], "demo")
    with pytest.raises(PackageError, match=r"Version A of 'demo' is the first one that served: .* back to\.$"):
        rollback_target(history("A"), "demo")
    # The advice works.
    with pytest.raises(PackageError, match=r"is the first one .* served later, name it: VERSION=B\.$"):
        rollback_target(history("A B <A"), "demo")
    assert rollback_target(history("A B <A"), "demo", wanted="B") == "B"
    with pytest.raises(PackageError, match=r"Version X of 'demo' was never the champion: .* A, B\. See `make versions"):
        rollback_target(history("A B"), "demo", wanted="X")


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.booleans()), max_size=20))
def test_it_ends_with_the_champion_and_names_what_served(moves):
    entries = history(" ".join(f"{'<' if back else ''}{version}" for version, back in moves))
    way = rollback_path(entries)
    assert way[-1:] == [entry.version for entry in entries[-1:]]
    assert set(way) <= {entry.version for entry in entries}
    assert all(one != other for one, other in itertools.pairwise(way))
    # Going back all the way ends, and never where it began.
    steps = list(entries)
    for _ in range(len(way) - 1):
        target = rollback_target(steps, "demo")
        assert target != steps[-1].version
        steps.append(Entry(number=len(steps) + 1, version=target, action="rolled back", when=""))
    with pytest.raises(PackageError, match="is the first one|has served yet"):
        rollback_target(steps, "demo")


def test_who_does_it(monkeypatch):
    assert this_run({"KFP_RUN_ID": "abc"}) == "abc"
    assert this_run({}) == ""
    assert this_person()
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid not found")))
    assert this_person() == ""
