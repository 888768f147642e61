import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.shared.errors import PackageError, StoreError
from components.shared.package.model_package import champion_key
from components.shared.registry.champion import Champion, move_champion, read_champion, withdraw_champion

MOVED = "2024-02-01T00:00:00+00:00"


def pointer(version: str, previous: str | None = None) -> Champion:
    return Champion(version=version, previous=previous, moved=MOVED)


def test_there_is_none_at_first(store):
    assert read_champion(store, "demo") is None


def test_it_is_moved_from_what_was_read(store):
    assert move_champion(store, "demo", pointer("one"), expected=None)
    first = read_champion(store, "demo")
    assert first is not None
    assert (first.version, first.previous, first.moved) == ("one", None, MOVED)
    assert move_champion(store, "demo", pointer("two", "one"), expected=first)
    second = read_champion(store, "demo")
    assert second is not None
    assert (second.version, second.previous) == ("two", "one")
    # Neither what was read before, nor that there was none, is true any more.
    assert not move_champion(store, "demo", pointer("three"), expected=first)
    assert not move_champion(store, "demo", pointer("three"), expected=None)
    assert read_champion(store, "demo") == second


def test_its_object_says_no_more_than_it_means(store):
    move_champion(store, "demo", pointer("one"), expected=None)
    assert json.loads(store.get_bytes(champion_key("demo"))) == {"version": "one", "previous": None, "moved": MOVED}


def test_of_many_at_once_one_wins(store):
    def race(number: int) -> bool:
        return move_champion(store, "demo", pointer(f"v{number}"), expected=None)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(race, range(8))) == [False] * 7 + [True]
    first = read_champion(store, "demo")
    assert first is not None

    def race_again(number: int) -> bool:
        return move_champion(store, "demo", pointer(f"w{number}"), expected=first)

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(race_again, range(8)))
    assert sorted(won) == [False] * 7 + [True]
    second = read_champion(store, "demo")
    assert second is not None
    assert second.version == f"w{won.index(True)}"


def test_models_have_their_own(store):
    move_champion(store, "demo", pointer("one"), expected=None)
    assert read_champion(store, "demo-2") is None


def test_it_can_be_withdrawn_and_set_again(store):
    move_champion(store, "demo", pointer("one"), expected=None)
    first = read_champion(store, "demo")
    assert first is not None
    assert withdraw_champion(store, "demo", expected=first)
    assert read_champion(store, "demo") is None
    assert not withdraw_champion(store, "demo", expected=first)
    assert not move_champion(store, "demo", pointer("two"), expected=first)
    assert move_champion(store, "demo", pointer("two"), expected=None)
    second = read_champion(store, "demo")
    assert second is not None
    assert second.version == "two"
    assert not withdraw_champion(store, "demo", expected=first)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"v1"', b"{}", b'{"version": ""}', b'{"version": "v1", "other": 1}', b"\xff"],
)
def test_a_damaged_pointer_is_never_taken_for_none(store, content):
    store.put_bytes(champion_key("demo"), content)
    with pytest.raises(
        PackageError, match=r"s3://.*/models/demo/champion.json is no champion pointer: .*Mend or remove"
    ):
        read_champion(store, "demo")
    assert not move_champion(store, "demo", pointer("one"), expected=None)


def test_a_store_that_does_not_answer_is_never_taken_for_none(store):
    away = store.for_bucket("there-is-no-such-bucket")
    with pytest.raises(StoreError, match="does not exist"):
        read_champion(away, "demo")
