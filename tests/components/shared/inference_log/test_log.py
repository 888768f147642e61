"""The inference log as several programs see it at once: an endpoint that writes, compactions and readers."""

import io
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.monitor.compact import main as compact
from components.shared.errors import StoreError
from components.shared.inference_log import compaction, reading
from components.shared.inference_log.compaction import compact_log
from components.shared.inference_log.layout import COMMIT, LogFile, hour_prefix, raw_name, rows_of
from components.shared.inference_log.window import LoggedRows, draw, read_window
from components.shared.store import Store

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
AT_ONCE = timedelta(hours=-1)  # whatever the store's clock says


def write(store: Store, hour: datetime, first: int, rows: int = 3, *, writer: str = "a", **columns: Any) -> str:
    """A raw file, as the endpoint writes it, with numbered rows."""
    table = pa.table({"number": range(first, first + rows), **columns})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    key = hour_prefix("demo", hour) + raw_name(hour + timedelta(seconds=first), writer, rows)
    store.put_bytes(key, buffer.getvalue())
    return key


def numbers(store: Store) -> list[int]:
    """The rows that count, the newest first as the hours are."""
    found: list[int] = []
    for folder in reading.newest_hours(store, "demo"):
        for part in reading.fetched(store, folder.files(), lambda _, content: content):
            found += pq.read_table(io.BytesIO(part))["number"].to_pylist()
    return found


def names(store: Store) -> set[str]:
    return {item.key.rpartition("/")[2] for item in store.list("inference/")}


@contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """Requests to the store, by what they are: real ones, each page of a listing for itself."""
    counts: Counter[str] = Counter()
    pool = store._pool
    plain = pool.urlopen

    def urlopen(method: str, url: str, *arguments: Any, **options: Any) -> Any:
        counts["list" if "list-type" in url else method] += 1
        return plain(method, url, *arguments, **options)

    pool.urlopen = urlopen  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        del pool.urlopen


# Names


def test_the_name_of_a_file_tells_its_hour_and_rows():
    hour = datetime(2026, 3, 1, 9, tzinfo=UTC)
    name = raw_name(hour + timedelta(minutes=30), "host-1_", 57)
    assert hour_prefix("demo", hour) == "inference/demo/date=2026-03-01/hour=09/"
    assert rows_of(name) == 57
    assert rows_of("093000.123456-host.name-12-0.parquet") is None  # of an earlier version
    assert name < "compacted-" < COMMIT  # the order of a listing, which readers rely on


# Compaction


def test_closed_hours_are_compacted_and_nothing_is_lost_or_there_twice(store):
    for hour in (8, 9, 11, 12):
        for number in range(4):
            write(store, NOW.replace(hour=hour, minute=0), hour * 100 + number * 10)
    before = numbers(store)
    done = compact_log(store, "demo", now=NOW)
    assert (done.hours, done.files, done.rows, done.parts, done.removed) == (3, 12, 36, 3, 0)
    assert numbers(store) == before
    # The hour that is still written to stays as it is, and who listed the old files can read them for a while.
    assert len([name for name in names(store) if name[:1].isdigit()]) == 16
    again = compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    assert (again.hours, again.removed) == (0, 12)
    assert numbers(store) == before
    kept = [item.key for item in store.list("inference/")]
    assert Counter(key.split("/")[3] for key in kept) == {"hour=08": 2, "hour=09": 2, "hour=11": 2, "hour=12": 4}
    assert compact_log(store, "demo", now=NOW, settled=AT_ONCE) == compaction.Compacted()


def test_files_of_other_columns_stay_apart_and_damaged_ones_as_they_are(store):
    hour = NOW.replace(hour=9, minute=0)
    write(store, hour, 0)
    write(store, hour, 10, colour=["red", None, "blue"])
    write(store, hour, 20)
    damaged = hour_prefix("demo", hour) + raw_name(hour, "b", 7)
    store.put_bytes(damaged, b"PAR1 cut short")
    done = compact_log(store, "demo", now=NOW)
    assert (done.files, done.parts, done.damaged) == (3, 2, 1)
    compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    (folder,) = reading.newest_hours(store, "demo")
    assert [file.rows for file in folder.files()] == [6, 3, 7]
    assert folder.files()[-1].key == damaged
    assert "1 damaged files stay" in done.message


def test_a_file_that_comes_late_counts_and_is_added(store):
    hour = NOW.replace(hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    compact_log(store, "demo", now=NOW)
    write(store, hour, 20, writer="late")
    assert sorted(numbers(store)) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    write(store, hour, 30, writer="late")
    assert compact_log(store, "demo", now=NOW, settled=AT_ONCE).files == 2
    compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    assert sorted(numbers(store)) == [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert not [name for name in names(store) if name[:1].isdigit()]


def test_a_file_that_is_written_once_more_after_it_was_compacted_does_not_count_again(store):
    """A writer that lost the store's answer repeats the upload under the same name."""
    hour = NOW.replace(hour=9, minute=0)
    again = write(store, hour, 0)
    write(store, hour, 10)
    content = store.get_bytes(again)
    compact_log(store, "demo", now=NOW)
    compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    store.put_bytes(again, content)
    assert numbers(store) == [0, 1, 2, 10, 11, 12]
    assert compact_log(store, "demo", now=NOW, settled=AT_ONCE).removed == 1
    assert numbers(store) == [0, 1, 2, 10, 11, 12]


class Killed(BaseException):
    """As by SIGKILL: nothing after it runs that could clean up in the store."""


class Failing(Store):
    """A store that a program of is killed at its n-th change."""

    left = 0

    def _spend(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def put_bytes(self, key: str, data: bytes, content_type: str = "") -> None:
        self._spend()
        super().put_bytes(key, data, content_type)

    def create(self, key: str, data: bytes) -> bool:
        self._spend()
        return super().create(key, data)

    def replace(self, key: str, data: bytes, etag: str) -> bool:
        self._spend()
        return super().replace(key, data, etag)

    def delete_many(self, keys: Any) -> None:
        for key in keys:
            self._spend()
            super().delete_many([key])


def test_it_may_be_killed_at_any_point(store):
    """After each kill a reader sees every row once; and the next compaction ends what was begun."""
    hour = NOW.replace(hour=9, minute=0)
    expected: list[int] = []
    killed = 0
    for first in range(0, 120, 60):
        for number in range(first, first + 60, 20):
            write(store, hour, number, colour=["x"] * 3 if number % 60 == 20 else [1, 2, 3])  # two parts
            expected += range(number, number + 3)
        for point in range(6):  # two parts, the commit, and the three files that they replace
            failing = Failing(store.settings)
            failing.left = point
            try:
                compact_log(failing, "demo", now=NOW, settled=AT_ONCE)
            except Killed:
                killed += 1
            assert sorted(numbers(store)) == sorted(expected), point
            if point == 3:  # once more, and it is killed while it removes files
                failing.left = 1
                with pytest.raises(Killed):
                    compact_log(failing, "demo", now=NOW, settled=AT_ONCE)
                assert sorted(numbers(store)) == sorted(expected)
    assert killed >= 6
    compact_log(store, "demo", now=NOW, settled=AT_ONCE, abandoned=AT_ONCE)  # parts that no commit will list
    assert sorted(numbers(store)) == sorted(expected)
    (folder,) = reading.newest_hours(store, "demo")
    assert not folder.raw
    assert {folder.name(part) for part in folder.parts} == {part.name for part in folder.commit.parts}


def test_of_two_compactions_of_an_hour_one_counts(store, monkeypatch):
    hour = NOW.replace(hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    plain = compaction._write_parts

    def slow(*arguments: Any) -> list[str]:
        monkeypatch.setattr(compaction, "_write_parts", plain)
        found = plain(*arguments)
        assert compact_log(store, "demo", now=NOW).hours == 1  # another one comes in between
        return found

    monkeypatch.setattr(compaction, "_write_parts", slow)
    assert compact_log(store, "demo", now=NOW).hours == 0
    assert numbers(store) == [0, 1, 2, 10, 11, 12]
    assert len([name for name in names(store) if name.startswith("compacted-")]) == 1


def test_who_has_listed_before_a_compaction_reads_every_row_once(store):
    """The files of the listing are gone when they are read: it is looked at again."""
    hour = NOW.replace(hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    looks: list[bool] = []

    def look(last: bool) -> list[int]:
        (folder,) = reading.newest_hours(store, "demo")
        if not looks:
            compact_log(store, "demo", now=NOW, settled=AT_ONCE)
            compact_log(store, "demo", now=NOW, settled=AT_ONCE)
        looks.append(last)
        tables = reading.fetched(store, folder.files(), lambda _, content: pq.read_table(io.BytesIO(content)))
        return [number for table in tables for number in table["number"].to_pylist()]

    assert reading.retry_when_moved(look) == [0, 1, 2, 10, 11, 12]
    assert looks == [False, False]


def test_a_commit_that_is_not_ours_is_told(store):
    hour = NOW.replace(hour=9, minute=0)
    write(store, hour, 0)
    store.put_bytes(hour_prefix("demo", hour) + COMMIT, b'{"format": "fullcircle-log/9"}')
    with pytest.raises(StoreError, match="is of format 'fullcircle-log/9'; this program reads 'fullcircle-log/1'"):
        numbers(store)
    store.put_bytes(hour_prefix("demo", hour) + COMMIT, b"what?")
    with pytest.raises(StoreError, match="is no commit of the inference log"):
        numbers(store)


def test_the_program_compacts_every_model(store, capsys):
    assert compact([]) == 0
    assert "nothing is logged yet" in capsys.readouterr().out
    hour = NOW.replace(year=2024, hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    store.put_bytes("inference/broken/date=2024-01-01/hour=00/compacted.json", b"what?")
    assert compact([]) == 1
    said = capsys.readouterr()
    assert "demo: 2 files of 1 hours are 1 now (6 rows)" in said.out
    assert "is no commit" in said.err


# Windows


def read(content: bytes, places: Any) -> list[int]:
    found: list[int] = pq.read_table(io.BytesIO(content))["number"].take(pa.array(places)).to_pylist()
    return found


def window(store: Store, **settings: Any) -> LoggedRows[list[int]]:
    return read_window(store, "demo", read, now=NOW, **{"hours": 24, "rows": 1000, "minimum": 10, **settings})


@pytest.mark.parametrize("compacted", [False, True])
def test_a_window_of_a_day_takes_few_listings(store, compacted):
    """Of a log of 30 days with 17,280 files each, not 519 listings; here with fewer days, and fewer files a day."""
    for day in range(12):
        for hour in range(0, 24, 3):
            moment = (NOW - timedelta(days=day)).replace(hour=hour, minute=0)
            if moment <= NOW:
                for first in (0, 10):
                    write(store, moment, first)
    if compacted:
        compact_log(store, "demo", now=NOW)
        compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    with counted(store) as counts:
        found = window(store)
    assert found.rows == found.of == 9 * 6
    assert (found.first, found.last) == (NOW.replace(day=9, hour=12, minute=0), NOW.replace(minute=0))
    assert counts["list"] == 3  # the days, and of two days what is in the window
    with counted(store) as counts:
        assert len(next(iter(reading.newest_hours(store, "demo"))).files()) == 2
    assert counts["list"] == 3  # the days, the hours of the last one, and the last hour


def test_each_row_has_the_same_chance(store):
    """Whether files are small or large, and whether single rows or neighbours are drawn."""
    random = np.random.default_rng(5)
    files = [LogFile(f"{number}", NOW, 1000, int(rows)) for number, rows in enumerate(random.integers(1, 400, 60))]
    total = sum(file.rows or 0 for file in files)
    for size in (1_000, 50_000_000):  # of large files few are read
        large = [LogFile(file.key, file.hour, size, file.rows) for file in files]
        seen = np.zeros(total)
        starts = dict(zip((file.key for file in files), np.cumsum([0, *(f.rows or 0 for f in files)]), strict=False))
        for _ in range(400):
            drawn = draw(large, 500, random)
            assert all((np.diff(places) > 0).all() for _, places in drawn)
            for file, places in drawn:
                seen[starts[file.key] + places] += 1
            assert size < 2_000 or len(drawn) <= 41  # neighbourhoods, each in two files at most
        assert seen.sum() / 400 == pytest.approx(500, rel=0.02)
        expected = 400 * 500 / total
        halves = [seen[: total // 2].mean(), seen[total // 2 :].mean()]
        assert halves == pytest.approx([expected, expected], rel=0.06)
        assert seen.max() < expected + 6 * np.sqrt(expected) + 3


def test_few_rows_are_all_taken():
    files = [LogFile("a", NOW, 1, 2), LogFile("b", NOW, 1, 3)]
    drawn = draw(files, 5, np.random.default_rng(0))
    assert [places.tolist() for _, places in drawn] == [[0, 1], [0, 1, 2]]


def test_files_whose_names_do_not_tell_their_rows_are_counted(store):
    key = write(store, NOW.replace(minute=0), 0, 30)
    store.put_bytes(key.rpartition("_")[0] + ".parquet", store.get_bytes(key))
    store.delete(key)
    found = window(store, rows=20)
    assert (found.rows, found.of) == (20, 30)


def test_a_sample_makes_up_for_files_that_do_not_fit(store):
    for first in range(0, 1000, 10):
        write(store, NOW.replace(minute=0), first, 10)

    def choosy(content: bytes, places: Any) -> list[int]:
        found = read(content, places)
        if found[0] < 750:
            raise ValueError
        return found

    got = read_window(store, "demo", choosy, now=NOW, hours=24, rows=100, minimum=10)
    assert 60 <= got.rows <= 140
    assert all(number >= 750 for piece in got.pieces for number in piece)
    assert got.skipped > 50


def test_parts_that_a_rule_of_the_store_has_removed_are_done_without(store):
    hour = NOW.replace(hour=9, minute=0)
    for first in (0, 10):
        write(store, hour, first)
    compact_log(store, "demo", now=NOW)
    compact_log(store, "demo", now=NOW, settled=AT_ONCE)
    (part,) = [item.key for item in store.list("inference/") if "compacted-" in item.key]
    store.delete(part)
    found = window(store)
    assert (found.rows, found.skipped) == (0, 1)
