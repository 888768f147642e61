"""Which version's rows the newest window is judged by, on the history page and in a line."""

from datetime import UTC, datetime, timedelta

import pytest

from components.monitor.history.page import history_page
from components.monitor.history.record import History, Status, WindowEntry
from components.monitor.history.verdict import busiest_windows, newest_windows, verdict
from components.monitor.observation.observe import Observed
from components.shared.decisions.evidence import Drifted, Evidence, Problem, Quality

START, DAY = datetime(2026, 3, 1, tzinfo=UTC), timedelta(days=1)
BROKEN = Problem(kind="schema", severe=True, message="amount is missing in all rows")
MOVED = Drifted(column="amount", value=0.3, threshold=0.1, importance=0.5)


def window(
    version: str,
    rows: int = 1000,
    *,
    day: int = 1,
    status: Status = "compared",
    problems: tuple[Problem, ...] = (),
    drifted: tuple[Drifted, ...] = (),
    metric: str = "",
) -> WindowEntry:
    quality = Quality(metric=metric, higher_is_better=True, reference=0.8) if metric else None
    start = START + day * DAY
    return WindowEntry(
        start=start, end=start + DAY, version=version, rows=rows, status=status, problems=problems, drifted=drifted,
        quality=quality,
    )  # fmt: skip


def history(*windows: WindowEntry, champion: str = "1aaa") -> History:
    return History(model="demo", champion=champion, windows=windows)


@pytest.mark.parametrize("order", [1, -1])
def test_the_version_that_is_worst_off_is_told_and_named(order):
    both = [window("1aaa", 100_000, problems=(BROKEN,)), window("9bbb", 120)]
    found = history(window("9bbb", day=0, problems=(BROKEN,)), *both[::order])
    assert [one.version for one in newest_windows(found)] == ["1aaa", "9bbb"]
    assert verdict(found) == ("failed", "Broken rows (version 1aaa)")
    page = history_page(found).render()
    assert "Broken rows (version 1aaa)" in page
    assert "version 1aaa; version 9bbb" in page
    assert "100,000 (1aaa); 120 (9bbb)" in page
    assert "Version 1aaa: amount is missing in all rows" in page


def test_few_rows_of_another_version_hide_no_verdict():
    few = window("9bbb", 12, status="too few rows")
    assert verdict(history(few, window("1aaa"))) == ("passed", "No drift (version 1aaa)")
    assert verdict(history(few)) == ("info", "Too few rows")
    assert verdict(history(few, window("1aaa", drifted=(MOVED,)))) == ("warning", "Drift (version 1aaa)")


def test_of_versions_alike_the_champion_is_told_then_the_one_of_most_rows():
    alike = window("1aaa", 10), window("5ccc", 5_000), window("9bbb", 300)
    assert newest_windows(history(*alike, champion="9bbb"))[0].version == "9bbb"
    assert newest_windows(history(*alike, champion=""))[0].version == "5ccc"


def test_a_window_of_one_version_is_told_without_its_name():
    found = history(window("9bbb", day=0), window("1aaa", problems=(BROKEN,)))
    assert verdict(found) == ("failed", "Broken rows")
    assert "Version 1aaa: " not in history_page(found).render()
    assert verdict(history()) == ("info", "No window yet")


def test_quality_is_drawn_of_the_version_that_answered_most_and_in_one_metric():
    windows = (
        window("5ccc", day=0, metric="mae"),
        window("1aaa", 900, metric="rmse"),
        window("9bbb", 100, metric="mae"),
        window("9bbb", 100, day=2),
    )
    assert [(one.version, one.rows) for one in busiest_windows(windows)] == [("5ccc", 1000), ("1aaa", 900)]
    page = history_page(history(*windows)).render()
    assert "rmse" in page


def test_the_line_for_people_tells_of_the_same_version_as_the_page():
    windows = window("1aaa", 100_000, problems=(BROKEN,), drifted=(MOVED,)), window("9bbb", 120)
    evidence = tuple(
        Evidence(model="demo", version=one.version, start=one.start, end=one.end, rows=one.rows, made=one.end)
        for one in windows
    )
    said = Observed(evidence, 2, 24, history(*windows)).message
    assert "with 100,000 rows of version 1aaa, amount drifted, 1 problems" in said
