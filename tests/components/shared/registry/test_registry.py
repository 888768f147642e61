import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from components.shared.errors import PackageError, StoreError
from components.shared.package.model_package import version_prefix
from components.shared.registry.history import Entry
from components.shared.registry.registry import MovedError, Registry, models_that_served
from components.shared.store import Store

MOVED = "2024-02-01T00:00:00+00:00"
EARLIER = "models/demo/champion.json"


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store, "demo")


def champion(registry: Registry) -> str | None:
    found = registry.champion()
    return found.version if found else None


def test_there_is_no_champion_at_first(registry):
    assert registry.champion() is None
    assert registry.history() == []
    assert registry.versions() == []


def test_it_is_moved_from_what_was_read(registry, monkeypatch):
    monkeypatch.setenv("KFP_RUN_ID", "run-1")
    first = registry.promote("one", expected=None, why="the first")
    assert (first.number, first.version, first.replaced, first.run, first.why) == (1, "one", None, "run-1", "the first")
    second = registry.promote("two", expected=first, action="rolled back", run="")
    assert (second.number, second.replaced, second.action, second.run) == (2, "one", "rolled back", "")
    # Neither what was read before, nor that there was none, is true any more.
    for expected in (first, None):
        with pytest.raises(MovedError, match="The champion of 'demo' is version two, and version three was compared"):
            registry.promote("three", expected=expected)
    assert registry.champion() == second
    assert registry.history() == [first, second]


def test_an_entry_is_never_written_again(registry):
    entries = [registry.promote("one", expected=None)]
    for number in range(12):
        entries.append(registry.promote(f"v{number}", expected=entries[-1]))
    keys = [item.key for item in registry.store.list("models/demo/history/")]
    assert keys[0] == "models/demo/history/00000001.json"
    assert keys[-1] == "models/demo/history/00000013.json"
    assert registry.history() == entries
    etags = [item.etag for item in registry.store.list("models/demo/history/")]
    with pytest.raises(MovedError):
        registry.promote("w", expected=entries[3])
    assert [item.etag for item in registry.store.list("models/demo/history/")] == etags


def test_of_many_at_once_one_wins_and_nothing_is_lost(registry):
    expected = None
    for turn in range(3):

        def race(number: int, expected: Entry | None = expected, turn: int = turn) -> Entry | None:
            try:
                won: Entry = registry.promote(f"v{turn}{number}", expected=expected)
            except MovedError:
                return None
            return won

        with ThreadPoolExecutor(8) as pool:
            (expected,) = [won for won in pool.map(race, range(8)) if won]
    assert [entry.number for entry in registry.history()] == [1, 2, 3]
    assert registry.champion() == expected


def test_models_have_their_own(registry, store):
    registry.promote("one", expected=None)
    assert Registry(store, "demo-2").champion() is None
    assert Registry(store, "dem").history() == []
    store.put_bytes("models/older/champion.json", b"{}")
    store.put_bytes("models/stored/versions/1/manifest.json", b"{}")
    assert models_that_served(store) == ["demo", "older"]


def test_versions_are_told_with_their_states(registry, store):
    for version in ("a", "b", "c"):
        store.put_bytes(version_prefix("demo", version) + "manifest.json", b"{}")
    store.put_bytes(version_prefix("demo", "cut") + "model.onnx", b"")  # not complete: no version
    first = registry.promote("a", expected=None)
    second = registry.promote("gone", expected=first)
    third = registry.promote("b", expected=second)
    found = {one.version: one for one in registry.versions()}
    states = {version: one.state for version, one in found.items()}
    assert states == {"a": "served", "b": "champion", "c": "stored, never served", "gone": "served"}
    assert (found["b"].entry, found["c"].entry) == (third, None)
    assert found["c"].stored
    assert not found["gone"].stored


# What earlier releases left


def test_the_pointer_of_earlier_releases_counts_as_served(registry, store):
    store.put_bytes(EARLIER, json.dumps({"version": "two", "previous": "one", "moved": MOVED}).encode())
    found = registry.champion()
    assert found is not None
    assert (found.version, found.replaced, found.when) == ("two", "one", MOVED)
    assert [entry.version for entry in registry.history()] == ["one", "two"]
    entry = registry.promote("three", expected=found)
    assert entry.number == 1
    assert [found.version for found in registry.history()] == ["one", "two", "three"]
    assert champion(registry) == "three"
    assert json.loads(store.get_bytes(EARLIER))["version"] == "two"  # nobody writes it any more
    with pytest.raises(MovedError):
        registry.promote("four", expected=found)


def test_a_pointer_of_earlier_releases_to_nothing(registry, store):
    store.put_bytes(EARLIER, b'{"version": null}')
    assert registry.champion() is None
    assert registry.history() == []
    assert registry.promote("one", expected=None).number == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"v1"', b"{}", b'{"version": ""}', b'{"version": "v1", "other": 1}', b"\xff"],
)
def test_what_is_damaged_is_never_taken_for_none(registry, store, content):
    store.put_bytes(EARLIER, content)
    with pytest.raises(PackageError, match=r"s3://.*/models/demo/champion.json is no champion pointer: .*Repair or"):
        registry.champion()
    registry.promote("one", expected=None)
    store.put_bytes("models/demo/history/00000002.json", content)
    with pytest.raises(PackageError, match=r"s3://.*/models/demo/history/00000002.json is no entry of a history"):
        registry.champion()


def test_an_entry_of_another_number_is_damage(registry, store):
    registry.promote("one", expected=None)
    store.put_bytes("models/demo/history/00000002.json", store.get_bytes("models/demo/history/00000001.json"))
    with pytest.raises(PackageError, match="00000002.json is no entry of a history"):
        registry.champion()
    store.put_bytes("models/demo/history/00000002.json.bak", b"")
    with pytest.raises(PackageError, match=r"00000002.json.bak is no entry of a history. Remove it"):
        registry.champion()


def test_what_a_later_release_adds_is_no_damage(registry, store):
    entry = registry.promote("one", expected=None)
    content = {**entry.model_dump(mode="json"), "approved_by": "somebody"}
    store.put_bytes("models/demo/history/00000001.json", json.dumps(content).encode())
    assert registry.champion() == entry


def test_a_store_that_does_not_answer_is_never_taken_for_none(store):
    away = Registry(store.for_bucket("there-is-no-such-bucket"), "demo")
    for act in (away.champion, away.history, away.versions, lambda: away.promote("one", expected=None)):
        with pytest.raises(StoreError, match="does not exist"):
            act()
