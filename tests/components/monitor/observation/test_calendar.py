from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from pydantic import ValidationError

from components.monitor.observation.calendar import Calendar, Span
from components.shared.config import WindowsConfig

BERLIN = "Europe/Berlin"


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def seconds(*moments: datetime) -> np.ndarray:
    return np.array([round(moment.replace(tzinfo=UTC).timestamp()) for moment in moments])


def test_days_are_those_of_the_zone_and_have_23_or_25_hours_when_its_clocks_change():
    calendar = Calendar(WindowsConfig(zone=BERLIN))
    lengths = {}
    for day in (datetime(2026, 3, 28), datetime(2026, 3, 29), datetime(2026, 10, 25)):
        step = calendar.step(calendar.number(day.replace(hour=12, tzinfo=UTC)))
        lengths[day.date().isoformat()] = (step.start.isoformat()[5:16], (step.end - step.start) / timedelta(hours=1))
    assert lengths == {
        "2026-03-28": ("03-27T23:00", 24),
        "2026-03-29": ("03-28T23:00", 23),
        "2026-10-25": ("10-24T22:00", 25),
    }


@pytest.mark.parametrize("settings", [{"size": "6h"}, {}, {"zone": BERLIN}, {"zone": "Asia/Kolkata", "size": "2w"}])
def test_steps_follow_one_another_without_gap_and_hold_the_moments_that_are_theirs(settings):
    calendar = Calendar(WindowsConfig(**settings))
    first = calendar.number(utc(2026, 3, 1))
    for number in range(first, first + 300):
        step = calendar.step(number)
        assert step.end == calendar.start(number + 1)
        inside = [step.start, step.start + timedelta(minutes=1), step.end - timedelta(microseconds=1)]
        assert [calendar.number(moment) for moment in inside] == [number] * 3
    moments = seconds(*(utc(2026, 3, 28) + timedelta(minutes=7 * place) for place in range(400)))
    expected = [calendar.number(datetime.fromtimestamp(second, UTC)) for second in moments]
    assert calendar.numbers(moments).tolist() == expected


def test_weeks_begin_on_monday():
    calendar = Calendar(WindowsConfig(size="1w"))
    assert calendar.step(calendar.number(utc(2026, 11, 29))).start == utc(2026, 11, 23)


def test_windows_that_overlap_are_runs_of_steps():
    calendar = Calendar(WindowsConfig(size="7d", step="1d"))
    last = calendar.number(utc(2026, 3, 10))
    assert calendar.window(last) == Span(utc(2026, 3, 4), utc(2026, 3, 11))
    assert list(calendar.steps_of(last)) == list(range(last - 6, last + 1))


def test_a_window_is_over_when_its_rows_have_had_time_to_come():
    calendar = Calendar(WindowsConfig(size="1d", lateness="2h"))
    first = calendar.number(utc(2026, 3, 1))
    assert list(calendar.due(first, utc(2026, 3, 2, 1, 59))) == []
    assert list(calendar.due(first, utc(2026, 3, 2, 2))) == [first]
    assert list(calendar.due(first, utc(2026, 3, 4, 2))) == [first, first + 1, first + 2]


def test_local_times_of_the_hour_that_is_there_twice_or_never():
    calendar = Calendar(WindowsConfig(zone=BERLIN))
    local = seconds(
        datetime(2026, 3, 29, 1, 59), datetime(2026, 3, 29, 2, 30), datetime(2026, 3, 29, 3, 0),
        datetime(2026, 10, 25, 1, 59), datetime(2026, 10, 25, 2, 30), datetime(2026, 10, 25, 3, 0),
    )  # fmt: skip
    assert [datetime.fromtimestamp(second, UTC) for second in calendar.to_utc(local)] == [
        utc(2026, 3, 29, 0, 59), utc(2026, 3, 29, 1, 30), utc(2026, 3, 29, 1, 0),
        utc(2026, 10, 24, 23, 59), utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 2, 0),
    ]  # fmt: skip


def test_names_of_spans_can_be_read():
    span = Span(utc(2026, 3, 10, 9), utc(2026, 3, 11))
    assert span.name == "20260310T0900Z--20260311T0000Z"
    assert Span.parse(span.name) == span


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "5d", "step": "2d"}, "whole multiple"),
        ({"size": "1d", "step": "6h", "zone": BERLIN}, "both in hours or both in days"),
        ({"zone": "Mars/Crater"}, "no time zone"),
        ({"table": "predictions/flights/"}, "time has to be `event`"),
        ({"size": "30m"}, "size"),
    ],
)
def test_settings_that_make_no_windows_are_named(settings, message):
    with pytest.raises(ValidationError, match=message):
        WindowsConfig(**settings)
